"""Queries that are answered where the vectors lie, by whichever worker has the client: they see all that was answered before
them and nothing that has gone, while others set and delete."""

import random
import threading
import time

import numpy
import pytest

from vectors import keys, pairs, vecquery, vecset

COLLECTIONS = ["docs", "{docs}", "{a}docs", "{tag3}docs"]
DIMENSION = 16


def read_in_place(client) -> int:
    return client.info("stats")["kora_query_parts_read_in_place"]


def draw(generator):
    return generator.standard_normal(DIMENSION).astype("<f4")


def test_a_query_is_answered_in_place_once_nobody_changes_its_collection(client):
    generator = numpy.random.default_rng(1)
    for collection in COLLECTIONS:
        vectors = [draw(generator) for _ in range(200)]
        for number, vector in enumerate(vectors):
            vecset(client, f"{collection}:{number}", vector)
        before = read_in_place(client)
        for number, vector in enumerate(vectors):
            assert pairs(vecquery(client, collection, 1, vector)) == [(b"%s:%d" % (collection.encode(), number), 0.0)]
        assert read_in_place(client) - before >= 100, "most queries of a collection at rest are read"
    client.config_resetstat()
    assert read_in_place(client) == 0


def test_what_a_pipeline_has_set_before_is_found_and_what_comes_behind_is_not(client):
    generator = numpy.random.default_rng(2)
    for collection in COLLECTIONS:
        vecset(client, f"{collection}:far", draw(generator) + 100)
        for _ in range(20):
            # At rest, so that its first query could be read at once.
            vecquery(client, collection, 1, draw(generator))
            vector = draw(generator)
            pipeline = client.pipeline(transaction=False)
            for _ in range(3):
                vecquery(pipeline, collection, 1, vector)
            vecset(pipeline, f"{collection}:new", vector)
            vecquery(pipeline, collection, 1, vector)
            pipeline.delete(f"{collection}:new")
            vecquery(pipeline, collection, 1, vector)
            replies = pipeline.execute()
            far, new = (f"{collection}:{name}".encode() for name in ("far", "new"))
            found = [keys(replies[place])[0] for place in (0, 1, 2, 4, 6)]
            assert found == [far, far, far, new, far]


@pytest.mark.parametrize("expires", [False, True], ids=["deleted", "expired"])
def test_nobody_finds_what_has_gone_nor_misses_what_is_there(server, expires):
    """Writers set a vector, look for it over another connection, let it go, and look again, beside others that query."""
    seed = random.randrange(1 << 32)
    stop, failures = threading.Event(), []
    with server.client(protocol=2) as client:
        generator = numpy.random.default_rng(seed)
        for collection in COLLECTIONS:
            for number in range(1_500):
                vecset(client, f"{collection}:{number}", draw(generator))

    def ask():
        with server.client(protocol=2) as client:
            generator = numpy.random.default_rng()
            while not stop.is_set():
                for collection in COLLECTIONS:
                    vecquery(client, collection, 10, draw(generator))

    def write(number: int):
        generator = numpy.random.default_rng([seed, 1 + number])
        with server.client(protocol=2) as writer, server.client(protocol=2) as reader:
            for turn in range(60):
                key = f"{COLLECTIONS[turn % len(COLLECTIONS)]}:of-{number}"
                collection, vector = key.split(":")[0], draw(generator)
                vecset(writer, key, vector)
                if pairs(vecquery(reader, collection, 1, vector)) != [(key.encode(), 0.0)]:
                    failures.append(f"seed {seed}: {key} of turn {turn} was missed")
                if expires:
                    # Not asked for, it is not yet reclaimed when the query comes.
                    writer.pexpire(key, 3)
                    time.sleep(max(0, writer.pexpiretime(key) / 1000 - time.time()) + 0.0005)
                else:
                    writer.delete(key)
                if key.encode() in keys(vecquery(reader, collection, 3, vector)):
                    failures.append(f"seed {seed}: {key} of turn {turn} was found when it had gone")

    askers = [threading.Thread(target=ask) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in askers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in askers:
        thread.join()
    assert failures == []
    with server.client(protocol=2) as client:
        assert read_in_place(client) > 0
