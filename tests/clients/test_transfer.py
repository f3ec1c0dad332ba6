"""`kora import` and `kora export`: files and running servers, in and out, cut off and gone on with."""

import json
import pathlib
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import redis
from server import BINARY, PATIENCE_S, Server, environment

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "differential"))


PARQUET_FILES = pathlib.Path(__file__).resolve().parents[2] / "crates/kora-transfer/fixtures"


@pytest.fixture(scope="module", params=[1, 3], ids=lambda workers: f"{workers}-workers")
def source(request):
    with Server("--workers", str(request.param)) as server:
        yield server


@pytest.fixture(scope="module")
def target():
    with Server("--workers", "2") as server:
        yield server


@pytest.fixture
def clients(source, target):
    with source.client(2) as one, target.client(2) as other:
        one.flushall()
        other.flushall()
        yield one, other


def kora(*words: object, status: int = 0, **variables: str) -> str:
    """What `kora` says, which must leave with this status."""
    done = subprocess.run(
        [str(BINARY), *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment(**variables),
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    return said


def address(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}"


def fields(reply: list) -> dict:
    return dict(zip(reply[::2], reply[1::2]))


def field_deadlines(client: redis.Redis, key: bytes) -> dict:
    names = sorted(client.hkeys(key))
    return dict(zip(names, client.execute_command("HPEXPIRETIME", key, "FIELDS", len(names), *names), strict=True))


def picture(client: redis.Redis) -> dict:
    """Everything that is there: values, deadlines, vectors with their attributes, parameters of collections."""
    everything = {}
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        if kind == b"string":
            value = client.get(key)
        elif kind == b"hash":
            value = client.hgetall(key), field_deadlines(client, key)
        elif kind == b"vector":
            value = client.execute_command("VECGET", key, "FP32"), client.execute_command("VECGETATTR", key)
        else:
            info = fields(client.execute_command("VECINFO", key))
            names = [b"dimension", b"metric", b"quant", b"m", b"ef_construction", b"ef_search", b"vectors"]
            value = [info[name] for name in names]
        everything[key] = kind, value, client.pexpiretime(key)
    return everything


def fill(client: redis.Redis) -> None:
    """Some of everything, names and values of any bytes among it."""
    rng = random.Random(7)
    soon_ms = int(time.time() * 1000) + 3_600_000
    client.set("plain", "text")
    client.set(b"\xff\x00:\xfe", bytes(range(256)))
    client.set("with a deadline", "x" * 100_000, pxat=soon_ms)
    client.set("empty", "")
    client.hset("hash", mapping={"a": 1, "ä\n": "ö"})
    client.hset(b"bytes", mapping={b"\xff": b"\xfe", b"a": b"b"})
    client.hset("large", mapping={f"field {n}": n for n in range(5_000)})
    client.pexpireat("large", soon_ms + 1)
    client.hpexpireat("hash", soon_ms, "a")
    client.hpexpireat(b"bytes", soon_ms, b"\xff")
    client.hpexpireat("large", soon_ms, *[f"field {n}" for n in range(0, 3_000)])
    client.hpexpireat("large", soon_ms + 1, "field 4")
    client.execute_command("VECCREATE", "empty-collection", "DIM", 7, "METRIC", "IP", "QUANT", "F16")
    client.execute_command("VECCREATE", "words", "DIM", 5, "METRIC", "L2", "M", 24, "EF_CONSTRUCTION", 77, "EF_SEARCH", 33)
    client.pexpireat("words", soon_ms + 2)
    pipe = client.pipeline(transaction=False)
    for number in range(3_000):
        blob = np.array([rng.gauss(0, 1) for _ in range(5)], "<f4").tobytes()
        more = [["ATTR", '{"year": %d, "x": "ä" }' % number], ["PXAT", soon_ms + number], ["ATTR", '{\n"a":1}'], []]
        pipe.execute_command("VECSET", f"words:{number}", 5, "FP32", blob, *more[number % 4])
        pipe.set(f"key:{number}", number)
    pipe.execute_command("VECSET", b"o*[ther\xff:a", 2, 1, 2)
    pipe.execute_command("VECSET", "words:sub:a", 2, 1, 2)
    pipe.execute()


def words_of(client: redis.Redis) -> dict:
    """The collection `words` and its vectors, which those of `words:sub` are not."""
    is_of_sub = lambda key: key.startswith(b"words:sub")
    return {key: value for key, value in picture(client).items() if key.startswith(b"words") and not is_of_sub(key)}


def test_everything_travels_through_a_file_of_lines(clients, source, target, tmp_path):
    one, other = clients
    fill(one)
    file = tmp_path / "all.jsonl"
    kora("export", file, "--from", address(source))
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    # The large hash has several lines, and each key one.
    assert len(lines) == len(picture(one)) + sum("continues" in line for line in lines)
    kora("import", file, "--to", address(target))
    assert picture(other) == picture(one)
    # Once more over what is there already, and over other values.
    other.hset("hash", "old", "1")
    other.set("key:1", "old")
    other.execute_command("VECSETATTR", "words:3", '{"old": 1}')
    kora("import", file, "--to", address(target), "--connections", 1)
    assert picture(other) == picture(one)


def test_a_collection_travels_as_an_array(clients, source, target, tmp_path):
    one, other = clients
    fill(one)
    file = tmp_path / "words.npy"
    assert kora("export", file, "--from", address(source), "--collection", "words").startswith("3001 rows")
    array = np.load(file)
    labels = [json.loads(line) for line in (tmp_path / "words.keys.jsonl").read_text().splitlines()]
    assert array.shape == (3_000, 5) and array.dtype == np.float32 and len(labels) == 3_001
    assert labels[0]["collection"] == "words"
    for row in random.Random(1).sample(range(3_000), 20):
        blob = one.execute_command("VECGET", labels[row + 1]["key"], "FP32")
        assert blob == array[row].tobytes()
    kora("import", file, "--keys", tmp_path / "words.keys.jsonl", "--to", address(target))
    assert picture(other) == words_of(one)
    assert "File exists" in kora("export", file, "--from", address(source), "--collection", "words", status=1)


def test_one_collection_travels_alone(clients, source, target, tmp_path):
    one, other = clients
    fill(one)
    file = tmp_path / "words.jsonl"
    kora("export", file, "--from", address(source), "--collection", "words")
    kora("import", file, "--to", address(target))
    assert picture(other) == words_of(one)
    assert "no collection" in kora(
        "export", tmp_path / "x.jsonl", "--from", address(source), "--collection", "nothing", status=1
    )


def test_a_collection_travels_as_columns(clients, source, target, tmp_path):
    one, other = clients
    soon_ms = int(time.time() * 1000) + 3_600_000
    one.execute_command("VECCREATE", "words", "DIM", 3, "METRIC", "L2", "M", 24, "EF_SEARCH", 33)
    pipe = one.pipeline(transaction=False)
    for number in range(200):
        more = [["ATTR", '{"year": %d, "x": "ä" }' % number], ["PXAT", soon_ms + number], []]
        pipe.execute_command("VECSET", f"words:{number}", 3, number / 7, 1, -number, *more[number % 3])
    pipe.execute()
    file = tmp_path / "words.parquet"
    words = ["export", file, "--from", address(source), "--collection", "words"]
    assert "--progress is for jsonl and npy" in kora(*words, "--progress", tmp_path / "progress", status=1)
    assert kora(*words).startswith("201 rows")
    kora("import", file, "--to", address(target))
    assert picture(other) == picture(one)
    assert "File exists" in kora(*words, status=1)
    other.flushall()
    (tmp_path / "cut.parquet").write_bytes(file.read_bytes()[:-1])
    said = kora("import", tmp_path / "cut.parquet", "--to", address(target), status=1)
    assert "this is no Parquet file, or its end is missing" in said
    spoiled = bytearray(file.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    (tmp_path / "spoiled.parquet").write_bytes(spoiled)
    said = kora("import", tmp_path / "spoiled.parquet", "--to", address(target), status=1)
    assert "row 1, column `" in said and "a page is damaged: its checksum is another" in said and "--skip 0" in said
    assert not list(other.scan_iter("words:*"))


def test_columns_of_other_writers_are_imported(clients, target, tmp_path):
    """`write.py` beside the files says what is in them."""
    _, other = clients
    for name in ["snappy", "version-2", "polars", "duckdb"]:
        other.flushall()
        file = PARQUET_FILES / f"{name}.parquet"
        words = ["import", file, "--collection", "c", "--metric", "L2", "--quant", "F32", "--to", address(target)]
        assert "`title`, `year`, `rating`, `good`, `tags` are neither the key nor the vector" in kora(*words, status=1)
        said = kora(*words, "--attributes", "title,tags", status=3)
        assert "2 rows in" in said and "3 bad rows were left out" in said, said
        assert "row 2: the vector is null" in said and "row 3: component 1 of the vector is no finite number" in said
        assert "row 4: 1 components of the vector are null" in said
        assert {key.decode() for key in other.scan_iter("c:*")} == {"c:a", "c:ä"}
        assert other.execute_command("VECGET", "c:ä", "FP32") == np.array([0.25, 4], "<f4").tobytes()
        assert json.loads(other.execute_command("VECGETATTR", "c:ä")) == {"title": '"quoted"', "tags": ["q"]}
        # What stops an import is behind the rows that are there, and it goes on where it was.
        progress = tmp_path / "progress"
        words += ["--attributes", "none", "--progress", progress]
        said = kora(*words, "--bad-rows-max", 0, status=1)
        assert "too many bad rows: row 2: the vector is null" in said
        before = json.loads(progress.read_text())["position"]["rows"]
        assert before == 2
        said = kora(*words, status=3)
        assert "1 rows in" in said and "2 bad rows were left out" in said and not progress.exists()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", "|i1", "|u1", "<i4"])
def test_arrays_of_any_number_are_imported(clients, target, tmp_path, dtype):
    _, other = clients
    array = np.random.default_rng(1).integers(0, 100, (50, 8)).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    kora("import", tmp_path / "a.npy", "--collection", "a", "--quant", "F32", "--metric", "L2", "--to", address(target))
    for row in range(50):
        blob = other.execute_command("VECGET", f"a:{row}", "FP32")
        assert np.array_equal(np.frombuffer(blob, "<f4"), array[row].astype("<f4"))
    assert fields(other.execute_command("VECINFO", "a"))[b"metric"] == b"L2"


@pytest.mark.parametrize("kind", ["lines", "texts", "bytes", "numbers"])
def test_keys_of_an_array_stand_in_another_file(clients, target, tmp_path, kind):
    _, other = clients
    np.save(tmp_path / "a.npy", np.ones((3, 2), "<f4"))
    names = {"lines": ["a", "ä b", "c"], "texts": ["a", "ä b", "c"], "bytes": ["a", "bb", "c"], "numbers": ["-7", "8", "9"]}
    if kind == "lines":
        keys = tmp_path / "keys.txt"
        keys.write_text("\n".join(names[kind]) + "\n")
    else:
        keys = tmp_path / "keys.npy"
        np.save(keys, np.array(names[kind]).astype({"texts": "U", "bytes": "S", "numbers": "i8"}[kind]))
    kora("import", tmp_path / "a.npy", "--collection", "c", "--keys", keys, "--to", address(target))
    assert {key.decode() for key in other.scan_iter("c:*")} == {f"c:{name}" for name in names[kind]}


def test_files_of_vectors_are_imported(clients, target, tmp_path):
    _, other = clients
    rng = np.random.default_rng(3)
    floats = rng.normal(size=(1_000, 12)).astype("<f4")
    octets = rng.integers(1, 256, (500, 9)).astype("u1")
    with open(tmp_path / "a.fvecs", "wb") as file:
        for row in floats:
            file.write(np.int32(12).tobytes() + row.tobytes())
    with open(tmp_path / "b.bvecs", "wb") as file:
        for row in octets:
            file.write(np.int32(9).tobytes() + row.tobytes())
    kora("import", tmp_path / "a.fvecs", "--collection", "f", "--quant", "F32", "--to", address(target))
    kora("import", tmp_path / "b.bvecs", "--collection", "b", "--quant", "F32", "--to", address(target), "--skip", 100)
    for row in range(0, 1_000, 37):
        assert other.execute_command("VECGET", f"f:{row}", "FP32") == floats[row].tobytes()
    for row in range(100, 500, 37):
        assert other.execute_command("VECGET", f"b:{row}", "FP32") == octets[row].astype("<f4").tobytes()
    assert other.execute_command("VECGET", "b:99") is None
    (tmp_path / "cut.fvecs").write_bytes((tmp_path / "a.fvecs").read_bytes()[:-1])
    said = kora("import", tmp_path / "cut.fvecs", "--collection", "cut", "--to", address(target), status=1)
    assert "row 1000 at byte 51948: the file ends within a vector" in said and "--skip 999" in said
    # What was whole before it is there.
    assert fields(other.execute_command("VECINFO", "cut"))[b"vectors"] == 999


def test_words_are_imported(clients, target, tmp_path):
    _, other = clients
    (tmp_path / "glove.txt").write_text("the 0.1 -0.2 3\n. . 1 2 3\n1:00 1 1 1\nbad 1 x 3\nshort 1 2\n")
    said = kora("import", tmp_path / "glove.txt", "--collection", "g", "--to", address(target), status=3)
    assert "2 rows in" in said and "3 bad rows were left out" in said
    assert "line 3: the name `1:00` has a colon" in said
    assert "line 4: `x` is no finite number" in said and "line 5: fewer than a word and 3 components" in said
    assert {key for key in other.scan_iter("g:*")} == {b"g:the", b"g:. ."}
    kora("import", tmp_path / "glove.txt", "--collection", "h", "--to", address(target), "--colon", "%3A", status=3)
    assert other.execute_command("VECGET", "h:1%3A00") is not None
    (tmp_path / "word2vec.vec").write_text("2 3\na 1 2 3 \nb 4 5 6 \n")
    kora("import", tmp_path / "word2vec.vec", "--collection", "w", "--to", address(target))
    assert [float(x) for x in other.execute_command("VECGET", "w:b")] == [4, 5, 6]


def test_bad_rows_are_named_and_may_stop_it(clients, target, tmp_path):
    _, other = clients
    lines = [json.dumps({"id": n, "vector": [n + 1, 1], "year": n}) for n in range(100)]
    lines[10] = "{"
    lines[20] = '{"id": 20, "vector": [1, 2, 3]}'
    lines[30] = '{"id": 30, "vector": [0, 0]}'
    lines[40] = '{"key": "c:gone", "vector": [1, 1], "expires_at_ms": 1}'
    lines[50] = ""
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(lines))
    words = ["import", file, "--collection", "c", "--metric", "COSINE", "--to", address(target)]
    assert "line 1: the member `year` is unknown" in kora(*words, status=3)
    other.flushall()
    said = kora(*words, "--attributes", "all", status=3)
    assert "95 rows in" in said and "1 rows had expired" in said and "3 bad rows were left out" in said, said
    assert "line 11: EOF" in said and "line 21: ERR vector dimension mismatch" in said and "line 31: " in said
    assert other.execute_command("VECGETATTR", "c:7") == b'{"year":7}'
    assert other.execute_command("VECGET", "c:30") is None
    said = kora(*words, "--attributes", "none", "--bad-rows-max", 0, status=1)
    assert "too many bad rows: line 11: EOF" in said and "--skip" in said


def test_hostile_files_are_refused_in_words(clients, target, tmp_path):
    np.save(tmp_path / "good.npy", np.ones((3, 2), "<f4"))
    good = (tmp_path / "good.npy").read_bytes()
    np.save(tmp_path / "flat.npy", np.ones(3, "<f4"))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(np.ones((3, 2), "<f4")))
    np.save(tmp_path / "complex.npy", np.ones((3, 2), "c8"))
    (tmp_path / "cut.npy").write_bytes(good[:-1])
    (tmp_path / "huge.npy").write_bytes(good.replace(b"(3, 2)", b"(9999999999999, 2)"))
    (tmp_path / "wide.npy").write_bytes(good.replace(b"(3, 2)", b"(3, 9999999999)"))
    (tmp_path / "head.npy").write_bytes(good[:50])
    (tmp_path / "other.npy").write_bytes(b"PK\x03\x04" + good)
    (tmp_path / "zero.fvecs").write_bytes(bytes(100))
    (tmp_path / "huge.fvecs").write_bytes(b"\xff" * 100)
    (tmp_path / "empty.txt").write_bytes(b"")
    for name, reason in {
        "flat.npy": "has 1 dimensions",
        "fortran.npy": "fortran_order",
        "complex.npy": "type <c8",
        "cut.npy": "ends in row 3 of 3",
        "huge.npy": "of 9999999999999",
        "wide.npy": "1 to 65536 items",
        "head.npy": "ends within the header",
        "other.npy": "no .npy file",
        "zero.fvecs": "row 1 at byte 0: the dimension 0",
        "huge.fvecs": "the dimension 4294967295",
        "empty.txt": "line 1: a word and its components",
        "missing.npy": "No such file",
        "what.xyz": "--format",
    }.items():
        assert reason in kora("import", tmp_path / name, "--collection", "h", "--to", address(target), status=1), name
    assert "--collection" in kora("import", tmp_path / "good.npy", "--to", address(target), status=1)


def test_a_target_of_another_kind_is_refused(clients, target, tmp_path):
    _, other = clients
    other.execute_command("VECCREATE", "c", "DIM", 3, "METRIC", "L2")
    file = tmp_path / "a.jsonl"
    file.write_text('{"collection": "c", "dimension": 3, "metric": "COSINE"}\n')
    said = kora("import", file, "--to", address(target), status=1)
    assert "the collection `c` exists with 3 dimensions and L2, the import has 3 and COSINE" in said
    assert "Connection refused" in kora("import", file, "--to", "redis://127.0.0.1:1", status=1)


def test_an_import_that_was_killed_goes_on(clients, target, tmp_path):
    """Killed again and again, it reads each part of the file about once and nothing is missing."""
    _, other = clients
    rows, file, progress = 60_000, tmp_path / "a.npy", tmp_path / "progress"
    array = np.random.default_rng(1).normal(size=(rows, 16)).astype("<f4")
    np.save(file, array)
    words = [BINARY, "import", file, "--collection", "c", "--to", address(target), "--progress", progress]
    kills = 0
    while kills < 3:
        process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(1.6)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    if kills:
        before = json.loads(progress.read_text())["position"]["rows"] if progress.exists() else 0
        said = kora(*words[1:])
        sent = int(said.split(" rows in")[0])
        assert rows - before >= sent > 0
    assert other.dbsize() in (rows, rows + 1) and not progress.exists()
    for row in range(0, rows, 997):
        assert other.execute_command("VECGET", f"c:{row}", "FP32") == array[row].tobytes()
    progress.write_text(json.dumps({"transfer": "another", "position": {"rows": 1, "offset": 2}}))
    assert "of another transfer" in kora(*words[1:], status=1)


def test_an_import_survives_a_server_that_restarts(tmp_path):
    """The target is killed and started again in the middle; its log has what it had said OK to."""
    folder, file = tmp_path / "data", tmp_path / "a.jsonl"
    folder.mkdir()
    rows = 40_000
    file.write_text("".join(json.dumps({"key": f"k{n}", "string": str(n)}) + "\n" for n in range(rows)))
    flags = ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always"]
    server = Server(*flags)
    said = []
    run = threading.Thread(target=lambda: said.append(kora("import", file, "--to", address(server))))
    run.start()
    time.sleep(0.3)
    server.process.kill()
    server.process.wait()
    with Server(*flags, "--port", str(server.port)) as again:
        run.join()
        assert said and f"{rows} rows in" in said[0]
        with again.client(2) as client:
            assert client.dbsize() == rows and client.get("k39999") == b"39999"


def test_passwords_come_from_the_environment(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"key": "a", "string": "b"}\n')
    with Server("--requirepass", "p@ss") as server:
        assert "NOAUTH" in kora("import", file, "--to", address(server), status=1)
        said = kora("import", file, "--to", address(server), status=1, KORA_TO_PASSWORD="wrong")
        assert "WRONGPASS" in said and "wrong" not in said
        kora("import", file, "--to", address(server), KORA_TO_PASSWORD="p@ss")
        kora("import", file, "--to", f"redis://default:p%40ss@127.0.0.1:{server.port}")
        kora("export", tmp_path / "b.jsonl", "--from", address(server), KORA_FROM_PASSWORD="p@ss")
    assert (tmp_path / "b.jsonl").read_text() == '{"key":"a","string":"b"}\n'


@pytest.fixture(scope="module")
def running_redis():
    from servers import Redis

    server = Redis("--proto-max-bulk-len", "64mb")
    yield server
    server.stop()


def fill_redis(client: redis.Redis) -> None:
    rng = random.Random(5)
    soon_ms = int(time.time() * 1000) + 3_600_000
    pipe = client.pipeline(transaction=False)
    for number in range(5_000):
        pipe.set(f"s:{number}", bytes([number % 256]) * (number % 50), pxat=soon_ms + number if number % 3 else None)
        pipe.hset(f"h:{number}", mapping={f"f{n}": rng.random() for n in range(number % 4 + 1)})
        if number % 5 == 0:
            pipe.hpexpireat(f"h:{number}", soon_ms + number, "f0")
    pipe.hset("large", mapping={f"{n}": n for n in range(4_000)})
    pipe.pexpireat("large", soon_ms)
    pipe.hpexpireat("large", soon_ms + 7, *[f"{n}" for n in range(0, 4_000, 3)])
    pipe.set("big", b"x" * 20_000_000)
    pipe.rpush("list", 1)
    pipe.sadd("set", 1)
    pipe.zadd("sorted", {"a": 1})
    for name, form in [("floats", "NOQUANT"), ("octets", "Q8")]:
        for number in range(700):
            blob = np.array([rng.gauss(0, 1) for _ in range(8)], "<f4").tobytes()
            attributes = ["SETATTR", '{"n": %d}' % number] if number % 2 else []
            pipe.execute_command("VADD", name, "FP32", blob, f"e{number}", form, *attributes, "M", 20)
    pipe.pexpireat("floats", soon_ms)
    pipe.execute()


def test_a_running_redis_is_copied(clients, running_redis, target):
    _, other = clients
    with redis.Redis(port=running_redis.port) as one:
        one.flushall()
        fill_redis(one)
        said = kora("import", "--from", f"redis://127.0.0.1:{running_redis.port}", "--to", address(target))
        for kind in ["list", "set", "zset"]:
            assert f"1 keys of type {kind} were left out" in said
        for key in one.scan_iter(count=1000):
            kind = one.type(key)
            if kind == b"string":
                assert other.get(key) == one.get(key)
            elif kind == b"hash":
                assert other.hgetall(key) == one.hgetall(key)
                assert field_deadlines(other, key) == field_deadlines(one, key)
            elif kind != b"vectorset":
                assert other.exists(key) == 0
                continue
            assert other.pexpiretime(key) == one.pexpiretime(key), key
        check_vector_sets(one, other)


def check_vector_sets(one: redis.Redis, other: redis.Redis) -> None:
    for name in ["floats", "octets"]:
        info = fields(other.execute_command("VECINFO", name))
        assert info[b"vectors"] == 700 and info[b"dimension"] == 8 and info[b"m"] == 20
        for number in range(0, 700, 31):
            vector = [float(x) for x in one.execute_command("VEMB", name, f"e{number}")]
            attributes = one.execute_command("VGETATTR", name, f"e{number}")
            if info[b"made_by"] == b"VADD":
                copied = other.execute_command("VEMB", name, f"e{number}")
                assert other.execute_command("VGETATTR", name, f"e{number}") == attributes
            else:
                copied = other.execute_command("VECGET", f"{name}:e{number}")
                assert other.execute_command("VECGETATTR", f"{name}:e{number}") == attributes
            scale = max(map(abs, vector))
            error = 1e-6 if name == "floats" else 1 / 100
            assert np.allclose([float(x) for x in copied], vector, atol=scale * error)


@pytest.mark.parametrize("way", ["file", "server", "array"])
def test_vector_sets_travel(clients, source, target, tmp_path, way):
    one, other = clients
    rng = random.Random(9)
    soon_ms = int(time.time() * 1000) + 3_600_000
    pipe = one.pipeline(transaction=False)
    for number in range(1_200):
        blob = np.array([rng.gauss(0, 1) for _ in range(8)], "<f4").tobytes()
        element = b"e:%d" % number if number else b"\xff*"
        attributes = ["SETATTR", ['{"n": 1}', "no object", "\n"][number % 3]] if number % 4 else []
        pipe.execute_command("VADD", "set:a", "FP32", blob, element, "NOQUANT", *attributes, "M", 20)
    pipe.pexpireat("set:a", soon_ms)
    pipe.execute_command("VADD", "small", "VALUES", 2, 1, 2, "x", "BIN")
    pipe.execute()
    if way == "file":
        kora("export", tmp_path / "a.jsonl", "--from", address(source))
        kora("import", tmp_path / "a.jsonl", "--to", address(target))
    elif way == "server":
        kora("import", "--from", address(source), "--to", address(target))
    else:
        kora("export", tmp_path / "a.npy", "--from", address(source), "--collection", "set:a", status=3)
        kora("import", tmp_path / "a.npy", "--keys", tmp_path / "a.keys.jsonl", "--to", address(target))
    names = ["set:a"] if way == "array" else ["set:a", "small"]
    for name in names:
        elements = one.execute_command("VRANGE", name, "-", "+")
        assert other.execute_command("VRANGE", name, "-", "+") == elements
        for element in random.Random(2).sample(elements, min(60, len(elements))):
            for command in ["VEMB", "VGETATTR"]:
                found = [client.execute_command(command, name, element) for client in (one, other)]
                assert found[0] == found[1]
        infos = [fields(client.execute_command("VINFO", name)) for client in (one, other)]
        for field in [b"quant-type", b"hnsw-m", b"vector-dim", b"size", b"attributes-count"]:
            assert infos[0][field] == infos[1][field]
    if way != "array":
        assert other.pexpiretime("set:a") == soon_ms and other.pexpiretime("small") == -1


def test_a_copy_that_was_killed_goes_on(clients, running_redis, target, tmp_path):
    _, other = clients
    progress = tmp_path / "progress"
    with redis.Redis(port=running_redis.port) as one:
        one.flushall()
        pipe = one.pipeline(transaction=False)
        for number in range(200_000):
            pipe.set(f"s:{number}", number)
        pipe.execute()
        words = ["import", "--from", f"redis://127.0.0.1:{running_redis.port}", "--to", address(target)]
        words += ["--progress", progress, "--connections", 1]
        process = subprocess.Popen([str(BINARY), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not progress.exists() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        process.kill()
        process.wait()
        if progress.exists():
            before = json.loads(progress.read_text())["position"]["rows"]
            sent = int(kora(*words).split(" rows in")[0])
            # Only the batch that was under way is read again.
            assert before > 0 and sent < 200_000
        assert other.dbsize() == 200_000 and not progress.exists()
        # A migration the other way round: what travels lands in Redis.
        one.flushall()
        other.flushall()
        other.hset("h", "a", 1)
        kora("import", "--from", address(target), "--to", f"redis://127.0.0.1:{running_redis.port}")
        assert one.hgetall("h") == {b"a": b"1"}


def test_an_export_that_was_killed_goes_on(clients, source, target, tmp_path):
    one, other = clients
    pipe = one.pipeline(transaction=False)
    for number in range(150_000):
        pipe.set(f"s:{number}", number)
    pipe.execute()
    file, progress = tmp_path / "a.jsonl", tmp_path / "progress"
    words = ["export", file, "--from", address(source), "--progress", progress]
    process = subprocess.Popen([str(BINARY), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not progress.exists() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.wait()
    if progress.exists():
        assert int(kora(*words).split(" rows in")[0]) < 150_000
    keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
    assert len(set(keys)) == 150_000 and len(keys) < 150_100
    kora("import", file, "--to", address(target))
    assert other.dbsize() == 150_000


def test_over_tls(tmp_path):
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)
    cert, key, file = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"key": f"k{n}", "string": "x" * n}) + "\n" for n in range(3_000)))
    from servers import free_port

    port = free_port()
    flags = ["--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with Server(*flags) as server:
        to = f"rediss://localhost:{port}"
        assert "authority" in kora("import", file, "--to", to, status=1)
        kora("import", file, "--to", to, "--tls-ca-cert-file", cert)
        with server.client(2) as client:
            assert client.dbsize() == 3_000 and client.strlen("k2999") == 2_999
        kora("export", tmp_path / "b.jsonl", "--from", to, "--tls-ca-cert-file", cert)
    assert sorted((tmp_path / "b.jsonl").read_text().splitlines()) == sorted(
        line.replace(", ", ",").replace(": ", ":") for line in file.read_text().splitlines()
    )
