"""Client-side caching: CLIENT TRACKING in all its modes, and redis-py's own cache on top of it. What is sent is held against a
real Redis."""

import contextlib
import itertools
import pathlib
import sys
import time

import pytest
import redis
from redis.cache import CacheConfig

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "differential"))
import resp
import servers

from server import Server


@pytest.fixture(scope="module")
def reference():
    server = servers.Redis()
    yield server
    server.stop()


class Line:
    """A connection that says what comes, asked for or not."""

    def __init__(self, port, protocol):
        self.connection = resp.Connection(port, protocol)
        self.marks = itertools.count()

    def say(self, line):
        """All that comes up to the reply to a PING behind it."""
        words = line.split() if isinstance(line, str) else line
        mark = b"mark %d" % next(self.marks)
        self.connection.socket.sendall(resp.encode(tuple(word.encode() for word in words)))
        return self.hear(mark)

    def hear(self, mark=None):
        mark = mark or b"mark %d" % next(self.marks)
        self.connection.socket.sendall(resp.encode((b"PING", mark)))
        heard = []
        while True:
            reply = self.connection.receive()
            if mark in str(reply).encode() or (isinstance(reply[1], bytes) and mark in reply[1]):
                return heard
            heard.append(reply)

    def close(self):
        self.connection.close()


def conversation(port, protocols, lines):
    """What each line says and hears: `number line` says it on the connection of that number."""
    with contextlib.ExitStack() as stack:
        connections = []
        for protocol in protocols:
            line = Line(port, protocol)
            stack.callback(line.close)
            connections.append(line)
        heard = []
        connections[0].say("FLUSHALL")
        for line in lines:
            number, words = line.split(" ", 1)
            own = connections[int(number)].say(words)
            # What one client does is told to others a moment later.
            time.sleep(0.02)
            heard.append((line, own, [one.hear() for one in connections]))
        return heard


CONVERSATIONS = {
    "default": [
        "0 CLIENT TRACKING ON",
        "0 GET a",
        "1 SET a 1",
        "1 SET a 2",
        "0 GET a",
        "1 DEL a",
        "0 MGET a b c",
        "1 MSET a 1 b 2 d 3",
        "0 HGET h f",
        "1 HSET h f 1",
        "0 HGETALL h",
        "1 HDEL h f",
        "0 EXISTS e f",
        "1 SET e 1 PX 1",
        "1 SET f 1",
        "0 GET f",
        "1 EXPIRE f 100",
        "0 GET f",
        "1 RENAME f g",
        "0 STRLEN g",
        "1 APPEND g x",
        "0 GET own",
        "0 SET own 1",
        "0 CLIENT TRACKINGINFO",
        "0 CLIENT TRACKING OFF",
        "1 SET b 5",
    ],
    "no loop": ["0 CLIENT TRACKING ON NOLOOP", "0 GET a", "0 SET a 1", "0 GET a", "1 SET a 1", "0 CLIENT TRACKINGINFO"],
    "broadcast": [
        "0 CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:",
        "1 SET a:1 1",
        "1 SET c:1 1",
        "1 HSET b:h f 1",
        "1 DEL a:1",
        "0 GET c:1",
        "1 SET c:1 2",
        "0 CLIENT TRACKING ON BCAST PREFIX c:",
        "1 SET c:1 3",
        "0 CLIENT TRACKINGINFO",
        "0 CLIENT TRACKING OFF",
        "1 SET a:1 1",
        "1 SET a:2 1",
    ],
    "all keys": ["0 CLIENT TRACKING ON BCAST NOLOOP", "1 SET any 1", "0 SET own 1", "1 INCR n"],
    "opt in": [
        "0 CLIENT TRACKING ON OPTIN",
        "0 GET a",
        "1 SET a 1",
        "0 CLIENT CACHING YES",
        "0 CLIENT TRACKINGINFO",
        "0 GET a",
        "1 SET a 2",
        "0 CLIENT CACHING NO",
        "0 CLIENT CACHING YES",
        "0 GET x",
        "0 GET y",
        "1 MSET x 1 y 1",
    ],
    "opt out": [
        "0 CLIENT TRACKING ON OPTOUT",
        "0 GET a",
        "1 SET a 1",
        "0 CLIENT CACHING NO",
        "0 CLIENT TRACKINGINFO",
        "0 CLIENT CACHING YES",
    ],
    "errors": [
        "0 CLIENT TRACKING ON PREFIX a",
        "0 CLIENT TRACKING ON BCAST OPTIN",
        "0 CLIENT TRACKING ON OPTIN OPTOUT",
        "0 CLIENT TRACKING ON REDIRECT 99999",
        "0 CLIENT TRACKING ON REDIRECT -1",
        "0 CLIENT TRACKING ON REDIRECT x",
        "0 CLIENT TRACKING ON REDIRECT",
        "0 CLIENT TRACKING ON PREFIX",
        "0 CLIENT TRACKING MAYBE",
        "0 CLIENT TRACKING OFF BCAST",
        "0 CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
        "0 CLIENT TRACKING ON BCAST PREFIX a PREFIX b",
        "0 CLIENT TRACKING ON BCAST PREFIX bc",
        "0 CLIENT TRACKING ON",
        "0 CLIENT TRACKING OFF",
        "0 CLIENT TRACKING ON OPTIN",
        "0 CLIENT TRACKING ON OPTOUT",
        "0 CLIENT TRACKING ON",
        "0 CLIENT GETREDIR",
        "0 CLIENT CACHING YES",
        "0 CLIENT CACHING MAYBE",
        "0 CLIENT TRACKING OFF",
        "0 CLIENT GETREDIR",
        "0 CLIENT TRACKINGINFO",
        "0 CLIENT CACHING YES",
    ],
    "reset": ["0 CLIENT TRACKING ON", "0 GET a", "0 RESET", "0 CLIENT TRACKINGINFO", "1 SET a 1"],
}


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_what_is_sent_is_what_redis_sends(server, reference, name, protocol):
    lines = [line for line in CONVERSATIONS[name] if "FLUSHALL" not in line]
    expected = conversation(reference.port, [protocol, 2], lines)
    found = conversation(server.port, [protocol, 2], lines)
    for one, other in zip(expected, found, strict=True):
        # Keys that change together are on several shards here: their order is open.
        assert ordered(one) == ordered(other), f"Redis {one}\nKora {other}"


def ordered(said):
    line, own, heard = said
    return line, sorted(map(str, own + [message for one in heard for message in one]))


def test_exec_reads_are_remembered_when_they_are_done(server):
    with server.client(2) as other:
        line = Line(server.port, 3)
        line.say("CLIENT TRACKING ON")
        line.connection.socket.sendall(b"MULTI\r\nGET {e}a\r\n")
        line.connection.receive(), line.connection.receive()
        other.set("{e}a", "1")
        line.connection.socket.sendall(b"EXEC\r\n")
        assert line.connection.receive() == (b"*", [(b"$", b"1")])
        other.set("{e}a", "2")
        time.sleep(0.05)
        assert [b"invalidate" in str(heard).encode() for heard in line.hear()] == [True]
        line.close()


def test_invalidations_go_to_another_connection(server):
    with server.client(2) as writer, contextlib.closing(Line(server.port, 2)) as reader:
        listener = Line(server.port, 2)
        own = int(listener.say("CLIENT ID")[0][1])
        listener.connection.socket.sendall(resp.encode((b"SUBSCRIBE", b"__redis__:invalidate")))
        listener.connection.receive()
        assert reader.say(f"CLIENT TRACKING ON REDIRECT {own}") == [(b"+", b"OK")]
        assert reader.say("CLIENT GETREDIR") == [(b":", b"%d" % own)]
        reader.say("GET followed")
        writer.set("followed", "1")
        message = listener.connection.receive()
        assert message == (b"*", [(b"$", b"message"), (b"$", b"__redis__:invalidate"), (b"*", [(b"$", b"followed")])])
        reader.say("GET followed")
        writer.flushall()
        message = listener.connection.receive()
        assert message[1][:2] == [(b"$", b"message"), (b"$", b"__redis__:invalidate")]
        listener.close()


def test_a_flush_and_an_expiry_are_told(server):
    with server.client(2) as writer, contextlib.closing(Line(server.port, 3)) as line:
        line.say("CLIENT TRACKING ON")
        writer.set("short", "1", px=30)
        line.say("GET short")
        time.sleep(0.3)
        assert "short" in str(line.hear())
        writer.set("flushed", "1")
        line.say("GET flushed")
        writer.flushall()
        time.sleep(0.1)
        heard = line.hear()
        assert heard and all("invalidate" in str(message) for message in heard)


def test_vectors_are_keys(server):
    with server.client(2) as writer, contextlib.closing(Line(server.port, 3)) as line:
        line.say("CLIENT TRACKING ON")
        for change in ["VECSET v:1 2 1 2", "VECSETATTR v:1 {}", "EXPIRE v:1 100", "VECDEL v:1", "VECSET v:1 2 2 1", "VECDROP v"]:
            line.say("VECGET v:1")
            writer.execute_command(*change.split())
            time.sleep(0.05)
            heard = str(line.hear())
            assert "invalidate" in heard, change


@pytest.mark.parametrize("workers", [1, 4])
def test_the_cache_of_redis_py_is_right_under_load(workers):
    with Server("--workers", str(workers)) as server, server.client(3) as writer:
        config = CacheConfig(max_size=1000)
        with redis.Redis(port=server.port, protocol=3, cache_config=config) as cached:
            keys = [f"cached:{number}" for number in range(50)]
            for turn in range(40):
                for key in keys[turn % 7 :: 3]:
                    writer.set(key, turn)
                time.sleep(0.01)
                for key in keys:
                    assert cached.get(key) == writer.get(key), (turn, key)
            assert cached.get_cache().size > 10
            stats = writer.info("stats")
            assert stats["tracking_total_keys"] >= 10 and writer.info("clients")["tracking_clients"] == 1


def test_the_table_is_bounded(client):
    with Server("--workers", "2", "--tracking-table-max-keys", "100") as server, server.client(2) as other:
        with contextlib.closing(Line(server.port, 3)) as line:
            line.say("CLIENT TRACKING ON")
            told = []
            for number in range(1000):
                told += line.say(f"GET key:{number}")
            assert sum("invalidate" in str(message) for message in told) > 700
            assert other.info("stats")["tracking_total_keys"] <= 100


def test_a_client_that_reads_no_invalidations_is_dropped():
    flags = ["--workers", "2", "--client-output-buffer-limit", "pubsub 1000000 0 0"]
    with Server(*flags) as server, server.client(2) as writer:
        deaf = Line(server.port, 3)
        deaf.connection.socket.sendall(b"CLIENT TRACKING ON BCAST\r\n")
        name = "k" * 4000
        deadline = time.monotonic() + 60
        while writer.info("stats")["client_output_buffer_limit_disconnections"] == 0:
            assert time.monotonic() < deadline
            for number in range(200):
                writer.set(f"{name}{number}", "x")
        deaf.close()
