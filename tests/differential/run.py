#!/usr/bin/env python3
"""The same random programs on a real Redis and on Kōra: every reply must be the same.

    python3 tests/differential/run.py                                  20,000 commands on the release build
    python3 tests/differential/run.py --seed 7 --commands 500000 --workers 8 --protocol 3
    python3 tests/differential/run.py --family hash --family scan      these families only
    python3 tests/differential/run.py --subject redis                  Redis beside itself: there is no false alarm

A difference is shrunk to the shortest program that shows it, and printed with the seed. Where Kōra departs on purpose is
listed in docs/departures.md.
"""

import argparse
import random
import sys
import time

import servers
from commands import FAMILIES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default=str(random.randrange(10**6)), help="any word; random if it is not given")
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2, help="of Kōra")
    parser.add_argument("--protocol", type=int, choices=[2, 3], default=2)
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="only these; may be given again")
    parser.add_argument("--depth", type=int, default=16, help="commands sent at a time")
    parser.add_argument("--subject", choices=["kora", "redis"], default="kora", help="what is compared with Redis")
    parser.add_argument("--program", type=int, help="only this program of the seed")
    parser.add_argument("--differences", type=int, default=1, help="stop after so many")
    arguments = parser.parse_args()
    servers.enter_environment()
    from session import Session

    subject = servers.Redis if arguments.subject == "redis" else lambda: servers.Kora(arguments.workers)
    families = arguments.family or list(FAMILIES)
    with Session(subject, arguments.protocol, arguments.depth) as session:
        begun = time.monotonic()
        reports = session.compare(
            arguments.seed, arguments.commands, families, arguments.program, arguments.differences
        )
        for report in reports:
            print(report, end="\n\n")
        spent = time.monotonic() - begun
        explained = ", ".join(f"{name}: {count}" for name, count in session.departures.used.items()) or "none"
        counts = f"{session.runner.commands} commands in {spent:.1f} s, {len(reports)} differences"
        print(f"seed {arguments.seed}: {counts}; departures met: {explained}")
    return 1 if reports else 0


if __name__ == "__main__":
    sys.exit(main())
