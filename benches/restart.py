"""A restart: Kōra reading its snapshot, beside Redis loading an RDB of the same vectors, and beside inserting them again.

    python benches/restart.py --kora target/release/kora --vectors 400000 --dimension 50

Vectors are GloVe's where a file is given with --glove (text, a word and its numbers a line), else normally distributed ones in
groups. Both servers keep the vectors as f32 (VADD … NOQUANT) and, for Redis, also as int8, its default. CPU is that of the
whole process from its start until it answers DBSIZE, without what an empty server needs.
"""

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

TICKS = os.sysconf("SC_CLK_TCK")


class Connection:
    """Enough of RESP for a benchmark."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, *words: bytes) -> None:
        self.socket.sendall(request(words))

    def reply(self) -> bytes:
        line = self.file.readline().rstrip()
        if line[:1] == b"$":
            length = int(line[1:])
            return self.file.read(length + 2)[:-2] if length >= 0 else b""
        if line[:1] == b"*":
            for _ in range(int(line[1:])):
                self.reply()
        return line

    def ask(self, *words: bytes) -> bytes:
        self.send(*words)
        return self.reply()


def request(words) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_s(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def started(command: list[str], port: int) -> tuple[subprocess.Popen, Connection, float, float]:
    """A server that answers DBSIZE; seconds and CPU seconds until it did."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        assert process.poll() is None, f"{command[0]} has ended"
        try:
            connection = Connection(port)
            reply = connection.ask(b"DBSIZE")
            if reply[:1] == b":":
                return process, connection, time.monotonic() - start, cpu_s(process.pid)
            connection.socket.close()
        except (ConnectionError, OSError):
            pass
        time.sleep(0.005)


def fill(connection: Connection, process: subprocess.Popen, requests) -> float:
    """Sends all in pipelines of 64; CPU seconds that the server took."""
    before = cpu_s(process.pid)
    batch = []

    def flush() -> None:
        connection.socket.sendall(b"".join(batch))
        for _ in batch:
            reply = connection.reply()
            assert reply[:1] != b"-", reply
        batch.clear()

    for words in requests:
        batch.append(request(words))
        if len(batch) == 64:
            flush()
    flush()
    return cpu_s(process.pid) - before


def vectors_of(options) -> np.ndarray:
    if options.glove:
        rows = []
        with open(options.glove, encoding="utf-8") as file:
            for line in file:
                rows.append(np.array(line.rstrip().rsplit(" ", options.dimension)[1:], dtype=np.float32))
                if len(rows) == options.vectors:
                    break
        return np.stack(rows)
    random = np.random.default_rng(7)
    centres = random.normal(size=(options.vectors // 100 + 1, options.dimension))
    chosen = centres[random.integers(len(centres), size=options.vectors)]
    return (chosen + 0.7 * random.normal(size=chosen.shape)).astype(np.float32)


def kora(options, folder: pathlib.Path, vectors: np.ndarray) -> None:
    port = free_port()
    command = [options.kora, "serve", "--port", str(port), "--dir", str(folder), "--save", "", "--workers", str(options.workers)]
    process, connection, _, empty = started(command, port)
    connection.ask(b"VECCREATE", b"docs", b"DIM", b"%d" % options.dimension, b"METRIC", b"COSINE")
    sets = ((b"VECSET", b"docs:%d" % number, b"%d" % options.dimension, b"FP32", vector.tobytes()) for number, vector in enumerate(vectors))
    built = fill(connection, process, sets)
    start, before = time.monotonic(), cpu_s(process.pid)
    connection.ask(b"SAVE")
    saved_s, saved_cpu = time.monotonic() - start, cpu_s(process.pid) - before
    size = sum(path.stat().st_size for path in folder.glob("snapshot-*"))
    process.kill()
    process.wait()
    print(f"kora: built in {built:.1f} s of CPU; saved in {saved_s:.2f} s ({saved_cpu:.2f} s of CPU), {size / 1e6:.0f} MB")
    for _ in range(options.runs):
        process, connection, seconds, cpu = started(command, port)
        assert connection.ask(b"DBSIZE") == b":%d" % (len(vectors) + 1)
        process.kill()
        process.wait()
        print(f"kora: restarted in {seconds:.2f} s, {cpu - empty:.2f} s of CPU ({built / max(cpu - empty, 0.01):.0f} times less than built)")


def redis(options, folder: pathlib.Path, vectors: np.ndarray, quant: bytes) -> None:
    port = free_port()
    command = [options.redis, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    process, connection, _, empty = started(command, port)
    sets = (
        (b"VADD", b"docs", b"FP32", vector.tobytes(), b"docs:%d" % number, quant, b"M", b"16")
        for number, vector in enumerate(vectors)
    )
    built = fill(connection, process, sets)
    connection.ask(b"SAVE")
    size = (folder / "dump.rdb").stat().st_size
    process.kill()
    process.wait()
    name = f"redis {quant.decode()}"
    print(f"{name}: built in {built:.1f} s of CPU; {size / 1e6:.0f} MB")
    for _ in range(options.runs):
        process, connection, seconds, cpu = started(command, port)
        assert connection.ask(b"VCARD", b"docs") == b":%d" % len(vectors)
        process.kill()
        process.wait()
        print(f"{name}: restarted in {seconds:.2f} s, {cpu - empty:.2f} s of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kora", default="target/release/kora")
    parser.add_argument("--redis", help="a redis-server of 8.2 or later; without it Kōra alone is measured")
    parser.add_argument("--vectors", type=int, default=400_000)
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--glove")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    vectors = vectors_of(options)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="restart-"))
    try:
        for name in ["kora", "noquant", "q8"]:
            (folder / name).mkdir()
        kora(options, folder / "kora", vectors)
        if options.redis:
            redis(options, folder / "noquant", vectors, b"NOQUANT")
            redis(options, folder / "q8", vectors, b"Q8")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
