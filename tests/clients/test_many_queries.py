"""VECMQUERY: many queries at once, each answered as VECQUERY answers it; and VECEXPLAIN, which says how one was answered."""

import json

import numpy
import pytest
import redis

from server import Server
from vectors import blob, keys, pairs, vecquery

COUNT, DIMENSION = 3_000, 12
# A collection that is settled answers the same question the same way; one that was filled a moment ago may still be at work.
TRIES = 50


def fill(client, collection, count, *parameters, seed=5):
    """Vectors with a number each; those of one hundred have none."""
    client.execute_command("VECCREATE", collection, "DIM", DIMENSION, *parameters)
    vectors = numpy.random.default_rng(seed).standard_normal((count, DIMENSION)).astype("<f4")
    with client.pipeline(transaction=False) as pipeline:
        for n, vector in enumerate(vectors):
            text = json.dumps({"n": n, "group": n % 7}) if n % 100 else ""
            pipeline.execute_command("VECSET", f"{collection}:{n}", DIMENSION, "FP32", blob(vector), "ATTR", text)
        pipeline.execute()
    return vectors


def many(client, collection, k, vectors, *options):
    return client.execute_command("VECMQUERY", collection, len(vectors), k, "FP32", *map(blob, vectors), *options)


def one_by_one(client, collection, k, vectors, *options):
    with client.pipeline(transaction=False) as pipeline:
        for vector in vectors:
            vecquery(pipeline, collection, k, vector, *options)
        return pipeline.execute()


def assert_equal(client, collection, k, vectors, *options):
    for _ in range(TRIES):
        at_once = many(client, collection, k, vectors, *options)
        expected = one_by_one(client, collection, k, vectors, *options)
        if at_once == expected:
            return at_once
    raise AssertionError(f"{collection} {k} {options}: {at_once} is not {expected}")


OPTIONS = [
    (),
    ("EF", 10),
    ("EF", 300),
    ("RADIUS", 0.4),
    ("OFFSET", 7),
    ("FILTER", ".n < 500"),
    ("FILTER", ".n >= 20 and .n < 30"),
    ("FILTER", ".nothing == 1"),
    ("GROUP", "BY", ".group", "LIMIT", 2),
    ("WITHATTR", ".n", "WITHVECTOR"),
    ("WITHATTR", "FILTER", ".group == 3"),
]


@pytest.mark.parametrize("collection", ["m", "{one}m"])
@pytest.mark.parametrize("form", ["F32", "Q8"])
def test_many_queries_are_answered_as_one_after_the_other(client, collection, form):
    vectors = fill(client, collection, COUNT, "QUANT", form)
    queries = numpy.concatenate([vectors[:20], numpy.random.default_rng(8).standard_normal((50, DIMENSION))])
    for options in OPTIONS:
        for k, count in [(1, 1), (10, 70), (200, 9)]:
            assert_equal(client, collection, k, queries[:count], *options)
    left_out = ["NOT", *[f"{collection}:{n}" for n in range(5)]]
    assert_equal(client, collection, 10, queries, *left_out)
    for n, reply in enumerate(assert_equal(client, collection, 1, vectors[:30])):
        assert keys(reply) == [b"%s:%d" % (collection.encode(), n)]
    # By the other two ways to name the collection.
    assert many(client, f"{collection}:*", 3, vectors[:5]) == many(client, collection, 3, vectors[:5])
    assert many(client, f"{collection}:7", 3, vectors[:5]) == many(client, collection, 3, vectors[:5])


@pytest.mark.parametrize("workers", [2, 8])
def test_one_and_more_workers_give_the_same_answers_where_they_are_exact(workers):
    found = []
    for count in (1, workers):
        with Server("--workers", str(count)) as server, server.client(protocol=3) as client:
            vectors = fill(client, "m", 1_000)
            # With so many candidates every vector is measured.
            found.append(assert_equal(client, "m", 10, vectors[:100], "EF", 20_000))
            explained = fields(client.execute_command("VECEXPLAIN", "m", 10, *vectors[0].tolist(), "EF", 20_000))
            assert explained[b"mode"] == b"exact" and explained[b"distances"] == 1_000
    assert found[0] == found[1]


@pytest.mark.parametrize("metric", ["L2", "IP"])
def test_small_collections_and_all_metrics(client, metric):
    vectors = fill(client, "few", 90, "METRIC", metric)
    for options in OPTIONS:
        assert_equal(client, "few", 10, vectors[:40], *options)
    info = many(client, "few", 3, vectors[:4], "WITHINFO")
    assert len(info) == 4 and all(len(reply) == 2 for reply in info)
    assert many(client, "few", 1000, vectors[:3]) == one_by_one(client, "few", 1000, vectors[:3])


def test_more_neighbours_than_one_round_looks_for(client):
    vectors = fill(client, "deep", 400)
    # 30 queries of 5,000 neighbours are two rounds.
    found = many(client, "deep", 5_000, vectors[:30])
    assert found == one_by_one(client, "deep", 5_000, vectors[:30])
    assert all(len(pairs(reply)) == 400 for reply in found)


def test_many_queries_within_a_transaction(client):
    vectors = fill(client, "m", 300)
    transaction = client.pipeline()
    transaction.execute_command("VECMQUERY", "m", 2, 3, "FP32", blob(vectors[1]), blob(vectors[2]))
    transaction.execute_command("VECEXPLAIN", "m", 3, "FP32", blob(vectors[1]))
    at_once, explained = transaction.execute()
    assert at_once == one_by_one(client, "m", 3, vectors[1:3])
    assert fields(explained)[b"returned"] == 3


def test_the_largest_batch(client):
    vectors = fill(client, "large", 1_500)
    queries = numpy.resize(vectors, (1_024, DIMENSION))
    found = many(client, "large", 5, queries, "EF", 100)
    assert [keys(reply)[0] for reply in found] == [b"large:%d" % n for n in range(1_024)]


def test_what_is_wrong_with_many_queries(client):
    vectors = fill(client, "m", 10)
    two = [blob(vector) for vector in vectors[:2]]
    for words, error in [
        (["m", 2, 3, "FP32", two[0]], "wrong number of arguments|as many blobs as n says"),
        (["m", 3, 3, "FP32", *two], "as many blobs as n says"),
        (["m", 2, 3, *two, "FP32"], "as many blobs as n says"),
        (["m", 1, 3, "FP32", *two], "unknown option"),
        (["m", 0, 3, "FP32", *two], "n must be a whole number between 1 and 1024"),
        (["m", 1025, 3, "FP32", *two], "n must be a whole number between 1 and 1024"),
        (["m", 2, 0, "FP32", *two], "k must be a whole number"),
        (["m", 2, 3, "FP32", *two, "EF"], "EF needs a value"),
        (["m", 2, 3, "FP32", *two, "KEY", "m:1"], "unknown option 'KEY'"),
        (["m", 2, 3, "FP32", two[0], two[1][4:]], "dimension mismatch - got 11"),
        (["m", 2, 3, "FP32", two[0], two[1][1:]], "4 bytes for each component"),
        (["m", 2, 3, "FP32", two[0], blob([float("nan")] * DIMENSION)], "component 1"),
        (["m", 2, 3, "FP32", two[0], blob([0] * DIMENSION)], "zero vector"),
        (["m", 1024, 977, "FP32", *two * 512], "is more than 1000000"),
    ]:
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command("VECMQUERY", *words)
    client.set("string", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        many(client, "string", 1, vectors[:2])
    assert many(client, "nothing", 1, vectors[:3]) == many(client, "nothing:1", 1, vectors[:3]) == [[], [], []]


def test_replies_beyond_the_memory_of_clients_are_refused():
    with Server("--workers", "2", "--maxmemory-clients", "8mb") as server, server.client(protocol=3) as client:
        vectors = fill(client, "m", 500)
        with pytest.raises(redis.ResponseError, match="reply"):
            many(client, "m", 500, vectors)
        assert len(many(client, "m", 5, vectors[:60])) == 60


def fields(reply) -> dict:
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def explain(client, *words) -> tuple[dict, list[dict]]:
    found = fields(client.execute_command("VECEXPLAIN", *words))
    return found, [fields(shard) for shard in found[b"shards"]]


@pytest.mark.parametrize("collection", ["m", "{one}m"])
def test_a_query_is_explained(client, collection):
    vectors = fill(client, collection, COUNT)
    near = (collection, 10, "FP32", blob(vectors[0]))
    for condition, matches, plans in [
        (".n < 0", 0, [b"exact"]),
        (".n >= 1 and .n < 31", 30, [b"exact"]),
        (".n >= 0", COUNT - COUNT // 100, [b"walk", b"walk+exact", b"exact", b"mixed"]),
    ]:
        whole, shards = explain(client, *near, "FILTER", condition, "EF", 10)
        again, _ = explain(client, *near, "FILTER", condition, "EF", 10)
        assert (whole[b"collection"], whole[b"k"], whole[b"ef"]) == (collection.encode(), 10, 10)
        assert (whole[b"vectors"], whole[b"matches"]) == (COUNT, matches) and whole[b"plan"] in plans
        assert float(whole[b"selectivity"]) == pytest.approx(matches / COUNT)
        assert whole[b"returned"] == min(10, matches)
        assert whole[b"tested"] >= COUNT and again[b"tested"] == 0, "which pass is remembered"
        for name in [b"vectors", b"matches", b"tested", b"distances", b"nodes"]:
            assert sum(shard[name] for shard in shards) == whole[name]
        assert sum(shard[b"taken"] for shard in shards) == min(10, matches)
        assert all(shard[b"taken"] <= shard[b"found"] <= 10 and shard[b"plan"] in plans for shard in shards)
        if matches == 30:
            assert whole[b"mode"] == b"exact" and whole[b"distances"] >= 30
    without, shards = explain(client, *near, "OFFSET", 5, "NOT", f"{collection}:1")
    assert (without[b"k"], without[b"matches"], without[b"tested"]) == (16, COUNT, 0)
    assert without[b"returned"] == 10 and float(without[b"selectivity"]) == 1


def test_a_query_of_nothing_is_explained(client):
    whole, shards = explain(client, "nothing", 3, 1, 2, "FILTER", ".n == 1")
    assert (whole[b"note"], whole[b"returned"], shards) == (b"no such collection", 0, [])
    with pytest.raises(redis.ResponseError, match="unknown option"):
        client.execute_command("VECEXPLAIN", "nothing", 3, 1, 2, "EF", 5, "FLITER", 1)
