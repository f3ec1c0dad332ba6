"""Functions, as client libraries use them: what is kept over a restart, what is bounded, and functions that mean harm."""

import threading
import time

import pytest
import redis

from server import Server
from test_persistence import kill, start

LIBRARY = """#!lua name=counters
local function add(keys, args) return redis.call('incrby', keys[1], args[1]) end
redis.register_function('add', add)
redis.register_function{
  function_name='look', description='says what it is', flags={'no-writes'},
  callback=function(keys) return redis.call('get', keys[1]) end,
}
"""


def library(name, body):
    return f"#!lua name={name}\n{body}"


def listed(client):
    """Each library with its code and its functions, whatever the protocol."""
    libraries = {}
    for one in client.function_list(withcode=True):
        fields = one if isinstance(one, dict) else dict(zip(one[::2], one[1::2]))
        functions = [each if isinstance(each, dict) else dict(zip(each[::2], each[1::2])) for each in fields[b"functions"]]
        described = [(each[b"name"], each[b"description"], sorted(each[b"flags"])) for each in functions]
        libraries[fields[b"library_name"]] = (fields[b"library_code"], sorted(described, key=repr))
    return libraries


@pytest.fixture
def functions(client):
    client.function_flush()
    yield client
    client.function_flush()


def test_functions_are_called_on_every_shard(functions):
    assert functions.function_load(LIBRARY) == b"counters"
    with pytest.raises(redis.exceptions.ResponseError, match="Library 'counters' already exists"):
        functions.function_load(LIBRARY)
    for number in range(50):
        assert functions.fcall("add", 1, f"counter:{number}", number) == number
        assert functions.fcall_ro("LOOK", 1, f"counter:{number}") == b"%d" % number
    with pytest.raises(redis.exceptions.ResponseError, match="write flag"):
        functions.fcall_ro("add", 1, "counter:1", 1)
    changed = LIBRARY.replace("'incrby', keys[1], args[1]", "'decrby', keys[1], args[1]")
    functions.function_load(changed, replace=True)
    for number in range(50):
        assert functions.fcall("add", 1, f"counter:{number}", number) == 0
    functions.flushall()
    assert functions.fcall("add", 1, "counter:1", 1) == -1, "FLUSHALL leaves functions"
    assert functions.function_delete("counters")
    with pytest.raises(redis.exceptions.ResponseError, match="Function not found"):
        functions.fcall("add", 1, "counter:1", 1)


def test_what_is_behind_in_a_pipeline_finds_the_function(functions):
    with functions.pipeline(transaction=False) as pipe:
        pipe.function_load(LIBRARY)
        for number in range(20):
            pipe.fcall("add", 1, f"pipelined:{number}", 1)
        pipe.function_delete("counters")
        pipe.fcall("add", 1, "pipelined:1", 1)
        replies = pipe.execute(raise_on_error=False)
    assert replies[1:21] == [1] * 20 and "Function not found" in str(replies[-1])


def test_keys_of_several_slots(functions):
    body = "redis.register_function{function_name='both', flags={%s}, callback=function(keys) return redis.call('mset', keys[1], 1, keys[2], 2) end}"
    functions.function_load(library("apart", body % ""))
    with pytest.raises(redis.exceptions.ResponseError, match="same slot"):
        functions.fcall("both", 2, "{a}1", "{b}1")
    functions.function_load(library("apart", body % "'allow-cross-slot-keys'"), replace=True)
    placed = {}
    for number in range(64):
        try:
            functions.fcall("both", 2, "{a}1", f"{{b{number}}}1")
            placed[number] = functions.mget("{a}1", f"{{b{number}}}1")
        except redis.exceptions.ResponseError as error:
            assert "same slot" in str(error)
    assert placed and all(values == [b"1", b"2"] for values in placed.values())


def test_a_users_rights_hold_in_functions(functions, server):
    functions.function_load(LIBRARY)
    functions.acl_setuser("reader", reset=True, enabled=True, nopass=True, keys=["mine:*"], commands=["+fcall", "+get"])
    with redis.Redis(port=server.port, username="reader", password="x") as reader:
        functions.set("mine:1", 5)
        assert reader.fcall("look", 1, "mine:1") == b"5"
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.fcall("look", 1, "other")
        with pytest.raises(redis.exceptions.ResponseError, match="ACL failure in script"):
            reader.fcall("add", 1, "mine:1", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.function_list()
    functions.acl_deluser("reader")


FLAGS = {
    "log": ["--appendonly", "yes", "--appendfsync", "always"],
    "snapshot": [],
}


@pytest.mark.parametrize("kept", FLAGS)
@pytest.mark.parametrize("workers", ["1", "4"])
def test_functions_are_there_after_a_restart(tmp_path, kept, workers):
    flags = [*FLAGS[kept], "--workers", workers]
    server, client = start(tmp_path, *flags)
    client.function_load(LIBRARY)
    client.function_load(library("gone", "redis.register_function('gone', function() end)"))
    client.function_load(library("changed", "redis.register_function('old', function() return 1 end)"))
    if kept == "snapshot":
        client.save()
    else:
        # Some of it is in a snapshot, some in the log behind it.
        client.bgsave()
    client.function_load(library("changed", "redis.register_function('new', function() return 2 end)"), replace=True)
    client.function_delete("gone")
    client.function_load(library("last", "redis.register_function('last', function() return 3 end)"))
    before = listed(client)
    assert sorted(before) == [b"changed", b"counters", b"last"]
    if kept == "snapshot":
        client.shutdown(save=True)
        assert server.wait() == 0
    else:
        kill(server)
    server, client = start(tmp_path, *flags)
    assert listed(client) == before
    assert client.fcall("add", 1, "k", 4) == 4 and client.fcall_ro("look", 1, "k") == b"4"
    assert client.fcall("new", 0) == 2
    with pytest.raises(redis.exceptions.ResponseError, match="Function not found"):
        client.fcall("old", 0)
    client.function_flush()
    if kept == "log":
        kill(server)
        server, client = start(tmp_path, *flags)
        assert listed(client) == {}
    server.stop()


def test_a_dump_is_restored_on_another_server(functions):
    functions.function_load(LIBRARY)
    before, payload = listed(functions), functions.function_dump()
    with Server("--workers", "2") as other, other.client(3) as client:
        assert client.function_restore(payload)
        assert listed(client) == before
        with pytest.raises(redis.exceptions.ResponseError, match="already exists"):
            client.function_restore(payload)
        assert client.function_restore(payload, "REPLACE") and client.function_restore(payload, "FLUSH")
        with pytest.raises(redis.exceptions.ResponseError, match="version or checksum"):
            client.function_restore(payload[:-1])
        assert listed(client) == before


def test_libraries_are_bounded_and_counted(functions):
    before = functions.info("memory")
    code = library("large", "redis.register_function('large', function() end) --" + "x" * 200_000)
    functions.function_load(code)
    now = functions.info("memory")
    assert now["used_memory"] - before["used_memory"] > 200_000
    assert now["used_memory_functions"] > 200_000
    assert (now["number_of_libraries"], now["number_of_functions"]) == (1, 1)
    with pytest.raises(redis.exceptions.ResponseError, match="at most"):
        functions.function_load(library("huge", "--" + "x" * 300_000))
    loaded = 1
    with pytest.raises(redis.exceptions.ResponseError, match="there can be at most"):
        for number in range(100):
            functions.function_load(code.replace("name=large", f"name=large{number}").replace("'large'", f"'large{number}'"))
            loaded += 1
    assert loaded == 20
    functions.function_flush()
    for number in range(512):
        functions.function_load(library(f"l{number}", f"redis.register_function('f{number}', function() return {number} end)"))
    with pytest.raises(redis.exceptions.ResponseError, match="there can be at most"):
        functions.function_load(library("more", "redis.register_function('more', function() end)"))
    assert [functions.fcall(f"f{number}", 0) for number in range(0, 512, 50)] == list(range(0, 512, 50))
    payload = functions.function_dump()
    functions.function_restore(payload, "REPLACE")
    functions.function_flush()
    assert functions.info("memory")["used_memory_functions"] == 0


HARM = [
    "while true do end",
    "local t = {} while true do t[#t + 1] = {} end",
    "return ('x'):rep(1e10)",
    "local f f = function() return 1 + f() end f()",
    "local n = 'n' while true do redis.register_function(n, function() end) n = n .. 'n' end",
]


@pytest.mark.parametrize("body", HARM)
def test_a_library_that_wants_too_much_is_not_loaded(functions, body):
    began = time.monotonic()
    with pytest.raises(redis.exceptions.ResponseError):
        functions.function_load(library("harm", body))
    assert time.monotonic() - began < 30
    assert functions.function_list() == []
    functions.function_load(LIBRARY)
    assert functions.fcall("add", 1, "after", 1) == 1


def test_a_function_that_never_ends_is_shown_and_killed():
    flags = ["--workers", "2", "--busy-reply-threshold", "200"]
    with Server(*flags) as server, server.client(3) as client, server.client(3) as other:
        client.function_load(library("loops", "redis.register_function('loop', function() while true do end end)"))
        outcome = []

        def loop():
            try:
                outcome.append(client.fcall("loop", 1, "{l}k", "word"))
            except redis.exceptions.ResponseError as error:
                outcome.append(str(error))

        thread = threading.Thread(target=loop)
        thread.start()
        time.sleep(0.5)
        running = other.function_stats()[b"running_script"]
        assert running[b"name"] == b"loop" and running[b"duration_ms"] >= 200
        assert running[b"command"] == [b"FCALL", b"loop", b"1", b"{l}k", b"word"]
        with pytest.raises(redis.exceptions.ResponseError, match="You can only call FUNCTION KILL"):
            other.get("{l}k")
        with pytest.raises(redis.exceptions.ResponseError, match="You can only call FUNCTION KILL"):
            other.execute_command("SCRIPT KILL")
        assert other.function_kill() in (b"OK", True)
        thread.join(timeout=30)
        assert "Script killed by user with FUNCTION KILL." in outcome[0]
        assert other.function_stats()[b"running_script"] is None
        with pytest.raises(redis.exceptions.ResponseError, match="NOTBUSY"):
            other.function_kill()
