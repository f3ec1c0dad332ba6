"""VECALIAS: other names of collections, as a program uses them that changes its model."""

import pathlib
import threading

import numpy
import pytest
import redis

from server import Server
from test_persistence import kill, start
from vectors import blob, keys, vecquery


def alias(client, *words):
    return client.execute_command("VECALIAS", *words)


def mapping(reply) -> dict:
    return dict(zip(reply[::2], reply[1::2])) if isinstance(reply, list) else reply


def fill(client, name: str, count: int = 20) -> None:
    """Vectors of two components, each with the collection's name in its attributes."""
    for number in range(count):
        client.execute_command("VECSET", f"{name}:{number}", 2, number, 1, "ATTR", f'{{"of":"{name}"}}')


def test_an_alias_is_the_collection_in_every_command(client):
    fill(client, "docs-1")
    assert alias(client, "ADD", "docs", "docs-1") in (b"OK", "OK")
    assert len(client.execute_command("VECGET", "docs:3")) == 2
    assert keys(vecquery(client, "docs", 1, [3, 1])) == [b"docs-1:3"]
    assert keys(vecquery(client, "docs:*", 1, [3, 1])) == [b"docs-1:3"]
    assert keys(vecquery(client, "docs:1", 1, [3, 1])) == [b"docs-1:3"]
    reply = client.execute_command("VECQUERY", "docs", 2, "KEY", "docs:3", "NOT", "docs:3")
    assert b"docs-1:3" not in keys(reply) and len(keys(reply)) == 2
    assert client.execute_command("VECSET", "docs:new", 2, 5, 5) in (b"OK", "OK")
    assert client.execute_command("VECMSET", 2, "docs:x", blob([1, 2]), "docs:y", blob([2, 1])) in (b"OK", "OK")
    assert client.execute_command("VECSETATTR", "docs:new", '{"n":1}') == 1
    assert client.execute_command("VECGETATTR", "docs-1:new", ".n") == b"1"
    assert client.execute_command("VECGETATTR", "docs:new", ".n") == b"1"
    assert client.execute_command("VECDEL", "docs:new", "docs-1:x", "docs:y") == 3
    assert client.execute_command("VECGET", "COLLECTION", "docs", "ELEMENT", "3")
    info = mapping(client.execute_command("VECINFO", "docs"))
    assert (info[b"collection"], info[b"aliases"], info[b"vectors"]) == (b"docs-1", [b"docs"], 20)
    assert mapping(client.execute_command("VECRECALL", "docs"))[b"recall"] in (1.0, b"1")
    # It is no key, and other commands don't know it.
    assert client.type("docs") == b"none" and client.delete("docs") == 0
    assert client.exists("docs:3") == 0 and client.exists("docs-1:3") == 1


def test_an_alias_is_a_vector_set(client):
    assert client.execute_command("VADD", "set-1", "VALUES", 2, 1, 0, "a", "NOQUANT") in (1, True)
    alias(client, "ADD", "set", "set-1")
    assert client.execute_command("VADD", "set", "VALUES", 2, 0, 1, "b", "NOQUANT") in (1, True)
    assert client.execute_command("VCARD", "set") == client.execute_command("VCARD", "set-1") == 2
    assert client.execute_command("VSIM", "set", "ELE", "b") == [b"b", b"a"]
    assert client.execute_command("VREM", "set", "a") in (1, True)
    assert client.execute_command("VISMEMBER", "set-1", "a") in (0, False)


def test_what_exists_is_not_hidden(client):
    fill(client, "docs-1")
    client.execute_command("VECCREATE", "other", "DIM", 2)
    alias(client, "SET", "docs", "docs-1")
    for words, text in [
        (["VECALIAS", "ADD", "docs", "other"], "is an alias of 'docs-1' already: VECALIAS SET changes it"),
        (["VECALIAS", "ADD", "other", "docs-1"], "collection 'other' already exists"),
        (["VECALIAS", "SET", "other", "docs-1"], "collection 'other' already exists"),
        (["VECALIAS", "SET", "docs", "nothing"], "no such collection 'nothing'"),
        (["VECALIAS", "ADD", "second", "docs"], "'docs' is an alias of 'docs-1'"),
        (["VECALIAS", "ADD", "", "docs-1"], "the collection's name is empty"),
        (["VECALIAS", "ADD", "x" * 513, "docs-1"], "at most 512"),
        (["VECALIAS", "NOTHING"], "unknown subcommand"),
        (["VECCREATE", "docs", "DIM", "2"], "'docs' is an alias of 'docs-1'"),
        (["VECDROP", "docs"], "'docs' is an alias of 'docs-1'"),
    ]:
        with pytest.raises(redis.ResponseError, match=text):
            client.execute_command(*words)
    assert mapping(alias(client, "LIST")) == {b"docs": b"docs-1"}
    with pytest.raises(redis.ResponseError, match="not allowed inside a transaction"):
        with client.pipeline() as pipeline:
            pipeline.execute_command("VECALIAS", "DEL", "docs")
            pipeline.execute()
    assert mapping(alias(client, "LIST")) == {b"docs": b"docs-1"}


def test_aliases_are_listed_bounded_and_flushed(client):
    for name in ["a", "b"]:
        client.execute_command("VECCREATE", name, "DIM", 2)
    names = [f"{number:04}" for number in range(1024)]
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.execute_command("VECALIAS", "ADD", name, "ab"[int(name) % 2])
        pipeline.execute()
    for subcommand in ["ADD", "SET"]:
        with pytest.raises(redis.ResponseError, match="there are 1024 aliases"):
            alias(client, subcommand, "one more", "a")
    assert list(mapping(alias(client, "LIST", "a"))) == [name.encode() for name in names[::2]]
    alias(client, "SET", "0000", "b")
    of_name = mapping(client.execute_command("VECLIST", "WITHALIASES"))
    assert len(of_name[b"a"]) == 511 and of_name[b"b"][:2] == [b"0000", b"0001"]
    assert client.execute_command("VECLIST") == [b"a", b"b"]
    assert alias(client, "DEL", "0000") == 1 and alias(client, "DEL", "0000") == 0
    client.flushall()
    assert mapping(alias(client, "LIST")) == {}


def test_an_alias_means_a_name(client):
    """It stays while its collection is dropped and made again."""
    fill(client, "docs-1")
    alias(client, "ADD", "docs", "docs-1")
    client.execute_command("VECDROP", "docs-1")
    assert vecquery(client, "docs", 1, [1, 1]) == []
    info = mapping(vecquery(client, "docs", 1, [1, 1], "WITHINFO")[1])
    assert info[b"note"] == b"no such collection"
    client.execute_command("VECSET", "docs:1", 3, 1, 2, 3)
    assert client.execute_command("VECLIST") == [b"docs-1"]
    assert mapping(client.execute_command("VECINFO", "docs"))[b"dimension"] == 3


def test_what_a_pipeline_says_behind_a_change_sees_it(client):
    fill(client, "one")
    fill(client, "two")
    with client.pipeline(transaction=False) as pipeline:
        for round in range(50):
            pipeline.execute_command("VECALIAS", "SET", "docs", ["one", "two"][round % 2])
            pipeline.execute_command("VECQUERY", "docs", 1, 7, 1)
            pipeline.execute_command("VECGETATTR", "docs:1", ".of")
        replies = pipeline.execute()
    for round in range(50):
        name = ["one", "two"][round % 2]
        assert keys(replies[3 * round + 1]) == [f"{name}:7".encode()]
        assert replies[3 * round + 2] == f'"{name}"'.encode()


def test_a_transaction_and_a_script_see_one_meaning(client):
    fill(client, "{x}one")
    alias(client, "ADD", "docs", "{x}one")
    with client.pipeline() as pipeline:
        pipeline.execute_command("VECSET", "docs:new", 2, 1, 1)
        pipeline.execute_command("VECGET", "docs:new")
        pipeline.execute_command("VECQUERY", "docs", 1, "KEY", "docs:new")
        replies = pipeline.execute()
    assert len(replies[1]) == 2 and keys(replies[2])[0].startswith(b"{x}one:")
    assert client.eval("return redis.call('VECDEL', 'docs:new')", 0) == 1
    assert len(client.eval("return redis.call('VECGET', 'docs:3', 'FP32')", 0)) == 8


def test_readers_see_the_old_collection_or_the_new_one(server):
    """Each reply is of one collection, whole, while another client switches."""
    writer = server.client(3)
    vectors = numpy.random.default_rng(1).standard_normal((300, 4)).astype("<f4")
    for name in ["one", "two"]:
        with writer.pipeline(transaction=False) as pipeline:
            for number, vector in enumerate(vectors):
                pipeline.execute_command("VECSET", f"{name}:{number}", 4, "FP32", blob(vector))
            pipeline.execute()
    alias(writer, "SET", "docs", "one")
    faults, is_over = [], threading.Event()

    def read() -> None:
        client = server.client(3)
        while not is_over.is_set():
            found = keys(vecquery(client, "docs", 50, vectors[0]))
            names = {key.split(b":")[0] for key in found}
            if len(found) != 50 or len(names) != 1:
                faults.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for round in range(300):
        alias(writer, "SET", "docs", ["two", "one"][round % 2])
        assert keys(vecquery(writer, "docs", 1, vectors[5])) == [[b"two:5", b"one:5"][round % 2]]
    is_over.set()
    for reader in readers:
        reader.join()
    assert not faults


def test_a_user_needs_the_rights_to_both_names(server):
    admin = server.client(3)
    fill(admin, "docs-1")
    fill(admin, "docs-2")
    alias(admin, "ADD", "docs", "docs-1")
    users = {
        "both": ["~docs:*", "~docs-1:*"],
        "other": ["~docs:*", "~docs-2:*"],
        "own": ["~docs-1:*"],
    }
    clients = {}
    for name, rules in users.items():
        admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{name}", "+@all", *rules)
        clients[name] = server.client(3, username=name, password=name)

    def refused(name: str, *words) -> bool:
        try:
            clients[name].execute_command(*words)
        except redis.exceptions.NoPermissionError:
            return True
        return False

    requests = [
        ["VECQUERY", "docs", 1, 1, 1],
        ["VECGET", "docs:1"],
        ["VECSET", "docs:1", 2, 1, 1],
        ["VECINFO", "docs"],
        ["VECGETATTR", "COLLECTION", "docs", "ELEMENT", "1"],
        ["VECQUERY", "docs-1", 1, "KEY", "COLLECTION", "docs", "ELEMENT", "1"],
        ["VECDEL", "docs:none"],
    ]
    for words in requests:
        assert not refused("both", *words), words
        assert refused("other", *words), words
        assert refused("own", *words), words
    # In a transaction it is what holds when it is executed.
    with clients["other"].pipeline() as pipeline:
        alias(admin, "SET", "docs", "docs-2")
        pipeline.execute_command("VECGET", "docs:1")
        assert len(pipeline.execute()[0]) == 2
    with pytest.raises(redis.exceptions.ResponseError, match="ACL failure in script"):
        clients["both"].eval("return redis.call('VECGET', 'docs:1')", 0)
    # To change it takes the right to write to the alias, and to read the collection.
    assert refused("both", "VECALIAS", "SET", "docs", "docs-2")
    assert not refused("both", "VECALIAS", "SET", "docs", "docs-1")
    assert refused("own", "VECALIAS", "DEL", "docs")
    assert admin.execute_command("ACL", "DRYRUN", "other", "VECGET", "docs:1").startswith(b"User other has no permissions")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", ["log", "snapshot", "snapshot and log"])
def test_aliases_are_there_after_a_restart(tmp_path: pathlib.Path, workers: int, way: str) -> None:
    flags = ["--workers", str(workers), "--appendonly", "no" if way == "snapshot" else "yes"]
    server, client = start(tmp_path, *flags, "--appendfsync", "always")
    try:
        fill(client, "one")
        fill(client, "two")
        for name in ["docs", "gone", "b", "c", "d"]:
            alias(client, "ADD", name, "one")
        alias(client, "DEL", "gone")
        if way.startswith("snapshot"):
            client.save()
        if way.endswith("log"):
            alias(client, "SET", "docs", "two")
            alias(client, "DEL", "b")
        before = alias(client, "LIST")
    finally:
        kill(server)
    server, client = start(tmp_path, *flags)
    try:
        assert alias(client, "LIST") == before and len(before) == (4 if way == "snapshot" else 3)
        name = b"one" if way == "snapshot" else b"two"
        assert keys(vecquery(client, "docs", 1, [7, 1])) == [name + b":7"]
    finally:
        kill(server)


def test_a_server_without_data_takes_an_alias_of_nothing_not() -> None:
    with Server() as server:
        with pytest.raises(redis.ResponseError, match="no such collection"):
            alias(server.client(2), "ADD", "a", "b")
