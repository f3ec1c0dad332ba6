"""What is kept on disk: a server is killed, stopped and damaged, and started again on the same directory."""

import os
import pathlib
import random
import shutil
import subprocess
import threading
import time

import numpy as np
import pytest
import redis
from server import BINARY, Server

# 500 by hand: KORA_KILLS=500 .venv/bin/python -m pytest tests/clients/test_persistence.py -k killed
KILLS = int(os.environ.get("KORA_KILLS", "8"))


def start(folder: pathlib.Path, *flags: str) -> tuple[Server, redis.Redis]:
    """A server on this directory, once it has loaded what is there."""
    server = Server("--dir", str(folder), *flags)
    client = redis.Redis(port=server.port)
    end = time.monotonic() + 60
    while True:
        try:
            client.dbsize()
            return server, client
        except redis.exceptions.BusyLoadingError:
            assert time.monotonic() < end, "it loads for ever"
            time.sleep(0.01)


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()


def refusal(folder: pathlib.Path, *flags: str) -> str:
    """What a server says that does not start on this directory, or stops when it has read it."""
    try:
        server = Server("--dir", str(folder), *flags)
    except RuntimeError as error:
        return str(error)
    assert server.wait() == 1
    words = server.words()
    server.stop()
    return words


def picture(client: redis.Redis) -> dict:
    """Everything that is there: values, deadlines, vectors with their attributes."""
    everything = {}
    for key in client.scan_iter(count=1000):
        kind, deadline_ms = client.type(key), client.pexpiretime(key)
        deadlines_ms = None
        if kind == b"string":
            value = client.get(key)
        elif kind == b"hash":
            value = client.hgetall(key)
            times = client.execute_command("HPEXPIRETIME", key, "FIELDS", len(value), *value)
            deadlines_ms = dict(zip(value, times, strict=True))
        elif kind == b"vectorset":
            value = None
        else:
            value = (client.execute_command("VECGET", key), client.execute_command("VECGETATTR", key))
        everything[key] = (kind, value, (deadline_ms, deadlines_ms))
    return everything


def fill(client: redis.Redis) -> None:
    """Something of each kind, and each way to change it."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(300):
            pipe.set(f"key {number}", "v" * number)
            pipe.hset(f"hash {number % 20}", f"field {number}", number)
            pipe.execute_command("VECSET", f"docs:{number}", 3, number, 1, 2, "ATTR", f'{{"n":{number}}}')
            pipe.execute_command("VECSET", f"mortal:{number}", 3, number, 1, 2, "EX", 1000)
        for number in range(0, 300, 7):
            fields = [f"field {number}", f"field {number % 20}"]
            pipe.execute_command("HEXPIRE", f"hash {number % 20}", 1000 + number, "FIELDS", 2, *fields)
        pipe.execute_command("HEXPIRE", "hash 0", 0, "FIELDS", 1, "field 20")
        pipe.execute_command("HSETEX", "hash 1", "EX", 1000, "FIELDS", 2, "kept", 1, "field 21", 2)
        pipe.hincrby("hash 1", "kept", 5)
        pipe.execute_command("HPERSIST", "hash 7", "FIELDS", 1, "field 7")
        pipe.hset("hash 14", "field 14", "again")
        pipe.hset("table", mapping={f"field {number}": number for number in range(2000)})
        pipe.execute_command("HEXPIRE", "table", 1000, "FIELDS", 3, "field 1", "field 2", "field 3")
        pipe.execute_command("HGETEX", "table", "EX", 2000, "FIELDS", 2, "field 3", "field 4")
        pipe.copy("table", "another table")
        pipe.incrby("counter", 5)
        pipe.incrbyfloat("float", 0.1)
        pipe.append("key 299", "more")
        pipe.append("long", "x" * 2000)
        pipe.setrange("long", 100, "patch")
        pipe.expire("key 6", 1000)
        pipe.persist("key 6")
        pipe.expire("key 7", 2000)
        pipe.delete("key 8")
        pipe.hdel("hash 3", "field 3")
        for number in range(20, 40):
            pipe.rename(f"key {number}", f"renamed {number}")
            pipe.execute_command("RENAME", f"docs:{number}", f"docs:renamed {number}")
            pipe.copy(f"hash {number % 20}", f"copy {number}")
        pipe.execute_command("VECCREATE", "empty", "DIM", 8, "METRIC", "L2")
        pipe.execute_command("VECDEL", "docs:50")
        pipe.execute_command("VECSET", "docs:50", 3, 50, 1, 2)
        pipe.execute_command("VECSETATTR", "docs:51", '{"n":-51,"more":[1]}')
        pipe.execute_command("VECSETATTR", "docs:52", "")
        pipe.execute_command("VECSET", "docs:53", 3, 53, 3, 3)
        pipe.execute_command("VECDROP", "mortal")
        pipe.execute_command("VECSET", "mortal:again", 2, 1, 2)
        pipe.execute()


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("way", ["log", "snapshot", "snapshot and log", "stop"])
def test_everything_is_there_after_a_restart(tmp_path: pathlib.Path, workers: int, way: str) -> None:
    flags = ["--workers", str(workers), "--appendonly", "no" if way in ("snapshot", "stop") else "yes"]
    server, client = start(tmp_path, *flags, "--appendfsync", "always")
    fill(client)
    if way.startswith("snapshot"):
        assert client.save() is True
    if way.endswith("log"):
        client.set("behind", "the snapshot")
        client.execute_command("VECSET", "docs:behind", 3, 7, 7, 7, "ATTR", '{"n":1000}')
        client.execute_command("VECSETATTR", "docs:54", '{"n":-54}')
        client.rename("key 100", "key 100 renamed")
    before = picture(client)
    ask = ("VECQUERY", "docs", 5, 3, 1, 2, "FILTER", ".n < 0 or .n > 250")
    nearest = client.execute_command("VECQUERY", "docs", 5, 3, 1, 2)
    filtered = client.execute_command(*ask)
    assert len(filtered) == 5
    if way == "stop":
        server.process.terminate()
        assert server.wait() == 0
    else:
        kill(server)
    # Shards belong to the directory, so another number of workers reads it too.
    server, client = start(tmp_path, "--workers", str(3 - min(workers, 2)), *flags[2:])
    try:
        assert picture(client) == before
        assert client.execute_command("VECQUERY", "docs", 5, 3, 1, 2) == nearest
        assert client.execute_command(*ask) == filtered
    finally:
        kill(server)


@pytest.mark.parametrize("quant", ["F32", "F16", "Q16", "Q8"])
def test_a_graph_is_read_as_it_was_written(tmp_path: pathlib.Path, quant: str) -> None:
    """The same vectors to the bit, and the same answers of walks that look so little around that another graph gives others."""
    draw = random.Random(5)
    vector = lambda: [draw.gauss(0, 1) for _ in range(40)]
    flags = ["--appendonly", "yes", "--appendfsync", "no"]
    server, client = start(tmp_path, "--workers", "2", *flags)
    client.execute_command("VECCREATE", "docs", "DIM", 40, "QUANT", quant)
    set_some(client, vector, range(4000))
    queries = [vector() for _ in range(30)]
    ask = lambda client: [client.execute_command("VECQUERY", "docs", 10, *query, "EF", 12) for query in queries]
    client.execute_command("VECSET", "docs:mortal", 40, *vector(), "EX", 1000)
    for number in range(0, 4000, 9):
        client.execute_command("VECDEL", f"docs:{number}")
    for number in range(1, 4000, 10):
        client.execute_command("VECSETATTR", f"docs:{number}", '{"number": %d}' % number)
    client.execute_command("CONFIG", "SET", "save", "")
    before, answers = picture(client), ask(client)
    assert client.save() is True
    saved = max(tmp_path.glob("snapshot-*.kora"))
    assert client.info("persistence")["rdb_saves"] == 1
    kill(server)
    for workers in ("2", "1"):
        server, client = start(tmp_path, "--workers", workers, *flags)
        try:
            # Exactly the same at once; then links are added to vectors that walks do not meet.
            told, found = [keys_of(hits) for hits in answers], [keys_of(hits) for hits in ask(client)]
            common = sum(len(one & other) for one, other in zip(told, found))
            assert common >= 0.97 * sum(map(len, told)), common
            assert picture(client) == before
        finally:
            kill(server)
    # One byte of it, somewhere.
    whole = saved.read_bytes()
    for place in [draw.randrange(len(whole)) for _ in range(5)]:
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert "damaged" in refusal(tmp_path, "--workers", "2", *flags)
    saved.write_bytes(whole)


def keys_of(hits: list) -> set[bytes]:
    """The keys of a query's hits, in either protocol."""
    return {hit[0] for hit in hits} if isinstance(hits[0], list) else set(hits[::2])


def recall(client: redis.Redis) -> float:
    reply = client.execute_command("VECRECALL", "docs", "SAMPLES", 100, "EF", 100)
    return float(reply[b"recall"])


def set_some(client: redis.Redis, vector, numbers) -> None:
    with client.pipeline(transaction=False) as pipe:
        for number in numbers:
            components = vector()
            pipe.execute_command("VECSET", f"docs:{number}", len(components), *components)
        pipe.execute()


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_vector_set_with_a_graph_is_read_as_it_was_written(tmp_path: pathlib.Path, workers: int) -> None:
    """It lies on the shard of its name, whatever its elements are called, and its attributes may be any bytes."""
    server, client = start(tmp_path, "--workers", str(workers))
    vectors = np.random.default_rng(5).normal(size=(1500, 6)).astype("<f4")
    with client.pipeline(transaction=False) as pipe:
        for number, vector in enumerate(vectors):
            pipe.execute_command("VADD", "set", "FP32", vector.tobytes(), f"element {number}")
        pipe.execute_command("VSETATTR", "set", "element 1", "no JSON")
        pipe.execute_command("VSETATTR", "set", "element 2", '{"n":2}')
        pipe.execute()
    questions = [("VSIM", "set", "ELE", f"element {number}", "WITHSCORES", "COUNT", 5) for number in range(0, 1500, 50)]
    before = [client.execute_command(*question) for question in questions]
    client.save()
    kill(server)
    server, client = start(tmp_path, "--workers", str(workers))
    assert client.execute_command("VCARD", "set") == 1500
    assert client.execute_command("VGETATTR", "set", "element 1") == b"no JSON"
    assert client.execute_command("VGETATTR", "set", "element 2") == b'{"n":2}'
    assert [client.execute_command(*question) for question in questions] == before
    server.stop()


def test_a_graph_that_changes_while_it_is_saved_is_whole(tmp_path: pathlib.Path) -> None:
    """Vectors come, go and are replaced while snapshots are taken; then the server is killed."""
    draw = random.Random(6)
    vector = lambda: [draw.gauss(0, 1) for _ in range(16)]
    flags = ["--workers", "2", "--appendonly", "yes", "--appendfsync", "everysec"]
    server, client = start(tmp_path, *flags)
    set_some(client, vector, range(6000))
    for turn in range(4):
        client.bgsave()
        end = time.monotonic() + 60
        while client.info("persistence")["rdb_saves"] <= turn:
            set_some(client, vector, [draw.randrange(8000) for _ in range(40)])
            client.delete(*(f"docs:{draw.randrange(8000)}" for _ in range(10)))
            assert time.monotonic() < end
    set_some(client, vector, [draw.randrange(8000) for _ in range(100)])
    before = picture(client)
    time.sleep(1.2)
    kill(server)
    server, client = start(tmp_path, *flags)
    try:
        assert picture(client) == before
        assert recall(client) > 0.95
    finally:
        kill(server)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_is_there_however_often_the_server_is_killed(tmp_path: pathlib.Path, workers: int) -> None:
    """Under `always`: each acknowledged write is there, and of the one under way the old or the new value."""
    seed = int(os.environ.get("KORA_SEED", "0")) or random.randrange(1 << 30)
    draw = random.Random(seed)
    flags = ["--workers", str(workers), "--appendonly", "yes", "--appendfsync", "always"]
    known: dict[str, int] = {}
    for round_number in range(KILLS):
        server, client = start(tmp_path, *flags)
        under_way: dict[str, int] = {}
        try:
            for key, number in known.items():
                found = client.execute_command("VECGET", key) if ":" in key else client.get(key)
                found = int(found[0]) if isinstance(found, list) else int(found or -1)
                assert found == number, f"seed {seed}, round {round_number}: {key}"
        except BaseException:
            kill(server)
            raise
        timer = threading.Timer(draw.uniform(0.05, 0.3), server.process.kill)
        timer.start()
        try:
            for number in range(round_number * 100_000 + 1, (round_number + 1) * 100_000):
                key = draw.choice(["key {}", "docs:{}"]).format(draw.randrange(200))
                under_way = {key: number}
                if ":" in key:
                    client.execute_command("VECSET", key, 2, number, 1)
                else:
                    client.set(key, number)
                known[key] = number
                if draw.random() < 0.003:
                    client.execute_command("BGSAVE", "SCHEDULE")
        except redis.exceptions.ConnectionError:
            pass
        timer.join()
        server.process.wait()
        # What was under way may have become true or not.
        known = {key: number for key, number in known.items() if key not in under_way}


class Model:
    """What the server must hold: strings, hashes, and vectors with their attributes, by their keys."""

    def __init__(self) -> None:
        self.values: dict[bytes, object] = {}

    def copy(self) -> "Model":
        copy = Model()
        copy.values = {key: dict(value) if isinstance(value, dict) else value for key, value in self.values.items()}
        return copy

    def step(self, draw: random.Random, number: int) -> list[list]:
        """Draws a change, makes it here, and returns its commands; several are one transaction on one shard."""
        key, other = (b"%s%d" % (draw.choice([b"s", b"{t}s"]), draw.randrange(30)) for _ in range(2))
        hash_key = b"h%d" % draw.randrange(10)
        vector_key = b"%s:%d" % (draw.choice([b"a", b"b", b"c"]), draw.randrange(40))
        put = self.values.__setitem__
        match draw.randrange(14):
            case 0 | 1:
                put(key, b"%d" % number)
                return [["SET", key, number]]
            case 2:
                put(key, self.values.get(key, b"") + b"+")
                return [["APPEND", key, "+"]]
            case 3:
                self.values.pop(key, None)
                return [["DEL", key]]
            case 4:
                put(b"gone", None)
                return [["SET", "gone", number, "PX", 1]]
            case 5 | 6:
                fields = {b"f%d" % draw.randrange(8): b"%d" % number for _ in range(3)}
                put(hash_key, {**self.values.get(hash_key, {}), **fields})
                return [["HSET", hash_key, *(word for pair in fields.items() for word in pair)]]
            case 7:
                fields = self.values.get(hash_key, {})
                fields.pop(b"f1", None)
                if not fields:
                    self.values.pop(hash_key, None)
                return [["HDEL", hash_key, "f1"]]
            case 8:
                if key not in self.values or key == other:
                    return []
                put(other, self.values.pop(key))
                return [["RENAME", key, other]]
            case 9:
                first, second = b"{t}x", b"{t}y"
                put(first, b"%d" % number)
                put(second, b"%d" % -number)
                return [["SET", first, number], ["SET", second, -number]]
            case 10 if draw.random() < 0.1:
                name = vector_key.split(b":")[0]
                self.values = {key: value for key, value in self.values.items() if not key.startswith(name + b":")}
                return [["VECDROP", name]]
            case 11:
                self.values.pop(vector_key, None)
                return [["VECDEL", vector_key]]
            case _:
                attributes = b'{"n":%d}' % number
                put(vector_key, (np.array([number, 1], "<f4").tobytes(), attributes))
                return [["VECSET", vector_key, 2, number, 1, "ATTR", attributes]]

    def is_held(self, found: dict) -> bool:
        return found == {key: value for key, value in self.values.items() if value is not None}


def held(kind: bytes, value: object) -> object:
    """A value of a picture as the model has it."""
    if kind != b"vector":
        return value
    components, attributes = value
    return np.array([float(component) for component in components], "<f4").tobytes(), attributes


@pytest.mark.parametrize("workers", [1, 3])
def test_mixed_changes_are_there_whole_however_often_the_server_is_killed(tmp_path: pathlib.Path, workers: int) -> None:
    """Under `always`: what is there after a kill is what was acknowledged, without the change under way or with all of it."""
    seed = int(os.environ.get("KORA_SEED", "0")) or random.randrange(1 << 30)
    draw = random.Random(seed)
    flags = ["--workers", str(workers), "--shards", "4", "--appendonly", "yes", "--appendfsync", "always"]
    before, after = Model(), Model()
    for round_number in range(KILLS):
        server, client = start(tmp_path, *flags)
        try:
            found = {key: held(kind, value) for key, (kind, value, _) in picture(client).items() if kind != b"vectorset"}
            assert before.is_held(found) or after.is_held(found), f"seed {seed}, round {round_number}"
            current = after if after.is_held(found) else before
        except BaseException:
            kill(server)
            raise
        timer = threading.Timer(draw.uniform(0.05, 0.4), server.process.kill)
        timer.start()
        try:
            for number in range(round_number * 100_000 + 1, (round_number + 1) * 100_000):
                before, after = current, current.copy()
                commands = after.step(draw, number)
                pipe = client.pipeline(transaction=len(commands) > 1)
                for words in commands:
                    pipe.execute_command(*words)
                pipe.execute()
                current = before = after
                if draw.random() < 0.01:
                    client.execute_command("BGSAVE", "SCHEDULE")
        except redis.exceptions.ConnectionError:
            pass
        timer.join()
        server.process.wait()


def test_a_torn_end_is_cut_off_and_damage_elsewhere_is_refused(tmp_path: pathlib.Path) -> None:
    flags = ["--workers", "1", "--appendonly", "yes", "--appendfsync", "always"]
    server, client = start(tmp_path, *flags)
    for number in range(50):
        client.set(f"key {number}", "v" * 100)
    kill(server)
    log = max(tmp_path.glob("log-*.kora"))
    whole = log.read_bytes()
    log.write_bytes(whole + b"half a block")
    server, client = start(tmp_path, *flags)
    assert client.dbsize() == 50
    assert "cut off" in server.words()
    kill(server)

    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    log.write_bytes(bytes(damaged))
    server = Server("--dir", str(tmp_path), *flags)
    assert server.wait() == 1
    assert log.name in server.words() and "byte" in server.words()
    server.stop()


def kora(*words: str) -> tuple[int, str]:
    """The status and the words of a command of the program."""
    program = subprocess.run([BINARY, *words], capture_output=True, text=True)
    return program.returncode, program.stdout + program.stderr


def test_a_directory_is_checked_and_a_damaged_log_cut(tmp_path: pathlib.Path) -> None:
    flags = ["--workers", "2", "--appendonly", "yes", "--appendfsync", "always"]
    assert kora("check", str(tmp_path / "none"))[0] == 1
    server, client = start(tmp_path, *flags)
    fill(client)
    client.save()
    keys = client.dbsize()
    for number in range(50):
        client.set(f"behind {number}", "x" * 100)
    status, words = kora("check", str(tmp_path))
    assert status == 1 and "another process" in words
    kill(server)
    status, words = kora("check", str(tmp_path))
    assert status == 0 and words.startswith("sound:"), words

    log = max(tmp_path.glob("log-*.kora"))
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
    status, words = kora("check", str(tmp_path))
    assert status == 1 and "--truncate-at" in words, words
    place = words.split("--truncate-at ")[1].split("`")[0]
    assert place.startswith(log.name + ":")
    length = log.stat().st_size
    status, words = kora("repair", str(tmp_path), "--truncate-at", place)
    assert status == 0 and "would go" in words and log.stat().st_size == length
    assert kora("repair", str(tmp_path), "--truncate-at", "log-999999.kora:100")[0] == 1
    assert kora("repair", str(tmp_path), "--truncate-at", place, "--yes")[0] == 0
    assert kora("check", str(tmp_path))[0] == 0
    server, client = start(tmp_path, *flags)
    left = [number for number in range(50) if client.exists(f"behind {number}")]
    assert left == list(range(len(left))) and 0 < len(left) < 50
    assert client.dbsize() == keys + len(left)
    kill(server)


def test_a_server_starts_on_a_full_disk_and_refuses_writes(tmp_path: pathlib.Path) -> None:
    if not mount(tmp_path, "size=1m"):
        print("not tried: this process may not mount a file system")
        return
    try:
        flags = ["--workers", "2", "--appendonly", "yes", "--appendfsync", "always"]
        server, client = start(tmp_path / "data", *flags)
        client.set("key", "value")
        kill(server)
        with open(tmp_path / "filler", "wb", buffering=0) as filler:
            while True:
                try:
                    filler.write(b"x" * 4096)
                except OSError:
                    break
        server, client = start(tmp_path / "data", *flags)
        assert client.get("key") == b"value"
        with pytest.raises(redis.exceptions.ResponseError, match="^MISCONF .*No space left"):
            client.set("key", "other")
        (tmp_path / "filler").unlink()
        end = time.monotonic() + 30
        while True:
            try:
                client.set("key", "other")
                break
            except redis.exceptions.ResponseError:
                assert time.monotonic() < end, "it does not recover"
                time.sleep(0.05)
        kill(server)
        server, client = start(tmp_path / "data", *flags)
        assert client.get("key") == b"other"
        kill(server)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_backup_is_restored_as_the_documents_say(tmp_path: pathlib.Path) -> None:
    """The steps of docs/persistence.md, without Docker."""
    data, backup = tmp_path / "data", tmp_path / "backup"
    data.mkdir()
    server, client = start(data, "--appendonly", "yes")
    fill(client)
    assert client.execute_command("SAVE") in (True, b"OK")
    before = picture(client)
    server.stop()
    shutil.copytree(data, backup)
    checked = subprocess.run([BINARY, "check", str(backup)], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    # The first server goes on, and what it does is not in the copy.
    server, client = start(data, "--appendonly", "yes")
    client.set("later", "yes")
    restored, other = start(backup, "--appendonly", "yes")
    assert picture(other) == before
    server.stop()
    restored.stop()


def test_a_directory_has_one_server(tmp_path: pathlib.Path) -> None:
    server, _ = start(tmp_path)
    with pytest.raises(RuntimeError, match="another process uses this directory"):
        Server("--dir", str(tmp_path))
    kill(server)


def test_a_log_needs_a_directory() -> None:
    with pytest.raises(RuntimeError, match="set `dir`"):
        Server("--appendonly", "yes")


def test_saving_needs_a_directory_and_is_told(tmp_path: pathlib.Path) -> None:
    server = Server()
    client = redis.Redis(port=server.port)
    with pytest.raises(redis.exceptions.ResponseError, match="setting `dir`"):
        client.bgsave()
    server.stop()
    server, client = start(tmp_path)
    client.set("key", "value")
    assert client.info("persistence")["rdb_changes_since_last_save"] > 0
    assert client.bgsave() is True
    end = time.monotonic() + 30
    while client.info("persistence")["rdb_saves"] == 0:
        assert time.monotonic() < end
        time.sleep(0.01)
    told = client.info("persistence")
    assert told["rdb_last_bgsave_status"] == "ok" and told["rdb_changes_since_last_save"] == 0
    with pytest.raises(redis.exceptions.ConnectionError):
        client.set("lost", "1")
        client.execute_command("SHUTDOWN", "NOSAVE")
    assert server.wait() == 0
    server, client = start(tmp_path)
    assert client.keys() == [b"key"]
    kill(server)


def test_a_deadline_that_was_moved_on_in_time_is_no_end(tmp_path: pathlib.Path) -> None:
    """What is read has deadlines that have passed since, and behind it stands that they were moved on."""
    flags = ["--workers", "2", "--appendonly", "yes", "--appendfsync", "always"]
    server, client = start(tmp_path, *flags)
    client.set("string", "1", px=200)
    client.hset("hash", "field", "1")
    client.execute_command("VECSET", "docs:1", 2, 1, 2)
    for key in ("string", "hash", "docs:1", "docs"):
        client.pexpire(key, 200)
        client.expire(key, 1000)
    client.hset("persisted", "field", "1")
    client.pexpire("persisted", 200)
    client.persist("persisted")
    client.hset("persisted", "other", "2")
    client.set("gone", "1", px=200)
    time.sleep(0.4)
    before = picture(client)
    assert len(before) == 5 and b"gone" not in before
    kill(server)
    server, client = start(tmp_path, *flags)
    after = picture(client)
    kill(server)
    assert after == before


@pytest.mark.parametrize("missing", ["MANIFEST", "log-*.kora", "snapshot-*.kora"])
@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_a_missing_file_stops_the_start_and_nothing_is_removed(
    tmp_path: pathlib.Path, missing: str, appendonly: str
) -> None:
    flags = ["--workers", "2", "--appendonly", appendonly, "--appendfsync", "always"]
    server, client = start(tmp_path, *flags)
    fill(client)
    client.save()
    client.set("behind", "the snapshot")
    kill(server)
    gone = max(tmp_path.glob(missing))
    content = gone.read_bytes()
    gone.unlink()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert "Restore the directory from a backup" in refusal(tmp_path, *flags)
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    gone.write_bytes(content)
    server, client = start(tmp_path, *flags)
    assert client.get("key 299") == b"v" * 299 + b"more"
    kill(server)


def test_a_directory_without_data_takes_any_number_of_shards(tmp_path: pathlib.Path) -> None:
    server, _ = start(tmp_path, "--workers", "1", "--shards", "3")
    kill(server)
    server, client = start(tmp_path, "--workers", "1", "--shards", "5")
    client.set("key", "value")
    client.save()
    kill(server)
    with pytest.raises(RuntimeError, match="divided into 5 shards"):
        Server("--dir", str(tmp_path), "--shards", "3")


def mount(folder: pathlib.Path, *options: str) -> bool:
    """A small file system in memory there; false where this process may not mount any."""
    command = ["mount", "-t", "tmpfs", "-o", *options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_full_disk_refuses_writes_and_nothing_acknowledged_is_lost(tmp_path: pathlib.Path) -> None:
    if not mount(tmp_path, "size=3m"):
        print("not tried: this process may not mount a file system")
        return
    try:
        flags = ["--workers", "2", "--appendonly", "yes", "--appendfsync", "always"]
        server, client = start(tmp_path / "data", *flags)
        acknowledged, refused = [], 0
        for number in range(600):
            try:
                client.set(f"key {number}", "x" * 10_000)
                acknowledged.append(number)
            except redis.exceptions.ResponseError as error:
                assert str(error).startswith("MISCONF"), error
                refused += 1
        assert refused > 200 and len(acknowledged) > 100
        assert client.get("key 1") == b"x" * 10_000
        assert mount(tmp_path, "remount,size=30m")
        end = time.monotonic() + 30
        while True:
            try:
                client.set("again", "1")
                break
            except redis.exceptions.ResponseError:
                assert time.monotonic() < end, "it does not recover"
                time.sleep(0.05)
        kill(server)
        server, client = start(tmp_path / "data", *flags)
        assert all(client.exists(f"key {number}") for number in acknowledged) and client.get("again") == b"1"
        kill(server)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
