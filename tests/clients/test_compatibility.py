"""Commands that clients, GUIs and exporters send to every server: ROLE, WAIT, MODULE, COMMAND GETKEYS, CLIENT PAUSE and their
like."""

import pathlib
import socket
import sys
import threading
import time

import pytest
import redis

from server import Server


def test_what_tools_ask_at_first(client):
    assert client.execute_command("ROLE") == [b"master", 0, []]
    assert client.execute_command("WAIT", 1, 100) == 0
    assert client.module_list() == []
    assert "Redis ver. 8.2.3" in str(client.execute_command("LOLWUT"))
    with pytest.raises(redis.ResponseError, match="DEBUG command not allowed"):
        client.execute_command("DEBUG", "SLEEP", 5)
    with pytest.raises(redis.ResponseError, match="MODULE command not allowed"):
        client.execute_command("MODULE", "LOAD", "/lib/x.so")


GIVEN = [
    "GET a",
    "SET a b",
    "SET a b GET",
    "MSET a 1 b 2",
    "MSET a",
    "DEL a b c",
    "RENAME a b",
    "RENAMENX a b",
    "COPY a b",
    "EVAL x 2 a b c",
    "EVAL_RO x 1 a",
    "EVAL x y a",
    "EVAL x 3 a",
    "HSET a f v",
    "HDEL a f",
    "HGETDEL a FIELDS 1 f",
    "GETEX a",
    "GETDEL a",
    "APPEND a b",
    "INCR a",
    "EXPIRE a 1",
    "TYPE a",
    "EXISTS a b",
    "OBJECT ENCODING a",
    "OBJECT",
    "MEMORY USAGE a",
    "WATCH a b",
    "PING",
    "GET",
    "CONFIG GET a",
    "SPUBLISH a b",
    "nothing a",
]


@pytest.mark.parametrize("line", GIVEN)
def test_keys_of_commands_are_those_that_redis_tells(client, reference, line):
    for how in ["GETKEYS", "GETKEYSANDFLAGS"]:
        words = [f"COMMAND {how}", *line.split()]
        assert heard(client, words) == heard(reference, words)


def heard(client, words):
    try:
        return texts(client.execute_command(*words))
    except redis.ResponseError as error:
        return str(error)


def texts(reply):
    """The same without the choice of redis-py, which decodes replies to some commands in one protocol only."""
    if isinstance(reply, bytes):
        return reply.decode()
    return [texts(part) for part in reply] if isinstance(reply, list) else reply


@pytest.fixture(scope="module")
def reference():
    """A real Redis."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "differential"))
    import servers

    redis_server = servers.Redis()
    with redis.Redis(port=redis_server.port) as client:
        yield client
    redis_server.stop()


class TestPause:
    def test_all_wait_until_it_ends(self, server, client):
        with server.client(2) as other:
            other.ping()
            assert client.client_pause(400)
            start = time.monotonic()
            assert other.get("nothing") is None
            assert 0.3 < time.monotonic() - start < 5

    def test_reads_pass_while_writes_wait_and_unpause_ends_it(self, server, client):
        client.set("before", "1")
        assert client.client_pause(60_000, all=False)
        with server.client(2) as writer, server.client(2) as script:
            written = []
            threads = [
                threading.Thread(target=lambda: written.append(writer.set("during", "2"))),
                threading.Thread(target=lambda: written.append(script.eval("return redis.call('set', KEYS[1], 3)", 1, "by"))),
            ]
            for thread in threads:
                thread.start()
            with server.client(2) as reader:
                assert reader.get("before") in ("1", b"1")
                time.sleep(0.2)
                assert written == [] and reader.exists("during", "by") == 0
                assert reader.client_unpause()
            for thread in threads:
                thread.join(10)
            assert len(written) == 2
        assert client.exists("during", "by") == 2


class TestReplies:
    def test_off_and_skip(self, server):
        with connected(server) as connection:
            connection.sendall(b"CLIENT REPLY OFF\r\nSET muted 1\r\nGET muted\r\nNOSUCH\r\nCLIENT REPLY ON\r\nGET muted\r\n")
            assert read(connection, 3) == [b"+OK", b"$1", b"1"]
            connection.sendall(b"CLIENT REPLY SKIP\r\nGET muted\r\nPING\r\n")
            assert read(connection, 1) == [b"+PONG"]

    def test_messages_are_sent_all_the_same(self, server, client):
        with connected(server) as connection:
            connection.sendall(b"HELLO 3\r\nCLIENT REPLY OFF\r\nSUBSCRIBE muted\r\n")
            time.sleep(0.2)
            client.publish("muted", "hello")
            deadline = time.monotonic() + 5
            heard = b""
            while b"hello" not in heard and time.monotonic() < deadline:
                heard += connection.recv(65536)
            assert b"hello" in heard


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read(connection, lines):
    """So many lines."""
    heard = b""
    while heard.count(b"\r\n") < lines:
        heard += connection.recv(65536)
    return heard.split(b"\r\n")[:-1]


def test_no_touch_leaves_the_time_of_last_use(server, client):
    client.set("idle", "x")
    client.hset("idle:hash", "f", "x")
    time.sleep(2.2)
    with server.client(2) as quiet:
        assert quiet.execute_command("CLIENT", "NO-TOUCH", "ON") in ("OK", b"OK")
        assert "flags=T" in client.execute_command("CLIENT", "LIST").decode()
        for _ in range(3):
            quiet.get("idle"), quiet.mget("idle", "idle"), quiet.hgetall("idle:hash")
            assert client.object("idletime", "idle") >= 2 and client.object("idletime", "idle:hash") >= 2
        quiet.execute_command("CLIENT", "NO-TOUCH", "OFF")
        quiet.get("idle")
    assert client.object("idletime", "idle") < 2


def test_waitaof_waits_for_the_disk(tmp_path):
    with Server("--workers", "2", "--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "no") as server:
        with server.client(2) as client:
            client.set("kept", "x")
            syncs = client.info("persistence")["kora_log_syncs"]
            assert client.execute_command("WAITAOF", 0, 0, 0) == [0, 0]
            assert client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]
            told = client.info("persistence")
            assert told["kora_log_durable_stamp"] == told["kora_log_last_stamp"] and told["kora_log_syncs"] >= syncs
