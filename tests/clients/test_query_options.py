"""VECQUERY's options beside k: pages, keys that are left out, groups, means of several vectors, and what comes with a neighbour."""

import json

import numpy
import pytest
import redis

from server import Server
from vectors import blob, keys, pairs, vecquery

COUNT, DIMENSION = 400, 8


@pytest.fixture
def items(client):
    """Vectors of which each has a number and one of seven groups, but for every tenth."""
    vectors = numpy.random.default_rng(3).standard_normal((COUNT, DIMENSION)).astype("<f4")
    with client.pipeline(transaction=False) as pipeline:
        for n, vector in enumerate(vectors):
            text = json.dumps({"n": n, "group": n % 7} if n % 10 else {"n": n})
            pipeline.execute_command("VECSET", f"items:{n}", DIMENSION, "FP32", blob(vector), "ATTR", text)
        pipeline.execute()
    return vectors


def nearest(vectors, query) -> list[int]:
    """All numbers, the nearest by cosine first."""
    unit = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return numpy.argsort(-(unit @ query), kind="stable").tolist()


def numbers(found) -> list[int]:
    return [int(key.split(b":")[1]) for key in found]


def rows(reply, protocol: int, width: int) -> list[list]:
    """What is said of each neighbour: one array in RESP2."""
    if protocol == 3:
        assert all(len(row) == width for row in reply)
        return reply
    return [reply[at : at + width] for at in range(0, len(reply), width)]


def test_pages_follow_each_other(client, items):
    query = items[7]
    order = nearest(items, query)
    for offset, k in [(0, 10), (10, 10), (35, 5), (390, 30), (400, 5), (1000, 5)]:
        found = numbers(keys(vecquery(client, "items", k, query, "OFFSET", offset)))
        assert found == order[offset : offset + k]
    for offset in ["-1", "x", "100001"]:
        with pytest.raises(redis.ResponseError, match="OFFSET must be a whole number"):
            vecquery(client, "items", 3, query, "OFFSET", offset)
    with pytest.raises(redis.ResponseError, match="together are 100001, at most 100000"):
        vecquery(client, "items", 3, query, "OFFSET", 99_998)


def test_keys_behind_not_are_left_out(client, items):
    order = nearest(items, items[7])
    out = [f"items:{n}" for n in order[:5]]
    near = ["VECQUERY", "items", 10, "KEY", "items:7"]
    assert numbers(keys(client.execute_command(*near)))[0] == 7
    assert numbers(keys(client.execute_command(*near, "NOT", "items:7"))) == order[1:11]
    # Several behind one word, or each behind its own; some that are not there.
    assert numbers(keys(client.execute_command(*near, "NOT", *out, "nothing:1", "EF", 500))) == order[5:15]
    one_by_one = [word for key in out for word in ("NOT", key)]
    assert numbers(keys(client.execute_command(*near, *one_by_one))) == order[5:15]
    assert numbers(keys(client.execute_command(*near, "NOT", *out, "OFFSET", 2))) == order[7:17]
    few = client.execute_command("VECQUERY", "items", 10, "KEY", "items:7", "FILTER", ".n in [7, 8]", "NOT", "items:7")
    assert keys(few) == [b"items:8"]
    with pytest.raises(redis.ResponseError, match="NOT needs a value"):
        client.execute_command(*near, "NOT")
    with pytest.raises(redis.ResponseError, match="has no ':'"):
        client.execute_command(*near, "NOT", "EF", 10)


@pytest.mark.parametrize("limit", [1, 3])
def test_groups_have_a_limit(client, items, limit):
    query = items[11]
    order = [n for n in nearest(items, query) if n % 10]

    def expected(k: int, offset: int = 0) -> list[int]:
        taken, counts = [], {}
        for n in order:
            counts[n % 7] = counts.get(n % 7, 0) + 1
            if counts[n % 7] <= limit:
                taken.append(n)
        return taken[offset : offset + k]

    group = ["GROUP", "BY", ".group", "LIMIT", limit]
    for k, offset in [(3, 0), (7, 0), (6, 3), (100, 0)]:
        found = numbers(keys(vecquery(client, "items", k, query, *group, "OFFSET", offset)))
        assert found == expected(k, offset)
    assert len(expected(100)) == 7 * limit
    for words in [["GROUP"], ["GROUP", "BY"], ["GROUP", "BY", ".group"], ["GROUP", ".group", "LIMIT", 1]]:
        with pytest.raises(redis.ResponseError, match="syntax error"):
            vecquery(client, "items", 3, query, *words)
    with pytest.raises(redis.ResponseError, match="LIMIT must be a whole number"):
        vecquery(client, "items", 3, query, "GROUP", "BY", ".group", "LIMIT", 0)
    with pytest.raises(redis.ResponseError, match="invalid path"):
        vecquery(client, "items", 3, query, "GROUP", "BY", ".group[", "LIMIT", 1)


def test_neighbours_of_a_mean(client, items):
    unit = items / numpy.linalg.norm(items, axis=1, keepdims=True)
    weights = {3: 1.0, 4: 2.5, 5: -0.5}
    mean = sum(weight * unit[n] for n, weight in weights.items())
    words = ["KEY", "items:3", "KEY", "items:4", "WEIGHT", 2.5, "KEY", "items:5", "WEIGHT", -0.5]
    found = pairs(client.execute_command("VECQUERY", "items", 10, *words))
    assert numbers(key for key, _ in found) == nearest(items, mean)[:10]
    same = pairs(vecquery(client, "items", 10, mean / 4))
    assert [distance for _, distance in found] == pytest.approx([distance for _, distance in same], abs=1e-6)
    # One that goes the opposite way finds the farthest.
    away = client.execute_command("VECQUERY", "items", 1, "KEY", "items:9", "WEIGHT", -1)
    assert numbers(keys(away)) == nearest(items, items[9])[-1:]
    client.execute_command("VECSET", "other:1", 2, 1, 2)
    for words, error in [
        (["KEY", "items:3", "KEY", "items:no"], "no such vector 'items:no'"),
        (["KEY", "items:3", "KEY", "other:1"], "different dimensions"),
        (["KEY", "items:3", "WEIGHT", 0], "have no mean"),
        (["KEY", "items:3", "KEY", "items:3", "WEIGHT", -1], "zero vector"),
        (["KEY", "items:3", "WEIGHT", "x"], "WEIGHT must be a finite"),
        (["KEY", "items:3", "WEIGHT"], "unknown option 'WEIGHT'"),
        (["KEY", "items:3"] * 65, "at most 64 are allowed"),
    ]:
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command("VECQUERY", "items", 3, *words)


@pytest.mark.parametrize("form", ["F32", "Q8"])
def test_components_come_with_neighbours(client, protocol, form):
    client.execute_command("VECCREATE", "v", "DIM", DIMENSION, "QUANT", form)
    vectors = numpy.random.default_rng(4).standard_normal((50, DIMENSION)).astype("<f4")
    for n, vector in enumerate(vectors):
        client.execute_command("VECSET", f"v:{n}", DIMENSION, "FP32", blob(vector), "ATTR", '{"n":%d}' % n)
    alone = rows(vecquery(client, "v", 20, vectors[3], "WITHVECTOR"), protocol, 3)
    both = rows(vecquery(client, "v", 20, vectors[3], "WITHVECTOR", "OFFSET", 5, "WITHATTR", ".n"), protocol, 4)
    assert [row[0] for row in alone[5:]] == [row[0] for row in both[:15]] and len(alone) == len(both) == 20
    for key, _, stored in alone:
        assert stored == client.execute_command("VECGET", key, "FP32")
    for key, _, attributes, stored in both:
        assert attributes == [key.split(b":")[1]]
        assert stored == client.execute_command("VECGET", key, "FP32")


def test_info_says_that_there_is_no_such_collection(client, items):
    hits, info = vecquery(client, "wrods", 3, items[0], "WITHINFO")
    info = dict(zip(info[::2], info[1::2])) if isinstance(info, list) else info
    assert hits == [] and info[b"note"] == b"no such collection"
    _, info = vecquery(client, "items", 3, items[0], "WITHINFO")
    assert b"note" not in info


def test_vectors_that_were_removed_while_pages_are_read_leave_no_hole(client, items):
    query = items[0]
    for n in nearest(items, query)[:100]:
        client.execute_command("VECDEL", f"items:{n}")
    left = nearest(items, query)[100:]
    found = numbers(keys(vecquery(client, "items", 50, query, "OFFSET", 10, "NOT", f"items:{left[3]}")))
    assert found == [n for n in left if n != left[3]][10:60]


def test_many_vectors_are_set_at_once(client, server):
    vectors = numpy.random.default_rng(6).standard_normal((1024, DIMENSION)).astype("<f4")
    words = [word for n, vector in enumerate(vectors) for word in (f"many:{n}", blob(vector))]
    assert client.execute_command("VECMSET", DIMENSION, *words) in (b"OK", "OK")
    for n in (0, 1, 511, 1023):
        assert client.execute_command("VECGET", f"many:{n}", "FP32") == blob(vectors[n])
    assert len(keys(vecquery(client, "many", 2000, vectors[0]))) == 1024
    # Nothing is set if one does not fit; the others are if a key holds something else.
    one = blob(vectors[0])
    for words, error in [
        (["new:1", one, "new:2", one[4:]], "dimension mismatch"),
        (["new:1", one, "new:2"], "wrong number of arguments"),
        (["new:1", one, "other:2", one], "several collections"),
        (["new:1", one, "new:2", b"\x00" * len(one)], "zero vector"),
        (["new:1", one] * 1025, "at most 1024"),
    ]:
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command("VECMSET", DIMENSION, *words)
        assert client.execute_command("VECGET", "new:1") is None and client.exists("new") == 0
    client.set("many:x", "a string")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.execute_command("VECMSET", DIMENSION, "many:y", one, "many:x", one, "many:z", one)
    assert client.execute_command("VECGET", "many:y", "FP32") == client.execute_command("VECGET", "many:z", "FP32") == one
    assert client.get("many:x") == b"a string"
    with client.pipeline() as transaction:
        transaction.execute_command("VECMSET", 2, "{t}v:1", blob([1, 2]), "{t}v:2", blob([2, 1]))
        transaction.execute_command("VECMSET", 2, "{t}v:3", blob([1, 3]), "{t}v:1", blob([5, 1]))
        transaction.execute_command("VECGET", "{t}v:1", "FP32")
        assert transaction.execute()[2] == blob([5, 1])


@pytest.mark.parametrize("save", [False, True], ids=["log", "snapshot"])
def test_a_label_is_remembered(tmp_path, save):
    flags = ["--workers", "2", "--dir", str(tmp_path), "--appendonly", "yes"]
    label = "model 7 ü\n\x00".encode()
    with Server(*flags) as server, server.client(2) as client:
        client.execute_command("VECCREATE", "labelled", "DIM", 3, "LABEL", label)
        client.execute_command("VECCREATE", "plain", "DIM", 3)
        with pytest.raises(redis.ResponseError, match="the label has 257 bytes, at most 256"):
            client.execute_command("VECCREATE", "long", "DIM", 3, "LABEL", "x" * 257)
        if save:
            client.execute_command("SAVE")
    with Server(*flags) as server, server.client(2) as client:
        for name, expected in [("labelled", label), ("plain", None)]:
            info = client.execute_command("VECINFO", name)
            assert dict(zip(info[::2], info[1::2])).get(b"label") == expected
