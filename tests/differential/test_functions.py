"""Libraries and functions answer what they answer in Redis: each case of a list, and programs drawn at random."""

import random
import re

import pytest

import servers
from resp import Connection, comparable

PROGRAMS, STEPS = 12, 120


@pytest.fixture(scope="module", params=[1, 2, 8], ids=lambda workers: f"{workers}-workers")
def both(request):
    reference, subject = servers.Redis(), servers.Kora(request.param)
    yield reference, subject
    reference.stop()
    subject.stop()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def pair(both, request):
    connections = [Connection(server.port, request.param) for server in both]
    for connection in connections:
        assert connection.ask(b"FUNCTION", b"FLUSH") == (b"+", b"OK")
        assert connection.ask(b"FLUSHALL") == (b"+", b"OK")
    yield connections
    for connection in connections:
        connection.close()


def ask(pair, *words):
    """Both replies, in a form in which they can be compared."""
    request = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    replies = [comparable(connection.ask(*request)) for connection in pair]
    if request[0] == b"EXEC" or request[:2] == [b"FUNCTION", b"LIST"]:
        # Redis lists in no order.
        replies = [unordered(reply) for reply in replies]
    return [unnamed(reply) for reply in replies]


def unnamed(reply):
    """Of two functions, or of two libraries of a dump, that are there already Redis names any."""
    kind, content = reply
    if isinstance(content, list):
        content = [unnamed(part) for part in content]
    elif kind == b"-":
        content = re.sub(rb"(Function|Library) \w+ already exists", rb"\1 * already exists", content)
    return (kind, content)


def unordered(reply):
    kind, content = reply
    if isinstance(content, list):
        content = sorted((unordered(part) for part in content), key=repr)
    return (kind, content)


def same(pair, *words):
    reference, subject = ask(pair, *words)
    assert reference == subject, words
    return subject


def library(body, name="lib"):
    return f"#!lua name={name}\n{body}"


LOADED = [
    "",
    "return 1",
    "#!lua",
    "#!lua name=x",
    "#!lua\n",
    "#!lua name\n",
    "#!lua name=\n",
    "#!lua name=a b\n",
    "#!lua name=a-b\n",
    "#!lua name=a name=b\n",
    "#!lua engine=x name=b\n",
    "#!lua name=é\n",
    "#! name=a\n",
    "#!\n",
    "#!js name=a\nx",
    "#!LUA NAME=upper\nredis.register_function('f', function() return 1 end)",
    library(""),
    library("x = "),
    library("x = 1"),
    library("local x = y"),
    library("return redis.call('ping')"),
    library("return redis.pcall('ping')"),
    library("return redis.setresp(3)"),
    library("return redis.sha1hex('x')"),
    library("return math.random()"),
    library("return string.rep('x', 3)"),
    library("return ('x'):rep(3)"),
    library("return KEYS[1]"),
    library("return tostring(1)"),
    library("return _G"),
    library("redis = 1"),
    library("redis.x = 1"),
    library("redis.register_function = 1"),
    library("redis.log(redis.LOG_WARNING, 'x') redis.register_function('f', function() end)"),
    library("redis.log(10, 'x')"),
    library("redis.register_function(redis.REDIS_VERSION_NUM, function() end)"),
    library("error('x')"),
    library("error({err = 'MY x'})"),
    library("error()"),
    library("redis.register_function()"),
    library("redis.register_function('f')"),
    library("redis.register_function(1)"),
    library("redis.register_function('f', function() end, 1)"),
    library("redis.register_function({}, function() end)"),
    library("redis.register_function(nil, function() end)"),
    library("redis.register_function(12, function() return 1 end)"),
    library("redis.register_function('f', 'g')"),
    library("redis.register_function('f g', function() end)"),
    library("redis.register_function('', function() end)"),
    library("redis.register_function('f', function() end) redis.register_function('f', function() end)"),
    library("redis.register_function{}"),
    library("redis.register_function{function_name='f'}"),
    library("redis.register_function{callback=function() end}"),
    library("redis.register_function{function_name={}, callback=function() end}"),
    library("redis.register_function{function_name='f', callback=1}"),
    library("redis.register_function{function_name='f', callback=function() end, flags=1}"),
    library("redis.register_function{function_name='f', callback=function() end, flags={1}}"),
    library("redis.register_function{function_name='f', callback=function() end, flags={'x'}}"),
    library("redis.register_function{function_name='f', callback=function() end, flags={{}}}"),
    library("redis.register_function{function_name='f', callback=function() end, flags={x='no-writes'}}"),
    library("redis.register_function{function_name='f', callback=function() end, description={}}"),
    library("redis.register_function{function_name='f', callback=function() end, description=5}"),
    library("redis.register_function{function_name='f', callback=function() end, nothing=1}"),
    library("redis.register_function{function_name='f', callback=function() end, [1]=1}"),
    library("redis.register_function{FUNCTION_NAME='f', CALLBACK=function() end, FLAGS={'NO-WRITES'}}"),
    library(
        "redis.register_function{function_name='f', callback=function() end, description='does nothing', "
        "flags={'no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'}}"
    ),
]


def test_what_is_loaded_and_what_is_not(pair):
    for code in LOADED:
        same(pair, "FUNCTION", "LOAD", code)
        same(pair, "FUNCTION", "LIST", "WITHCODE")
        same(pair, "FUNCTION", "FLUSH")


CALLED = library(
    """
local function join(list) return table.concat(list, ',') end
local api = redis
local counter = 0
redis.register_function('join', function(keys, args) return {join(keys), join(args), #keys, #args} end)
redis.register_function('MiXed', function(keys, args) return 'mixed' end)
redis.register_function('nothing', function() end)
redis.register_function('count', function() counter = counter + 1 return counter end)
redis.register_function('set', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function('get', function(keys) return redis.call('get', keys[1]) end)
redis.register_function('fail', function(keys)

  return redis.call('incr', keys[1], 'x')
end)
redis.register_function('caught', function(keys) return redis.pcall('incr', keys[1], 'x') end)
redis.register_function('wrong_type', function(keys) return redis.call('hget', keys[1], 'f') end)
redis.register_function('raise', function() error('why') end)
redis.register_function('raise_table', function() error({err = 'MY why'}) end)
redis.register_function('index_nil', function(keys) local x return x.y end)
redis.register_function('globals', function() return {type(KEYS), 1} end)
redis.register_function('set_global', function() x = 1 end)
redis.register_function('own_register', function() return redis.register_function('x', function() end) end)
redis.register_function('register', function() return api.register_function('x', function() end) end)
redis.register_function('api', function() return {type(api.call), type(redis.call), type(math.random)} end)
redis.register_function('resp3', function(keys) redis.setresp(3) return redis.call('hgetall', keys[1]) end)
redis.register_function('many', function() return 1, 2, 3 end)
redis.register_function('deep', function() local f f = function() return 1 + f() end return f() end)
redis.register_function('load', function() return loadstring('return 5')() end)
redis.register_function{function_name='ro_get', flags={'no-writes'},
                        callback=function(keys) return redis.call('get', keys[1]) end}
redis.register_function{function_name='ro_set', flags={'no-writes'},
                        callback=function(keys) return redis.call('set', keys[1], 1) end}
""",
    "called",
)

NAMES = (
    "join MiXed mixed JOIN nothing set get fail caught wrong_type raise raise_table index_nil globals set_global "
    "own_register register api resp3 many deep load ro_get ro_set missing"
).split()

TAILS = [["0"], ["1", "{t}k"], ["1", "{t}k", "v"], ["2", "{t}k", "{t}h", "a", "b"], ["x"], ["-1"], ["3", "{t}k"], ["", "k"]]


def test_what_is_called(pair):
    same(pair, "FUNCTION", "LOAD", CALLED)
    for name in NAMES:
        for tail in TAILS:
            same(pair, "SET", "{t}k", "5")
            same(pair, "HSET", "{t}h", "f", "1")
            for command in ["FCALL", "FCALL_RO"]:
                same(pair, command, name, *tail)
            same(pair, "GET", "{t}k")


def test_subcommands_and_their_errors(pair):
    for words in [
        ["LOAD"],
        ["LOAD", "REPLACE"],
        ["LOAD", "NOTHING", CALLED],
        ["LOAD", "REPLACE", "REPLACE", CALLED],
        ["LOAD", CALLED],
        ["LOAD", CALLED],
        ["LOAD", "replace", CALLED],
        ["LOAD", library("redis.register_function('JOIN', function() end)", "other")],
        ["LOAD", library("redis.register_function('own', function() end)", "Called")],
        ["LIST"],
        ["LIST", "WITHCODE"],
        ["LIST", "WITHCODE", "WITHCODE"],
        ["LIST", "LIBRARYNAME"],
        ["LIST", "LIBRARYNAME", "CALL*"],
        ["LIST", "LIBRARYNAME", "called", "LIBRARYNAME", "x"],
        ["LIST", "LIBRARYNAME", "nothing", "withcode"],
        ["LIST", "x"],
        ["STATS"],
        ["STATS", "x"],
        ["KILL"],
        ["HELP"],
        ["DELETE"],
        ["DELETE", "nothing"],
        ["DELETE", "CALLED"],
        ["DELETE", "Called"],
        ["FLUSH", "x"],
        ["FLUSH", "SYNC", "x"],
        ["FLUSH", "ASYNC"],
        ["STATS"],
        ["RESTORE", "x"],
        ["RESTORE", ""],
        ["RESTORE", "x", "y"],
        ["RESTORE", "x", "FLUSH", "y"],
        ["DUMP", "x"],
        ["NOTHING"],
    ]:
        same(pair, "FUNCTION", *words)
    same(pair, "FCALL", "join")
    same(pair, "FCALL_RO", "join", "1")
    same(pair, "EVAL", "return redis.call('fcall', 'join', 0)", "0")
    same(pair, "EVAL", "return redis.call('function', 'flush')", "0")
    same(pair, "COMMAND", "GETKEYS", "FCALL", "f", "2", "a", "b", "c")
    same(pair, "COMMAND", "GETKEYSANDFLAGS", "FCALL_RO", "f", "1", "a", "c")
    same(pair, "EVAL_RO", "#!lua\nreturn 1", "0")
    same(pair, "EVAL_RO", "#!lua flags=no-writes\nreturn redis.call('set', 'a', 1)", "0")


def test_each_restores_what_the_other_has_dumped(pair):
    bodies = {
        "one": "redis.register_function('f1', function() return 1 end)",
        # Long and repetitive: Redis compresses it.
        "two": "redis.register_function('f2', function() return 2 end)\n" + "-- the same again and again\n" * 300,
    }
    for name, body in bodies.items():
        same(pair, "FUNCTION", "LOAD", library(body, name))
    dumps = [connection.ask(b"FUNCTION", b"DUMP")[1] for connection in pair]
    for payload in dumps:
        for policy in ["APPEND", "REPLACE", "FLUSH"]:
            same(pair, "FUNCTION", "RESTORE", payload, policy)
            same(pair, "FUNCTION", "LIST", "WITHCODE")
        same(pair, "FUNCTION", "FLUSH")
        same(pair, "FUNCTION", "LOAD", library("redis.register_function('F2', function() end)", "three"))
        same(pair, "FUNCTION", "RESTORE", payload)
        same(pair, "FUNCTION", "RESTORE", payload, "REPLACE")
        same(pair, "FUNCTION", "LIST")
        same(pair, "FUNCTION", "RESTORE", payload, "FLUSH")
        same(pair, "FCALL", "f2", "0")
        for spoiled in [payload[:-1], payload + b"x", b"x" + payload, payload[:5] + b"\x00" + payload[6:]]:
            same(pair, "FUNCTION", "RESTORE", spoiled)
        same(pair, "FUNCTION", "LIST", "WITHCODE")


@pytest.mark.parametrize("program", range(PROGRAMS))
def test_programs(pair, program):
    draw = random.Random(f"functions/{program}")
    for _ in range(STEPS):
        same(pair, *step(draw))
    for connection in pair:
        # The transaction, if there is one.
        connection.ask(b"DISCARD")


def step(draw):
    """Some request about a few libraries with a few functions."""
    names, functions = ["la", "lb", "lc"], ["f", "F", "g", "h", "i"]
    key = draw.choice(["{t}a", "{t}b"])

    def load():
        chosen = draw.sample(functions, draw.choice([1, 1, 2]))
        if len({name.lower() for name in chosen}) < len(chosen):
            chosen = chosen[:1]
        bodies = [
            "return {redis.call('get', keys[1]), args[1]}",
            "return redis.call('append', keys[1], args[1])",
            "return #args",
            "return redis.call('hset', keys[1], 'f', args[1])",
            "return redis.error_reply('no')",
        ]
        registered = []
        for name in chosen:
            flags = draw.choice(["", "'no-writes'", "'no-writes', 'allow-oom'", "'allow-stale'"])
            body = f"function(keys, args) {draw.choice(bodies)} end"
            registered.append(f"redis.register_function{{function_name='{name}', callback={body}, flags={{{flags}}}}}")
        code = library("\n".join(registered), draw.choice(names))
        return ["FUNCTION", "LOAD", *draw.choice([[], ["REPLACE"]]), code]

    return draw.choices(
        [
            load,
            lambda: [draw.choice(["FCALL", "FCALL_RO"]), draw.choice(functions), "1", key, draw.choice(["x", "5"])],
            lambda: ["FUNCTION", "DELETE", draw.choice(names)],
            lambda: ["FUNCTION", "LIST", *draw.choice([[], ["WITHCODE"], ["LIBRARYNAME", "l[ab]"]])],
            lambda: ["FUNCTION", "STATS"],
            lambda: [draw.choice(["GET", "DEL", "TYPE"]), key],
            lambda: [draw.choice(["MULTI", "EXEC", "DISCARD"])],
            lambda: ["FUNCTION", "FLUSH"],
            lambda: ["FLUSHALL"],
        ],
        [25, 40, 6, 12, 4, 10, 8, 2, 2],
    )[0]()
