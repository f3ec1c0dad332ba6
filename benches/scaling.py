#!/usr/bin/env python3
"""How Kōra's costs grow: with the number of vectors, their dimension, and the number of workers.

    python3 benches/scaling.py                              all three, some ten minutes
    python3 benches/scaling.py --counts 10000 20000 --dims 64 --workers 1 2
    python3 benches/scaling.py --counts 10000 100000 1000000 --dims 128 --workers 1
    python3 benches/scaling.py --write scaling

Each line is a new server. Vectors of a chosen dimension are made: points of a 16-dimensional cloud, turned into space
and blurred a little, which a graph finds about as hard as embeddings. Costs are the server's processor time, and so is the
longest slice: how long a worker looked at nothing else (`slice_us_max` in INFO, at most 200 µs too high).
"""
import argparse
import re

from index import at_recall
from served import (EFS, HOME, Process, TARGET, K, build, encode, enter_environment, machine_us, measure, print_table,
                    recall, true_neighbours, write_requests, write_results)

CONNECTIONS = 8
LATENT = 16


def cloud(count, dimension):
    """Rows that lie near a surface of few dimensions; the same for the same numbers."""
    import numpy as np

    random = np.random.default_rng(count + dimension)
    turn = random.standard_normal((LATENT, dimension)) / LATENT**0.5
    rows = random.standard_normal((count, LATENT)) @ turn + 0.1 * random.standard_normal((count, dimension))
    return np.ascontiguousarray(rows, dtype="<f4")


def line(count, dimension, workers, tag, queries):
    """One server, filled and asked."""
    rows = cloud(count + queries, dimension)
    base, asked = rows[:-queries], rows[-queries:]
    truth = true_neighbours(base, asked)
    name = "{v}" if tag else "v"
    kora = TARGET / "release" / "kora"
    process = Process(kora, "serve", "--port", "PORT", "--workers", workers, "--loglevel", "warning")
    try:
        before = process.resident_bytes()
        inserts = (encode("VECSET", f"{name}:{number}", dimension, "FP32", row.tobytes())
                   for number, row in enumerate(base))
        filled = measure(process, write_requests("insert", inserts), CONNECTIONS)
        slices = [int(us) for us in re.findall(rb"slice_us_max=(\d+)", process.ask("INFO", "workers"))]
        bytes_each = (process.resident_bytes() - before) / count
        points = []
        for ef in EFS:
            requests = [encode("VECQUERY", name, K, "FP32", row.tobytes(), "EF", ef) for row in asked]
            seen = measure(process, write_requests("query", requests), CONNECTIONS)
            points.append((recall(HOME / "query.replies", truth), seen["cpu_us"], seen["count"] / seen["seconds"]))
    finally:
        process.stop()
    cells = [count, dimension, workers, "one" if tag else "all", f"{filled['cpu_us']:.0f}", max(slices),
             f"{count / filled['seconds']:.0f}", f"{bytes_each:.0f}"]
    for wanted in (0.95, 0.99):
        for place in (1, 2):
            at = at_recall([(point[0], point[place]) for point in points], wanted)
            cells.append("–" if at is None else f"{at:.0f}")
    return [*cells, f"{machine_us():.0f}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    parser.add_argument("--dims", type=int, nargs="*", default=[64, 384, 768])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--write", metavar="NAME", help="keep the table in benches/results/NAME.md")
    arguments = parser.parse_args()
    enter_environment(["numpy"])
    build()
    # One thing changes at a time, from the smallest of the others.
    first_count, first_dimension = arguments.counts[0], arguments.dims[0]
    chosen = [(count, first_dimension) for count in arguments.counts]
    chosen += [(first_count, dimension) for dimension in arguments.dims[1:]]
    rows = []
    for count, dimension in chosen:
        for workers in arguments.workers:
            for tag in (False, True) if workers > 1 else (False,):
                rows.append(line(count, dimension, workers, tag, arguments.queries))
                print("·", *rows[-1], flush=True)
    heads = ["vectors", "dim", "workers", "shards", "insert CPU µs", "slice µs max", "inserts/s", "bytes/vector"]
    for wanted in ("0.95", "0.99"):
        heads += [f"CPU µs @{wanted}", f"queries/s @{wanted}"]
    out = []
    print_table(f"recall@{K}, cosine, {CONNECTIONS} connections", [*heads, "machine µs"], rows, out)
    write_results(arguments.write, "How Kōra's costs grow", out)


if __name__ == "__main__":
    main()
