#!/usr/bin/env python3
"""Clients that read beside clients that don't: no reader is cut or left without a reply, and memory stays bounded.

    python3 benches/readers.py                                  the long form: every number of workers and every budget
    python3 benches/readers.py --workers 2 --budgets 8mb --readers 20 --deaf 20 --binary target/debug/kora

Values of 1 byte to 60 MB are set first. Then as many clients as are said ask for one of them again and again, in pipelines
of 1 to 10,000 GETs, and read what comes; as many others ask for the same and never read. Each reader does so for several
rounds, and holds what it gets against what it asked for. The run ends with status 1 if a reader was closed, got another
number of bytes or another error than that clients hold too much (which is counted), or heard nothing for a minute; or if
the server's RSS ever grew by more than `maxmemory-clients` and 32 MB over what it was with the values alone.
"""
import argparse
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = [1, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 60_000_000]
DEPTHS = [1, 10, 100, 1_000, 10_000]
# What one client asks for in one round: a pipeline of large values is as deep as fits this, or one value.
ROUND_BYTES_MAX = 20_000_000
ROUNDS = 3
SILENCE_S = 60
SLACK_BYTES = 32 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).resolve().parent.parent


def encode(*words):
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


class Server:
    """A server on a free port, with its values."""

    def __init__(self, binary, workers, sizes):
        self.folder = tempfile.TemporaryDirectory()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        flags = ["--port", str(self.port), "--workers", str(workers)]
        self.log = open(f"{self.folder.name}/log", "w+")
        quiet = {"stdout": self.log, "stderr": self.log}
        self.process = subprocess.Popen([binary, "serve", *flags], cwd=self.folder.name, **quiet)
        for _ in range(600):
            try:
                self.say(encode("PING"))
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        for size in sizes:
            self.say(encode("SET", f"size:{size}", b"v" * size))

    def say(self, request):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(request)
            reply = connection.recv(1 << 16)
        if reply.startswith(b"-") or not reply:
            raise RuntimeError(f"{request[:40]!r}: {reply!r}")
        return reply

    def resident_bytes(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Client:
    """Asks for the same value again and again, as deep as it may."""

    def __init__(self, server, size, depth, reads):
        self.size, self.reads, self.rounds, self.fault = size, reads, ROUNDS if reads else 1, None
        self.depth = max(1, min(depth, ROUND_BYTES_MAX // size))
        self.header = b"$%d" % size
        self.refused = 0
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setblocking(False)
        self.begin()

    def begin(self):
        self.unsent = memoryview(encode("GET", f"size:{self.size}") * self.depth)
        # Replies that have not begun, bytes of one that has, and the beginning of a line.
        self.replies, self.left, self.line = self.depth, 0, b""
        self.heard = time.monotonic()

    def send(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent[: 1 << 18]) :]
        except BlockingIOError:
            pass

    def fail(self, said):
        self.fault = f"{self.depth} × {self.size} bytes: {said}, {self.replies} replies missing"
        return False

    def receive(self):
        """Takes what is there; true while more is to come."""
        try:
            piece = self.socket.recv(1 << 20)
        except BlockingIOError:
            return True
        self.heard = time.monotonic()
        if not piece:
            return self.fail("closed")
        piece, at = self.line + piece, 0
        self.line = b""
        while at < len(piece):
            if self.left:
                taken = min(self.left, len(piece) - at)
                self.left, at = self.left - taken, at + taken
                continue
            end = piece.find(b"\r\n", at)
            if end < 0:
                self.line = piece[at:]
                break
            line, at = piece[at:end], end + 2
            self.replies -= 1
            if line == self.header:
                self.left = self.size + 2
            elif line.startswith(b"-OOM clients hold"):
                self.refused += 1
            else:
                return self.fail(repr(line[:80]))
            if self.replies < 0:
                return self.fail("a reply too much")
        if self.replies == 0 and self.left == 0:
            self.rounds -= 1
            if self.rounds:
                self.begin()
        return self.rounds > 0


def run(binary, workers, budget, readers, deaf, sizes=SIZES, depths=DEPTHS):
    """What went wrong: a line for each fault; by how many bytes the server's RSS grew at most; commands that were refused."""
    kinds = [(size, depth) for size in sizes for depth in depths]
    server = Server(binary, workers, sizes)
    faults, most = [], 0
    try:
        server.say(encode("CONFIG", "SET", "maxmemory-clients", budget))
        limit = int(re.findall(rb"\r\n(\d+)\r\n", server.say(encode("CONFIG", "GET", "maxmemory-clients")))[-1])
        before = server.resident_bytes()
        silent = [Client(server, *kinds[number % len(kinds)], False) for number in range(deaf)]
        reading = [Client(server, *kinds[(number * 7 + 3) % len(kinds)], True) for number in range(readers)]
        selector = selectors.DefaultSelector()
        for client in [*silent, *reading]:
            events = selectors.EVENT_WRITE | (selectors.EVENT_READ if client.reads else 0)
            selector.register(client.socket, events, client)
        left, looked = set(reading), 0.0
        while left:
            for key, events in selector.select(0.2):
                client = key.data
                try:
                    if events & selectors.EVENT_WRITE:
                        client.send()
                    if client.reads and events & selectors.EVENT_READ and not client.receive():
                        left.discard(client)
                        selector.unregister(client.socket)
                        client.socket.close()
                        continue
                    wanted = selectors.EVENT_READ * client.reads | selectors.EVENT_WRITE * bool(client.unsent)
                    selector.modify(client.socket, wanted, client) if wanted else selector.unregister(client.socket)
                except (ConnectionError, KeyError) as error:
                    # A client that does not read may be dropped.
                    selector.unregister(client.socket)
                    if client.reads:
                        client.fault = f"{client.depth} × {client.size} bytes: {error!r}"
                        left.discard(client)
            now = time.monotonic()
            if now - looked > 0.05:
                looked, most = now, max(most, server.resident_bytes() - before)
                for client in [client for client in left if now - client.heard > SILENCE_S]:
                    client.fault = f"{client.depth} × {client.size} bytes: no reply for {SILENCE_S} s"
                    left.discard(client)
                    selector.unregister(client.socket)
        faults = [client.fault for client in reading if client.fault]
        if most > limit + SLACK_BYTES:
            faults.append(f"RSS grew by {most} bytes, with {limit} for clients")
    finally:
        server.stop()
    return faults, most, sum(client.refused for client in reading)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "kora", type=Path)
    parser.add_argument("--workers", default="1,2,8,32")
    parser.add_argument("--budgets", default="8mb,64mb,256mb")
    parser.add_argument("--readers", default=200, type=int)
    parser.add_argument("--deaf", default=200, type=int)
    arguments = parser.parse_args()
    all_faults = 0
    for workers in arguments.workers.split(","):
        for budget in arguments.budgets.split(","):
            begun = time.monotonic()
            faults, most, refused = run(arguments.binary.resolve(), workers, budget, arguments.readers, arguments.deaf)
            took = time.monotonic() - begun
            print(f"{workers} workers, {budget}: {len(faults)} faults, {refused} commands refused, RSS +{most >> 20} MB, {took:.0f} s", flush=True)
            print("".join(f"    {fault}\n" for fault in faults), end="", flush=True)
            all_faults += len(faults)
    sys.exit(all_faults > 0)


if __name__ == "__main__":
    main()
