#!/usr/bin/env python3
"""What many small collections cost: memory beyond their vectors, and the server's processor time.

    python3 benches/small.py                               100,000 collections of ten vectors, some five minutes
    python3 benches/small.py --counts 100000 --each 10 --dims 50 --workers 2 --placements spread
    python3 benches/small.py --write small

Each line is a new server. "Beyond" is everything that a collection adds to the resident memory but the components of its
vectors, four bytes each: names, tables, what the allocator leaves unused. Collections of a thousand vectors show what of
that belongs to a vector, and not to a collection. The vectors are random: nothing here depends on what they are.
"""
import argparse
import re

from served import (HOME, K, Process, TARGET, build, encode, enter_environment, machine_us, measure, print_table,
                    write_requests, write_results)

CONNECTIONS = 8
DEPTH = 16
USED = re.compile(rb"used_memory:(\d+)")


def element_name(count, each, placement, number):
    """The key of a vector; they come collection by collection."""
    collection, element = divmod(number, each)
    return f"c{collection}:{element}" if placement == "spread" else f"{{c{collection}}}:{element}"


def used_memory(process):
    return int(USED.search(process.ask("INFO", "memory")).group(1))


def line(count, each, dimension, workers, placement, queries):
    """One server, filled and asked."""
    import numpy as np

    random = np.random.default_rng(count + dimension)
    rows = random.standard_normal((4_096, dimension)).astype("<f4")
    kora = TARGET / "release" / "kora"
    process = Process(kora, "serve", "--port", "PORT", "--workers", workers, "--loglevel", "warning")
    try:
        resident, used = process.resident_bytes(), used_memory(process)
        inserts = (encode("VECSET", element_name(count, each, placement, number), dimension, "FP32",
                          rows[number % len(rows)].tobytes()) for number in range(count * each))
        filled = measure(process, write_requests("insert", inserts), CONNECTIONS, DEPTH)
        asked = (encode("VECQUERY", element_name(count, each, placement, each * collection).rpartition(":")[0], K, "FP32",
                        rows[collection % len(rows)].tobytes())
                 for collection in random.integers(count, size=queries).tolist())
        seen = measure(process, write_requests("query", asked), CONNECTIONS, DEPTH)
        # After the queries: what a collection keeps for them counts too.
        vectors = count * each * dimension * 4
        resident = process.resident_bytes() - resident - vectors
        used = used_memory(process) - used - vectors
    finally:
        process.stop()
    return [count, each, dimension, workers, placement, f"{resident / count:.0f}", f"{used / count:.0f}",
            f"{resident / count / each:.0f}", f"{filled['cpu_us']:.1f}", f"{seen['cpu_us']:.1f}", f"{machine_us():.0f}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", type=int, nargs="*", default=[100_000])
    parser.add_argument("--each", type=int, nargs="*", default=[10])
    parser.add_argument("--dims", type=int, nargs="*", default=[50])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--placements", nargs="*", choices=["spread", "tag"], default=["spread", "tag"])
    parser.add_argument("--queries", type=int, default=200_000)
    parser.add_argument("--write", metavar="NAME", help="keep the table in benches/results/NAME.md")
    arguments = parser.parse_args()
    enter_environment(["numpy"])
    build()
    shapes = [(count, each, dimension)
              for count in arguments.counts for each in arguments.each for dimension in arguments.dims]
    # As many vectors in fewer collections.
    shapes += [(count * each // 1_000, 1_000, dimension) for count, each, dimension in shapes[:1]]
    rows = []
    for shape in shapes:
        for workers in arguments.workers:
            for placement in arguments.placements:
                rows.append(line(*shape, workers, placement, arguments.queries))
                print("·", *rows[-1], flush=True)
    heads = ["collections", "vectors each", "dim", "workers", "placement", "RSS beyond, B/collection",
             "used_memory beyond", "RSS beyond, B/vector", "VECSET CPU µs", "VECQUERY CPU µs", "machine µs"]
    out = []
    print_table(f"{CONNECTIONS} connections, {DEPTH} requests deep", heads, rows, out)
    write_results(arguments.write, "What small collections cost", out)


if __name__ == "__main__":
    main()
