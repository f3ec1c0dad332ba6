"""RENAME and RENAMENX of vector sets, on one shard and between shards, as one key with all that it holds."""

import pathlib
import threading

import numpy
import pytest
import redis

from server import Server
from test_persistence import kill, start
from vectors import blob

COUNT, DIMENSION = 2_500, 8
VECTORS = numpy.random.default_rng(4).standard_normal((COUNT, DIMENSION)).astype("<f4")


def fill(client, name: str, count: int = COUNT) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number, vector in enumerate(VECTORS[:count]):
            words = ["VADD", name, "FP32", blob(vector), f"e:{number}", "NOQUANT"]
            pipeline.execute_command(*words, *(["SETATTR", f"no json {number}"] if number % 2 else []))
        pipeline.execute()


def picture(client, name: str, count: int) -> tuple:
    """What can be seen of a set."""
    with client.pipeline(transaction=False) as pipeline:
        for number in range(count):
            pipeline.execute_command("VEMB", name, f"e:{number}")
            pipeline.execute_command("VGETATTR", name, f"e:{number}")
        elements = pipeline.execute()
    similar = [client.execute_command("VSIM", name, "ELE", f"e:{number}", "COUNT", 5) for number in range(3)]
    return client.execute_command("VCARD", name), similar, elements


@pytest.mark.parametrize("count", [5, COUNT])
def test_a_set_is_renamed_with_all_that_it_holds(client, count):
    """Whatever the shards of both names; there and back."""
    fill(client, "s0", count)
    client.pexpireat("s0", 4_000_000_000_000)
    client.execute_command("VADD", "s0", "FP32", blob(VECTORS[0]), "mortal", "NOQUANT", "EX", 1000)
    before = picture(client, "s0", count)
    for number in range(8):
        old, new = f"s{number}", f"s{number + 1}"
        assert client.rename(old, new) is True
        assert client.exists(old) == 0 and client.type(new) == b"vectorset" and client.dbsize() == 1
        assert client.pexpiretime(new) == 4_000_000_000_000
    assert picture(client, "s8", count) == before
    assert client.execute_command("VECLIST") == [b"s8"]
    # It goes on as any set.
    assert client.execute_command("VADD", "s8", "FP32", blob(VECTORS[1]), "new", "NOQUANT") in (1, True)
    assert client.execute_command("VSIM", "s8", "ELE", "new", "COUNT", 1)[0] in (b"new", b"e:1")
    assert client.execute_command("VREM", "s8", "new") in (1, True)
    assert client.persist("s8") == 1 and client.delete("s8") == 1 and client.dbsize() == 0


def test_what_stands_in_its_way(client):
    fill(client, "s", 3)
    for destination, make in [
        ("string", lambda: client.set("string", 1)),
        ("hash", lambda: client.hset("hash", "f", 1)),
        ("docs:1", lambda: client.execute_command("VECSET", "docs:1", 2, 1, 1)),
        ("other", lambda: fill(client, "other", 2)),
        ("nothing", lambda: None),
    ]:
        make()
        is_taken = destination != "nothing"
        assert client.renamenx("s", destination) is not is_taken
        if is_taken:
            assert client.rename("s", destination) is True
        assert client.execute_command("VCARD", destination) == 3 and client.exists("s") == 0
        assert client.rename(destination, "s") is True and client.exists(destination) == 0
    assert client.rename("s", "s") is True and client.renamenx("s", "s") is False
    with pytest.raises(redis.ResponseError, match="no such key"):
        client.rename("nothing", "s")
    # A collection gives way to nothing, and does not move.
    client.execute_command("VECSET", "docs:1", 2, 1, 1)
    client.execute_command("VECALIAS", "ADD", "alias", "docs")
    for words, text in [
        (["RENAME", "s", "docs"], "'docs' is the name of a collection"),
        (["RENAME", "docs", "s"], "VECALIAS gives it another name"),
        (["RENAME", "s", "alias"], "'alias' is an alias of 'docs'"),
        (["RENAME", "s", ""], "the collection's name is empty"),
        (["RENAME", "s", "x" * 513], "at most 512"),
        (["COPY", "s", "t"], "not supported for this module key"),
    ]:
        with pytest.raises(redis.ResponseError, match=text):
            client.execute_command(*words)
    assert client.execute_command("VCARD", "s") == 3
    assert client.copy("s", "docs") is False
    # Another value takes the place of a set.
    for number in range(4):
        fill(client, f"set {number}", 2)
        client.set("string", "value")
        assert client.copy("string", f"set {number}") is False
        assert client.copy("string", f"set {number}", replace=True) is True
        assert client.get(f"set {number}") == b"value"
        fill(client, f"{{string}}set {number}", 2)
        assert client.rename("string", f"{{string}}set {number}") is True
        assert client.get(f"{{string}}set {number}") == b"value"


def test_in_pipelines_transactions_and_scripts(client):
    fill(client, "s", 3)
    with client.pipeline(transaction=False) as pipeline:
        for number in range(20):
            old, new = ("s", "t") if number % 2 == 0 else ("t", "s")
            pipeline.execute_command("RENAME", old, new)
            pipeline.execute_command("VCARD", new)
            pipeline.execute_command("VECQUERY", new, 1, "FP32", blob(VECTORS[0]))
            pipeline.execute_command("VCARD", old)
        replies = pipeline.execute()
    assert replies[1::4] == [3] * 20 and replies[3::4] == [0] * 20 and all(replies[2::4])
    fill(client, "{x}s", 3)
    with client.pipeline() as pipeline:
        pipeline.rename("{x}s", "{x}t")
        pipeline.execute_command("VCARD", "{x}t")
        assert pipeline.execute() == [True, 3]
    with pytest.raises(redis.ResponseError, match="can't decide about a collection"):
        client.eval("return redis.call('RENAME', '{x}t', '{x}s')", 0)
    # Who watches either key hears of it.
    other = client.client()
    for key in ["{x}t", "{x}s"]:
        with client.pipeline() as pipeline:
            pipeline.watch(key)
            assert client.rename("{x}t", "{x}s") is True
            pipeline.multi()
            pipeline.set("{x}never", 1)
            with pytest.raises(redis.exceptions.WatchError):
                pipeline.execute()
        assert client.rename("{x}s", "{x}t") is True
    other.close()


def test_events_are_those_of_one_key(server):
    client = server.client(3)
    client.config_set("notify-keyspace-events", "EA")
    try:
        fill(client, "s", 3)
        subscriber = client.pubsub()
        subscriber.psubscribe("__keyevent@0__:*")
        assert subscriber.get_message(timeout=5)["type"] == "psubscribe"
        client.rename("s", "t")
        client.execute_command("VADD", "t", "FP32", blob(VECTORS[9]), "last", "NOQUANT")
        events = []
        while (b"vadd", b"t") not in events:
            message = subscriber.get_message(timeout=5)
            assert message, events
            events.append((message["channel"].split(b":")[1], message["data"]))
        assert sorted(events) == [(b"rename_from", b"s"), (b"rename_to", b"t"), (b"vadd", b"t")]
    finally:
        client.config_set("notify-keyspace-events", "")


def test_elements_that_are_added_meanwhile_are_not_lost(server):
    """Each is in the one set or in the other."""
    count, names = 400, ["s", "t", "u"]
    writers = [server.client(3) for _ in range(3)]

    def add(place: int) -> None:
        for number in range(count):
            vector = blob(numpy.full(256, number + 1.0))
            writers[place].execute_command("VADD", "s", "FP32", vector, f"{place}:{number}", "NOQUANT")

    threads = [threading.Thread(target=add, args=(place,)) for place in range(3)]
    client = server.client(3)
    for thread in threads:
        thread.start()
    moved = 0
    while any(thread.is_alive() for thread in threads):
        try:
            moved += client.renamenx("s", f"moved {moved}")
        except redis.ResponseError as error:
            assert "no such key" in str(error) or "TRYAGAIN" in str(error)
    for thread in threads:
        thread.join()
    sets = ["s", *(f"moved {number}" for number in range(moved))]
    assert moved > 0 and sum(client.execute_command("VCARD", name) for name in sets) == 3 * count, names


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("way", ["log", "snapshot", "snapshot and log", "log and snapshot"])
def test_a_set_is_there_once_after_a_restart(tmp_path: pathlib.Path, workers: int, way: str) -> None:
    flags = ["--workers", str(workers), "--appendonly", "no" if way == "snapshot" else "yes"]
    server, client = start(tmp_path, *flags, "--appendfsync", "always")
    try:
        fill(client, "large")
        fill(client, "small", 10)
        client.expire("small", 100_000)
        if way == "snapshot and log":
            client.save()
        for number in range(6):
            for name in ["large", "small"]:
                old = name if number == 0 else f"{name} {number - 1}"
                client.rename(old, f"{name} {number}")
        if "and snapshot" in way or way == "snapshot":
            client.save()
        before = [picture(client, "large 5", COUNT), picture(client, "small 5", 10), client.pexpiretime("small 5")]
    finally:
        kill(server)
    server, client = start(tmp_path, *flags)
    try:
        assert sorted(client.keys("*")) == [b"large 5", b"small 5"]
        after = [picture(client, "large 5", COUNT), picture(client, "small 5", 10), client.pexpiretime("small 5")]
        assert after[1:] == before[1:] and after[0][0] == before[0][0] and after[0][2] == before[0][2]
    finally:
        kill(server)


def test_a_very_large_set_is_refused_where_a_log_is_kept(tmp_path: pathlib.Path) -> None:
    server, client = start(tmp_path, "--workers", "1", "--appendonly", "no")
    try:
        vector = blob(numpy.ones(65_536))
        for number in range(1_030):
            client.execute_command("VADD", "s", "FP32", vector, f"{number}", "BIN")
        with pytest.raises(redis.ResponseError, match="too much to be renamed at once"):
            client.rename("s", "t")
        assert client.execute_command("VCARD", "s") == 1_030
    finally:
        kill(server)
    with Server("--workers", "1") as server:
        client = server.client(2)
        client.execute_command("VADD", "s", "FP32", vector, "a", "BIN")
        assert client.rename("s", "t") is True
