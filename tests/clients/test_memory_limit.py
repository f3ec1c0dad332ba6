"""The limit of the data's memory: what goes, what is refused, and what is told of it."""

import contextlib
import struct
import threading
import time

import pytest
import redis

from server import Server

MIB = 1 << 20
OOM = "command not allowed when used memory > 'maxmemory'."


@pytest.fixture(params=[1, 2], ids=lambda workers: f"{workers}-workers")
def limited(request):
    with Server("--workers", str(request.param), "--maxmemory", str(8 * MIB)) as server:
        with server.client(protocol=3) as client:
            yield client
        assert server.process.poll() is None, f"the server died:\n{server.words()}"


def fill(client, count, value, prefix="key", **options):
    """Sets so many keys; returns how many were refused."""
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        pipe.set(f"{prefix}:{number}", value, **options)
    outcomes = pipe.execute(raise_on_error=False)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert all(OOM in str(refusal) for refusal in refused), refused[:3]
    return len(refused)


def test_without_a_policy_only_commands_that_need_memory_are_refused(limited):
    assert fill(limited, 12_000, b"v" * 1_000) > 1_000
    memory = limited.info("memory")
    assert memory["maxmemory"] == 8 * MIB and memory["maxmemory_policy"] == "noeviction"
    assert memory["used_memory_dataset"] <= 8 * MIB * 1.01
    with pytest.raises(redis.exceptions.OutOfMemoryError, match=OOM):
        limited.set("more", b"v" * 1_000_000)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        limited.setrange("more", 60 * MIB, b"x")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        with limited.pipeline() as pipe:
            pipe.set("more", b"v" * 1_000_000)
            pipe.execute()
    assert limited.get("key:0") and limited.expire("key:1", 100) and limited.getdel("key:2")
    assert limited.info("stats")["evicted_keys"] == 0
    assert limited.flushall() and limited.set("again", b"v" * 1_000_000)


def test_what_is_queued_in_a_transaction_is_refused_with_it(limited):
    fill(limited, 12_000, b"v" * 1_000)
    connection = limited.connection_pool.get_connection()

    def ask(*words):
        connection.send_command(*words)
        return connection.read_response()

    assert ask("MULTI") in (b"OK", "OK")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        ask("SET", "more", "v" * 1_000_000)
    with pytest.raises(redis.exceptions.ExecAbortError, match="previous errors"):
        ask("EXEC")
    limited.connection_pool.release(connection)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_all_keys_give_way(limited, policy):
    limited.config_set("maxmemory-policy", policy)
    assert fill(limited, 20_000, b"v" * 1_000) == 0
    memory, stats = limited.info("memory"), limited.info("stats")
    assert 6 * MIB < memory["used_memory_dataset"] <= 8 * MIB * 1.01
    assert stats["evicted_keys"] > 10_000
    assert limited.dbsize() == 20_000 - stats["evicted_keys"]


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_only_what_expires_gives_way(limited, policy):
    limited.config_set("maxmemory-policy", policy)
    assert fill(limited, 2_000, b"v" * 1_000, prefix="stays") == 0
    assert fill(limited, 20_000, b"v" * 1_000, ex=1_000) == 0
    assert limited.exists(*(f"stays:{number}" for number in range(2_000))) == 2_000
    assert limited.info("stats")["evicted_keys"] > 10_000
    limited.flushall()
    assert fill(limited, 12_000, b"v" * 1_000, prefix="stays") > 1_000


def test_what_expires_first_goes_first(limited):
    limited.config_set("maxmemory-policy", "volatile-ttl")
    pipe = limited.pipeline(transaction=False)
    for number in range(12_000):
        pipe.set(f"key:{number}", b"v" * 1_000, ex=10_000 + (number * 7919) % 12_000)
    pipe.execute()
    left = [limited.ttl(key) for key in limited.scan_iter(count=1_000)]
    evicted = limited.info("stats")["evicted_keys"]
    assert evicted > 2_000 and len(left) == 12_000 - evicted
    if limited.info("server")["kora_workers"] == 1:
        assert min(left) >= 10_000 + evicted // 2


def test_what_is_used_stays(limited):
    limited.config_set("maxmemory-policy", "allkeys-lfu")
    fill(limited, 200, b"v" * 1_000, prefix="hot")
    for _ in range(60):
        limited.mget([f"hot:{number}" for number in range(200)])
    fill(limited, 20_000, b"v" * 1_000)
    assert limited.exists(*(f"hot:{number}" for number in range(200))) >= 195
    assert limited.object("freq", "hot:0") > 5
    with pytest.raises(redis.exceptions.ResponseError, match="An LFU maxmemory policy is selected"):
        limited.object("idletime", "hot:0")
    limited.config_set("maxmemory-policy", "allkeys-lru")
    assert limited.object("idletime", "hot:0") < 100
    with pytest.raises(redis.exceptions.ResponseError, match="An LFU maxmemory policy is not selected"):
        limited.object("freq", "hot:0")


def vector(dimension, number):
    return struct.pack(f"<{dimension}f", *((number * (at + 3)) % 101 - 50.5 for at in range(dimension)))


@pytest.mark.parametrize("name", ["docs", "{tenant}docs"])
def test_vectors_give_way_and_their_collection_answers(limited, name):
    limited.config_set("maxmemory-policy", "allkeys-lru")
    pipe = limited.pipeline(transaction=False)
    for number in range(16_000):
        pipe.execute_command("VECSET", f"{name}:{number}", 128, "FP32", vector(128, number))
        if number % 1_000 == 999:
            refused = [outcome for outcome in pipe.execute(raise_on_error=False) if isinstance(outcome, Exception)]
            assert not refused, refused[:3]
            assert limited.info("memory")["used_memory_dataset"] <= 8 * MIB * 1.01
    evicted = limited.info("stats")["evicted_keys"]
    assert evicted > 3_000 and limited.dbsize() == 16_000 - evicted
    assert len(limited.execute_command("VECQUERY", name, 10, "FP32", vector(128, 5))) == 10


def test_many_small_collections_give_way(limited):
    limited.config_set("maxmemory-policy", "allkeys-lru")
    for first in range(0, 6_000, 500):
        pipe = limited.pipeline(transaction=False)
        for number in range(first, first + 500):
            for element in range(4):
                pipe.execute_command("VECSET", f"{{user{number}}}c:{element}", 64, "FP32", vector(64, element))
        refused = [outcome for outcome in pipe.execute(raise_on_error=False) if isinstance(outcome, Exception)]
        assert not refused, refused[:3]
    assert limited.info("stats")["evicted_keys"] > 1_000
    assert limited.info("memory")["used_memory_dataset"] <= 8 * MIB * 1.02


def test_memory_is_told_in_redis_fields(client):
    client.set("key", b"v" * 100_000)
    memory = client.info("memory")
    assert memory["used_memory"] == memory["used_memory_dataset"] + memory["used_memory_overhead"]
    assert 100_000 < memory["used_memory_dataset"] < memory["used_memory_rss"]
    assert memory["used_memory_peak"] >= memory["used_memory"] and memory["maxmemory"] == 0
    assert client.memory_stats()["keys.count"] == 1
    assert client.memory_purge() and client.execute_command("MEMORY DOCTOR")


def test_a_large_value_waits_until_enough_has_been_evicted(limited):
    limited.config_set("maxmemory-policy", "allkeys-lru")
    assert fill(limited, 12_000, b"v" * 1_000) == 0
    # Uses are remembered by the second: of the same one, any may go.
    time.sleep(1.1)
    assert limited.set("large", b"v" * (5 * MIB))
    assert limited.strlen("large") == 5 * MIB
    assert limited.info("memory")["used_memory_dataset"] <= 8 * MIB * 1.01


def test_large_values_under_way_together_do_not_pass_the_limit(limited):
    limited.config_set("maxmemory-policy", "allkeys-lru")
    most, ends = 0, []

    def write(number):
        with redis.Redis(port=limited.connection_pool.connection_kwargs["port"]) as client:
            for turn in range(8):
                # One that finds no room while others are under way may be refused.
                with contextlib.suppress(redis.exceptions.ResponseError):
                    client.set(f"large:{number}:{turn}", b"v" * (3 * MIB))
        ends.append(number)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        most = max(most, limited.info("memory")["used_memory_dataset"])
    for writer in writers:
        writer.join()
    assert len(ends) == 4 and most <= 8 * MIB * 1.01


def test_a_vector_that_moves_or_is_copied_finds_a_slot(limited):
    limited.config_set("maxmemory-policy", "allkeys-lru")
    for first in range(0, 12_000, 500):
        pipe = limited.pipeline(transaction=False)
        for number in range(first, first + 500):
            pipe.execute_command("VECSET", f"docs:{number}", 128, "FP32", vector(128, number))
        pipe.execute()
    for number in range(11_000, 11_200):
        # What is moved may be evicted before it is.
        try:
            assert limited.rename(f"docs:{number}", f"docs:moved{number}")
            assert limited.copy(f"docs:moved{number}", f"docs:copy{number}") in (True, False)
        except redis.exceptions.ResponseError as error:
            assert "no such key" in str(error)
    assert limited.info("memory")["used_memory_dataset"] <= 8 * MIB * 1.01


def test_a_script_is_told_of_the_limit_and_nothing_goes_while_it_runs(limited):
    limited.config_set("maxmemory-policy", "allkeys-lru")
    assert fill(limited, 12_000, b"v" * 1_000) == 0
    # Uses are remembered by the second: what the script writes is newer than all that was there.
    time.sleep(1.1)
    script = """
        local set = 0
        for number = 1, 2000 do
            local reply = redis.pcall('SET', '{' .. KEYS[1] .. '}' .. number, string.rep('v', 4000))
            if reply.err then return {set, reply.err} end
            set = set + 1
        end
        return {set, 'all'}
    """
    written, outcome = limited.eval(script, 1, "key")
    assert OOM in str(outcome) and 0 < written < 2_000
    # Some of them may be evicted behind it.
    assert limited.exists(*(f"{{key}}{number}" for number in range(1, written + 1))) >= written * 0.8
    assert limited.info("memory")["used_memory_dataset"] <= 8 * MIB * 1.01


@pytest.mark.parametrize("flags", [(), ("--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru")], ids=["refuses", "evicts"])
def test_a_limited_address_space_ends_no_server(flags):
    with Server("--workers", "2", *flags, address_bytes=400 * MIB) as server, server.client(protocol=3) as client:
        refused = 0
        for turn in range(40):
            pipe = client.pipeline(transaction=False)
            for number in range(50):
                pipe.set(f"key:{turn}:{number}", b"v" * [100, 10_000, 100_000, 1_000_000][number % 4])
            outcomes = pipe.execute(raise_on_error=False)
            refusals = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert all(OOM in str(refusal) for refusal in refusals), refusals[:3]
            refused += len(refusals)
        assert (refused == 0) == bool(flags)
        assert client.info("memory")["maxmemory"] == 200 * MIB
        # Refused before it is tried, or there is room for it.
        with contextlib.suppress(redis.exceptions.ResponseError):
            client.setrange("far", 150 * MIB, b"x")
        assert client.ping() and client.dbsize() > 100
