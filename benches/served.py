"""What the socket benches share: servers, requests in bytes, the load client, and what it all cost."""
import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "bench"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
EFS = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448]
K = 10

# An element is called v:17, behind whatever tag a server's key has.
ELEMENT = re.compile(rb"v\}?:(\d+)\r\n")


def enter_environment(needed, alone=()):
    """Starts again inside an environment that has what is compared; the packages of `alone` without what they need."""
    home = HOME / "venv"
    python = home / "bin" / "python"
    if Path(sys.prefix) == home:
        return
    HOME.mkdir(parents=True, exist_ok=True)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *needed], check=True)
    if alone:
        subprocess.run([*pip, "--no-deps", *alone], check=True)
    os.execv(python, [str(python), *sys.argv])


def build():
    """The server, the load client and the thread that does nothing, in release."""
    packages = ["-p", "kora-server", "-p", "kora-bench", "--bin", "kora", "--bin", "load", "--bin", "still"]
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked", *packages], cwd=ROOT, check=True)


def encode(*words):
    """A request: an array of bulks."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server on this machine, and what the kernel says it has used."""

    def __init__(self, *command):
        self.port = free_port()
        words = [str(word).replace("PORT", str(self.port)) for word in command]
        self.process = subprocess.Popen(words, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.address = f"127.0.0.1:{self.port}"
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise RuntimeError(f"it does not start: {words}")

    def ask(self, *words):
        """One request; the beginning of its reply."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(encode(*words))
            reply = connection.recv(1 << 16)
        if reply.startswith(b"-"):
            raise RuntimeError(f"{words[0]}: {reply!r}")
        return reply

    def cpu_ns(self):
        """Time on a processor, of all threads that live or lived: Redis makes a thread for each VSIM."""
        # What clock_getcpuclockid(3) makes of a process id; Python has no call for it.
        return time.clock_gettime_ns((~self.process.pid << 3) | 2)

    def resident_bytes(self):
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.kill()
        self.process.wait()


def write_requests(name, requests):
    """The load client's file: each request behind its length."""
    path = HOME / f"{name}.requests"
    with open(path, "wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)))
            file.write(request)
    return path


def read_replies(path):
    """The replies in the requests' order."""
    data = path.read_bytes()
    at, replies = 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        replies.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return replies


class Load:
    """The load client, begun; `end` waits for it."""

    def __init__(self, process, requests, connections, depth=1, until_told=False):
        self.replies = HOME / f"{requests.stem}.replies"
        mode = ["until-eof"] if until_told else ["once", self.replies]
        command = [TARGET / "release" / "load", process.address, requests, connections, depth, *mode]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.client = subprocess.Popen([str(word) for word in command], **pipes)

    def end(self):
        output, _ = self.client.communicate()
        if self.client.returncode != 0:
            raise RuntimeError("the load client failed")
        count, seconds, median, high, most = map(float, output.split())
        return {"count": int(count), "seconds": seconds, "p50": median, "p99": high, "max": most}


def measure(process, requests, connections, depth=1):
    """All requests once: what the client saw, and the server's processor time for each in microseconds."""
    before = process.cpu_ns()
    seen = Load(process, requests, connections, depth).end()
    return {**seen, "cpu_us": (process.cpu_ns() - before) / seen["count"] / 1e3}


def recall(path, truth):
    """The share of the true neighbours that the replies name."""
    replies = read_replies(path)
    found = [{int(name) for name in ELEMENT.findall(reply)} for reply in replies]
    return sum(len(got & want) for got, want in zip(found, truth, strict=True)) / (K * len(truth))


def true_neighbours(base, queries):
    """By brute force and cosine."""
    import numpy as np

    base, queries = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (base, queries))
    return [set(np.argpartition(-(base @ query), K)[:K].tolist()) for query in queries]


def machine_us():
    """A fixed little loop: how quick this machine is just now."""
    begun = time.thread_time()
    total = 0
    for number in range(200_000):
        total += number & 7
    return (time.thread_time() - begun) * 1e6


def print_table(title, heads, rows, out):
    """A table in Markdown, on the screen and for the file."""
    widths = [max(len(str(row[place])) for row in [heads, *rows]) for place in range(len(heads))]
    lines = ["", title, ""] if title else [""]
    for number, row in enumerate([heads, *rows]):
        cells = [str(cell).ljust(width) if place == 0 else str(cell).rjust(width)
                 for place, (cell, width) in enumerate(zip(row, widths))]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("\n".join(lines), flush=True)
    out.extend(lines)


def write_results(name, heading, lines):
    """Keeps what was printed, if it is to be kept."""
    if name:
        path = ROOT / "benches" / "results" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        when = f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load average {os.getloadavg()[2]:.1f} (15 minutes)"
        path.write_text("\n".join([f"# {heading}", "", when, *lines]) + "\n")
        print(f"\nwritten to {path.relative_to(ROOT)}")
