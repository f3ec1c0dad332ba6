#!/usr/bin/env python3
"""Every command at its largest allowed size: how long a worker executes without a look at anything else.

    python3 benches/slices.py --write slices          all cases, with 1 and with 2 workers; keeps the table
    python3 benches/slices.py --workers 2 --only APPEND --binary target/debug/kora

A case prepares its data, forgets the statistics (CONFIG RESETSTAT), sends its commands in one write, reads all replies, and
lets the server rest until nothing is left to free. `slice` is then the longest `slice_us_max` of the workers in INFO: thread
CPU time, up to 0.2 ms too high. Each case runs several times: `least` is what every run took at least once, so it is the
command's own; `most` has what the machine adds, too. `idle` is the same of a PING, in the same runs: the control.

A command of COMMAND LIST that no case names ends the run with an error, and so does a `least` above 2 ms.
"""
import argparse
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import served

LONG_US = 2000
REST_S = 0.3
# Sizes: what the limits in the README allow, or what fits the memory that clients may hold (256 MiB here).
BIG = b"v" * (60 << 20)
KEYS = 100_000
MANY_KEYS = 1_000_000
FIELDS = 1_000_000
QUEUED = 65_000
WATCHED = 4_000
DIMENSION = 65_536
COLLECTIONS = 20_000
VECTORS = 20_000
SUBSCRIBERS = 2_000
NAMES = 16_000
USERS = 200
LOOP = "local n = 0 for i = 1, 20000000 do n = n + i end return n"
JOINED = "local t = {} for i = 1, 200000 do t[i] = 'word' .. i end return #table.concat(t, ',')"
WIDE_JSON = "{" + ",".join(f'"m{number}":{number}' for number in range(4_500)) + "}"

# Constant work, whatever there is: one look at a key, a client or a setting. They run together as one case.
SMALL = """
HEXISTS s f|HGET s f|HGETDEL h FIELDS 1 f|HINCRBY h n 1|HINCRBYFLOAT h n 1|HLEN h|HSETNX h f v|HSTRLEN h f|HDEL h x
EXPIRE s 100|EXPIREAT s 99999999999|EXPIRETIME s|PERSIST s|PEXPIRE s 99999|PEXPIREAT s 99999999999999|PEXPIRETIME s
PTTL s|TTL s|TYPE s|RANDOMKEY|OBJECT ENCODING s|OBJECT FREQ s|OBJECT HELP|OBJECT IDLETIME s|OBJECT REFCOUNT s
MEMORY HELP|MEMORY USAGE s|TOUCH s|PSETEX s 99999 v|SETEX s 99 v|SETNX s v|INCR i|INCRBY i 2|INCRBYFLOAT i 1.5|DECR j
DECRBY j 2|GETSET s v|SUBSTR s 0 1|RENAMENX s s2|PUBSUB HELP|PUBSUB NUMPAT|PUBSUB SHARDNUMSUB a|PUBSUB SHARDCHANNELS
SPUBLISH a b|SSUBSCRIBE a|SUNSUBSCRIBE|UNSUBSCRIBE|CLIENT GETNAME|CLIENT HELP|CLIENT ID|CLIENT INFO|CLIENT SETNAME a
CLIENT SETINFO lib-name a|CLIENT KILL ID 999999|CLIENT LIST|ECHO a|PING|SELECT 0|COMMAND|COMMAND COUNT|COMMAND DOCS
COMMAND HELP|COMMAND INFO|COMMAND LIST|CONFIG GET *|CONFIG HELP|CONFIG SET timeout 0|DBSIZE|INFO|LASTSAVE|TIME|VECLIST
AUTH x|HELLO 2|LOLWUT|MODULE LIST|ROLE|WAIT 0 0|WAITAOF 0 0 0|DEBUG SLEEP 0|VCARD vs|VDIM vs|VISMEMBER vs a|VINFO vs|RESET
"""
# Not run: they end the server or the connection, or write files in a thread of their own.
LEFT_OUT = {"SHUTDOWN", "QUIT", "CONFIG REWRITE", "CONFIG RESETSTAT", "SAVE", "BGSAVE", "BGREWRITEAOF", "FLUSHDB"}


class Connection:
    """Bytes to a server. The end of the replies is known by a PING behind the commands."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count = 0

    def say(self, *commands):
        """Sends commands in one write and reads their replies; the last bytes of them."""
        self.count += 1
        token = b"end-of-replies-%d" % self.count
        wanted = b"$%d\r\n%s\r\n" % (len(token), token)
        data = b"".join(commands) + served.encode("PING", token)
        return self.exchange(data, lambda tail, _: tail.endswith(wanted))[: -len(wanted)]

    def queue(self, *commands):
        """Sends MULTI and commands that it queues."""
        self.exchange(b"".join([command("MULTI"), *commands]), lambda _, lines: lines == 1 + len(commands))

    def exchange(self, data, is_end):
        """Writes and reads at the same time until the end, which is known by the last bytes or the number of lines."""
        tail, lines, sent, view = b"", 0, 0, memoryview(data)
        self.socket.setblocking(False)
        while sent < len(data) or not is_end(tail, lines):
            moved = False
            try:
                while sent < len(data):
                    sent += self.socket.send(view[sent : sent + (1 << 20)])
                    moved = True
            except BlockingIOError:
                pass
            try:
                piece = self.socket.recv(1 << 20)
                if not piece:
                    raise RuntimeError(f"the server closed the connection: {tail[-200:]!r}")
                lines += piece.count(b"\n")
                tail = (tail + piece)[-(1 << 16) :]
                moved = True
            except BlockingIOError:
                pass
            if not moved:
                time.sleep(0.0005)
        return tail

    def close(self):
        self.socket.close()


class World:
    """One server with its data, and the connections of a case."""

    def __init__(self, binary, workers):
        self.folder = tempfile.TemporaryDirectory()
        flags = ["--port", str(served.free_port()), "--workers", str(workers), "--maxmemory-clients", "256mb"]
        self.process = subprocess.Popen(
            [binary, "serve", *flags, "--appendonly", "no", "--save", ""],
            cwd=self.folder.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.port = int(flags[1])
        for _ in range(400):
            try:
                self.main = Connection(self.port)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        self.others = []

    def another(self):
        self.others.append(Connection(self.port))
        return self.others[-1]

    def hold(self, *words):
        """A client that asks for something and does not read the reply: what it asked for stays shared."""
        deaf = self.another()
        deaf.socket.sendall(served.encode(*words))
        time.sleep(0.2)

    def slice_us(self):
        return max(int(number) for number in re.findall(rb"slice_us_max[:=](\d+)", self.main.say(command("INFO", "workers"))))

    def reset(self):
        for other in self.others:
            other.close()
        self.others = []
        self.main.close()
        self.main = Connection(self.port)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def command(*words):
    return served.encode(*words)


def many(name, words):
    return served.encode(name, *words)


def keys(count, tag=""):
    return [b"k%s%d" % (tag.encode(), number) for number in range(count)]


def set_keys(world, count, tag="", value=b"value"):
    names = keys(count, tag)
    for first in range(0, count, 50_000):
        world.main.say(many("MSET", [word for name in names[first : first + 50_000] for word in (name, value)]))


def set_fields(world, key, count):
    for first in range(0, count, 50_000):
        pairs = [word for number in range(first, first + 50_000) for word in (b"field%d" % number, b"value%d" % number)]
        world.main.say(many("HSET", [key, *pairs]))


def set_vectors(world, name, count, dimension=16):
    requests = [
        command("VECSET", f"{name}:{number}", dimension, *[(number * 7 + place * 13) % 101 - 50.5 for place in range(dimension)])
        for number in range(count)
    ]
    for first in range(0, count, 1000):
        world.main.say(*requests[first : first + 1000])


def big(world):
    world.main.say(command("SET", "big", BIG))


def held_big(world):
    big(world)
    world.hold("GET", "big")


def hash_of_many(world):
    if world.main.say(command("HLEN", "many")) != b":%d\r\n" % FIELDS:
        world.main.say(command("DEL", "many"))
        set_fields(world, b"many", FIELDS)


def keys_of_many(world):
    set_keys(world, MANY_KEYS)


def watch(world):
    names = [b"{w}%d" % number + b"w" * 1000 for number in range(WATCHED)]
    world.main.say(many("WATCH", names))


def queue(*queued):
    def prepare(world):
        world.main.queue(*queued)

    return prepare


def subscribe(world, what="SUBSCRIBE", name="news"):
    for _ in range(SUBSCRIBERS):
        world.another().socket.sendall(command(what, name))
    time.sleep(1)


def subscribe_many(world):
    world.main.say(many("SUBSCRIBE", keys(50_000)))


def collections(world):
    for first in range(0, COLLECTIONS, 1000):
        world.main.say(*[command("VECCREATE", f"c{number}", "DIM", 4) for number in range(first, first + 1000)])


def wide(dimension=DIMENSION):
    return b"\x00\x00\x80\x3f" * dimension


def few(count):
    """Vectors near those of `vectors`."""
    return [struct.pack("<16f", *[(n * 7 + place * 13) % 101 - 50.25 for place in range(16)]) for n in range(count)]


def vectors(world):
    if b":%d\r\n" % VECTORS not in world.main.say(command("VECINFO", "v")):
        set_vectors(world, "v", VECTORS)


def vector_set(world):
    if world.main.say(command("VCARD", "vs")) != b":%d\r\n" % VECTORS:
        world.main.say(command("DEL", "vs"))
        added = [
            command("VADD", "vs", "VALUES", 16, *[(n * 7 + place * 13) % 101 - 50.5 for place in range(16)], f"e{n}", "SETATTR", f'{{"n":{n}}}')
            for n in range(VECTORS)
        ]
        for first in range(0, VECTORS, 1000):
            world.main.say(*added[first : first + 1000])


def wide_element(world):
    world.main.say(command("VADD", "ws", "FP32", wide(), "e", "NOQUANT", "SETATTR", WIDE_JSON))


def users(world):
    for number in range(USERS):
        world.main.say(command("ACL", "SETUSER", f"user{number}", "on", "nopass", "+@all", *[f"~{n}:*" for n in range(50)]))


def scripts(world):
    world.main.say(*[command("SCRIPT", "LOAD", f"return {number}") for number in range(10_000)])


def nothing(_):
    pass


def ask_many(name, count, value=None, tag=""):
    words = keys(count, tag)
    return many(name, words if value is None else [word for key in words for word in (key, value)])


def sets(count, tag="x"):
    return [command("SET", key, "value") for key in keys(count, tag)]


# Names of commands, what stands in the table, what is prepared, and what is measured.
CASES = [
    ("PING", "idle", nothing, lambda: [command("PING")]),
    ("", "every small command, one after the other", nothing, lambda: small()),
    ("SET", "60 MB", nothing, lambda: [command("SET", "big", BIG)]),
    ("SET", "60 MB over 60 MB", big, lambda: [command("SET", "big", BIG)]),
    ("GET", "60 MB", big, lambda: [command("GET", "big")]),
    ("GETDEL", "60 MB", big, lambda: [command("GETDEL", "big")]),
    ("GETEX", "60 MB", big, lambda: [command("GETEX", "big", "EX", 100)]),
    ("GETSET", "60 MB by a short one", big, lambda: [command("GETSET", "big", "v")]),
    ("GETRANGE", "60 MB", big, lambda: [command("GETRANGE", "big", 1, -2)]),
    ("SUBSTR", "60 MB", big, lambda: [command("SUBSTR", "big", 1, -2)]),
    ("STRLEN", "60 MB", big, lambda: [command("STRLEN", "big")]),
    ("APPEND", "to 60 MB", big, lambda: [command("APPEND", "big", "x")] * 3),
    ("APPEND", "to 60 MB that a reply shares", held_big, lambda: [command("APPEND", "big", "x")] * 3),
    ("APPEND", "4 MB to 60 MB", big, lambda: [command("APPEND", "big", b"x" * (4 << 20))]),
    ("SETRANGE", "in 60 MB", big, lambda: [command("SETRANGE", "big", 5, "x")]),
    ("SETRANGE", "in 60 MB that a reply shares", held_big, lambda: [command("SETRANGE", "big", 5, "x")]),
    ("SETRANGE", "60 MB of zeros", nothing, lambda: [command("SETRANGE", "zeros", 60 << 20, "x")]),
    ("SETRANGE", "60 MB of zeros behind a short one", lambda w: w.main.say(command("SET", "z", b"y" * 20000)),
     lambda: [command("SETRANGE", "z", 60 << 20, "x")]),
    ("INCR", "60 MB, which is no number", big, lambda: [command("INCR", "big")]),
    ("INCRBYFLOAT", "60 MB, which is no number", big, lambda: [command("INCRBYFLOAT", "big", 1)]),
    ("DEL", "three of 60 MB", lambda w: [w.main.say(command("SET", f"big{n}", BIG)) for n in range(3)],
     lambda: [command("DEL", "big0", "big1", "big2")]),
    ("UNLINK", "60 MB", big, lambda: [command("UNLINK", "big")]),
    ("RENAME", "60 MB over 60 MB", lambda w: [w.main.say(command("SET", k, BIG)) for k in ("a", "b")],
     lambda: [command("RENAME", "a", "b")]),
    ("COPY", "60 MB", big, lambda: [command("COPY", "big", "copy", "REPLACE")]),
    ("ECHO", "60 MB", nothing, lambda: [command("ECHO", BIG)]),
    ("PING", "60 MB", nothing, lambda: [command("PING", BIG)]),
    ("PUBLISH", "60 MB to nobody", nothing, lambda: [command("PUBLISH", "news", BIG)]),
    ("HSET", "a field of 60 MB", nothing, lambda: [command("HSET", "h60", "f", BIG)]),
    ("HGET", "a field of 60 MB", lambda w: w.main.say(command("HSET", "h60", "f", BIG)), lambda: [command("HGET", "h60", "f")]),
    ("HDEL", "a field of 60 MB", lambda w: w.main.say(command("HSET", "h60", "f", BIG)), lambda: [command("HDEL", "h60", "f")]),
    ("HINCRBYFLOAT", "a field of 60 MB", lambda w: w.main.say(command("HSET", "h60", "f", BIG)),
     lambda: [command("HINCRBYFLOAT", "h60", "f", 1)]),
    ("MSET", f"{KEYS} pairs", nothing, lambda: [ask_many("MSET", KEYS, b"value")]),
    ("MSET", "500000 pairs", nothing, lambda: [ask_many("MSET", 500_000, b"value")]),
    ("MSETNX", f"{KEYS} pairs", lambda w: w.main.say(command("FLUSHALL")), lambda: [ask_many("MSETNX", KEYS, b"value")]),
    ("MSETEX", f"{KEYS} pairs", nothing,
     lambda: [many("MSETEX", [b"%d" % KEYS, *[word for key in keys(KEYS) for word in (key, b"value")], b"EX", b"100"])]),
    ("MGET", f"{MANY_KEYS} keys", keys_of_many, lambda: [ask_many("MGET", MANY_KEYS)]),
    ("EXISTS", f"{MANY_KEYS} keys", nothing, lambda: [ask_many("EXISTS", MANY_KEYS)]),
    ("TOUCH", f"{MANY_KEYS} keys", nothing, lambda: [ask_many("TOUCH", MANY_KEYS)]),
    ("KEYS", f"{MANY_KEYS} keys", keys_of_many, lambda: [command("KEYS", "*")]),
    ("KEYS", "a pattern of 1,024 bytes", nothing, lambda: [command("KEYS", "*a" * 512)]),
    ("SCAN", "COUNT of a billion", nothing, lambda: [command("SCAN", 0, "COUNT", 1_000_000_000)]),
    ("SCAN", "COUNT of a billion, MATCH nothing", nothing, lambda: [command("SCAN", 0, "MATCH", "x*y", "COUNT", 1_000_000_000)]),
    ("DEL", f"{KEYS} keys", lambda w: set_keys(w, KEYS), lambda: [ask_many("DEL", KEYS)]),
    ("UNLINK", f"{KEYS} keys of 2 kB", lambda w: set_keys(w, KEYS, "u", b"v" * 2000), lambda: [ask_many("UNLINK", KEYS, tag="u")]),
    ("HSET", "200000 fields", nothing,
     lambda: [many("HSET", [b"hs", *[word for n in range(200_000) for word in (b"f%d" % n, b"v")]])]),
    ("HMSET", "200000 fields", nothing,
     lambda: [many("HMSET", [b"hs", *[word for n in range(200_000) for word in (b"f%d" % n, b"w")]])]),
    ("HGETALL", f"{FIELDS} fields", hash_of_many, lambda: [command("HGETALL", "many")]),
    ("HKEYS", f"{FIELDS} fields", hash_of_many, lambda: [command("HKEYS", "many")]),
    ("HVALS", f"{FIELDS} fields", hash_of_many, lambda: [command("HVALS", "many")]),
    ("HMGET", "500000 fields", hash_of_many, lambda: [many("HMGET", [b"many", *[b"field%d" % n for n in range(500_000)]])]),
    ("HRANDFIELD", "500000 fields", hash_of_many, lambda: [command("HRANDFIELD", "many", 500_000, "WITHVALUES")]),
    ("HRANDFIELD", "-500000 fields", hash_of_many, lambda: [command("HRANDFIELD", "many", -500_000)]),
    ("HSCAN", "COUNT of a billion", hash_of_many, lambda: [command("HSCAN", "many", 0, "COUNT", 1_000_000_000)]),
    ("HSCAN", "a pattern of 1,024 bytes", hash_of_many,
     lambda: [command("HSCAN", "many", 0, "MATCH", "*a" * 512, "COUNT", 1_000_000_000)]),
    ("HGETDEL", "200000 fields", hash_of_many,
     lambda: [many("HGETDEL", [b"many", b"FIELDS", b"200000", *[b"field%d" % n for n in range(200_000)]])]),
    ("HDEL", "500000 fields", hash_of_many, lambda: [many("HDEL", [b"many", *[b"field%d" % n for n in range(500_000)]])]),
    ("COPY", f"a hash of {FIELDS} fields", hash_of_many, lambda: [command("COPY", "many", "{many}2", "REPLACE")]),
    ("RENAME", f"a hash of {FIELDS} fields over another", hash_of_many, lambda: [command("RENAME", "many", "{many}2")]),
    ("SET", f"over a hash of {FIELDS} fields", hash_of_many, lambda: [command("SET", "many", "v")]),
    ("DEL", f"a hash of {FIELDS} fields", hash_of_many, lambda: [command("DEL", "many")]),
    ("FLUSHALL", f"{MANY_KEYS} keys and {FIELDS} fields", lambda w: (hash_of_many(w), keys_of_many(w)),
     lambda: [command("FLUSHALL")]),
    ("MULTI EXEC", f"{QUEUED} SETs", queue(*sets(QUEUED)), lambda: [command("EXEC")]),
    ("EXEC", f"{QUEUED} SETs of one slot", queue(*[command("SET", b"{t}%d" % n, "v") for n in range(QUEUED)]),
     lambda: [command("EXEC")]),
    ("EXEC", f"{QUEUED} GETs of 1 kB", lambda w: (w.main.say(command("SET", "{t}", b"v" * 1000)),
     queue(*[command("GET", "{t}")] * QUEUED)(w)), lambda: [command("EXEC")]),
    ("EXEC", f"{QUEUED} PINGs", queue(*[command("PING")] * QUEUED), lambda: [command("EXEC")]),
    ("MULTI", f"{QUEUED} SETs queued", nothing, lambda: [command("MULTI"), *sets(QUEUED), command("DISCARD")]),
    ("DISCARD", f"{QUEUED} SETs", queue(*sets(QUEUED)), lambda: [command("DISCARD")]),
    ("EXEC", "three SETs of 60 MB", queue(*[command("SET", b"{t}%d" % n, BIG) for n in range(3)]), lambda: [command("EXEC")]),
    ("WATCH", f"{WATCHED} keys", nothing, lambda: [many("WATCH", [b"{w}%d" % n for n in range(WATCHED)])]),
    ("UNWATCH", f"{WATCHED} keys", watch, lambda: [command("UNWATCH")]),
    ("EXEC", f"nothing, behind {WATCHED} watched keys", watch, lambda: [command("MULTI"), command("EXEC")]),
    ("DISCARD", f"behind {WATCHED} watched keys", watch, lambda: [command("MULTI"), command("DISCARD")]),
    ("RESET", f"behind {WATCHED} watched keys", watch, lambda: [command("RESET")]),
    ("FLUSHALL", f"while {WATCHED} keys are watched", watch, lambda: [command("FLUSHALL")]),
    ("PUBLISH", f"to {SUBSCRIBERS} subscribers", subscribe, lambda: [command("PUBLISH", "news", "x" * 1000)]),
    ("PUBLISH", f"to {SUBSCRIBERS} subscribers of a pattern", lambda w: subscribe(w, "PSUBSCRIBE", "n*s"),
     lambda: [command("PUBLISH", "news", "x" * 1000)]),
    ("CLIENT LIST", f"{SUBSCRIBERS} clients", subscribe, lambda: [command("CLIENT", "LIST")]),
    ("CLIENT KILL", f"{SUBSCRIBERS} clients", subscribe, lambda: [command("CLIENT", "KILL", "TYPE", "pubsub")]),
    ("SUBSCRIBE", "50000 channels", nothing, lambda: [many("SUBSCRIBE", keys(50_000)), command("UNSUBSCRIBE")]),
    ("PSUBSCRIBE PUNSUBSCRIBE", "50000 patterns", nothing,
     lambda: [many("PSUBSCRIBE", [b"k*%d" % n for n in range(50_000)]), command("PUNSUBSCRIBE")]),
    ("UNSUBSCRIBE", "50000 channels", subscribe_many, lambda: [command("UNSUBSCRIBE")]),
    ("PUBSUB CHANNELS", "50000 channels", lambda w: w.another().say(many("SUBSCRIBE", keys(50_000))),
     lambda: [command("PUBSUB", "CHANNELS")]),
    ("PUBSUB NUMSUB", f"{NAMES} channels", lambda w: w.another().say(many("SUBSCRIBE", keys(50_000))),
     lambda: [served.encode("PUBSUB", "NUMSUB", *keys(NAMES))]),
    ("VECSET", f"dimension {DIMENSION}, twenty of them", nothing,
     lambda: [command("VECSET", f"w:{n}", DIMENSION, "FP32", wide()) for n in range(20)] + [command("VECDROP", "w")]),
    ("VECGET", f"dimension {DIMENSION}", lambda w: w.main.say(command("VECSET", "w:0", DIMENSION, "FP32", wide())),
     lambda: [command("VECGET", "w:0"), command("VECGET", "w:0", "FP32")]),
    ("VECQUERY", f"dimension {DIMENSION}, in text", lambda w: w.main.say(command("VECSET", "w:0", DIMENSION, "FP32", wide())),
     lambda: [command("VECQUERY", "w", 10, *["1.25"] * DIMENSION)]),
    ("VECQUERY", f"{VECTORS} of {VECTORS}", vectors, lambda: [command("VECQUERY", "v", VECTORS, "KEY", "v:1")]),
    ("VECSETATTR", "64 KiB, a hundred times, with MERGE", vectors,
     lambda: [command("VECSETATTR", "v:1", WIDE_JSON, *["MERGE"] * (n % 2)) for n in range(100)]),
    ("VECGETATTR", "64 KiB, a hundred times", lambda w: (vectors(w), w.main.say(command("VECSETATTR", "v:1", WIDE_JSON))),
     lambda: [command("VECGETATTR", "v:1"), command("VECGETATTR", "v:1", ".m999")] * 100),
    ("VECQUERY", f"{VECTORS} of {VECTORS}, with a FILTER", vectors,
     lambda: [command("VECQUERY", "v", VECTORS, "KEY", "v:1", "FILTER", ".m1 == 1 or not (.m2 > 3)")]),
    ("VECEXPLAIN", f"{VECTORS} of {VECTORS}, with a FILTER", vectors,
     lambda: [command("VECEXPLAIN", "v", VECTORS, "KEY", "v:1", "FILTER", ".m1 == 1 or not (.m2 > 3)")]),
    ("VECMQUERY", "1024 of 900 neighbours", vectors, lambda: [many("VECMQUERY", [b"v", b"1024", b"900", b"FP32", *few(1024)])]),
    ("VECMQUERY", f"50 of {VECTORS}", vectors,
     lambda: [many("VECMQUERY", [b"v", b"50", b"%d" % VECTORS, b"FP32", *few(50)])]),
    ("VECMQUERY", "1024, with a FILTER", vectors,
     lambda: [many("VECMQUERY", [b"v", b"1024", b"10", b"FP32", *few(1024), b"FILTER", b".m1 == 1 or not (.m2 > 3)"])]),
    ("VECMQUERY", f"dimension {DIMENSION}, sixty of them", lambda w: w.main.say(command("VECSET", "w:0", DIMENSION, "FP32", wide())),
     lambda: [many("VECMQUERY", [b"w", b"60", b"10", b"FP32", *[wide()] * 60])]),
    ("VECRECALL", "100 samples", vectors, lambda: [command("VECRECALL", "v", "SAMPLES", 100, "K", 1000)]),
    ("VECINFO", "", vectors, lambda: [command("VECINFO", "v")]),
    ("VECDEL", f"{VECTORS} vectors", vectors, lambda: [many("VECDEL", [b"v:%d" % n for n in range(VECTORS)])]),
    ("VECDROP", f"{VECTORS} vectors", vectors, lambda: [command("VECDROP", "v")]),
    ("VECCREATE VECLIST", f"{COLLECTIONS} collections", collections, lambda: [command("VECLIST")]),
    ("DEL", f"{COLLECTIONS} collections", collections, lambda: [many("DEL", [b"c%d" % n for n in range(COLLECTIONS)])]),
    ("FLUSHALL", f"{COLLECTIONS} collections", collections, lambda: [command("FLUSHALL")]),
    ("VECMSET", "1024 vectors of 50 dimensions", nothing,
     lambda: [many("VECMSET", [word for n in range(1024) for word in (b"m:%d" % n, b"50", b"FP32", wide(50))])]),
    ("VADD", f"dimension {DIMENSION}, ten of them", nothing,
     lambda: [command("VADD", "ws", "FP32", wide(), f"e{n}", "NOQUANT") for n in range(10)]),
    ("VADD", f"dimension {DIMENSION}, Q8", nothing, lambda: [command("VADD", "wq", "FP32", wide(), f"e{n}") for n in range(10)]),
    ("VEMB VGETATTR", f"dimension {DIMENSION}", wide_element,
     lambda: [command("VEMB", "ws", "e"), command("VEMB", "ws", "e", "RAW"), command("VGETATTR", "ws", "e")]),
    ("VSETATTR", "64 KiB, a hundred times", wide_element, lambda: [command("VSETATTR", "ws", "e", WIDE_JSON)] * 100),
    ("VSIM", f"{VECTORS} of {VECTORS}", vector_set, lambda: [command("VSIM", "vs", "ELE", "e1", "COUNT", VECTORS, "WITHSCORES")]),
    ("VSIM", f"{VECTORS} of {VECTORS}, TRUTH, with a FILTER", vector_set,
     lambda: [command("VSIM", "vs", "ELE", "e1", "COUNT", VECTORS, "TRUTH", "FILTER", ".n > 5 and not (.n == 7)")]),
    ("VSIM", f"dimension {DIMENSION}, in text", wide_element,
     lambda: [command("VSIM", "ws", "VALUES", DIMENSION, *["1.25"] * DIMENSION)]),
    ("VLINKS", "", vector_set, lambda: [command("VLINKS", "vs", "e1", "WITHSCORES")]),
    ("VRANGE", f"{VECTORS} elements", vector_set, lambda: [command("VRANGE", "vs", "-", "+")]),
    ("VRANDMEMBER", f"{VECTORS} elements", vector_set, lambda: [command("VRANDMEMBER", "vs", VECTORS)]),
    ("VRANDMEMBER", "-500000 elements", vector_set, lambda: [command("VRANDMEMBER", "vs", -500_000)]),
    ("VREM", "a thousand times", vector_set, lambda: [command("VREM", "vs", f"e{n}") for n in range(1000)]),
    ("DEL", f"a set of {VECTORS} vectors", vector_set, lambda: [command("DEL", "vs")]),
    ("ACL", f"{USERS} users of 50 patterns", users,
     lambda: [command("ACL", "LIST"), command("ACL", "USERS"), command("ACL", "GETUSER", "user1"), command("ACL", "CAT"), command("ACL", "LOG")]),
    ("ACL", "SETUSER with 1000 patterns", nothing,
     lambda: [command("ACL", "SETUSER", "many", *[f"~{n}:*" for n in range(1000)]), command("ACL", "DELUSER", "many")]),
    ("EVAL EVAL_RO", "twenty million steps", nothing, lambda: [command("EVAL", LOOP, 0), command("EVAL_RO", LOOP, 0)]),
    ("EVAL", "a table of 200000 words, joined", nothing, lambda: [command("EVAL", JOINED, 0)]),
    ("EVAL", "a string of 16 MB", nothing, lambda: [command("EVAL", "return #string.rep('x', 16 * 1024 * 1024)", 0)]),
    ("EVAL", "a pattern that backtracks", nothing,
     lambda: [command("EVAL", "return string.find(string.rep('a', 150), string.rep('.-', 4) .. 'b')", 0)]),
    ("EVAL", "cjson of 200000 numbers", nothing,
     lambda: [command("EVAL", "local t = {} for i = 1, 200000 do t[i] = i end return #cjson.encode(t)", 0)]),
    ("EVAL EVALSHA EVALSHA_RO", "100000 calls", nothing,
     lambda: [command("EVAL", "for i = 1, 100000 do redis.call('SET', KEYS[1], i) end", 1, "k"),
              command("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0), command("EVALSHA_RO", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0)]),
    ("SCRIPT", "LOAD of a megabyte", nothing, lambda: [command("SCRIPT", "LOAD", "return 1 " + "-- words\n" * 110_000)]),
    ("SCRIPT", "FLUSH of 10000 scripts", scripts, lambda: [command("SCRIPT", "FLUSH")]),
    ("DBSIZE INFO", f"{COLLECTIONS} collections", collections, lambda: [command("DBSIZE"), command("INFO", "everything")]),
]
GONE = [
    ("", f"a client goes that watches {WATCHED} keys", watch),
    ("", f"a client goes that has queued {QUEUED} SETs", queue(*sets(QUEUED))),
    ("", "a client goes that subscribes to 50000 channels", subscribe_many),
    ("", "a client goes that has not read 60 MB", lambda w: (big(w), w.main.socket.sendall(command("GET", "big")), time.sleep(0.2))),
]


def small():
    words = SMALL.replace("\n", "|").strip("|").split("|")
    return [command(*line.split()) for line in words]


def names_of(port):
    """All commands of the server, subcommands in place of their containers."""
    data = Connection(port).say(command("COMMAND", "LIST"))
    return {name.decode().upper() for name in re.findall(rb"\$\d+\r\n([^\r]+)\r\n", data)}


def check_all_are_there(port):
    said = {line.split()[0] for line in SMALL.replace("\n", "|").strip("|").split("|")}
    said |= {name for names, *_ in CASES for name in names.split()} | {name.split()[0] for name in LEFT_OUT}
    if missing := names_of(port) - said:
        sys.exit(f"no case names {', '.join(sorted(missing))}")


def run(world, prepare, commands):
    """The longest slice of a case, in microseconds."""
    prepare(world)
    time.sleep(REST_S)
    said = commands() if commands else None
    # On a connection of its own: the other may be in a transaction.
    forgetting = Connection(world.port)
    forgetting.say(command("CONFIG", "RESETSTAT"))
    forgetting.close()
    if commands:
        world.main.say(*said)
    world.reset()
    time.sleep(REST_S)
    return world.slice_us()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=served.TARGET / "release" / "kora", type=Path)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--runs", default=3, type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--write")
    arguments = parser.parse_args()
    wanted = [case for case in [*CASES, *[(*gone, None) for gone in GONE]] if arguments.only in f"{case[0]} {case[1]}"]
    wanted = [CASES[0]] * (wanted[:1] != CASES[:1]) + wanted
    counts = arguments.workers.split(",")
    found = {}
    for workers in counts:
        world = World(arguments.binary.resolve(), workers)
        try:
            check_all_are_there(world.port)
            for names, label, prepare, commands in wanted:
                found[workers, names, label] = [run(world, prepare, commands) for _ in range(arguments.runs)]
                row = " ".join(f"{number:7}" for number in sorted(found[workers, names, label]))
                print(f"{workers} workers {row}  {names} {label}", flush=True)
        finally:
            world.stop()
    lines = []
    header = ["command", "at its largest", *[f"{kind} µs, {workers} W" for workers in counts for kind in ("least", "most")]]
    table = []
    for names, label, *_ in wanted:
        numbers = [number(found[workers, names, label]) for workers in counts for number in (min, max)]
        table.append([names, label, *map(str, numbers)])
    served.print_table("Longest slices", header, table, lines)
    if arguments.write:
        path = served.ROOT / "benches" / "results" / f"{arguments.write}.md"
        path.write_text(HEAD + "\n".join(lines) + "\n")
    long = [f"{names} {label}" for (_, names, label), times in found.items() if min(times) > LONG_US]
    if long:
        sys.exit(f"longer than {LONG_US} µs: " + "; ".join(long))


HEAD = """# The longest slice of every command

Made by `python3 benches/slices.py --write slices`, which says what is measured: the longest time, in microseconds of the
thread's CPU clock, in which a worker executed without a look at anything else. `least` of three runs is the command's own,
`most` has what the machine adds, as the row `idle` shows.

"""

if __name__ == "__main__":
    main()
