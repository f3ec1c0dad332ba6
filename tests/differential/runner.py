"""Runs a program on both servers at once and finds the first step at which they differ."""

import itertools
import time
from dataclasses import dataclass

import compare
import resp
from commands import DATABASES
from departures import Departures
from draw import KEYS
from programs import CONNECTIONS, Step


@dataclass
class Difference:
    """Where two servers answered differently."""

    # The step's place in its program.
    place: int
    words: tuple[bytes, ...]
    expected: str
    found: str

    def kind(self) -> tuple:
        """What a shrunk program must still show, so that it does not end at another difference."""
        return (self.words[0].upper(), alike(self.expected), alike(self.found))


def alike(reply: str) -> str:
    """An error's first words, and of all else the type: values become others while a program shrinks."""
    return reply[:24] if reply.startswith("-") else reply[:1]


# After these their replies are checked against what the servers hold now.
CHECKED_NOW = {b"HRANDFIELD", b"RANDOMKEY", b"SCAN", b"HSCAN", b"HGETALL", b"HKEYS", b"HVALS"}


# Redis counts what has expired until somebody looks at it: so somebody looks at all there is before these.
COUNTS_EXPIRED = {b"EXEC", b"DBSIZE", b"MEMORY"}


class Side:
    """One server: the connections of a program, and one of the runner's own."""

    def __init__(self, server, protocol: int):
        self.server = server
        self.protocol = protocol
        self.own = resp.Connection(server.port, protocol)
        self.connections = []
        # The database that the runner's own connection has selected.
        self.database = 0

    def look_in(self, database: int) -> None:
        """The runner's own connection speaks of this database from now on, if the server has it."""
        if self.database != database and self.own.ask(b"SELECT", b"%d" % database) == (b"+", b"OK"):
            self.database = database

    def begin(self) -> None:
        """Nothing is left of the program before."""
        self.end()
        reply = self.own.ask(b"FLUSHALL")
        assert reply == (b"+", b"OK"), reply
        self.connections = [resp.Connection(self.server.port, self.protocol) for _ in range(CONNECTIONS)]

    def end(self) -> None:
        for connection in self.connections:
            connection.close()
        self.connections = []


class Runner:
    """Both servers."""

    def __init__(self, reference, subject, protocol: int, departures: Departures, depth: int = 16):
        self.sides = [Side(reference, protocol), Side(subject, protocol)]
        self.judge = compare.Judge(departures, self.is_listpack)
        self.depth = depth
        self.commands = 0
        # For each connection, what its transaction has queued.
        self.queued = [[] for _ in range(CONNECTIONS)]
        # The databases that the connections have selected.
        self.databases = [0] * CONNECTIONS

    def is_listpack(self, key: bytes) -> bool:
        return self.sides[0].own.ask(b"OBJECT", b"ENCODING", key)[1] in (b"listpack", b"listpackex")

    def run(self, program: list[Step], depth: int | None = None) -> Difference | None:
        """The first difference, if there is one. Commands are sent `depth` at a time where they may be."""
        self.queued = [[] for _ in range(CONNECTIONS)]
        self.databases = [0] * CONNECTIONS
        for side in self.sides:
            side.begin()
        place = 0
        while place < len(program):
            batch = self.batch(program, place, self.depth if depth is None else depth)
            difference = self.step(program, place, batch)
            if difference:
                return difference
            place += batch
        return None

    def batch(self, program: list[Step], place: int, depth: int) -> int:
        """How many steps go together: of one connection, up to one after which something is looked at or waited for."""
        first = program[place]
        for count in range(1, depth):
            step = program[place + count - 1]
            if step.sleep_ms or step.words[0].upper() in CHECKED_NOW or place + count == len(program):
                return count
            step = program[place + count]
            if step.connection != first.connection or step.words[0].upper() in COUNTS_EXPIRED:
                return count
        return max(depth, 1)

    def step(self, program: list[Step], place: int, count: int) -> Difference | None:
        steps = program[place : place + count]
        if steps[0].words[0].upper() in COUNTS_EXPIRED:
            for side, database in itertools.product(self.sides, DATABASES):
                side.look_in(database)
                side.own.ask(b"EXISTS", *KEYS)
                # And at those of any bytes, as far as Redis is concerned.
                side.own.ask(b"SCAN", b"0", b"COUNT", b"100000")
        for side in self.sides:
            side.connections[steps[0].connection].send(*(step.words for step in steps))
        self.commands += count
        for offset, step in enumerate(steps):
            replies = [self.receive(side, step) for side in self.sides]
            found = self.compare(step, *replies)
            if found:
                return Difference(place + offset, step.words, *found)
        if steps[-1].sleep_ms:
            time.sleep(steps[-1].sleep_ms / 1000)
        return None

    def receive(self, side: Side, step: Step) -> tuple:
        try:
            return side.connections[step.connection].receive()
        except (resp.Closed, OSError) as error:
            return (b"?", f"{type(error).__name__} {error}: {side.server.words()[-2000:]}".encode())

    def compare(self, step: Step, expected: tuple, found: tuple) -> tuple[str, str] | None:
        """What to show if they differ."""
        name = step.words[0].upper()
        queued = self.queued[step.connection]
        self.look_at(step.connection)
        if name == b"EXEC" and expected[0] == found[0] == b"*" and expected[1] is not None and found[1] is not None:
            self.queued[step.connection] = []
            if len(expected[1]) == len(found[1]) == len(queued):
                for place, (words, one, other) in enumerate(zip(queued, expected[1], found[1])):
                    if not self.judge.agree(words, one, other, queued[:place]):
                        return (f"{words}: {resp.show(one)}", resp.show(other))
                    self.note_selection(step.connection, words, one)
                return None
        if expected == found == (b"+", b"QUEUED"):
            queued.append(step.words)
            return None
        if name in (b"MULTI", b"EXEC", b"DISCARD") and expected[0] != b"-":
            self.queued[step.connection] = []
        if not self.judge.agree(step.words, expected, found):
            return (resp.show(expected), resp.show(found))
        self.note_selection(step.connection, step.words, expected)
        if name in CHECKED_NOW and expected[0] not in (b"-", b"+"):
            return self.check_now(name, step.words, expected, found)
        return None

    def note_selection(self, connection: int, words: tuple[bytes, ...], reply: tuple) -> None:
        if words[0].upper() == b"SELECT" and reply == (b"+", b"OK"):
            self.databases[connection] = int(words[1])
            self.look_at(connection)

    def look_at(self, connection: int) -> None:
        """What is asked of the servers is asked about the database that a connection has selected."""
        for side in self.sides:
            side.look_in(self.databases[connection])

    def check_now(self, name: bytes, words: tuple[bytes, ...], expected: tuple, found: tuple) -> tuple[str, str] | None:
        """What was drawn must be there, and a scan that is gone on with must find what the other finds."""
        own = self.sides[0].own
        if name == b"RANDOMKEY" and found[1] is not None and own.ask(b"EXISTS", found[1]) != (b":", b"1"):
            return ("a key that exists", resp.show(found))
        if name == b"HRANDFIELD" and found[1] is not None:
            return self.drawn_from(words, found)
        if name in (b"SCAN", b"HSCAN"):
            return self.whole_scan(name, words, expected, found)
        return None

    def drawn_from(self, words: tuple[bytes, ...], found: tuple) -> tuple[str, str] | None:
        content = self.sides[0].own.ask(b"HGETALL", words[1])[1]
        pairs = {content[at][1]: content[at + 1][1] for at in range(0, len(content), 2)}
        parts = found[1] if isinstance(found[1], list) else [found]
        if len(words) > 3:
            # RESP3 pairs them, RESP2 alternates.
            flat = [part for pair in parts for part in (pair[1] if isinstance(pair[1], list) else [pair])]
            drawn = zip(flat[::2], flat[1::2])
            fine = all(field[1] in pairs and pairs[field[1]] == value[1] for field, value in drawn)
        else:
            fine = all(part[1] in pairs for part in parts)
        return None if fine else (f"fields of {sorted(pairs)[:10]}", resp.show(found))

    def whole_scan(
        self, name: bytes, words: tuple[bytes, ...], expected: tuple, found: tuple
    ) -> tuple[str, str] | None:
        """Both scans to their ends, with the same options, from a beginning."""
        place = 1 if name == b"SCAN" else 2
        if words[place] != b"0":
            return None
        met = []
        for side, reply in zip(self.sides, (expected, found)):
            parts, rounds = list(reply[1][1][1]), 0
            while reply[1][0][1] != b"0":
                reply = side.own.ask(*words[:place], reply[1][0][1], *words[place + 1 :])
                rounds += 1
                if reply[0] == b"-" or rounds > ROUNDS_MAX:
                    return ("a scan that ends", f"{side.server.name}: {resp.show(reply)} after {rounds} rounds")
                parts += reply[1][1][1]
            size = 2 if name == b"HSCAN" and b"NOVALUES" not in [word.upper() for word in words] else 1
            met.append(set(compare.chunks((b"*", parts), size)))
        if met[0] == met[1]:
            return None
        return (f"only here {sorted(met[0] - met[1])[:5]}", f"only here {sorted(met[1] - met[0])[:5]}")


# A key space of some dozen keys and hashes of some thousand fields are scanned in fewer, even one by one.
ROUNDS_MAX = 10_000
