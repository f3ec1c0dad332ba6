#!/usr/bin/env python3
"""A million keys and a million vectors that expire: nothing stalls, nothing is returned late, memory comes back.

    python3 benches/expiry.py                          strings, vectors in the same second, vectors at random times
    python3 benches/expiry.py --count 100000 --only random --spread 30
    python3 benches/expiry.py --write expiry           keeps the table in benches/results

What expires is loaded first; then a reader asks without a pause, through redis-py, and holds each reply against the time
at which its key expires. Nobody else touches the keys: that memory comes back is the server's own doing. A reply is late
if its request was sent after the expiry, early if it lacks what expires after it came. `slice` is the longest time that
the server worked without looking at anything else (slice_us_max in INFO), `wait` the longest that the reader waited.
"""
import argparse
import random
import re
import time

import served

DIMENSION = 50
BATCH = 500
# A server must not know a key for longer than its clock and ours may differ by rounding.
CLOCK_MS = 2


def now_ms():
    return time.time_ns() / 1e6


class Run:
    """One server, and what its reader has seen."""

    def __init__(self, redis, workers):
        more = ["--workers", workers] if workers else []
        self.process = served.Process(served.TARGET / "release" / "kora", "serve", "--port", "PORT", *more)
        self.client = redis.Redis(port=self.process.port, socket_timeout=600, protocol=2)
        self.late = self.early = self.read = 0
        self.wait_ms = 0.0

    def slice_us(self):
        numbers = re.findall(rb"slice_us_max[:=](\d+)", self.process.ask("INFO"))
        return max(int(number) for number in numbers)

    def megabytes(self):
        return self.process.resident_bytes() / 1e6

    def load(self, count, command, expiries_ms):
        """Sends `count` commands, in pipelines."""
        for first in range(0, count, BATCH):
            pipeline = self.client.pipeline(transaction=False)
            for number in range(first, min(first + BATCH, count)):
                pipeline.execute_command(*command(number), "PXAT", expiries_ms[number])
            pipeline.execute()

    def watch(self, ask, expires_ms, until_ms):
        """Asks until then, and until everything has been reclaimed; how long that took after the last expiry."""
        while True:
            sent = now_ms()
            seen = ask()
            came = now_ms()
            self.wait_ms = max(self.wait_ms, came - sent)
            self.read += len(seen)
            for number, is_there in seen:
                if is_there and sent > expires_ms[number] + CLOCK_MS:
                    self.late += 1
                if not is_there and came < expires_ms[number] - CLOCK_MS:
                    self.early += 1
            if came > until_ms and self.client.dbsize() == 0:
                return now_ms() - until_ms


def when_all_expire(count, seconds_each, spread_ms):
    """Times for all: the loading has ended before the first. It is guessed from how long the first ones took."""
    first = now_ms() + 1000 * seconds_each * count * 1.5 + 3000
    if not spread_ms:
        return [int(first)] * count
    return [int(first + random.random() * spread_ms) for _ in range(count)]


def measure(redis, kind, arguments, rows):
    run = Run(redis, arguments.workers)
    count = arguments.count
    names = [f"v:{number}" for number in range(count)]

    def string(number):
        return ("SET", names[number], f"value {number}")

    def vector(number):
        return ("VECSET", names[number], DIMENSION, "FP32", rows(number))

    command = string if kind == "strings" else vector
    try:
        # The first ones, and again all of them with their times. Graphs grow slower as they are larger.
        part = max(count // 50, 1)
        begun = time.monotonic()
        run.load(part, command, [int(now_ms() + 3_600_000)] * part)
        growth = 1 if kind == "strings" else 2.5
        each = growth * (time.monotonic() - begun) / part
        spread_ms = arguments.spread * 1000 if kind == "random" else 0
        expires_ms = when_all_expire(count, each, spread_ms)
        run.load(count, command, expires_ms)
        if now_ms() > min(expires_ms):
            raise SystemExit("loading took longer than was guessed: please try again")
        loaded_mb, slice_before = run.megabytes(), run.slice_us()
        time.sleep(max(0, min(expires_ms) / 1000 - time.time() - 1))

        def ask_strings():
            chosen = random.sample(range(count), 200)
            found = run.client.mget([names[number] for number in chosen])
            return [(number, value is not None) for number, value in zip(chosen, found, strict=True)]

        def ask_vectors():
            found = run.client.execute_command("VECQUERY", "v", 10, "FP32", rows(random.randrange(count)))
            seen = [(int(name[2:]), True) for name in found[::2]]
            one = random.randrange(count)
            return [*seen, (one, run.client.execute_command("VECGET", names[one]) is not None)]

        reclaimed_ms = run.watch(ask_strings if kind == "strings" else ask_vectors, expires_ms, max(expires_ms))
        # What a few idle turns give back.
        time.sleep(3)
        row = [
            kind, count, run.read, run.late, run.early, f"{slice_before / 1000:.1f}", f"{run.slice_us() / 1000:.1f}",
            f"{run.wait_ms:.1f}", f"{reclaimed_ms:.0f}", f"{loaded_mb:.0f}", f"{run.megabytes():.0f}",
        ]
    finally:
        run.process.stop()
    return row, run.late == run.early == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = ["strings", "vectors", "random"]
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--only", choices=kinds)
    parser.add_argument("--spread", type=float, default=60, help="seconds over which vectors expire at random times")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--write", help="the name of a file in benches/results")
    arguments = parser.parse_args()
    served.enter_environment(["numpy", "redis"])
    import numpy
    import redis

    served.HOME.mkdir(parents=True, exist_ok=True)
    served.build()
    # Clusters, as words have them: some hundred centres, and noise around each.
    generator = numpy.random.default_rng(1)
    centres = generator.standard_normal((300, DIMENSION)).astype("<f4")
    noise = generator.standard_normal((10_007, DIMENSION)).astype("<f4") * numpy.float32(0.3)

    def rows(number):
        return (centres[number % len(centres)] + noise[number % len(noise)]).tobytes()

    heads = ["what expires", "count", "replies", "late", "early", "slice before, ms", "slice, ms", "wait, ms",
             "reclaimed after, ms", "MB before", "MB after"]
    table, is_fine = [], True
    for kind in [arguments.only] if arguments.only else kinds:
        row, is_right = measure(redis, kind, arguments, rows)
        table.append(row)
        is_fine &= is_right
        print(" ".join(map(str, row)), flush=True)
    lines = []
    served.print_table("", heads, table, lines)
    served.write_results(arguments.write, "Expiry of many keys at once", lines)
    return 0 if is_fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
