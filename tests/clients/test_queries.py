"""What VECQUERY can be asked beside k: RADIUS, KEY, WITHINFO; and collections that keep vectors in a smaller form."""

import time

import numpy
import pytest
import redis

from server import PATIENCE_S
from vectors import blob, keys, pairs, vecquery, vecset


@pytest.fixture
def line(client):
    """Points 0 to 9 on a line, under l2."""
    client.execute_command("VECCREATE", "line", "DIM", 2, "METRIC", "L2")
    for place in range(10):
        vecset(client, f"line:{place}", [place, 0])
    return client


def test_a_radius_leaves_out_what_is_farther(line):
    assert keys(vecquery(line, "line", 10, [4, 0], "RADIUS", 1)) == [b"line:4", b"line:3", b"line:5"]
    assert keys(vecquery(line, "line", 2, [4, 0], "RADIUS", 1)) == [b"line:4", b"line:3"]
    assert vecquery(line, "line", 10, [4, 3], "RADIUS", 2.5) == []
    for radius in ["far", "nan", "inf", "1e40"]:
        with pytest.raises(redis.ResponseError, match="RADIUS must be a finite 32-bit float, got"):
            vecquery(line, "line", 10, [4, 0], "RADIUS", radius)


def test_neighbours_of_a_stored_vector(line):
    near = pairs(line.execute_command("VECQUERY", "line", 3, "KEY", "line:7"))
    assert near == [(b"line:7", 0.0), (b"line:6", 1.0), (b"line:8", 1.0)]
    # The vector may stand in another collection.
    vecset(line, "other:x", [9, 0.25])
    assert keys(line.execute_command("VECQUERY", "line", 1, "KEY", "other:x", "EF", 50)) == [b"line:9"]
    with pytest.raises(redis.ResponseError, match="no such vector 'line:10'"):
        line.execute_command("VECQUERY", "line", 1, "KEY", "line:10")
    vecset(line, "wide:x", [1, 2, 3])
    with pytest.raises(redis.ResponseError, match="got 3 but collection 'line' has 2"):
        line.execute_command("VECQUERY", "line", 1, "KEY", "wide:x")


def test_a_query_says_what_it_cost(line, protocol):
    hits, info = vecquery(line, "line", 3, [4, 0], "WITHINFO")
    assert keys(hits) == [b"line:4", b"line:3", b"line:5"]
    if protocol == 2:
        info = dict(zip(info[::2], info[1::2]))
    assert info == {b"distances": 10, b"nodes": 0, b"mode": b"exact", b"rounds": 1, b"astray": 0}
    assert vecquery(line, "nothing", 3, [4, 0], "WITHINFO")[0] == []


def test_what_is_no_option_is_refused(line):
    for options in [["EF"], ["WITH"], ["RADIUS"], ["EF", 10, "RADIUS"]]:
        with pytest.raises(redis.ResponseError, match="syntax error"):
            line.execute_command("VECQUERY", "line", 3, "FP32", blob([1, 2]), *options)
    # A blob is never taken for an option, whatever its bytes say.
    assert vecquery(line, "line", 1, numpy.frombuffer(b"WITHINFO", dtype="<f4")) != []


@pytest.mark.parametrize("form, error", [("F32", 0), ("F16", 1 / 2048), ("Q16", 1 / 62_000), ("Q8", 1 / 253)])
def test_a_vector_comes_back_as_near_as_its_form_says(client, form, error):
    generator = numpy.random.default_rng(5)
    client.execute_command("VECCREATE", "formed", "DIM", 96, "METRIC", "L2", "QUANT", form)
    stored = generator.standard_normal((200, 96)).astype("<f4")
    stored[1] *= 1e30
    stored[2] *= 1e-30
    for number, vector in enumerate(stored):
        vecset(client, f"formed:{number}", vector)
    for number in [0, 1, 2, 199]:
        returned = client.execute_command("VECGET", f"formed:{number}", "FP32")
        components = numpy.frombuffer(returned, dtype="<f4")
        assert abs(components - stored[number]).max() <= error * abs(stored[number]).max()
        # What comes back is what is measured.
        found = pairs(vecquery(client, "formed", 1, components))
        assert found[0] == (f"formed:{number}".encode(), 0.0)
    assert redis_info(client, "formed")[b"quant"] == form.encode()


def test_an_unknown_form_is_refused(client):
    with pytest.raises(redis.ResponseError, match="unknown quantization 'Q4': F32, F16, Q16 and Q8 are known"):
        client.execute_command("VECCREATE", "formed", "DIM", 3, "QUANT", "Q4")


def redis_info(client, collection):
    info = client.execute_command("VECINFO", collection)
    return info if isinstance(info, dict) else dict(zip(info[::2], info[1::2]))


def test_a_graph_grows_to_its_end_while_nobody_asks(server, client, protocol):
    """At 1,024 vectors a graph is begun; inserts alone would need 512 more to finish it."""
    generator = numpy.random.default_rng(6)
    with client.pipeline(transaction=False) as pipeline:
        for number, vector in enumerate(generator.standard_normal((1_200, 8))):
            vecset(pipeline, f"{{one}}grown:{number}", vector)
        pipeline.execute()

    def mode():
        _, info = vecquery(client, "{one}grown", 1, numpy.ones(8), "EF", 10, "WITHINFO")
        return (info if protocol == 3 else dict(zip(info[::2], info[1::2])))[b"mode"]

    end = time.monotonic() + PATIENCE_S
    while mode() == b"exact":
        assert time.monotonic() < end, "the graph was not finished"
        time.sleep(0.01)


def test_the_answer_to_a_key_contains_its_own_vector_however_little_is_searched(client):
    # Data among which a walk that keeps so few gets lost.
    vectors = numpy.random.default_rng(8).standard_normal((3_000, 100)).astype("<f4")
    client.execute_command("VECCREATE", "far", "DIM", 100, "METRIC", "L2")
    with client.pipeline(transaction=False) as pipeline:
        for number, vector in enumerate(vectors):
            vecset(pipeline, f"far:{number}", vector)
        pipeline.execute()
    for number in range(0, 3_000, 15):
        reply = client.execute_command("VECQUERY", "far", 1, "KEY", f"far:{number}", "EF", 1)
        assert keys(reply) == [b"far:%d" % number]
