"""What redis-py does around its commands: handshake, names, lists of clients, INFO, COMMAND, AUTH."""

import contextlib
import time

import pytest
import redis

from server import Server


def test_the_handshake_says_who_the_library_is(client, protocol):
    info = client.client_info()
    assert (info["resp"], info["lib-name"], info["user"], info["db"]) == (str(protocol), "redis-py", "default", 0)
    assert info["lib-ver"] == redis.__version__
    assert int(info["id"]) == client.client_id()


def test_hello_describes_the_server(client, protocol):
    reply = client.execute_command("HELLO", protocol)
    fields = reply if protocol == 3 else dict(zip(reply[::2], reply[1::2], strict=True))
    expected = {b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"}
    assert set(fields) == expected
    assert (fields[b"proto"], fields[b"id"], fields[b"modules"]) == (protocol, client.client_id(), [])


def test_a_connection_has_a_name_and_is_listed_by_it(server, client, protocol):
    assert client.client_getname() is None
    assert client.client_setname("worker-7") is True
    assert client.client_getname() == ("worker-7" if protocol == 2 else b"worker-7")
    with server.client(protocol, client_name="other", single_connection_client=True) as other:
        assert other.ping() is True
        listed = {entry["name"]: entry for entry in client.client_list()}
        assert set(listed) == {"worker-7", "other"}
        assert (listed["other"]["cmd"], int(listed["other"]["id"])) == ("ping", other.client_id())
        assert client.client_list(client_id=[listed["other"]["id"]])[0]["name"] == "other"


def test_a_killed_connection_is_gone_and_others_stay(server, client, protocol):
    with server.client(protocol, single_connection_client=True) as victim:
        victim_id = victim.client_id()
        assert client.client_kill_filter(_id=str(victim_id)) == 1
        assert client.client_kill_filter(_id=str(victim_id)) == 0
        assert str(victim_id) not in {entry["id"] for entry in client.client_list()}
        # redis-py connects again by itself: under a new id.
        assert victim.client_id() > victim_id
    address = client.client_info()["addr"]
    with server.client(protocol) as other:
        assert other.client_kill(address) is True
    assert client.client_info()["addr"] != address


def test_info_is_read_by_redis_py(client):
    client.execute_command("VECSET", "info:a", 1, 1)
    info = client.info()
    assert [int(part) for part in info["redis_version"].split(".")] >= [7, 0, 0]
    assert isinstance(info["uptime_in_seconds"], int) and isinstance(info["used_memory"], int)
    assert info["connected_clients"] >= 1
    assert info["db0"]["keys"] == 1
    assert set(client.info("clients")) & {"connected_clients"} and "redis_version" not in client.info("clients")
    assert client.info("nothing-of-that-name") == {}


def test_commands_describe_themselves(client, protocol):
    commands = client.command()
    assert commands["vecget"]["arity"] == -2 and "readonly" in commands["vecget"]["flags"]
    assert client.command_count() == len(commands) == len(client.command_list())
    docs = client.execute_command("COMMAND DOCS", "VECSET", "nope")
    docs = docs if protocol == 3 else dict(zip(docs[::2], docs[1::2], strict=True))
    assert list(docs) == [b"vecset"]
    all_docs = client.execute_command("COMMAND DOCS")
    assert len(all_docs) == len(commands) * (1 if protocol == 3 else 2)


def test_settings_are_read_with_config_get(server, client):
    assert client.config_get("vector-ef-*") == {"vector-ef-construction": "200", "vector-ef-search": "100"}
    everything = client.config_get("*")
    assert (everything["maxclients"], everything["bind"], everything["requirepass"]) == ("10000", "127.0.0.1 -::1", "")


def test_what_info_counts_begins_anew_with_config_resetstat(client):
    # Nothing of other tests' expires meanwhile.
    client.flushall()
    assert client.config_resetstat()
    for _ in range(2):
        client.mset({f"counted:{number}": "x" for number in range(100)})
        client.set("short", "x", px=1)
        while client.info("stats")["expired_keys"] == 0:
            time.sleep(0.01)
        assert client.info("commandstats")["cmdstat_mset"]["calls"] == 1
        assert client.config_resetstat()
        stats, commands = client.info("stats"), client.info("commandstats")
        assert (stats["expired_keys"], "cmdstat_mset" in commands) == (0, False)
        assert commands["cmdstat_config|resetstat"]["calls"] == 1
    # What there is was not forgotten.
    assert client.info("clients")["connected_clients"] > 0 and client.dbsize() == 100


@pytest.mark.parametrize("count", [1, 13, 29, 200])
def test_an_unknown_command_is_printed_with_128_bytes_of_arguments_as_in_redis(client, count):
    printed = ""
    for index in range(count):
        if len(printed) < 128:
            printed += "'%s' " % f"arg{index + 13}"[: 128 - len(printed)]
    with pytest.raises(redis.ResponseError) as refused:
        client.execute_command("foo", *[f"arg{index + 13}" for index in range(count)])
    assert str(refused.value) == f"unknown command 'foo', with args beginning with: {printed}"


def test_what_is_unknown_is_refused_and_the_connection_lives(client):
    connection_id = client.client_id()
    for words in (["GRAPH.QUERY", "g", "MATCH (n)"], ["CLIENT", "MAINT_NOTIFICATIONS", "ON"], ["CONFIG", "NOSUCH", "a"]):
        with pytest.raises(redis.ResponseError, match="unknown (sub)?command"):
            client.execute_command(*words)
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        client.select(16)
    assert client.echo("still here") == b"still here"
    assert client.client_id() == connection_id


@pytest.fixture(scope="module")
def guarded():
    """A server that asks for a password."""
    with Server("--bind", "127.0.0.1", variables={"KORA_REQUIREPASS": "open sesame"}) as server:
        yield server


class TestPassword:
    def test_nothing_but_hello_and_auth_is_answered_before(self, guarded, protocol):
        with guarded.client(protocol) as client:
            expected = redis.AuthenticationError if protocol == 2 else redis.ConnectionError
            with pytest.raises(expected, match="Authentication required|HELLO must be called with the client already authenticated"):
                client.ping()

    def test_the_password_opens_it(self, guarded, protocol):
        for options in ({"password": "open sesame"}, {"username": "default", "password": "open sesame"}):
            with guarded.client(protocol, **options) as client:
                assert client.ping() is True
        url = f"redis://:open%20sesame@127.0.0.1:{guarded.port}/0?protocol={protocol}"
        with redis.Redis.from_url(url) as client:
            assert client.ping() is True

    def test_a_wrong_one_does_not(self, guarded, protocol):
        for options in ({"password": "wrong"}, {"username": "nobody", "password": "open sesame"}):
            with guarded.client(protocol, **options) as client:
                with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
                    client.ping()

    def test_redis_cli_takes_it_from_its_variable_or_a_flag(self, guarded):
        assert guarded.redis_cli("PING").stdout.strip() == "(error) NOAUTH Authentication required."
        assert guarded.redis_cli("PING", REDISCLI_AUTH="open sesame").stdout == "PONG\n"
        assert guarded.redis_cli("-3", "--no-auth-warning", "-a", "open sesame", "PING").stdout == "PONG\n"


# What tools read: redis_exporter, Telegraf, Datadog, RedisInsight, redis-cli --stat. The fields of memory are in test_cache.py.
READ_BY_TOOLS = """
    redis_version redis_mode os arch_bits multiplexing_api process_id run_id tcp_port uptime_in_seconds uptime_in_days lru_clock
    executable config_file io_threads_active connected_clients cluster_connections maxclients client_recent_max_input_buffer
    client_recent_max_output_buffer blocked_clients tracking_clients clients_in_timeout_table used_memory used_memory_human
    used_memory_rss used_memory_peak used_memory_overhead used_memory_dataset maxmemory maxmemory_policy
    mem_fragmentation_ratio mem_allocator loading rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time
    rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec rdb_last_cow_size aof_enabled
    aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec aof_current_rewrite_time_sec
    aof_last_bgrewrite_status aof_last_write_status aof_last_cow_size total_connections_received total_commands_processed
    instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes instantaneous_input_kbps instantaneous_output_kbps
    rejected_connections sync_full sync_partial_ok sync_partial_err expired_keys keyspace_hits keyspace_misses pubsub_channels
    pubsub_patterns latest_fork_usec migrate_cached_sockets total_error_replies role connected_slaves master_replid
    master_repl_offset second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset
    repl_backlog_histlen used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children cluster_enabled
""".split()


def test_info_has_what_tools_read(server, client):
    info = client.info("everything")
    assert set(READ_BY_TOOLS) - set(info) == set()
    assert info["executable"].endswith("kora") and info["tcp_port"] == server.port
    assert info["listener0"]["port"] == server.port
    default = client.info()
    assert not any(name.startswith(("cmdstat_", "latency_")) for name in default)
    assert any(name.startswith("cmdstat_") for name in client.info("commandstats"))


def test_hits_and_misses_are_of_commands_that_read(client):
    client.flushall()
    client.set("there", "x")
    client.hset("hash", mapping={"f": "1", "g": "2"})
    client.execute_command("VECSET", "looked:up", 2, 1, 2)
    client.config_resetstat()
    looked_up = [
        ("GET there", 1, 0),
        ("GET gone", 0, 1),
        ("GET hash", 1, 0),
        ("MGET there gone there", 2, 1),
        ("EXISTS there gone hash", 2, 1),
        ("STRLEN gone", 0, 1),
        ("TTL there", 1, 0),
        ("TYPE gone", 0, 1),
        ("HGETALL hash", 1, 0),
        ("HGET gone f", 0, 1),
        ("HMGET hash f g", 1, 0),
        ("VECGET looked:up", 1, 0),
        ("VECGET looked:away", 0, 1),
        ("SET there y", 0, 0),
        ("SET there z GET", 1, 0),
        ("HSET hash h 3", 0, 0),
        ("DEL gone", 0, 0),
        ("EXPIRE there 100", 0, 0),
    ]
    hits, misses = 0, 0
    for command, more_hits, more_misses in looked_up:
        with contextlib.suppress(redis.ResponseError):
            client.execute_command(*command.split())
        hits, misses = hits + more_hits, misses + more_misses
        stats = client.info("stats")
        assert (stats["keyspace_hits"], stats["keyspace_misses"]) == (hits, misses), command
    client.config_resetstat()
    assert client.info("stats")["keyspace_hits"] == 0


def test_traffic_rates_and_errors_are_counted(client):
    client.config_resetstat()
    before = client.info("stats")
    for _ in range(20):
        client.set("large", "x" * 100_000)
        client.get("large")
    for _ in range(3):
        with pytest.raises(redis.ResponseError):
            client.hget("large", "f")
    with pytest.raises(redis.ResponseError):
        client.execute_command("NOSUCHCOMMAND")
    after = client.info("stats")
    for direction in ["input", "output"]:
        moved = after[f"total_net_{direction}_bytes"] - before[f"total_net_{direction}_bytes"]
        assert 2_000_000 < moved < 2_100_000
        assert after[f"instantaneous_{direction}_kbps"] > 10
    assert after["instantaneous_ops_per_sec"] > 5
    assert after["total_error_replies"] == 4
    assert client.info("errorstats") == {"errorstat_WRONGTYPE": {"count": 3}, "errorstat_ERR": {"count": 1}}
    # How much of a value waits there at once is the network's choice.
    assert client.info("clients")["client_recent_max_input_buffer"] > 0
