"""Small scripts, drawn at random, do to the data and answer what they do and answer in Redis."""

import random

import pytest

import servers
from resp import Connection, comparable

SCRIPTS = 400


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("protocol", [2, 3])
def test_scripts_do_what_they_do_in_redis(workers, protocol):
    reference, subject = servers.Redis(), servers.Kora(workers)
    draw = random.Random(f"scripts/{workers}/{protocol}")
    try:
        connections = [Connection(server.port, protocol) for server in (reference, subject)]
        for _ in range(SCRIPTS):
            request = script(draw)
            replies = [comparable(connection.ask(*request)) for connection in connections]
            assert replies[0] == replies[1], request
    finally:
        reference.stop()
        subject.stop()


@pytest.mark.parametrize("protocol", [2, 3])
def test_expressions_are_what_they_are_in_redis(protocol):
    reference, subject = servers.Redis(), servers.Kora(1)
    try:
        connections = [Connection(server.port, protocol) for server in (reference, subject)]
        for text in EXPRESSIONS:
            request = (b"EVAL", b"return " + text.encode(), b"1", b"k", b"a", b"b")
            replies = [comparable(connection.ask(*request)) for connection in connections]
            assert replies[0] == replies[1], text
    finally:
        reference.stop()
        subject.stop()


def script(draw):
    """EVAL of some statements on keys of one slot."""
    keys = ["{t}" + name for name in draw.sample("abcdef", draw.randrange(1, 4))]
    arguments = [draw.choice(["1", "-5", "x", "3.5", "", "hello world", "10"]) for _ in range(draw.randrange(3))]
    lines = [statement(draw, len(keys), len(arguments)) for _ in range(draw.randrange(1, 5))]
    if draw.random() < 0.15:
        lines.insert(0, "redis.setresp(3)")
    text = "\n".join([*lines, "return " + expression(draw, len(keys), len(arguments), 2)])
    name = draw.choices(["EVAL", "EVAL_RO"], [9, 1])[0]
    words = [name, text, str(len(keys)), *keys, *arguments]
    return tuple(word.encode() for word in words)


def statement(draw, keys, arguments):
    call = command(draw, keys, arguments)
    return draw.choice(
        [
            call,
            f"local r = {call}",
            f"if {call} then {command(draw, keys, arguments)} end",
            f"for n = 1, 3 do {command(draw, keys, arguments)} end",
            f"local ok, e = pcall(function() return {call} end)",
        ]
    )


def expression(draw, keys, arguments, depth):
    kind = draw.randrange(9 if depth else 6)
    inner = lambda: expression(draw, keys, arguments, depth - 1)  # noqa: E731
    return [
        lambda: command(draw, keys, arguments),
        lambda: draw.choice(["1", "-2", "3.7", "'text'", "true", "false", "nil", "{}", "#ARGV", "KEYS[1]", "ARGV[1]"]),
        lambda: f"redis.status_reply('{draw.choice(['OK', 'fine', ''])}')",
        lambda: f"redis.error_reply('{draw.choice(['bad', 'CODE bad', '-CODE bad', '-bad'])}')",
        lambda: f"tostring({command(draw, keys, arguments)} == nil)",
        lambda: f"type({command(draw, keys, arguments)})",
        lambda: "{" + ", ".join(inner() for _ in range(draw.randrange(4))) + "}",
        lambda: f"({inner()} or {inner()})",
        lambda: f"select('#', {inner()}, {inner()})",
    ][kind]()


def command(draw, keys, arguments):
    key = f"KEYS[{draw.randrange(keys) + 1}]"
    value = draw.choice(["'v'", "7", "2.5", "ARGV[1]" if arguments else "'w'", "'f'"])
    words = draw.choice(
        [
            ["'set'", key, value],
            ["'get'", key],
            ["'del'", key],
            ["'incr'", key],
            ["'incrby'", key, value],
            ["'append'", key, value],
            ["'hset'", key, "'f'", value],
            ["'hget'", key, "'f'"],
            ["'hgetall'", key],
            ["'hincrbyfloat'", key, "'f'", "1.5"],
            ["'mget'", "unpack(KEYS)"],
            ["'exists'", "unpack(KEYS)"],
            ["'expire'", key, "1000"],
            ["'persist'", key],
            ["'type'", key],
            ["'strlen'", key],
            ["'mset'", key, value],
            ["'setnx'", key, value],
            ["'msetnx'", key, value],
            ["'rename'", key, "KEYS[1]"],
            ["'getdel'", key],
            ["'nothing'", key],
            ["'get'"],
            ["'multi'"],
            ["'set'", key, "true"],
            ["'ping'"],
            ["'echo'", value],
        ]
    )
    return f"redis.{draw.choices(['call', 'pcall'], [3, 1])[0]}({', '.join(words)})"


EXPRESSIONS = [
    "{1, 2, {3, 'a'}, nil, 4}",
    "{ok = 'fine\\r\\nx'}",
    "{double = 3.5}",
    "{map = {a = 1}}",
    "{set = {a = true}}",
    "{big_number = '123456789012345678901'}",
    "{verbatim_string = {format = 'txt', string = 'hello'}}",
    "{double = 1e100}",
    "{double = 1/3}",
    "{redis.sha1hex('x'), redis.sha1hex(12)}",
    "redis.sha1hex()",
    "redis.setresp(4)",
    "redis.log(10, 'x')",
    "redis.log(redis.LOG_NOTICE, 'x')",
    "redis.log('x')",
    "redis.status_reply()",
    "redis.error_reply({})",
    "redis.call({})",
    "redis.call()",
    "nothing",
    "error('x')",
    "error({err = 'MY error'})",
    "error({})",
    "error()",
    "error('x', 0)",
    "(function() local a return a.b end)()",
    "(function() foo = 1 end)()",
    "pcall(error, {err = 'z'})",
    "{pcall(error, 'z')}",
    "{pcall(redis.call, 'nothing')}",
    "{tostring(1e15), tostring(1e14), tostring(0.1), tostring(1/3), tostring(-0), tostring(2^53), tostring(1e300)}",
    "{math.random(100) <= 100, math.random() < 1, math.random(5, 5), type(math.randomseed(7))}",
    "{string.find('hello world', 'o w'), string.find('hello', 'l+'), string.find('a.b', '.', 1, true), string.find('', '')}",
    "{string.match('key=value', '(%w+)=(%w+)'), string.match('  x', '^%s*(.-)%s*$'), string.match('abc', '()b()')}",
    "{string.gsub('hello world', 'o', '0')}",
    "{string.gsub('hello', '', '-')}",
    "{string.gsub('hello', '(l)(l)', '%2%1%0')}",
    "{string.gsub('abc', '%w', {a = '1', b = true})}",
    "{string.gsub('abc', '%w', function(c) return c:upper() end, 2)}",
    "{string.gsub('abc', '^a', 'x')}",
    "{string.gsub('THE (quick) fox', '%((%w+)%)', '<%1>')}",
    "{string.find('THE (quick) fox', '%((%a+)%)')}",
    "{string.match('x[[y]]z', '%b[]'), string.match('THE fox', '%f[%a]%a+', 4)}",
    "string.gsub('x', '(', '')",
    "string.gsub('x', '%', '')",
    "string.gsub('x', '[', '')",
    "string.gsub('x', 'x', '%2')",
    "string.find('x', nil)",
    "string.rep('ab', 3)",
    "string.rep()",
    "string.format('%5.1f|%s|%q|%d|%x', 3.14159, 'x', 'a\\n', 42, 255)",
    "string.format('%d', 'x')",
    "{('abc'):byte(1, -1)}",
    "table.concat({1, 2, 'x'}, '-')",
    "table.concat({{}}, '-')",
    "(function() local t = {5, 2, 8, 1} table.sort(t) return t end)()",
    "(function() local t = {5, 2, 8, 1} table.sort(t, function(a, b) return a > b end) return t end)()",
    "(function() local t = {1, 'a'} table.sort(t) return t end)()",
    "(function() local t = {} for w in string.gmatch('one two  three', '%a+') do t[#t + 1] = w end return t end)()",
    "(function() local t = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do t[#t + 1] = k .. v end return t end)()",
    "(function() local t = {} for w in string.gmatch('abc', '') do t[#t + 1] = 'x' end return t end)()",
    "cjson.encode({1, 2, {a = 1}, {}, 1.5, true, cjson.null, 'a/b\\n\\1'})",
    "cjson.encode({[1] = 1, [20] = 2})",
    "cjson.encode({[1] = 1, [3] = 2})",
    "cjson.encode({[1.5] = 1})",
    "cjson.encode(function() end)",
    "cjson.encode({x = 0/0})",
    "cjson.encode(1e100)",
    "cjson.encode(1/3)",
    "cjson.encode('é\\127')",
    "cjson.encode(nil)",
    "cjson.encode()",
    "cjson.decode('{\"a\": [1, 2.5, \"\\\\u00e9\\\\n\", null, true, {}]}').a",
    "cjson.decode('[1,2,]')",
    "cjson.decode('{\"a\":')",
    "cjson.decode('')",
    "cjson.decode('[1 2]')",
    "cjson.decode('{1:2}')",
    "cjson.decode('nul')",
    "tostring(cjson.decode('[1e3]')[1])",
    "cmsgpack.pack(1, -1, 127, 128, 300, 70000, 2^40, -33, -200, -40000, -2^40, 1.5, 0.1, 'x', {1, 2}, {a = true})",
    "{cmsgpack.unpack(cmsgpack.pack(1, 'x', {1, 2}, true))}",
    "{cmsgpack.unpack_one(cmsgpack.pack(1, 2))}",
    "{cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}",
    "cmsgpack.unpack('\\217')",
    "cmsgpack.pack()",
    "struct.pack('>I2hbs', 500, -3, -1, 'hi')",
    "{struct.unpack('>I2hbs', struct.pack('>I2hbs', 500, -3, -1, 'hi'))}",
    "{struct.unpack('<i4Bc0', struct.pack('<i4Bc0', -7, 2, 'hi'))}",
    "struct.size('!8bi4d')",
    "struct.pack('q', 1)",
    "struct.unpack('>I4', 'x')",
    "{bit.band(255, 15), bit.bor(1, 2), bit.bxor(1, 3), bit.bnot(0), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-8, 1)}",
    "{bit.tohex(-1), bit.tohex(255, 4), bit.tohex(255, -4), bit.tobit(2^32 + 5), bit.bswap(1), bit.rol(1, 33), bit.ror(1, 1)}",
    "bit.band()",
    "bit.band('x')",
    "loadstring('return 1')()",
    "{loadstring('x=')}",
    "{type(load), type(os.clock()), type(_G), _VERSION, redis.REDIS_VERSION_NUM}",
    "os.time()",
    "(function() local c = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {c(1), c(10)} end)()",
    "{tonumber('0x10'), tonumber('1e2'), tonumber('10', 2), tonumber(' 5 '), tonumber('x')}",
    "{#'abc', 'a' .. 1 .. 2.5, 7 % 3, -7 % 3, 2 ^ 0.5 > 1}",
    "select(2, 'a', 'b', 'c')",
    "{unpack({1, 2, 3}, 2)}",
    "setmetatable({}, {__index = function() return 5 end}).x",
    "rawset(_G, 'x', 1)",
    "next({})",
    "{tostring(nil), tostring(true), tostring('x')}",
    "redis.replicate_commands()",
    "redis.call('select', '0')",
    "redis.call('config', 'get', 'x')",
    "redis.call('subscribe', 'x')",
    "redis.call('set', KEYS[1], 'x', 'NX', 'XX')",
]
