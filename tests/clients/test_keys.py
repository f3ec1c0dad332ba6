"""SCAN and TYPE: every key of every shard, through redis-py and redis-cli --bigkeys."""

import pytest
import redis

from vectors import vecset


@pytest.fixture
def keys(client):
    names = {f"scanned:{index}".encode() for index in range(300)} | {f"{{tag}}x:{index}".encode() for index in range(50)}
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.execute_command("VECSET", name, 2, 1, len(name))
        pipeline.execute()
    return names | {b"scanned", b"{tag}x"}


@pytest.mark.parametrize("count", [None, 1, 7, 100_000])
def test_a_scan_meets_every_key_once(client, keys, count):
    assert sorted(client.scan_iter(count=count)) == sorted(keys)


def test_a_scan_matches_patterns_and_types(client, keys):
    assert set(client.scan_iter(match="scanned:1?")) == {b"scanned:%d" % index for index in range(10, 20)}
    assert set(client.scan_iter(_type="vectorset")) == {b"scanned", b"{tag}x"}
    assert set(client.scan_iter(match="{tag}*", _type="VECTOR")) == {b"{tag}x:%d" % index for index in range(50)}
    assert list(client.scan_iter(_type="string")) == []


def test_keys_that_stay_are_met_while_others_come_and_go(client, keys):
    met, cursor = set(), 0
    for turn in range(10_000):
        cursor, some = client.scan(cursor, count=5)
        met |= set(some)
        if cursor == 0:
            break
        vecset(client, f"scanned:new{turn}", [1, 2])
        client.execute_command("VECDEL", f"scanned:new{turn - 3}")
    assert cursor == 0
    assert met >= keys


def test_a_key_has_a_type(client, keys):
    assert client.type("scanned:1") == b"vector"
    assert client.type("scanned") == b"vectorset"
    assert client.type("scanned:no") == b"none"
    assert client.type("") == b"none"


def test_what_is_no_scan_is_refused(client):
    for words, error in [
        (["x"], "invalid cursor"),
        (["-1"], "invalid cursor"),
        (["0", "COUNT", "0"], "syntax error"),
        (["0", "COUNT", "ten"], "value is not an integer or out of range"),
        (["0", "MATCH"], "syntax error"),
        (["0", "NOVALUES"], "NOVALUES option can only be used in HSCAN"),
        (["0", "MATCH", "*" * 2000], "the pattern has 2000 bytes, at most 1024 are allowed"),
    ]:
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command("SCAN", *words)
    # A number that no reply gave is some place, or behind all places.
    assert client.execute_command("SCAN", 2**64 - 1)[1] == []


def test_redis_cli_finds_the_big_keys(server, client, keys):
    ran = server.redis_cli("--bigkeys")
    assert f"Sampled {len(keys)} keys in the keyspace!" in ran.stdout
    assert "350 vectors with" in ran.stdout
    assert "2 vectorsets with" in ran.stdout
    assert ran.stderr == ""


def test_a_reply_stays_small_however_much_is_asked_for(client):
    names = {b"long:%d" % index + b"x" * 60_000 for index in range(200)}
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            vecset(pipeline, name, [1, 2])
        pipeline.execute()
    met, cursor, largest = set(), 0, 0
    while True:
        cursor, some = client.scan(cursor, count=1_000_000_000)
        met |= set(some)
        largest = max(largest, sum(map(len, some)))
        if cursor == 0:
            break
    assert met == names | {b"long"}
    # A mebibyte, and what was fetched at one go when it was reached.
    assert largest < 3 << 19


def test_vectors_move_and_are_copied_with_their_time(client):
    for index in range(40):
        client.execute_command("VECSET", f"moved:{index}", 2, 1, index, "EX", 1000)
    for index in range(40):
        # From shard to shard, and within one.
        assert client.rename(f"moved:{index}", f"moved:new{index}") is True
        assert client.copy(f"moved:new{index}", f"moved:copy{index}") == 1
        assert not client.renamenx(f"moved:copy{index}", f"moved:new{index}")
        assert 990 < client.ttl(f"moved:new{index}") <= 1000
    assert client.exists("moved:0", "moved:new0") == 1
    found = client.execute_command("VECQUERY", "moved", 2, 1, 7)
    # RESP3 has pairs.
    names = [hit[0] for hit in found] if isinstance(found[0], list) else found[0::2]
    assert names == [b"moved:copy7", b"moved:new7"]


def test_vectors_move_only_to_where_they_can_be(client):
    vecset(client, "two:a", [1, 2])
    vecset(client, "three:a", [1, 2, 3])
    client.set("string", "text")
    refused = {
        "three:b": "ERR vector dimension mismatch - got 2 but collection 'three' has 3",
        "four:b": "ERR no such collection 'four'",
        "word": "ERR invalid key 'word'",
        "three": "ERR 'three' is the name of a collection",
    }
    for to, text in refused.items():
        with pytest.raises(redis.ResponseError, match=text.removeprefix("ERR ")):
            client.rename("two:a", to)
        if to == "three":
            # Something is there, and nothing was said of replacing it.
            assert not client.copy("two:a", to)
            continue
        with pytest.raises(redis.ResponseError, match=text.removeprefix("ERR ")):
            client.copy("two:a", to)
    with pytest.raises(redis.ResponseError, match="cannot be renamed or copied"):
        client.rename("two", "other")
    # A string gives way, and takes a vector's place.
    client.rename("two:a", "two:b")
    client.rename("string", "two:a")
    client.rename("two:b", "two:a")
    assert (client.type("two:a"), client.exists("two:b", "string")) == (b"vector", 0)


def test_a_vector_tells_what_a_key_tells(client):
    vecset(client, "told:a", [1, 2])
    assert client.object("ENCODING", "told:a") == b"hnsw"
    assert client.object("IDLETIME", "told:a") in (0, 1)
    assert client.object("REFCOUNT", "told:a") == 1
    assert client.touch("told:a", "told:b", "told") == 2
    assert 0 < client.memory_usage("told:a") < client.memory_usage("told")
    assert client.randomkey() in (b"told:a", b"told")
