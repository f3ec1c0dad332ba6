"""Random programs of commands on vector sets, and when two replies to one of them are the same.

The sets are so small that both servers compare every vector, so the same elements are found. Scores of vectors that are kept as
they came agree to a millionth; under Q8 the two servers round differently, so there they agree to a fiftieth.
"""

import random
import struct
from dataclasses import dataclass

EXACT, ROUNDED = 1e-6, 0.02

ELEMENTS = [b"a", b"b", b"c", b"a:b", b"https://x/y", b"\x00\xff", b"", b"d", b"e", b"f"]
ATTRIBUTES = [b'{"n":1}', b'{"n":2,"t":"x"}', b"bad", b"", b'{"n":1']
FILTERS = [b".n==1", b".n>0 and .t=='x'", b".n = 2", b"(.n", b"1"]


@dataclass(frozen=True)
class Set:
    """How a set is mostly asked for."""

    dimension: int
    options: tuple[bytes, ...]
    reduce: tuple[bytes, ...] = ()


SETS = {
    b"s1": Set(3, (b"NOQUANT",)),
    b"s2": Set(4, (b"NOQUANT", b"M", b"8")),
    b"s3": Set(5, (b"BIN",), (b"REDUCE", b"3")),
    b"{a}s": Set(3, ()),
    b"s4": Set(4, (b"BIN",)),
    # A string now and then.
    b"str": Set(2, (b"NOQUANT",)),
}

# Programs begin anew after so many commands.
STEPS_PER_PROGRAM = 60


class Writer:
    """Writes commands, one after the other."""

    def __init__(self, seed: str):
        self.random = random.Random(seed)

    def command(self) -> list[bytes]:
        draw = self.random
        key = b"str" if draw.random() < 0.05 else draw.choice([*SETS][:-1])
        kind = draw.random()
        if kind < 0.03:
            return self.move()
        if kind < 0.34:
            return self.add(key)
        if kind < 0.6:
            return self.similar(key)
        if kind < 0.9:
            return self.element(key)
        return draw.choice(
            [
                [b"DEL", key],
                [b"UNLINK", key],
                [b"TYPE", key],
                [b"EXISTS", key],
                [b"TOUCH", key],
                [b"OBJECT", b"ENCODING", key],
                [b"TTL", key],
                [b"EXPIRE", key, b"100000"],
                [b"PERSIST", key],
                [b"GET", key],
                [b"HSET", key, b"f", b"v"],
                [b"APPEND", b"str", b"x"],
                [b"DEL", b"str"],
                [b"DBSIZE"],
                [b"KEYS", b"*"],
                [b"SCAN", b"0", b"COUNT", b"1000"],
                [b"SCAN", b"0", b"TYPE", b"vectorset", b"COUNT", b"1000"],
                [b"MULTI"],
                [b"EXEC"],
                [b"DISCARD"],
            ]
        )

    def move(self) -> list[bytes]:
        draw = self.random
        name = draw.choice([b"RENAME", b"RENAME", b"RENAMENX", b"COPY"])
        sets = [*SETS][:-1]
        words = [name, draw.choice([*sets, b"str", b"other"]), draw.choice([*sets, b"other", b"{a}t"])]
        if draw.random() < 0.3:
            words[1:] = [b"{a}s", b"{a}t"] if draw.random() < 0.5 else [b"{a}t", b"{a}s"]
        if name == b"COPY" and draw.random() < 0.5:
            words.append(b"REPLACE")
        return words

    def vector(self, key: bytes) -> list[bytes]:
        draw = self.random
        # REDUCE to more dimensions is among the departures.
        least = 3 if SETS[key].reduce else 1
        dimension = draw.randint(least, 6) if draw.random() < 0.05 else SETS[key].dimension
        vector = [draw.choice([0, 1, -1, 0.5, 2, -0.25, draw.uniform(-2, 2)]) for _ in range(dimension)]
        if SETS[key].reduce and b"BIN" in SETS[key].options:
            # Rounding decides about the sign of a projected component that is zero, which is among the departures.
            vector = [draw.uniform(-2, 2) for _ in range(dimension)]
        if draw.random() < 0.3:
            return [b"FP32", struct.pack(f"<{dimension}f", *vector)]
        return [b"VALUES", b"%d" % dimension, *(repr(component).encode() for component in vector)]

    def add(self, key: bytes) -> list[bytes]:
        draw = self.random
        reduce = SETS[key].reduce
        if draw.random() < 0.04:
            reduce = [b"REDUCE", draw.choice([b"2", b"0", b"x"])]
        words = [b"VADD", key, *reduce, *self.vector(key), draw.choice(ELEMENTS), *SETS[key].options]
        if draw.random() < 0.1:
            words = words[:-1]
        if draw.random() < 0.3:
            # An empty one is among the departures.
            words += [b"SETATTR", draw.choice([text for text in ATTRIBUTES if text])]
        if draw.random() < 0.1:
            words += [draw.choice([b"CAS", b"M", b"EF", b"Q8", b"JUNK"])]
        if draw.random() < 0.05:
            words += [b"EF", draw.choice([b"10", b"0", b"x", b"1000000", b"01"])]
        if draw.random() < 0.05:
            words += [b"M", draw.choice([b"16", b"3", b"x", b"4096"])]
        return words

    def similar(self, key: bytes) -> list[bytes]:
        draw = self.random
        center = [b"ELE", draw.choice(ELEMENTS)] if draw.random() < 0.5 else self.vector(key)
        words = [b"VSIM", key, *center]
        for chance, option, values in [
            (0.6, b"WITHSCORES", None),
            (0.3, b"WITHATTRIBS", None),
            (0.5, b"COUNT", [b"100", b"100", b"100", b"0", b"-1", b"x"]),
            (0.3, b"FILTER", FILTERS),
            (0.2, b"EPSILON", [b"0.5", b"0.30001", b"2", b"0", b"-1", b"x"]),
            (0.1, b"EF", [b"10", b"0", b"x"]),
            (0.1, b"FILTER-EF", [b"1000", b"x"]),
            (0.3, b"TRUTH", None),
            (0.1, b"NOTHREAD", None),
            (0.03, b"JUNK", None),
        ]:
            if draw.random() < chance:
                words += [option] if values is None else [option, draw.choice(values)]
        return words

    def element(self, key: bytes) -> list[bytes]:
        draw = self.random
        element = draw.choice(ELEMENTS)
        rest = {
            b"VREM": [element],
            b"VCARD": [],
            b"VDIM": [],
            b"VEMB": [element],
            b"VISMEMBER": [element],
            b"VGETATTR": [element],
            b"VSETATTR": [element, draw.choice(ATTRIBUTES)],
            b"VINFO": [],
            b"VRANDMEMBER": draw.choice([[], [b"0"], [b"3"], [b"-4"], [b"100"], [b"x"]]),
        }
        name = draw.choice([*rest, b"VREM", b"VREM"])
        words = [name, key, *rest[name]]
        if name == b"VEMB" and draw.random() < 0.4:
            words += [draw.choice([b"RAW", b"RAW", b"JUNK"])]
        if draw.random() < 0.05:
            words = words[:-1] if draw.random() < 0.5 else [*words, b"more"]
        return words


def agree(words: list[bytes], expected: tuple, found: tuple, form: bytes) -> bool:
    """Whether `found` is as good a reply as Redis's, where the set keeps its vectors in that form."""
    name = words[0]
    tolerance = ROUNDED if form == b"int8" else EXACT
    if expected == found:
        return True
    if expected[0] != found[0] and not (is_none(expected) and is_none(found)):
        return False
    if name == b"VGETATTR":
        return is_none(expected) and is_none(found)
    if name == b"VSIM" and isinstance(expected[1], list):
        return agree_similar(words, expected, found, form, tolerance)
    if name == b"VEMB" and b"RAW" in words and isinstance(expected[1], list):
        return agree_raw(expected[1], found[1])
    if name == b"VEMB":
        return is_near(expected, found, tolerance)
    if name == b"VINFO" and isinstance(expected[1], list):
        # Numbers that count what Redis does; levels, of which there is one here; attributes that are empty.
        free = {b"max-level", b"vset-uid", b"hnsw-max-node-uid", b"attributes-count"}
        one, other = fields(expected), fields(found)
        return [*one] == [*other] and all(one[field] == other[field] for field in one if field not in free)
    if name == b"VRANDMEMBER":
        if not isinstance(expected[1], list):
            return (expected[1] is None) == (found[1] is None)
        names = {content for _, content in found[1]}
        return len(expected[1]) == len(found[1]) and (words[2].startswith(b"-") or len(names) == len(found[1]))
    if name == b"KEYS":
        return sorted(expected[1]) == sorted(found[1])
    if name == b"SCAN":
        return sorted(expected[1][1][1]) == sorted(found[1][1][1])
    if name == b"TTL":
        return abs(int(expected[1]) - int(found[1])) <= 5
    return False


def agree_similar(words: list[bytes], expected: tuple, found: tuple, form: bytes, tolerance: float) -> bool:
    if form == b"int8" and b"EPSILON" in words:
        # What lies at the edge is within it on one server only.
        return True
    one, other = rows(words, expected), rows(words, found)
    if len(one) != len(other):
        return False
    if b"WITHSCORES" in words:
        scores = [score_of(row) for row in other.values()]
        if scores != sorted(scores, reverse=True):
            return False
    if one.keys() != other.keys():
        # Those at one score: ten of them come.
        return b"COUNT" not in words and len(one) == 10
    return all(is_near((b"*", one[element]), (b"*", other[element]), tolerance) for element in one)


def rows(words: list[bytes], reply: tuple) -> dict:
    """What is said of each element, in the order of the reply."""
    with_both = b"WITHSCORES" in words and b"WITHATTRIBS" in words
    with_any = b"WITHSCORES" in words or b"WITHATTRIBS" in words
    size = 1 if not with_any else 3 if with_both and reply[0] == b"*" else 2
    parts = reply[1]
    return {parts[at][1]: parts[at + 1 : at + size] for at in range(0, len(parts), size)}


def score_of(row: list) -> float:
    kind, content = row[0]
    return float(content[0][1] if kind == b"*" else content)


def agree_raw(expected: list, found: list) -> bool:
    (name, data, *numbers), (name_found, data_found, *numbers_found) = expected, found
    if name != name_found or len(data[1]) != len(data_found[1]) or len(numbers) != len(numbers_found):
        return False
    if name[1] == b"bin":
        # Kept are signs, so the length is theirs.
        return data == data_found
    if name[1] == b"int8":
        codes = zip(struct.iter_unpack("b", data[1]), struct.iter_unpack("b", data_found[1]))
        is_same = all(abs(one - other) <= 2 for (one,), (other,) in codes)
    else:
        parts = zip(struct.iter_unpack("<f", data[1]), struct.iter_unpack("<f", data_found[1]))
        is_same = all(abs(one - other) <= EXACT for (one,), (other,) in parts)
    tolerance = ROUNDED if name[1] == b"int8" else EXACT
    return is_same and all(is_near(one, other, tolerance) for one, other in zip(numbers, numbers_found))


def is_near(one: tuple, other: tuple, tolerance: float) -> bool:
    """Equal, but for numbers that may be as far apart; empty attributes are none."""
    if one == other or (is_none(one) and is_none(other)):
        return True
    if isinstance(one[1], list) and isinstance(other[1], list):
        pairs = zip(one[1], other[1])
        return len(one[1]) == len(other[1]) and all(is_near(*pair, tolerance) for pair in pairs)
    try:
        number, number_found = float(one[1]), float(other[1])
    except (TypeError, ValueError):
        return False
    return one[0] == other[0] and abs(number - number_found) <= tolerance * (1 + abs(number))


def is_none(reply: tuple) -> bool:
    return reply[1] in (None, b"")


def fields(reply: tuple) -> dict:
    return {reply[1][at][1]: reply[1][at + 1] for at in range(0, len(reply[1]), 2)}
