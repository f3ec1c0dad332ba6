"""Vector sets as a client library sees them, beside the VEC commands, and across restarts."""

import time

import pytest
import redis

from server import Server


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_redis_py_reads_what_is_answered(workers, protocol):
    server = Server("--workers", str(workers))
    try:
        client = redis.Redis(port=server.port, protocol=protocol, decode_responses=True)
        sets = client.vset()
        assert sets.vadd("s", [1, 0], "a", quantization=None) == 1
        assert sets.vadd("s", [0, 1], "https://x/y", attributes={"n": 1}) == 1
        assert sets.vadd("s", [1, 0.5], "a") == 0
        assert sets.vcard("s") == 2 and sets.vdim("s") == 2
        similar = sets.vsim("s", [0, 1], with_scores=True)
        assert list(similar) == ["https://x/y", "a"] and similar["https://x/y"] > 0.99
        assert sets.vsim("s", "a", count=1) == ["a"]
        assert sets.vsim("s", [1, 0], filter=".n == 1") == ["https://x/y"]
        assert sets.vgetattr("s", "https://x/y") == {"n": 1}
        assert sets.vinfo("s")["size"] == 2
        # One key, whatever it holds.
        assert client.type("s") == "vectorset" and client.dbsize() == 1 and client.keys("*") == ["s"]
        assert client.exists("s:a") == 0 and client.set("s:a", "a string beside it")
        assert sets.vrem("s", "a") == 1 and sets.vrem("s", "a") == 0
        assert sets.vrem("s", "https://x/y") == 1 and client.exists("s") == 0
    finally:
        server.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_the_other_face_finds_the_same_vectors(workers):
    server = Server("--workers", str(workers))
    try:
        client = redis.Redis(port=server.port, protocol=2)
        assert client.execute_command("VADD", "s", "VALUES", 2, 1, 0, "a", "NOQUANT") == 1
        assert client.execute_command("VECSET", "s:b", 2, 0, 1) in (b"OK", "OK")
        assert client.execute_command("VCARD", "s") == 2
        found = client.execute_command("VECQUERY", "s", 2, 0, 1)
        assert found == [b"s:b", b"0", b"s:a", b"1"]
        assert client.execute_command("VSIM", "s", "ELE", "b") == [b"b", b"a"]
        assert client.execute_command("VECGET", "s:a") == [b"1", b"0"]
        assert client.execute_command("VECDEL", "s:a", "s:b") == 2
        # VECSET's collections are spread, and no vector sets.
        client.execute_command("VECSET", "docs:1", 2, 1, 0)
        with pytest.raises(redis.ResponseError, match="collection that VECSET"):
            client.execute_command("VCARD", "docs")
    finally:
        server.stop()


def test_a_watched_set_that_is_changed_ends_the_transaction():
    server = Server("--workers", "2")
    try:
        client, other = (redis.Redis(port=server.port) for _ in range(2))
        client.execute_command("VADD", "s", "VALUES", 1, 1, "a")
        with client.pipeline() as pipe:
            pipe.watch("s")
            other.execute_command("VADD", "s", "VALUES", 1, 2, "b")
            pipe.multi()
            pipe.execute_command("VCARD", "s")
            with pytest.raises(redis.WatchError):
                pipe.execute()
            pipe.multi()
            pipe.execute_command("VADD", "s", "VALUES", 1, 2, "c")
            pipe.execute_command("VSIM", "s", "ELE", "a")
            pipe.execute_command("VREM", "s", "c")
            replies = pipe.execute()
        assert replies[0] == 1 and len(replies[1]) == 3 and replies[2] == 1
    finally:
        server.stop()


def test_elements_expire_and_the_set_with_the_last():
    server = Server("--workers", "2")
    try:
        client = redis.Redis(port=server.port)
        client.execute_command("VADD", "s", "VALUES", 1, 1, "a", "EX", 1)
        client.execute_command("VADD", "s", "VALUES", 1, 1, "b", "EX", 1000)
        client.execute_command("VADD", "t", "VALUES", 1, 1, "a", "EX", 1)
        until = time.monotonic() + 10
        while client.execute_command("VCARD", "s") == 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert client.execute_command("VSIM", "s", "VALUES", 1, 1) == [b"b"]
        with pytest.raises(redis.ResponseError, match="key does not exist"):
            client.execute_command("VDIM", "t")
        assert client.exists("t") == 0
    finally:
        server.stop()


@pytest.mark.parametrize("save", [False, True], ids=["log", "snapshot"])
def test_sets_are_there_after_a_restart(tmp_path, save):
    flags = ["--workers", "2", "--dir", str(tmp_path), "--appendonly", "yes"]
    server = Server(*flags)
    try:
        client = redis.Redis(port=server.port)
        add = ["VADD", "s", "REDUCE", 3, "VALUES", 4, 1, 2, 3, 4]
        client.execute_command(*add, "https://x/y", "NOQUANT", "M", 8, "SETATTR", "no json")
        client.execute_command("VADD", "b", "VALUES", 3, 1, -1, 0, "e", "BIN")
        client.execute_command("VADD", "z", "VALUES", 2, 0, 0, "zero", "NOQUANT")
        if save:
            client.execute_command("SAVE")
        asked = [
            ["VINFO", "s"],
            ["VEMB", "s", "https://x/y"],
            ["VGETATTR", "s", "https://x/y"],
            ["VEMB", "b", "e", "RAW"],
            ["VSIM", "z", "VALUES", 2, 1, 0, "WITHSCORES"],
            ["DBSIZE"],
        ]
        before = [client.execute_command(*words) for words in asked]
        assert before[1] == [5, -1, -2] and before[4] == {b"zero": 0.5} and before[5] == 3
        server.stop()
        server = Server(*flags)
        client = redis.Redis(port=server.port)
        after = [client.execute_command(*words) for words in asked]
        # But for the count of what was ever set.
        for described in (before[0], after[0]):
            del described[b"hnsw-max-node-uid"]
        assert after == before
        assert client.execute_command(*add, "another", "NOQUANT", "M", 8) == 1
    finally:
        server.stop()


def test_a_large_set_is_walked_and_found():
    server = Server("--workers", "2")
    try:
        client = redis.Redis(port=server.port)
        with client.pipeline(transaction=False) as pipe:
            for number in range(3_000):
                vector = [(number * step) % 101 - 50 for step in (7, 13, 29, 31)]
                pipe.execute_command("VADD", "s", "VALUES", 4, *vector, f"e{number}", "NOQUANT")
            # Two of no direction among them.
            pipe.execute_command("VADD", "s", "VALUES", 4, 0, 0, 0, 0, "zero", "NOQUANT")
            pipe.execute_command("VADD", "s", "VALUES", 4, 0, 0, 0, 0, "another", "NOQUANT")
            assert all(reply == 1 for reply in pipe.execute())
        assert client.execute_command("VCARD", "s") == 3_002
        names = client.execute_command("VRANGE", "s", "-", "+")
        assert len(names) == 3_002 and names == sorted(names)
        page = client.execute_command("VRANGE", "s", "(e1", "[e11", 3)
        assert page == [b"e10", b"e100", b"e1000"]
        drawn = client.execute_command("VRANDMEMBER", "s", 2_000)
        assert len(set(drawn)) == 2_000 and set(drawn) <= set(names)
        assert len(client.execute_command("VRANDMEMBER", "s", -5_000)) == 5_000
        for center in (b"e17", b"e1234", b"zero"):
            found = client.execute_command("VSIM", "s", "ELE", center, "COUNT", 20)
            exact = client.execute_command("VSIM", "s", "ELE", center, "COUNT", 20, "TRUTH")
            assert len(found) == len(exact) == 20
            assert center == b"zero" or len(set(found) & set(exact)) >= 18
        assert len(client.execute_command("VLINKS", "s", "e17")[0]) == 32
    finally:
        server.stop()


@pytest.mark.parametrize("workers", [1, 4])
def test_scripts_reach_a_set_and_its_elements(workers):
    server = Server("--workers", str(workers))
    try:
        client = redis.Redis(port=server.port, protocol=2)
        # Wherever the key of an element would lie, it lies where its set does.
        for number in range(20):
            name = f"s{number}"
            script = "redis.call('VADD', KEYS[1], 'VALUES', 2, 1, 0, 'a', 'NOQUANT'); return redis.call('VCARD', KEYS[1])"
            assert client.eval(script, 1, name) == 1
            script = "redis.call('VECSET', KEYS[1] .. ':b', 2, 0, 1); return redis.call('VECGET', KEYS[1] .. ':a')"
            assert client.eval(script, 1, name) == [b"1", b"0"]
            assert client.eval("return redis.call('VSIM', KEYS[1], 'ELE', 'b')", 1, name) == [b"b", b"a"]
            assert client.eval("return redis.call('VECDEL', KEYS[1] .. ':a', KEYS[1] .. ':b')", 1, name) == 2
    finally:
        server.stop()
