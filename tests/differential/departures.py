"""Where Kōra departs from Redis on purpose. docs/departures.md gives the reasons under the same names."""

from collections import Counter
from dataclasses import dataclass
from typing import Callable

import servers


@dataclass(frozen=True)
class Departure:
    """A difference that is meant."""

    # The heading in docs/departures.md.
    name: str
    # Commands that show it: each beside the reply that Redis gives to the last, and that which Kōra gives.
    examples: tuple[tuple[list[list[bytes]], tuple, tuple], ...]
    # Whether it explains two replies to the same words. None of a departure that random programs keep away from, because
    # what the servers hold is not the same afterwards.
    explains: Callable[[tuple, tuple, tuple], bool] | None = None


LONG_KEY = b"a key of thirty bytes, no less"


def string_encoding(words: tuple, expected: tuple, found: tuple) -> bool:
    forms = (b"embstr", b"raw")
    return words[0].upper() == b"OBJECT" and expected[1] in forms and found[1] in forms


def reference_count(words: tuple, expected: tuple, found: tuple) -> bool:
    counts = [word.upper() for word in words[:2]] == [b"OBJECT", b"REFCOUNT"]
    return counts and expected[0] == b":" and found == (b":", b"1")


def quoted_bytes(words: tuple, expected: tuple, found: tuple) -> bool:
    return expected[0] == found[0] == b"-" and expected[1].decode(errors="replace").encode() == found[1]


def cross_slot(*commands: list[bytes], reply: tuple) -> tuple:
    text = b"CROSSSLOT Keys in request don't hash to the same slot"
    return (list(commands), reply, (b"-", text))


QUEUED = (b"+", b"QUEUED")

LIST = (
    Departure(
        "OBJECT ENCODING of short strings",
        (
            (
                [
                    [b"SET", LONG_KEY, b"x" * 40],
                    [b"OBJECT", b"ENCODING", LONG_KEY],
                ],
                (b"$", b"raw"),
                (b"$", b"embstr"),
            ),
        ),
        string_encoding,
    ),
    Departure(
        "OBJECT REFCOUNT",
        (
            (
                [[b"MULTI"], [b"SET", b"k", b"v"], [b"OBJECT", b"REFCOUNT", b"k"], [b"EXEC"]],
                (b"*", [(b"+", b"OK"), (b":", b"2")]),
                (b"*", [(b"+", b"OK"), (b":", b"1")]),
            ),
        ),
        reference_count,
    ),
    Departure(
        "Bytes quoted in an error",
        (
            (
                [[b"NOSUCHCOMMAND", b"a\xffb"]],
                (b"-", b"ERR unknown command 'NOSUCHCOMMAND', with args beginning with: 'a\xffb' "),
                (b"-", "ERR unknown command 'NOSUCHCOMMAND', with args beginning with: 'a�b' ".encode()),
            ),
        ),
        quoted_bytes,
    ),
    Departure(
        "Keys of several slots in a transaction",
        (
            cross_slot([b"WATCH", b"{a}1", b"{b}1"], reply=(b"+", b"OK")),
            cross_slot([b"WATCH", b"{a}1"], [b"WATCH", b"{b}1"], reply=(b"+", b"OK")),
            cross_slot([b"MULTI"], [b"RENAME", b"{a}1", b"{b}1"], reply=QUEUED),
            cross_slot([b"MULTI"], [b"RENAMENX", b"{a}1", b"{b}1"], reply=QUEUED),
            cross_slot([b"MULTI"], [b"COPY", b"{a}1", b"{b}1"], reply=QUEUED),
            cross_slot([b"MULTI"], [b"MSETNX", b"{a}1", b"v", b"{b}1", b"v"], reply=QUEUED),
        ),
    ),
    Departure(
        "Ranges of bytes beyond ASCII in patterns",
        (
            (
                [[b"SET", b"k", b"v"], [b"KEYS", b"[}-\xff]"]],
                (b"*", [(b"$", b"k")]),
                (b"*", []),
            ),
        ),
    ),
    Departure(
        "Vector sets",
        (
            (
                [[b"VADD", b"s", b"VALUES", b"1", b"1", b"e", b"SETATTR", b""], [b"VGETATTR", b"s", b"e"]],
                (b"$", b""),
                (b"$", None),
            ),
            (
                [[b"VADD", b"s", b"VALUES", b"1", b"inf", b"e"]],
                (b":", b"1"),
                (b"-", b"ERR invalid vector specification"),
            ),
        ),
    ),
    Departure(
        "Patterns of several stars",
        (
            (
                [[b"SET", b"", b"v"], [b"KEYS", b"**"]],
                (b"*", []),
                (b"*", [(b"$", b"")]),
            ),
        ),
    ),
)


class Departures:
    """The list, and how often each entry has explained a difference."""

    def __init__(self):
        self.used = Counter()

    def allow(self, words: tuple[bytes, ...], expected: tuple, found: tuple) -> bool:
        for departure in LIST:
            if departure.explains and departure.explains(words, expected, found):
                self.used[departure.name] += 1
                return True
        return False


def documented() -> list[str]:
    """The headings of the departures in the documentation."""
    text = (servers.REPOSITORY / "docs" / "departures.md").read_text()
    return [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
