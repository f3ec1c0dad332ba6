"""The vector commands through redis-py, over RESP2 and RESP3."""

import subprocess
import tempfile

import numpy
import pytest
import redis

from server import environment
from vectors import blob, keys, pairs, vecquery, vecset


def test_a_blob_comes_back_bit_by_bit(client):
    # Minus zero, the least subnormal, the largest float, and a third that no decimal text of theirs would keep.
    vector = numpy.array([-0.0, 1e-45, 3.4028235e38, 1 / 3, -1], dtype="<f4")
    assert vecset(client, "bits:a", vector) == b"OK"
    assert client.execute_command("VECGET", "bits:a", "FP32") == vector.tobytes()


def test_text_comes_back_as_the_same_floats(client, protocol):
    generator = numpy.random.default_rng(7)
    vector = generator.standard_normal(1536).astype("<f4")
    # What redis-py sends for Python's floats: all digits of the double.
    client.execute_command("VECSET", "text:a", len(vector), *(float(component) for component in vector))
    assert client.execute_command("VECGET", "text:a", "FP32") == vector.tobytes()
    components = client.execute_command("VECGET", "text:a")
    assert {type(component) for component in components} == {bytes if protocol == 2 else float}
    assert numpy.array([float(component) for component in components], dtype="<f4").tobytes() == vector.tobytes()


def test_the_widest_vector_is_stored_and_found(client):
    vector = numpy.ones(65_536)
    vecset(client, "wide:a", vector)
    assert pairs(vecquery(client, "wide", 1, vector)) == [(b"wide:a", 0.0)]
    with pytest.raises(redis.ResponseError, match="between 1 and 65536, got '65537'"):
        vecset(client, "wide:b", numpy.ones(65_537))


@pytest.mark.parametrize("metric", ["COSINE", "L2"])
def test_a_vector_is_at_distance_zero_of_itself(client, metric):
    client.execute_command("VECCREATE", "self", "DIM", 33, "METRIC", metric)
    vectors = numpy.random.default_rng(11).standard_normal((200, 33))
    # Long and short ones: the norm of 1e38s overflows a float, that of 1e-30s underflows one.
    vectors[::3] *= 1e37
    vectors[1::3] *= 1e-30
    for number, vector in enumerate(vectors):
        vecset(client, f"self:{number}", vector)
    for number, vector in enumerate(vectors):
        assert pairs(vecquery(client, "self", 1, vector)) == [(b"self:%d" % number, 0.0)], f"vector {number}"


def test_a_pipeline_of_ten_thousand_is_answered_in_order(client):
    vectors = numpy.random.default_rng(3).standard_normal((5_000, 8))
    pipeline = client.pipeline(transaction=False)
    for number, vector in enumerate(vectors):
        vecset(pipeline, f"deep:{number}", vector)
        pipeline.echo(number)
    replies = pipeline.execute()
    assert replies[::2] == [b"OK"] * 5_000
    assert [int(reply) for reply in replies[1::2]] == list(range(5_000))
    assert client.dbsize() == 5_000
    for number in range(0, 5_000, 50):
        pipeline.execute_command("VECGET", f"deep:{number}", "FP32")
        vecquery(pipeline, "deep", 1, vectors[number])
    replies = pipeline.execute()
    for number, vector, hit in zip(range(0, 5_000, 50), replies[::2], replies[1::2], strict=True):
        assert vector == blob(vectors[number])
        assert pairs(hit) == [(b"deep:%d" % number, 0.0)]


def test_a_query_sees_what_was_set_before_it_in_the_pipeline(client):
    """On every shard: keys are spread, and the query goes to all."""
    pipeline = client.pipeline(transaction=False)
    for number in range(1, 200):
        vecset(pipeline, f"seen:{number}", [number, 1])
        vecquery(pipeline, "seen", 1_000, [1, 0])
        pipeline.execute_command("VECDEL", f"seen:{number - 7}")
        vecquery(pipeline, "seen", 1_000, [1, 0])
    replies = pipeline.execute()
    for number in range(1, 200):
        after_set, after_delete = replies[(number - 1) * 4 + 1], replies[(number - 1) * 4 + 3]
        expected = {b"seen:%d" % alive for alive in range(max(1, number - 7), number + 1)}
        assert set(keys(after_set)) == expected
        assert set(keys(after_delete)) == expected - {b"seen:%d" % (number - 7)}


def test_a_ping_and_a_query_are_answered_while_another_connection_loads(server, client):
    vectors = numpy.random.default_rng(1).standard_normal((10_000, 64))
    vecset(client, "load:first", vectors[0])
    load = b"".join(request("VECSET", f"load:{number}", 64, "FP32", blob(vector)) for number, vector in enumerate(vectors))
    with tempfile.TemporaryFile() as file:
        file.write(load)
        file.seek(0)
        loader = subprocess.Popen(
            ["redis-cli", "-p", str(server.port), "--pipe"], stdin=file, stdout=subprocess.PIPE, env=environment()
        )
    answered = 0
    while loader.poll() is None:
        assert client.ping() is True
        assert len(pairs(vecquery(client, "load", 1, vectors[0]))) == 1
        answered += 1
    output, _ = loader.communicate()
    assert b"errors: 0, replies: 10000" in output
    # How many depends on the machine; that there are some at all while the load runs is the promise.
    assert answered >= 3


def request(*words) -> bytes:
    """A request as bytes."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def test_an_error_in_a_pipeline_takes_its_own_place_only(client):
    pipeline = client.pipeline(transaction=False)
    vecset(pipeline, "e:a", [1, 2])
    vecset(pipeline, "e:b", [1, 2, 3])
    pipeline.execute_command("VECQUERY", "e", 0, 1, 2)
    pipeline.execute_command("NOPE")
    vecset(pipeline, "e:c", [2, 1])
    pipeline.execute_command("VECDEL", "e:a", "e:b", "e:c")
    replies = pipeline.execute(raise_on_error=False)
    assert [replies[0], replies[4], replies[5]] == [b"OK", b"OK", 2]
    assert [type(reply) for reply in replies[1:4]] == [redis.ResponseError] * 3
    assert str(replies[1]) == "vector dimension mismatch - got 3 but collection 'e' has 2"


def test_k_means_k(client):
    pipeline = client.pipeline(transaction=False)
    vectors = numpy.random.default_rng(5).standard_normal((1_000, 4))
    for number, vector in enumerate(vectors):
        # Hash tags crowd each topic's neighbours onto one shard.
        vecset(pipeline, f"k:{{topic{number % 3}}}{number}", vector)
    pipeline.execute()
    for k in (1, 2, 10, 100, 999, 1_000, 5_000):
        hits = pairs(vecquery(client, "k", k, vectors[0]))
        assert len(hits) == min(k, 1_000)
        assert len({key for key, _ in hits}) == len(hits)
        assert [distance for _, distance in hits] == sorted(distance for _, distance in hits)


def test_a_hash_tagged_collection_lives_on_one_shard_and_others_on_all(client, server, protocol):
    pipeline = client.pipeline(transaction=False)
    for number in range(400):
        vecset(pipeline, f"{{tagged}}:docs:{number}", [number, 1])
        vecset(pipeline, f"spread:docs:{number}", [number, 1])
    pipeline.execute()
    shard_count = int(client.info()["kora_shards"])
    for collection, holding in (("{tagged}:docs", 1), ("spread:docs", shard_count)):
        info = information(client.execute_command("VECINFO", collection))
        populated = [shard for shard in info["shards"] if shard["vectors"] > 0]
        assert (info["vectors"], len(populated)) == (400, holding)
        assert sum(shard["vectors"] for shard in info["shards"]) == 400


def information(reply) -> dict:
    """VECINFO's map, which RESP2 spells as a flat array."""
    fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    text = {name.decode(): value for name, value in fields.items()}
    if "shards" in text:
        text["shards"] = [information(shard) for shard in text["shards"]]
    return text


def test_a_collection_describes_itself(client):
    client.execute_command(
        "VECCREATE", "d", "DIM", 3, "METRIC", "IP", "M", 8, "EF_CONSTRUCTION", 64, "EF_SEARCH", 32
    )
    for number in range(10):
        vecset(client, f"d:{number}", [number, 0, 1])
    client.execute_command("VECDEL", "d:3", "d:4")
    info = information(client.execute_command("VECINFO", "d"))
    expected = {"dimension": 3, "metric": b"IP", "m": 8, "ef_construction": 64, "ef_search": 32, "vectors": 8}
    assert {name: info[name] for name in expected} == expected
    for field in ("vectors_bytes", "keys_bytes"):
        assert info[field] > 0, field
    # So few vectors are searched one by one: there is no graph yet.
    assert info["levels"] == 0
    for field in ("vectors", "deleted", "vectors_bytes", "links_bytes", "keys_bytes"):
        assert info[field] == sum(shard[field] for shard in info["shards"]), field


def test_a_dropped_collection_may_return_with_another_dimension(client):
    for dimension in (2, 5, 3):
        vecset(client, "again:a", range(1, dimension + 1))
        assert keys(vecquery(client, "again", 5, range(1, dimension + 1))) == [b"again:a"]
        assert client.execute_command("VECDROP", "again") == 1
        assert vecquery(client, "again", 5, [1]) == []


def test_flushing_empties_every_shard(client):
    for number in range(100):
        vecset(client, f"flush{number % 7}:{number}", [1, number])
    assert (client.dbsize(), len(client.execute_command("VECLIST"))) == (100, 7)
    assert client.flushall() is True
    assert (client.dbsize(), client.execute_command("VECLIST")) == (0, [])
    vecset(client, "flush0:new", [1, 2, 3])
    assert client.dbsize() == 1


def test_a_long_key_is_a_key_and_a_longer_one_is_refused(client):
    name, element = "n" * 512, "e" * (65_536 - 513)
    vecset(client, f"{name}:{element}", [1])
    assert keys(vecquery(client, name, 1, [1])) == [f"{name}:{element}".encode()]
    with pytest.raises(redis.ResponseError, match="65537 bytes, at most 65536"):
        vecset(client, f"{name}:{element}e", [1])
    with pytest.raises(redis.ResponseError, match="513 bytes, at most 512"):
        vecset(client, f"{name}n:e", [1])
