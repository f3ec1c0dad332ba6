#!/usr/bin/env python3
"""What clients notice of eviction: how long PINGs take beside it, the longest slice, and what commands cost beside another binary.

    python3 benches/memory_latency.py --write memory-latency
    python3 benches/memory_latency.py --parts commands --before PATH

pings:    a client sends PINGs while another writes: to a server at its limit that evicts for each write, and to one without a
          limit. In turns, so that both meet the same machine. `slice` is the longest `slice_us_max` of each turn: the median and
          the most of all turns. A third server gets PINGs only: the control.
commands: processor time of the server for each GET, SET and HSET, at depths 1 and 16, of two binaries in turns, without a limit.
          The ratio is the median of the turns'. It needs redis-benchmark.
"""
import argparse
import multiprocessing
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import footprint  # noqa: E402
import memory_limit  # noqa: E402

TURN_S = 2.0
# Writes a second, and how many of them are sent at once.
PACES = {"strings of 64 bytes": (20_000, 50), "vectors of 50": (1_500, 5), "vectors of 384": (400, 2)}


class Server(memory_limit.Server):
    """A server with a second client, which sends PINGs."""

    def __init__(self, command, port):
        super().__init__(command, port)
        self.pinger = footprint.socket.create_connection(("127.0.0.1", port))
        self.port, self.number, self.waits, self.slices = port, 0, [], []

    def slice_us(self):
        self.socket.sendall(footprint.encode((b"INFO", b"workers")))
        received = b""
        while not received.endswith(b"\r\n") or received.count(b"\r\n") < 3:
            received += self.socket.recv(1 << 16)
        return max(int(number) for number in re.findall(rb"slice_us_max=(\d+)", received))

    def take_turn(self, shape):
        """PINGs beside writes of this shape, or beside nothing."""
        self.ask([(b"CONFIG", b"RESETSTAT")])
        writer = None
        if shape:
            rate, at_once = PACES[shape]
            count = int(rate * TURN_S / at_once)
            writer = multiprocessing.Process(target=write, args=(self.port, shape, self.number, count), daemon=True)
            self.number += count * at_once
            writer.start()
            time.sleep(0.2)
        end = time.monotonic() + TURN_S - 0.3
        while time.monotonic() < end:
            begun = time.perf_counter()
            self.pinger.sendall(b"*1\r\n$4\r\nPING\r\n")
            self.pinger.recv(64)
            self.waits.append(time.perf_counter() - begun)
            time.sleep(0.0005)
        if writer:
            writer.join()
        self.slices.append(self.slice_us())

    def percentile_us(self, share):
        return sorted(self.waits)[int(share * len(self.waits))] * 1e6

    def processor_ns(self):
        schedules = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(schedule.read_text().split()[0]) for schedule in schedules)


def write(port, shape, first, count):
    """Writes at an even pace, each time to new keys."""
    (make, _), (rate, at_once) = memory_limit.SHAPES[shape], PACES[shape]
    batches = [b"".join(footprint.encode(make(number)) for number in range(first + batch * at_once, first + (batch + 1) * at_once))
               for batch in range(count)]
    with footprint.socket.create_connection(("127.0.0.1", port)) as client:
        begun = time.monotonic()
        for batch, requests in enumerate(batches):
            time.sleep(max(0.0, begun + batch * at_once / rate - time.monotonic()))
            client.sendall(requests)
            ended = 0
            while ended < at_once:
                received = client.recv(1 << 16)
                ended += received.count(b"\n")
                if not received or b"-" in received:
                    raise SystemExit(received[:200].decode() or "the server has gone")


def start(binary, workers, *flags):
    port = footprint.free_port()
    return Server([binary, "--port", port, "--bind", "127.0.0.1", "--workers", workers, "--loglevel", "warning", *flags], port)


def pings(arguments):
    lines = ["| writes | workers | server | PING p50 | p99 | p99 of that without | slice, median of turns | most |", "|---|---|---|---|---|---|---|---|"]
    for shape, workers in ((shape, workers) for shape in PACES for workers in arguments.workers):
        make, size = memory_limit.SHAPES[shape]
        limit = arguments.limit * memory_limit.MIB
        fill = limit // size // 500 * 500
        servers = {
            "without a limit": start(arguments.binary, workers),
            "evicting": start(arguments.binary, workers, "--maxmemory", limit, "--maxmemory-policy", "allkeys-lru"),
            "idle": start(arguments.binary, workers),
        }
        try:
            for name, filled in (("without a limit", fill * 7 // 8), ("evicting", fill * 5 // 4)):
                for first in range(0, filled, 500):
                    servers[name].pour(make(number) for number in range(first, first + 500))
                servers[name].number = 10 * fill
            for _ in range(arguments.turns):
                for name, server in servers.items():
                    server.take_turn(shape if name != "idle" else None)
            without = servers["without a limit"].percentile_us(0.99)
            for name, server in servers.items():
                lines.append(f"| {shape} | {workers} | {name} | {server.percentile_us(0.5):.0f} µs | {server.percentile_us(0.99):.0f} µs "
                             f"| {server.percentile_us(0.99) / without:.2f} | {statistics.median(server.slices):.0f} µs | {max(server.slices)} µs |")
                print(lines[-1], flush=True)
        finally:
            for server in servers.values():
                server.stop()
    return lines


def commands(arguments):
    lines = ["| command | depth | before, ns | now, ns | ratio |", "|---|---|---|---|---|"]
    servers = [start(arguments.before, 1), start(arguments.binary, 1)]
    wanted = {words.upper() for words in arguments.commands}
    kinds = {"GET": ["GET", "key:__rand_int__"], "SET": ["SET", "key:__rand_int__", "v" * 64], "HSET": ["HSET", "hash:__rand_int__", "field", "v" * 8]}

    def spend(server, words, depth, count):
        begun = server.processor_ns()
        flags = ["-p", str(server.port), "-n", str(count), "-r", "100000", "-P", str(depth), "-c", "8", "-q"]
        subprocess.run(["redis-benchmark", *flags, *words], stdout=subprocess.DEVNULL, check=True)
        return (server.processor_ns() - begun) / count

    try:
        for words in (kinds["SET"], kinds["HSET"]):
            for server in servers:
                spend(server, words, 64, 400_000)
        for name, words in ((name, words) for name, words in kinds.items() if name in wanted):
            for depth, count in ((1, 20_000), (16, 200_000)):
                spent = [[], []]
                for turn in range(arguments.turns):
                    for place in (0, 1) if turn % 2 else (1, 0):
                        spent[place].append(spend(servers[place], words, depth, count))
                ratio = statistics.median(now / before for before, now in zip(*spent))
                medians = " | ".join(f"{statistics.median(some):.0f}" for some in spent)
                lines.append(f"| {name} | {depth} | {medians} | {ratio:.3f} |")
                print(lines[-1], flush=True)
    finally:
        for server in servers:
            server.stop()
    return lines


PARTS = {"pings": pings, "commands": commands}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(HERE.parent / "target/release/kora"))
    parser.add_argument("--before", help="the binary that commands are compared with")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--commands", nargs="+", default=["GET", "SET", "HSET"])
    parser.add_argument("--limit", type=int, default=32, help="MiB")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--write", help="name of the file in benches/results")
    arguments = parser.parse_args()
    if "commands" in arguments.parts and not (arguments.before and shutil.which("redis-benchmark")):
        parser.error("the part `commands` needs --before and redis-benchmark")
    text = ""
    for part in arguments.parts:
        print(f"## {part}", flush=True)
        text += f"## {part}\n\n" + "\n".join(PARTS[part](arguments)) + "\n\n"
    if arguments.write:
        command = " ".join(["benches/memory_latency.py", *sys.argv[1:]])
        (HERE / "results" / f"{arguments.write}.md").write_text(f"# What clients notice of eviction\n\n`{command}`\n\n{text}")


if __name__ == "__main__":
    main()
