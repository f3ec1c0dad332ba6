"""Strings, hashes, expiry and transactions through redis-py, beside vectors, on one worker and on two."""

import random
import socket
import struct
import time

import pytest
import redis
from server import Server


@pytest.fixture(params=["1", "2"], scope="module")
def server(request):
    with Server("--workers", request.param) as server:
        yield server


@pytest.fixture(params=[2, 3])
def client(server, request):
    client = redis.Redis(port=server.port, protocol=request.param, decode_responses=True)
    client.flushall()
    yield client
    client.close()


def set_vector(client, key, vector, *options):
    blob = struct.pack(f"<{len(vector)}f", *vector)
    return client.execute_command("VECSET", key, len(vector), "FP32", blob, *options)


def test_strings(client):
    assert client.set("name", "Ada", ex=100) and client.get("name") == "Ada"
    assert client.ttl("name") in (99, 100)
    assert client.set("name", "Grace", xx=True, get=True, keepttl=True) == "Ada"
    assert client.incrby("number", 5) == 5 and client.incrbyfloat("number", 0.1) == 5.1
    assert client.append("name", " Hopper") == 12 and client.getrange("name", -6, -1) == "Hopper"
    client.mset({f"key {index}": index for index in range(100)})
    assert client.mget([f"key {index}" for index in range(100)]) == [str(index) for index in range(100)]
    assert client.delete(*[f"key {index}" for index in range(100)]) == 100


def test_hashes(client):
    assert client.hset("hash", mapping={"one": 1, "two": 2}) == 2
    assert client.hgetall("hash") == {"one": "1", "two": "2"}
    assert client.hincrby("hash", "one", 41) == 42 and client.hmget("hash", "one", "none") == ["42", None]
    client.hset("large", mapping={f"field {index}": index for index in range(5000)})
    assert dict(client.hscan_iter("large")) == client.hgetall("large")
    assert len(set(client.hrandfield("large", 100))) == 100
    assert client.hdel("hash", "one", "two") == 2 and not client.exists("hash")


def test_a_transaction_over_several_slots(client):
    with client.pipeline(transaction=True) as pipeline:
        for index in range(50):
            pipeline.set(f"key {index}", index).incr(f"key {index}")
        replies = pipeline.dbsize().execute()
    assert replies == [reply for index in range(50) for reply in (True, index + 1)] + [50]


def test_a_watched_key_that_changes_stops_the_transaction(client):
    with client.pipeline() as pipeline:
        pipeline.watch("{bank}balance")
        client.set("{bank}balance", 1)
        pipeline.multi()
        pipeline.incr("{bank}balance")
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert client.get("{bank}balance") == "1"
    client.transaction(lambda pipeline: pipeline.multi() or pipeline.incr("{bank}balance"), "{bank}balance")
    assert client.get("{bank}balance") == "2"
    with pytest.raises(redis.ResponseError, match="same slot"):
        client.pipeline().watch("a", "b")


def test_a_scan_meets_everything(client):
    client.mset({f"key {index}": index for index in range(3000)})
    set_vector(client, "docs:1", [1, 2])
    keys = list(client.scan_iter(count=100))
    assert len(keys) == len(set(keys)) == 3002
    assert sorted(client.scan_iter(_type="string")) == sorted(client.keys("key *"))


def test_vectors_expire(client):
    set_vector(client, "docs:1", [1, 2])
    set_vector(client, "docs:2", [1, 2.5], "PX", 150)
    assert set_vector(client, "docs:2", [9, 9], "NX") is None and 0 < client.pttl("docs:2") <= 150
    assert client.expire("docs:1", 100) and client.ttl("docs:1") in (99, 100) and client.persist("docs:1")
    time.sleep(0.16)
    hits = client.execute_command("VECQUERY", "docs", 2, 1, 2)
    assert [hits[0][0] if isinstance(hits[0], list) else hits[0], len(client.keys("*"))] == ["docs:1", 2]
    assert not client.exists("docs:2") and client.execute_command("VECGET", "docs:2") is None


def test_a_collection_expires_with_all_its_vectors(client):
    for number in range(50):
        set_vector(client, f"docs:{number}", [number, 1])
    set_vector(client, "docs:late", [7, 7], "EX", 100)
    set_vector(client, "other:1", [1, 2])
    client.set("text", 1)
    assert client.ttl("docs") == -1 and client.expiretime("docs") == -1 and not client.persist("docs")
    assert not client.expire("docs", 100, xx=True) and client.expire("docs", 100, nx=True)
    assert client.ttl("docs") in (99, 100) and client.ttl("docs:1") == -1 and client.ttl("docs:late") in (99, 100)
    assert not client.expire("docs", 99, gt=True) and client.expire("docs", 99, lt=True)
    assert client.persist("docs") and client.ttl("docs") == -1
    at_ms = int(time.time() * 1000) + 300
    assert client.pexpireat("docs", at_ms) and client.pexpiretime("docs") == at_ms
    assert client.type("docs") == "vectorset" and client.dbsize() == 53
    while time.time() * 1000 < at_ms + 2:
        time.sleep(0.01)
    assert client.dbsize() == 2 and client.type("docs") == "none" and not client.exists("docs", "docs:1", "docs:late")
    assert client.ttl("docs") == -2 and client.ttl("docs:late") == -2 and not client.persist("docs")
    assert client.execute_command("VECQUERY", "docs", 10, 1, 2) in ([], {})
    assert client.execute_command("VECGET", "docs:1") is None and client.execute_command("VECINFO", "docs") is None
    assert client.execute_command("VECLIST") == ["other"]
    assert sorted(client.scan_iter()) == sorted(client.keys("*")) == ["other", "other:1", "text"]
    # It is as if it had never been: the next one may have another dimension, and does not expire.
    set_vector(client, "docs:1", [1, 2, 3])
    assert client.ttl("docs") == -1 and client.dbsize() == 3
    # A time that is past drops it at once, and what is set behind that stays.
    with client.pipeline(transaction=False) as pipeline:
        pipeline.expire("docs", 0)
        pipeline.execute_command("VECSET", "docs:2", 1, 5)
        pipeline.execute_command("VECGET", "docs:1")
        dropped, _, gone = pipeline.execute()
    assert dropped and gone is None and client.dbsize() == 3 and client.execute_command("VECGET", "docs:2") is not None
    assert client.expire("docs", -5) and client.set("docs", "text") and client.get("docs") == "text"


def test_a_thousand_collections_expire_and_leave_nothing(client):
    at_ms = int(time.time() * 1000) + 2_000
    with client.pipeline(transaction=False) as pipeline:
        for number in range(1_000):
            pipeline.execute_command("VECSET", f"tenant{number}:1", 2, 1, number)
            pipeline.pexpireat(f"tenant{number}", at_ms)
        pipeline.execute()
    time.sleep(max(0.0, at_ms / 1000 - time.time()) + 0.005)
    assert client.dbsize() == 0 and client.execute_command("VECLIST") == []
    for _ in range(200):
        keyspace = client.info("keyspace")
        if keyspace["kora_collections"] == 0 and keyspace["kora_collections_expiring"] == 0:
            break
        time.sleep(0.05)
    assert (keyspace["kora_collections"], keyspace["kora_collections_expiring"]) == (0, 0)


def test_whoever_watches_a_vector_hears_that_its_collection_expired(client):
    set_vector(client, "docs:1", [1, 2])
    with client.pipeline() as pipeline:
        pipeline.watch("docs:1")
        client.pexpire("docs", 60)
        time.sleep(0.065)
        pipeline.multi()
        pipeline.set("text", 1)
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert client.get("text") is None


def test_one_key_holds_one_value(client):
    set_vector(client, "docs:1", [1, 2])
    client.set("docs:2", "text")
    for refused in (
        lambda: client.hset("docs:1", "field", 1),
        lambda: client.get("docs:1"),
        lambda: client.append("docs:1", "x"),
        lambda: client.incr("docs:1"),
        lambda: client.hgetall("docs"),
        lambda: client.strlen("docs"),
        lambda: set_vector(client, "docs:2", [1, 2]),
        lambda: client.execute_command("VECGET", "docs:2"),
        lambda: client.execute_command("VECDEL", "docs:2"),
        lambda: client.execute_command("VECQUERY", "docs", 3, "KEY", "docs:2"),
        lambda: client.execute_command("VECQUERY", "docs:2", 3, 1, 2),
    ):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            refused()
    client.hset("fields", "field", 1)
    for command in ["VECINFO", "VECDROP", "VECRECALL", "VECGET x:", "VECDEL docs:3 x:", "VECQUERY fields 1 1 2"]:
        words = command.replace("x:", "docs:2").split()
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.execute_command(*words, *([] if len(words) > 1 else ["fields"]))
    assert client.delete("fields") == 1
    with pytest.raises(redis.ResponseError, match="name of a collection"):
        client.set("docs", "text")
    assert client.delete("docs", "docs:2") == 2 and client.dbsize() == 0


def test_info_counts_what_expires_vectors_too(client):
    for index in range(10):
        set_vector(client, f"docs:{index}", [1, index + 1], *(["EX", 1000] if index < 7 else []))
    client.set("text", "x", ex=1000)
    database = client.info("keyspace")["db0"]
    # Of vectors that expire no average is known; the only other key that does has it all.
    assert 990_000 < database.pop("avg_ttl") <= 1_000_000
    assert database == {"keys": 11, "expires": 8, "subexpiry": 0}
    client.persist("docs:0")
    client.execute_command("VECDEL", "docs:1")
    client.expire("docs:9", 1000)
    assert client.info("keyspace")["db0"]["expires"] == 7
    client.delete("docs")
    assert client.info("keyspace")["db0"]["expires"] == 1


def test_a_null_is_of_one_kind(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for command in ["VECGET no:1", "VECGET no:1 FP32", "VECINFO no", "VECRECALL no", "GET no", "VECSET no:1 1 2 XX"]:
            for hello, null in [("HELLO 2", b"$-1\r\n"), ("HELLO 3", b"_\r\n")]:
                connection.sendall(f"{hello}\r\n{command}\r\nPING\r\n".encode())
                said = b""
                while not said.endswith(b"+PONG\r\n"):
                    said += connection.recv(65536)
                assert said.endswith(null + b"+PONG\r\n"), command


def test_long_strings_are_written_to_while_replies_share_them(server, client):
    """The copy is made in slices, and nothing falls in between."""
    text = "0123456789" * 300_000
    tail = "t" * 700_000
    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        client.set("text", text)
        deaf.sendall(b"GET text\r\n" * 20)
        time.sleep(0.1)
        pipeline = client.pipeline(transaction=True)
        pipeline.append("text", tail).setrange("text", 10, "xyz").strlen("text").setrange("text", 5_000_000, tail)
        pipeline.append("text", "end").strlen("text")
        lengths = pipeline.execute()
        assert lengths == [3_700_000, 3_700_000, 3_700_000, 5_700_000, 5_700_003, 5_700_003]
        expected = text[:10] + "xyz" + text[13:] + tail + "\0" * 1_300_000 + tail + "end"
        assert client.get("text") == expected
        with pytest.raises(redis.ResponseError, match="exceeds maximum allowed size"):
            client.append("text", "x" * (60 << 20))
        # The replies are of the string as it was.
        wanted = f"${len(text)}\r\n{text}\r\n".encode()
        said = b""
        while len(said) < len(wanted):
            said += deaf.recv(1 << 20)
        assert said[: len(wanted)] == wanted
    client.set("hash", "x")
    assert client.setrange("zeros", 4_000_000, "x") == 4_000_001 and client.getrange("zeros", 3_999_999, -1) == "\0x"
    assert client.set("long", text * 2) and client.append("long", "x") == 6_000_001
    assert client.get("long") == text * 2 + "x"
    client.hset("fields", "long", text * 2)
    client.mset({"one": text * 2})
    assert client.hget("fields", "long") == client.get("one") == text * 2
    assert client.hset("fields", "long", "short") == 0 and client.hgetall("fields") == {"long": "short"}


def test_a_hundred_thousand_keys_that_expire_together_go_by_themselves(client):
    at_ms = int(time.time() * 1000) + 4000
    with client.pipeline(transaction=False) as pipeline:
        for index in range(100_000):
            pipeline.set(index, index, pxat=at_ms)
        pipeline.execute()
    time.sleep(max(0, at_ms / 1000 - time.time()) + 0.01)
    assert client.get(7) is None
    for _ in range(200):
        if client.dbsize() == 0:
            break
        time.sleep(0.05)
    assert client.dbsize() == 0


def test_vectors_that_expire_at_random_times_are_returned_until_then_and_no_longer(client):
    # benches/expiry.py does this with a million.
    count, randomness = 2_000, random.Random(1)
    begin_ms = time.time() * 1000 + 1_500
    expires_ms = [int(begin_ms + randomness.random() * 1_500) for _ in range(count)]
    with client.pipeline(transaction=False) as pipeline:
        for number, at_ms in enumerate(expires_ms):
            blob = struct.pack("<4f", *(randomness.gauss(0, 1) for _ in range(4)))
            pipeline.execute_command("VECSET", f"v:{number}", 4, "FP32", blob, "PXAT", at_ms)
        pipeline.execute()
    met = 0
    while time.time() * 1000 < max(expires_ms) + 50:
        query = [randomness.gauss(0, 1) for _ in range(4)]
        sent_ms = time.time() * 1000
        hits = client.execute_command("VECQUERY", "v", 10, *query)
        came_ms = time.time() * 1000
        names = [hit[0] if isinstance(hit, list) else hit for hit in (hits if client_speaks_3(client) else hits[::2])]
        # Clocks are rounded to milliseconds.
        assert all(expires_ms[int(name[2:])] + 2 > sent_ms for name in names)
        still_there = sum(at_ms - 2 > came_ms for at_ms in expires_ms)
        assert len(names) >= min(10, still_there)
        met += len(names)
    assert met > 100
    for _ in range(200):
        if client.dbsize() == 0:
            break
        time.sleep(0.05)
    assert client.dbsize() == 0


def client_speaks_3(client):
    return client.get_connection_kwargs().get("protocol") == 3
