"""Elements whose names are any bytes: `COLLECTION c ELEMENT e` where a key stands otherwise."""

import pathlib

import pytest
import redis

from test_persistence import kill, start
from vectors import blob, keys, vecquery

NAMES = [b"https://a/b", b"plain", b"", b"::", b"\x00\xff:\r\n", b"ELEMENT", "größe:ä".encode()]


def named(name: bytes, collection: str = "docs") -> list:
    return ["COLLECTION", collection, "ELEMENT", name]


def test_an_element_has_any_name(client):
    for number, name in enumerate(NAMES):
        assert client.execute_command("VECSET", *named(name), 2, number, 1, "ATTR", f'{{"n":{number}}}') in (b"OK", "OK")
    assert client.execute_command("VECLIST") == [b"docs"] and client.dbsize() == len(NAMES)
    for number, name in enumerate(NAMES):
        assert client.execute_command("VECGET", *named(name), "FP32") == blob([number, 1])
        assert client.execute_command("VECGETATTR", *named(name)) == f'{{"n":{number}}}'.encode()
        assert client.execute_command("VECSETATTR", *named(name), '{"m":2}', "MERGE") == 1
        assert client.execute_command("VECGETATTR", "collection", "docs", "element", name, ".m") == b"2"
        assert keys(client.execute_command("VECQUERY", "docs", 1, "KEY", *named(name))) == [b"docs:" + name]
        found = keys(client.execute_command("VECQUERY", "docs", 100, 1, 1, "NOT", *named(name), "WITHINFO")[0])
        assert b"docs:" + name not in found and len(found) == len(NAMES) - 1
    mean = ["KEY", *named(NAMES[0]), "WEIGHT", 1, "KEY", "docs:plain", "WEIGHT", 0.5]
    assert len(keys(client.execute_command("VECQUERY", "docs", 3, *mean))) == 3
    # One more vector of the same name takes its place; conditions look at it, and at nothing else.
    assert client.execute_command("VECSET", *named(NAMES[0]), 2, 9, 9, "NX") is None
    assert client.execute_command("VECSET", *named(NAMES[0]), 2, 9, 9, "XX") in (b"OK", "OK")
    assert client.execute_command("VECSET", *named(b"other:one"), 2, 9, 9, "XX") is None
    assert client.execute_command("VECGETATTR", *named(NAMES[0]), ".n") == b"0"
    words = [word for name in NAMES for word in ("ELEMENT", name)]
    assert client.execute_command("VECDEL", "COLLECTION", "docs", *words) == len(NAMES)
    assert client.dbsize() == 0


def test_it_is_another_one_than_that_of_the_same_key(client):
    """A key keeps its last colon, and knows nothing of elements with colons in their names."""
    client.execute_command("VECSET", *named(b"https://a/b"), 2, 1, 0)
    assert client.execute_command("VECGET", "docs:https://a/b") is None
    client.execute_command("VECSET", "docs:https://a/b", 3, 1, 2, 3)
    assert client.execute_command("VECLIST") == [b"docs", b"docs:https"]
    assert len(client.execute_command("VECGET", *named(b"https://a/b"))) == 2
    assert len(client.execute_command("VECGET", *named(b"//a/b", "docs:https"))) == 3
    assert client.delete("docs:https://a/b") == 1
    assert client.set("docs:https://a/b", "a string beside it") is True
    assert client.execute_command("VECSET", *named(b"https://a/b"), 2, 0, 1) in (b"OK", "OK")
    assert client.execute_command("VECDEL", *named(b"https://a/b")) == 1
    assert client.get("docs:https://a/b") == b"a string beside it"


def test_many_are_set_at_once(client):
    words = [word for number in range(100) for word in ("ELEMENT", f"a:{number}", blob([number, 1]))]
    assert client.execute_command("VECMSET", 2, "COLLECTION", "docs", *words) in (b"OK", "OK")
    assert client.dbsize() == 100
    assert keys(vecquery(client, "docs", 1, [50, 1])) == [b"docs:a:50"]


def test_a_set_has_elements_of_any_name(client):
    assert client.execute_command("VADD", "s", "VALUES", 2, 1, 0, "x:y", "NOQUANT") in (1, True)
    assert client.execute_command("VECGET", *named(b"x:y", "s"), "FP32") == blob([1, 0])
    assert client.execute_command("VECSETATTR", *named(b"x:y", "s"), '{"n":1}') == 1
    assert client.execute_command("VGETATTR", "s", "x:y") == b'{"n":1}'
    assert client.execute_command("VECGETATTR", *named(b"x:y", "s"), ".n") == b"1"
    assert client.execute_command("VECDEL", *named(b"x:y", "s")) == 1
    assert client.execute_command("VCARD", "s") == 0


def test_what_is_wrong_is_said(client):
    syntax = "an element is named by its key, or by COLLECTION"
    for words, text in [
        (["VECGET", "COLLECTION"], syntax),
        (["VECGET", "COLLECTION", "docs"], syntax),
        (["VECGET", "COLLECTION", "docs", "KEY", "a"], syntax),
        (["VECGET", "COLLECTION", "docs", "ELEMENT"], syntax),
        (["VECGET", "COLLECTION", "", "ELEMENT", "a"], "the collection's name is empty"),
        (["VECGET", "COLLECTION", "x" * 513, "ELEMENT", "a"], "at most 512"),
        (["VECGET", "COLLECTION", "x", "ELEMENT", "a" * 65_535], "at most 65536"),
        (["VECGET", "COLLECTION", "x", "ELEMENT", "a", "b"], "syntax error"),
        (["VECSET", "COLLECTION", "x", "ELEMENT", "a"], "wrong number of arguments"),
        (["VECDEL", "COLLECTION", "x", "ELEMENT", "a", "b"], syntax),
        (["VECDEL", "COLLECTION", "x", "ELEMENT", "a", "ELEMENT"], syntax),
        (["VECMSET", 1, "COLLECTION", "x", "ELEMENT", "a"], "wrong number of arguments"),
        (["VECMSET", 1, "COLLECTION", "x", "ELEMENT", "a", "1234", "b", "c", "1234"], syntax),
        (["VECQUERY", "x", 1, "KEY", "COLLECTION", "x"], syntax),
        (["VECQUERY", "x", 1, 1, "NOT", "COLLECTION", "x", "ELEMENT"], syntax),
    ]:
        with pytest.raises(redis.ResponseError, match=text):
            client.execute_command(*words)


def test_a_query_says_which_collection_was_made_instead(client, protocol):
    client.execute_command("VECSET", "docs:https://a/b", 2, 1, 0)
    hits, info = vecquery(client, "docs", 1, [1, 0], "WITHINFO")
    info = dict(zip(info[::2], info[1::2])) if protocol == 2 else info
    assert hits == [] and info[b"note"].startswith(b"no such collection; there is 'docs:https': ")
    info = vecquery(client, "other", 1, [1, 0], "WITHINFO")[1]
    assert b"no such collection" in (info if protocol == 2 else info.values())


def test_deadlines_and_rights(server):
    client = server.client(3)
    client.execute_command("VECSET", *named(b"a:b"), 2, 1, 0, "PX", 1)
    client.execute_command("VECSET", *named(b"a:c"), 2, 1, 0)
    while client.execute_command("VECGET", *named(b"a:b")):
        pass
    # It has no key by which a command could find and remove it: the shard's next turns do that.
    while client.dbsize() != 1:
        pass
    client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">x", "+@all", "~docs:a*")
    reader = server.client(3, username="reader", password="x")
    assert reader.execute_command("VECGET", *named(b"a:c"))
    for words in [
        ["VECGET", *named(b"b")],
        ["VECGET", *named(b"a", "other")],
        ["VECDEL", *named(b"a:c"), "ELEMENT", "b"],
        ["VECMSET", 2, *named(b"a:c"), blob([1, 2]), "ELEMENT", "b", blob([1, 2])],
        ["VECSET", *named(b"b"), 2, 1, 1],
        ["VECSETATTR", *named(b"b"), "{}"],
    ]:
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.execute_command(*words)
    assert client.execute_command("VECGET", *named(b"a:c"))


@pytest.mark.parametrize("way", ["log", "snapshot"])
@pytest.mark.parametrize("count", [20, 3_000])
def test_names_are_there_after_a_restart(tmp_path: pathlib.Path, way: str, count: int) -> None:
    flags = ["--workers", "2", "--appendonly", "yes" if way == "log" else "no"]
    server, client = start(tmp_path, *flags, "--appendfsync", "always")
    try:
        with client.pipeline(transaction=False) as pipeline:
            for number in range(count):
                deadline = ["EX", 1000] if number % 3 else []
                pipeline.execute_command("VECSET", *named(b"a:%d" % number), 2, number, 1, *deadline)
            pipeline.execute()
        if way == "snapshot":
            client.save()
    finally:
        kill(server)
    server, client = start(tmp_path, *flags)
    try:
        assert client.dbsize() == count
        assert client.execute_command("VECGET", *named(b"a:7"), "FP32") == blob([7, 1])
        expiring = client.info("keyspace")["db0"]["expires"]
        assert expiring == sum(1 for number in range(count) if number % 3)
    finally:
        kill(server)
