"""Random programs: the same seed gives the same one."""

from dataclasses import dataclass

from commands import FAMILIES, ONE_SLOT, SHARES, hash_commands, string_commands
from draw import TAGS, Draw


@dataclass(frozen=True)
class Step:
    """A command, on one of a program's two connections."""

    connection: int
    words: tuple[bytes, ...]
    # What is waited for afterwards: until what the command lets expire has expired.
    sleep_ms: int = 0


CONNECTIONS = 2
STEPS_PER_PROGRAM = 250

# What a short life lasts, and what is waited then: so much longer that no scheduler's whim reaches it.
SHORT_LIFE_MS = 5
SLEEP_MS = 40


def program(seed: str, families: list[str], count: int = STEPS_PER_PROGRAM) -> list[Step]:
    """A program of `count` steps."""
    draw = Draw(seed)
    writer = Writer(draw, families)
    return [writer.step() for _ in range(count)]


class Writer:
    """Writes one program, step by step."""

    def __init__(self, draw: Draw, families: list[str]):
        self.draw = draw
        self.commands = {}
        self.weights = []
        for family in families:
            made, weight = FAMILIES[family]
            commands = made(draw)
            self.commands |= commands
            total = sum(SHARES.get(name, 1) for name in commands)
            self.weights += [weight * SHARES.get(name, 1) / total for name in commands]
        self.names = list(self.commands)
        self.hash_names = set(hash_commands(draw)) | {b"HSCAN"}
        self.string_names = set(string_commands(draw))
        # Whether a connection has, as far as was written, begun a transaction.
        self.in_multi = [False] * CONNECTIONS
        # All that one program watches is in one slot.
        self.watch_tag = draw.choice(TAGS)

    def step(self) -> Step:
        draw = self.draw
        connection = int(draw.chance(0.3))
        if draw.chance(0.004) and not any(self.in_multi):
            return self.short_life(connection)
        (name,) = draw.random.choices(self.names, self.weights)
        if self.in_multi[connection] and draw.chance(0.12):
            name = b"EXEC"
        words = [name, *self.arguments(name, connection)]
        if draw.chance(0.04):
            words = self.spoiled(words)
        if name in (b"MULTI", b"EXEC", b"DISCARD") and len(words) == 1:
            self.in_multi[connection] = name == b"MULTI"
        return Step(connection, (draw.cased(words[0]), *words[1:]))

    def arguments(self, name: bytes, connection: int) -> list[bytes]:
        if name == b"WATCH":
            self.draw.tag = self.watch_tag
        elif name in ONE_SLOT and self.in_multi[connection]:
            self.draw.tag = self.draw.choice(TAGS)
        if name in self.hash_names | self.string_names:
            self.draw.to_hashes = name in self.hash_names
        words = self.commands[name]()
        self.draw.tag = self.draw.to_hashes = None
        return words

    def spoiled(self, words: list[bytes]) -> list[bytes]:
        """One word less, one more, or another one: a wrong arity, a wrong option, a number that is none."""
        draw = self.draw
        place = draw.between(1, len(words))
        kind = draw.between(0, 2)
        if words[0] == b"HGETEX":
            # Of one that ends at FIELDS Redis 8.2.3 reads a word that is not there.
            return [*words, draw.odd_word()]
        if words[0] in ONE_SLOT:
            # What stands for a key then would be in any slot.
            return words[:place]
        if kind == 0 or place == len(words):
            return words[:place] if draw.chance(0.5) else [*words, draw.odd_word()]
        return [*words[:place], draw.odd_word(), *words[place + (kind == 1) :]]

    def short_life(self, connection: int) -> Step:
        """A key that is gone a moment later."""
        draw = self.draw
        key, life = draw.key(), b"%d" % SHORT_LIFE_MS
        words = draw.choice(
            [
                (b"SET", key, b"short", b"PX", life),
                (b"PSETEX", key, life, b"short"),
                (b"PEXPIRE", key, life),
                (b"GETEX", key, b"PX", life),
            ]
        )
        return Step(connection, words, SLEEP_MS)
