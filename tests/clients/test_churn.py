"""What is deleted and replaced leaves no trace: neither in answers, nor in memory, nor in recall."""

import threading
import time

import numpy
import pytest

from server import Server
from vectors import blob, keys, pairs, vecquery, vecset

COUNT = 6_000
DIMENSION = 32
PATIENCE_S = 60


def fields(reply) -> dict:
    """A map, which RESP2 spells as a flat array."""
    flat = reply if isinstance(reply, list) else [item for pair in reply.items() for item in pair]
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def information(client, collection) -> dict:
    return fields(client.execute_command("VECINFO", collection))


def load(client, collection, vectors, numbers):
    for start in range(0, len(numbers), 500):
        with client.pipeline(transaction=False) as pipeline:
            for number in numbers[start : start + 500]:
                vecset(pipeline, f"{collection}:{number}", vectors[number])
            pipeline.execute()


def await_rest(client, collection) -> dict:
    """Waits until nothing is left to consolidate."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = information(client, collection)
        # A part without a graph leaves one in sixteen, which costs it nothing.
        if seen["consolidated"] is None and seen["deleted"] * 16 <= seen["vectors"]:
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


@pytest.fixture(scope="module")
def vectors():
    return numpy.random.default_rng(5).standard_normal((2 * COUNT, DIMENSION)).astype("<f4")


def test_after_nine_in_ten_are_deleted_the_rest_is_found_and_nothing_else_takes_room(client, vectors):
    load(client, "shrinks", vectors, range(COUNT))
    full = information(client, "shrinks")
    gone = [number for number in range(COUNT) if number % 10 != 3]
    for start in range(0, len(gone), 500):
        names = [f"shrinks:{number}" for number in gone[start : start + 500]]
        assert client.execute_command("VECDEL", *names) == len(names)
    left = await_rest(client, "shrinks")
    assert left["vectors"] == COUNT // 10
    assert left["slots"] < COUNT // 5, left
    assert left["vectors_bytes"] < full["vectors_bytes"] / 4, (full, left)
    # The table of names keeps room for twice what it holds; with so few keys that is most of it.
    assert left["keys_bytes"] < full["keys_bytes"] / 2, (full, left)
    for number in range(3, COUNT, 10):
        assert client.execute_command("VECGET", f"shrinks:{number}", "FP32") == blob(vectors[number])
    for number in range(3, COUNT, 300):
        assert keys(vecquery(client, "shrinks", 1, vectors[number])) == [b"shrinks:%d" % number]


def test_setting_the_same_keys_again_and_again_takes_no_more_room(client, vectors):
    load(client, "same", vectors, range(2_000))
    for round in range(1, 5):
        moved = numpy.roll(vectors, -1_000 * round, axis=0)
        load(client, "same", moved, range(2_000))
    after = await_rest(client, "same")
    assert after["vectors"] == 2_000
    assert after["slots"] < 3_000, after
    recall = fields(client.execute_command("VECRECALL", "same", "K", 10, "SAMPLES", 50))
    assert float(recall["recall"]) >= 0.95 and recall["samples"] == 50, recall


def test_recall_is_measured_with_the_ef_that_is_asked_for(client, vectors):
    load(client, "seen", vectors, range(COUNT))
    await_rest(client, "seen")
    deep = fields(client.execute_command("VECRECALL", "seen", "SAMPLES", 60, "EF", 400))
    shallow = fields(client.execute_command("VECRECALL", "seen", "SAMPLES", 60, "EF", 10))
    assert deep["ef"] == 400 and shallow["ef"] == 10 and deep["k"] == 10
    # Samples are drawn anew each time: which of two recalls near 1 is larger is a matter of chance.
    assert 0.2 < float(shallow["recall"]) <= 1 and 0.95 < float(deep["recall"]) <= 1, (shallow, deep)
    query = [str(component) for component in vectors[0]]
    costs = [fields(client.execute_command("VECQUERY", "seen", 10, *query, "EF", ef, "WITHINFO")[1]) for ef in (10, 400)]
    assert int(costs[0]["distances"]) < int(costs[1]["distances"])
    assert client.execute_command("VECRECALL", "nobody") is None


def test_the_process_gives_memory_back(vectors):
    with Server("--workers", "1") as server, server.client(protocol=3) as client:
        load(client, "big", numpy.tile(vectors, (1, 8)), range(COUNT))
        full = client.info("memory")["used_memory_rss"]
        client.execute_command("VECDEL", *(f"big:{number}" for number in range(COUNT) if number % 10 != 3))
        await_rest(client, "big")
        left = client.info("memory")["used_memory_rss"]
    # 6,000 vectors of 256 dimensions take some ten megabytes, and an empty server five.
    assert left < full - 0.6 * COUNT * 256 * 4, (full, left)


def found_meanwhile(server, client, others, query, options) -> list:
    """Searches for a second, while another client does this again and again: the nearest of each answer."""
    stop = threading.Event()

    def keep_on():
        with server.client(protocol=3) as other:
            while not stop.is_set():
                for words in others:
                    other.execute_command(*words)

    changing = threading.Thread(target=keep_on)
    changing.start()
    try:
        found, end = [], time.monotonic() + 1
        while time.monotonic() < end:
            found.append(pairs(vecquery(client, "{still}", 10, query, *options)))
    finally:
        stop.set()
        changing.join()
    return found


@pytest.mark.parametrize("options", [[], ["EF", 3_000]], ids=["walk", "scan"])
def test_what_is_replaced_or_renamed_while_it_is_searched_for_is_in_every_answer(server, client, options):
    # So wide that a search takes several slices.
    wide = numpy.random.default_rng(6).standard_normal((1_500, 1_536)).astype("<f4")
    load(client, "{still}", wide, range(len(wide)))
    again = ["VECSET", "{still}:0", 1_536, "FP32", blob(wide[0])]
    found = found_meanwhile(server, client, [again], wide[0], options)
    assert found and all(len(hits) == 10 and hits[0] == (b"{still}:0", 0) for hits in found)
    there_and_back = [["RENAME", "{still}:1", "{still}:new"], ["RENAME", "{still}:new", "{still}:1"]]
    found = found_meanwhile(server, client, there_and_back, wide[1], options)
    assert found and all(hits[0][0] in (b"{still}:1", b"{still}:new") and hits[0][1] == 0 for hits in found)
