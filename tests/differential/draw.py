"""Arguments, drawn at random: mostly such as collide and are in order, now and then odd ones."""

import random

# Few, so that commands meet: of all bytes, some in one slot by their tag, one empty, one that only looks as if it had a tag.
TAGS = [b"a", b"b"]
KEYS = [
    b"{a}1",
    b"{a}2",
    b"{a}3",
    b"{a}\x00\xff",
    b"{b}1",
    b"{b}2",
    b"k",
    b"key two",
    b"",
    b"{}x",
    "👋".encode(),
    b"L" * 300,
]
# Those that mostly are hashes: if any key were anything, most commands would meet the wrong type.
HASHES = {b"{a}2", b"{a}\x00\xff", b"{b}2", b"key two", b"{}x", b"L" * 300}
FIELDS = [b"f1", b"f2", b"f3", b"f4", b"", b"\x00\r\n\xff", b"number", b"F" * 64, b"G" * 65]

INTEGERS = b"0 1 -1 2 10 -7 100 9223372036854775807 -9223372036854775808 9223372036854775806".split()
ODD_INTEGERS = [b"", b" 1", b"1 ", b"1\x00", b"\xff"]
ODD_INTEGERS += (
    b"+1 01 -0 0x10 1.0 1e3 abc - 9223372036854775808 -9223372036854775809 99999999999999999999999 inf".split()
)

FLOATS = b"0 1 -1 0.1 -0.1 3.0 1e3 5.0e3 200 10.5 .5 5. +2 -0 1e-18 0x1p3 0xA.8 123456789012345678".split()
FLOATS += b"3.14159265358979323846 1e17 1e300 1e4900 -1e4900 1e-4000".split()
ODD_FLOATS = [b"", b" 1", b"1 ", b"1\x00"]
ODD_FLOATS += b"inf -inf +Infinity nan -nan 1e . 0x 1e5000 1e-6000 abc 1.2.3".split()

# About what Redis embeds, what a small hash's value may be, and what is copied into a reply.
LENGTHS = [44, 45, 63, 64, 65, 300, 20_000]

PLACES = b"0 1 -1 3 -3 10 -10 100 -100".split()
COUNTS = b"0 1 2 -1 -3 10 -10 1000 -600".split()

# The years 2050 to 2100: never reached by a run, and few, so that GT and LT meet what is equal.
FAR_S = [2_524_608_000, 2_524_608_001, 2_840_140_800, 4_102_444_800]
PAST_S = [1, 1_000_000_000]
ODD_TIMES = b"0 -1 -100 9223372036854775807 -9223372036854775808".split()
ODD_TIMES += b"9223372036854775 -9223372036854775 9223372036854776".split()

PATTERNS = [b"", b"*\xff", b"{?}?[\xff]", *b"* ? {a}* {b}? [^k]* f[1-3] *\\** k nothing [a- \\ *1*".split()]
PATTERN_PARTS = b"* ? [ ] ^ - \\ a b m 1 3 { } f k".split()


class Draw:
    """A source of arguments. The same seed gives the same ones."""

    def __init__(self, seed: str):
        self.random = random.Random(seed)
        # A lifetime relative to now is drawn once only: equal ones would expire in an order that the clock decides.
        # While it is set, keys are drawn from those of this tag.
        self.tag = None
        # Whether what is to be done now is done to hashes, to strings (False) or to either (None).
        self.to_hashes = None
        self.lifetimes_s = self.random.sample(range(1_000, 1_000_000, 10), 2_000)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def choice(self, values):
        return self.random.choice(values)

    def between(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def key(self) -> bytes:
        """A key, mostly one that is likely to be of the type that is wanted; the first are used most."""
        if self.tag is None and self.chance(0.02):
            return self.bytes(3)
        keys = KEYS if self.tag is None else [key for key in KEYS if key.startswith(b"{%s}" % self.tag)]
        if self.to_hashes is not None and self.chance(0.85):
            keys = [key for key in keys if (key in HASHES) == self.to_hashes]
        return self.choice(keys[: self.choice([2, 4, len(keys)])])

    def keys(self) -> list[bytes]:
        return [self.key() for _ in range(self.between(1, 5))]

    def field(self) -> bytes:
        if self.chance(0.03):
            return self.bytes(3)
        return self.choice(FIELDS[: self.choice([2, 4, len(FIELDS)])])

    def bytes(self, most: int) -> bytes:
        """Any bytes at all."""
        return self.random.randbytes(self.between(0, most))

    def value(self) -> bytes:
        kind = self.between(0, 10)
        if kind < 4:
            return self.integer()
        if kind < 5:
            return self.float()
        if kind < 8:
            return self.choice([b"", b"v", b"value", b"x" * 20, b"\x00\xff\r\n", "größe".encode()])
        if kind == 10:
            return self.bytes(100)
        return b"%c" % self.between(0, 255) * self.choice(LENGTHS[: self.choice([5, len(LENGTHS)])])

    def integer(self) -> bytes:
        if self.chance(0.1):
            return self.choice(ODD_INTEGERS)
        return self.choice(INTEGERS[: self.choice([7, len(INTEGERS)])])

    def float(self) -> bytes:
        if self.chance(0.1):
            return self.choice(ODD_FLOATS)
        return self.choice(FLOATS[: self.choice([14, len(FLOATS)])])

    def place(self) -> bytes:
        """A place in a string."""
        return self.choice(PLACES) if self.chance(0.9) else self.integer()

    def count(self) -> bytes:
        return self.choice(COUNTS) if self.chance(0.9) else self.integer()

    def pattern(self) -> bytes:
        """One of those that are meant, or any text of the characters that mean something."""
        if self.chance(0.5):
            return self.choice(PATTERNS)
        pattern = b"".join(self.choice(PATTERN_PARTS) for _ in range(self.between(1, 7)))
        # Several stars alone are among the departures.
        return pattern if pattern.strip(b"*") else b"*"

    def odd_word(self) -> bytes:
        """What is neither a word of a command nor a time that comes within a run."""
        return self.choice([b"", b"abc", b"\x00", b"NONSENSE", b"1.5", b"-5", b"v" * 70, b"9" * 30])

    def lifetime(self, unit_s: int) -> bytes:
        """A time to live from now on, `unit_s` to the second."""
        if self.chance(0.15):
            return self.choice(ODD_TIMES) if self.chance(0.7) else self.choice(ODD_INTEGERS)
        return b"%d" % (self.lifetimes_s.pop() * unit_s)

    def moment(self, unit_s: int) -> bytes:
        """An absolute time, `unit_s` to the second."""
        if self.chance(0.15):
            return self.choice(ODD_TIMES) if self.chance(0.7) else self.choice(ODD_INTEGERS)
        return b"%d" % (self.choice(PAST_S if self.chance(0.15) else FAR_S) * unit_s)

    def expiry(self) -> list[bytes]:
        """EX, PX, EXAT or PXAT and their number."""
        option = self.choice([b"EX", b"PX", b"EXAT", b"PXAT"])
        unit_s = 1000 if option.startswith(b"P") else 1
        return [option, self.moment(unit_s) if option.endswith(b"AT") else self.lifetime(unit_s)]

    def cased(self, word: bytes) -> bytes:
        return self.choice([word, word, word.lower(), word.title()])
