"""Events of keys: `notify-keyspace-events`, held against a real Redis."""

import pathlib
import sys
import time

import pytest
import redis

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "differential"))
import servers

from server import Server

PROGRAM = """
SET a 1
SET a 2
SET a 3 EX 100
SET a 4 KEEPTTL
GET a
GET nosuch
HGET nosuch f
MGET a nosuch
EXISTS nosuch
TTL nosuch
INCR c
DECRBY c 2
INCRBYFLOAT c 1.5
APPEND d x
APPEND d y
SETRANGE d 5 z
GETSET d w
GETEX d EX 100
GETEX d PERSIST
GETDEL d
SETNX e 1
SETNX e 2
MSET {m}f 1 {m}g 2
MSETNX {m}f 1 {m}h 2
HSET h1 a 1 b 2
HSET h1 a 1
HSETNX h1 c 1
HINCRBY h1 n 1
HINCRBYFLOAT h1 n 1
HDEL h1 a b zz
HGETDEL h1 FIELDS 1 c
HDEL h1 n
HSETEX h2 FIELDS 1 a 1
HSETEX h2 EX 100 FIELDS 2 b 2 c 3
HSETEX h2 FNX EX 100 FIELDS 1 b 2
HSETEX h2 KEEPTTL FIELDS 1 b 5
HSETEX h2 PXAT 1 FIELDS 1 c 3
HEXPIRE h2 100 FIELDS 3 a b zz
HEXPIRE h2 100 NX FIELDS 1 a
HPEXPIREAT h2 1 FIELDS 1 a
HINCRBY h2 b 1
HPERSIST h2 FIELDS 2 b zz
HPERSIST h2 FIELDS 1 b
HGETEX h2 FIELDS 1 b
HGETEX h2 EX 100 FIELDS 2 b zz
HGETEX h2 PERSIST FIELDS 1 b
HGETEX h2 PERSIST FIELDS 1 b
HTTL h2 FIELDS 1 b
HGETEX h2 PXAT 1 FIELDS 1 b
HSETEX h3 PXAT 1 FIELDS 1 a 1
HSETEX h3 FXX EX 100 FIELDS 1 a 1
HSETEX h3 EX 100 FIELDS 1 a 1
HEXPIRE h3 0 FIELDS 1 a
EXPIRE {m}f 100
EXPIRE {m}g -1
PERSIST e
EXPIRE e 1000
PERSIST e
RENAME e e2
SET x 1
RENAME e2 x
COPY x y
SET yy 1
COPY x yy REPLACE
HSET hh a 1
COPY hh hh2
RENAME hh hh3
RENAMENX x xx
SET hh3 1
DEL hh3 hh2 nosuch
UNLINK y
TOUCH yy
SETEX se 100 1
PSETEX se 100000 1
SET z x NX
MSET z 1
FLUSHALL
""".strip().splitlines()


def events(port, classes, counts=None):
    """What each command of the program has told, each as many messages as are said: those of another worker's shard may come
    after what is published next."""
    told = []
    with redis.Redis(port=port) as client:
        client.flushall()
        client.config_set("notify-keyspace-events", classes)
        subscriber = client.pubsub()
        subscriber.psubscribe("__key*__:*")
        subscriber.get_message(timeout=1)
        for number, line in enumerate([*PROGRAM]):
            try:
                client.execute_command(*line.split())
            except redis.ResponseError as error:
                told.append((line, str(error)))
            client.publish("__key__:end", str(number))
            heard, has_ended = [], False
            missing = counts[len(told)] if counts else 0
            while not has_ended or len(heard) < missing:
                message = subscriber.get_message(timeout=5)
                if message is None:
                    break
                if message["channel"] == b"__key__:end":
                    has_ended = True
                else:
                    heard.append((message["channel"], message["data"]))
            told.append((line, heard))
        client.config_set("notify-keyspace-events", "")
        subscriber.close()
    return told


@pytest.fixture(scope="module")
def reference():
    server = servers.Redis()
    yield server
    server.stop()


@pytest.mark.parametrize("classes", ["KEA", "Eg", "K$h", "Em", "EAmnoc"])
def test_events_are_those_of_redis(server, reference, classes):
    expected = events(reference.port, classes)
    counts = [len(told) if isinstance(told, list) else 0 for _, told in expected]
    found = events(server.port, classes, counts)
    for one, other in zip(expected, found, strict=True):
        # A key that moves is told to be new before it has left in Redis, and keys of several shards come in any order.
        assert (one[0], sorted(one[1])) == (other[0], sorted(other[1]))


@pytest.mark.parametrize("classes", ["KEA", "Kg$", "mnKEocA", "mn$hE", "g$lshzxet", "docn", ""])
def test_classes_are_shown_as_by_redis(server, client, reference, classes):
    with redis.Redis(port=reference.port) as other:
        for one in [client, other]:
            one.config_set("notify-keyspace-events", classes)
        name = "notify-keyspace-events"
        shown = [one.config_get(name) for one in (client, other)]
        assert shown[0] == shown[1]
        other.config_set(name, "")
        client.config_set(name, "")


def test_wrong_classes_are_refused(client):
    with pytest.raises(redis.ResponseError, match="notify-keyspace-events"):
        client.config_set("notify-keyspace-events", "KEq")


def test_expired_keys_and_vectors_are_told(server, client):
    client.config_set("notify-keyspace-events", "Exgd")
    subscriber = client.pubsub()
    subscriber.psubscribe("__keyevent@0__:*")
    heard = set()
    client.set("short", "x", px=40)
    client.execute_command("VECSET", "v:short", 2, 1, 2, "PX", 40)
    client.execute_command("VECSET", "v:long", 2, 1, 2)
    client.execute_command("VECDEL", "v:long")
    deadline = time.monotonic() + 20
    wanted = {("expired", "short"), ("expired", "v:short"), ("vecset", "v:short"), ("vecset", "v:long"), ("del", "v:long")}
    while not wanted <= heard:
        assert time.monotonic() < deadline, heard
        message = subscriber.get_message(timeout=1)
        if message and message["type"] == "pmessage":
            heard.add((message["channel"].decode().rsplit(":", 1)[1], message["data"].decode()))
    client.config_set("notify-keyspace-events", "")
    subscriber.close()


def test_expired_fields_are_told(server, client):
    client.config_set("notify-keyspace-events", "Ehg")
    subscriber = client.pubsub()
    subscriber.psubscribe("__keyevent@0__:*")
    client.hset("part", mapping={"short": 1, "long": 2})
    client.hset("whole", mapping={"short": 1, "shorter": 2})
    client.execute_command("HPEXPIRE", "part", 40, "FIELDS", 1, "short")
    client.execute_command("HPEXPIRE", "whole", 40, "FIELDS", 2, "short", "shorter")
    heard = []
    wanted = [("hset", "part"), ("hexpire", "part"), ("hexpired", "part")]
    wanted += [("hset", "whole"), ("hexpire", "whole"), ("hexpired", "whole"), ("del", "whole")]
    deadline = time.monotonic() + 20
    while len(heard) < len(wanted):
        assert time.monotonic() < deadline, heard
        message = subscriber.get_message(timeout=1)
        if message and message["type"] == "pmessage":
            heard.append((message["channel"].decode().rsplit(":", 1)[1], message["data"].decode()))
    for key in ["part", "whole"]:
        assert [event for event in heard if event[1] == key] == [event for event in wanted if event[1] == key]
    client.config_set("notify-keyspace-events", "")
    subscriber.close()


def test_events_of_scripts_and_transactions_are_told(server, client):
    client.config_set("notify-keyspace-events", "E$")
    subscriber = client.pubsub()
    subscriber.psubscribe("__keyevent@0__:*")
    subscriber.get_message(timeout=1)
    client.eval("redis.call('set', KEYS[1], 1) redis.call('incr', KEYS[1])", 1, "scripted")
    with client.pipeline() as transaction:
        transaction.set("{t}a", 1).append("{t}a", "x").execute()
    heard = []
    while len(heard) < 4:
        message = subscriber.get_message(timeout=5)
        assert message is not None, heard
        heard.append((message["channel"].decode().rsplit(":", 1)[1], message["data"].decode()))
    assert heard == [("set", "scripted"), ("incrby", "scripted"), ("set", "{t}a"), ("append", "{t}a")]
    client.config_set("notify-keyspace-events", "")
    subscriber.close()


def test_a_loaded_server_tells_nothing(tmp_path):
    flags = ["--dir", str(tmp_path), "--appendonly", "yes", "--notify-keyspace-events", "KEA"]
    with Server(*flags) as server, server.client(2) as client:
        for number in range(100):
            client.set(f"kept:{number}", "x")
    with Server(*flags) as server, server.client(2) as client:
        assert client.dbsize() == 100
        assert client.info("stats")["kora_messages_dropped"] == 0
        assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": "AKE"}
