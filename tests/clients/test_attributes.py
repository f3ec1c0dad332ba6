"""Attributes of vectors, and queries that choose by them, through redis-py."""

import json

import numpy
import pytest
import redis

from vectors import blob, keys, vecquery

FILTERS = {
    ".n < 3": lambda n, even: n < 3,
    ".n in 10..49": lambda n, even: 10 <= n <= 49,
    ".kind == 'even' and .n >= 500": lambda n, even: even and n >= 500,
    "not (.kind == 'odd')": lambda n, even: even,
    ".n == 5000": lambda n, even: False,
}


def set_all(client, count: int) -> numpy.ndarray:
    vectors = numpy.random.default_rng(26).standard_normal((count, 16)).astype("<f4")
    with client.pipeline(transaction=False) as pipeline:
        for n, vector in enumerate(vectors):
            text = json.dumps({"n": n, "kind": "odd" if n % 2 else "even"})
            pipeline.execute_command("VECSET", f"items:{n}", 16, "FP32", blob(vector), "ATTR", text)
        assert pipeline.execute() == [b"OK"] * count
    return vectors


def test_attributes_come_back_as_they_were_given(client):
    text = b'{ "a": [1, {"b": null}],\t"a": 2 }'
    assert client.execute_command("VECSETATTR", "docs:1", text) == 0
    client.execute_command("VECSET", "docs:1", 2, 1, 2)
    assert client.execute_command("VECGETATTR", "docs:1") is None
    assert client.execute_command("VECSETATTR", "docs:1", text) == 1
    assert client.execute_command("VECGETATTR", "docs:1") == text
    assert client.execute_command("VECGETATTR", "docs:1", ".a[1].b") == b"null"
    assert client.execute_command("VECGETATTR", "docs:1", ".b") is None
    with pytest.raises(redis.ResponseError, match="invalid attributes: .* byte 5"):
        client.execute_command("VECSETATTR", "docs:1", '{"a":}')
    # A vector that is set again keeps them, unless it is given others.
    client.execute_command("VECSET", "docs:1", 2, 3, 4)
    assert client.execute_command("VECGETATTR", "docs:1") == text
    client.execute_command("VECSET", "docs:1", 2, 3, 4, "ATTR", '{"a":1,"b":2}')
    client.execute_command("VECSETATTR", "docs:1", '{"b":null,"c":3}', "MERGE")
    assert json.loads(client.execute_command("VECGETATTR", "docs:1")) == {"a": 1, "c": 3}
    client.execute_command("VECSETATTR", "docs:1", "")
    assert client.execute_command("VECGETATTR", "docs:1") is None


def test_attributes_go_with_the_vector_and_follow_it(client):
    for number in range(40):
        text = f'{{"n":{number}}}'
        client.execute_command("VECSET", f"docs:{number}", 2, number, 1, "ATTR", text)
        # On several workers some of these keys lie elsewhere.
        client.rename(f"docs:{number}", f"docs:new {number}")
        client.copy(f"docs:new {number}", f"docs:copy {number}")
        for key in (f"docs:new {number}", f"docs:copy {number}"):
            assert client.execute_command("VECGETATTR", key) == text.encode()
        assert client.execute_command("VECGETATTR", f"docs:{number}") is None
        client.delete(f"docs:new {number}")
        client.execute_command("VECSET", f"docs:new {number}", 2, number, 1)
        assert client.execute_command("VECGETATTR", f"docs:new {number}") is None
    assert len(keys(vecquery(client, "docs", 100, [1, 1], "FILTER", ".n >= 0"))) == 40


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_finds_exactly_as_many_as_there_are(client, protocol, text):
    """Each hit passes, there are min(k, matches) of them, and where few pass they are the true nearest."""
    vectors = set_all(client, 2_000)
    passing = [n for n in range(2_000) if FILTERS[text](n, n % 2 == 0)]
    for center in vectors[:10]:
        for k in (1, 10, 100):
            hits, info = vecquery(client, "items", k, center, "FILTER", text, "WITHINFO")
            found = [int(key.split(b":")[1]) for key in keys(hits)]
            assert len(found) == len(set(found)) == min(k, len(passing))
            assert set(found) <= set(passing)
            info = dict(zip(info[::2], info[1::2])) if protocol == 2 else info
            assert (info[b"matches"], info[b"vectors"]) == (len(passing), 2_000)
            if info[b"mode"] == b"exact":
                units = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)
                similarity = units @ (center / numpy.linalg.norm(center))
                nearest = sorted(passing, key=lambda n: -similarity[n])[:k]
                # Of two at nearly the same distance either may be the last.
                assert similarity[found].sum() == pytest.approx(similarity[nearest].sum(), abs=1e-4)


def test_a_filter_follows_changes(client):
    set_all(client, 300)

    def found():
        return sorted(keys(vecquery(client, "items", 300, [1] * 16, "FILTER", ".n < 2")))

    assert found() == [b"items:0", b"items:1"]
    client.execute_command("VECSETATTR", "items:7", '{"n":-1}')
    client.execute_command("VECSETATTR", "items:0", '{"n":2}')
    assert found() == [b"items:1", b"items:7"]
    client.execute_command("VECDEL", "items:1")
    client.execute_command("VECSET", "items:new", 16, *[1] * 16, "ATTR", '{"n":0}')
    assert found() == [b"items:7", b"items:new"]


def test_attributes_are_shown_with_the_hits(client, protocol):
    client.execute_command("VECSET", "docs:1", 2, 1, 0, "ATTR", '{"a":1,"b":"x"}')
    client.execute_command("VECSET", "docs:2", 2, 0, 1)
    ask = ("VECQUERY", "docs", 2, 1, 0, "WITHATTR")
    whole, parts = client.execute_command(*ask), client.execute_command(*ask, ".b", ".c")
    if protocol == 2:
        assert whole == [b"docs:1", b"0", b'{"a":1,"b":"x"}', b"docs:2", b"1", None]
        assert parts == [b"docs:1", b"0", [b'"x"', None], b"docs:2", b"1", None]
    else:
        assert whole == [[b"docs:1", 0.0, b'{"a":1,"b":"x"}'], [b"docs:2", 1.0, None]]
        assert parts == [[b"docs:1", 0.0, [b'"x"', None]], [b"docs:2", 1.0, None]]


def test_what_is_no_filter_is_refused(client):
    client.execute_command("VECSET", "docs:1", 2, 1, 0)
    for text in [".n >", "(.n", "'open", ""]:
        with pytest.raises(redis.ResponseError, match="syntax error in FILTER expression near"):
            vecquery(client, "docs", 1, [1, 0], "FILTER", text)
    with pytest.raises(redis.ResponseError, match="syntax error"):
        vecquery(client, "docs", 1, [1, 0], "FILTER")
    with pytest.raises(redis.ResponseError, match="invalid path '.a"):
        client.execute_command("VECGETATTR", "docs:1", ".a[")
