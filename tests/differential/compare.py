"""When two replies are the same: byte for byte where Redis decides what comes, else as far as it does."""

from collections import Counter

from departures import Departures

# In no order that is promised; but small hashes have one, see `Judge.may_differ_in_order`.
UNORDERED = {b"HGETALL": 2, b"HKEYS": 1, b"HVALS": 1, b"KEYS": 1}

# How much later than the other a server may have run a command.
TOLERANCE_MS = 5_000
TIMES = {b"TTL": 1000, b"EXPIRETIME": 1000, b"PTTL": 1, b"PEXPIRETIME": 1}
FIELD_TIMES = {b"HTTL": 1000, b"HEXPIRETIME": 1000, b"HPTTL": 1, b"HPEXPIRETIME": 1}

# What may let a key expire.
EXPIRING = {b"SET", b"SETEX", b"PSETEX", b"GETEX", b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"}

# What a cursor from nowhere leads to: any page of the keys there are.
DRAWN = {b"RANDOMKEY", b"HRANDFIELD", b"SCAN", b"HSCAN"}


class Judge:
    """Compares replies. `is_listpack` says whether the reference keeps a key's hash in the order its fields came."""

    def __init__(self, departures: Departures, is_listpack):
        self.departures = departures
        self.is_listpack = is_listpack

    def agree(self, words: tuple[bytes, ...], expected: tuple, found: tuple, before: list | None = None) -> bool:
        """Whether `found` is as good a reply to these words as `expected`. Within a transaction, `before` has what was said
        before them there."""
        in_exec = before is not None
        if expected == found:
            return True
        if self.departures.allow(words, expected, found):
            return True
        name = words[0].upper()
        if name == b"MEMORY" and expected[0] == b":" and found[1] is None:
            # Of a key that expired within the transaction, which Redis has not looked at. Before it somebody looked at all.
            about = [said for said in before or [] if words[2] in said[1:]]
            return bool(about) and any(said[0].upper() in EXPIRING for said in before)
        if expected[0] != found[0]:
            return False
        if expected[0] == b"-":
            return False
        if name == b"DBSIZE" and in_exec:
            # Of keys that expired within the transaction, which Redis has not looked at.
            return int(found[1]) <= int(expected[1])
        if name in TIMES and expected[0] == b":":
            return near(expected, found, TIMES[name])
        if name in FIELD_TIMES:
            each = list(zip(expected[1], found[1], strict=False))
            unit_ms = FIELD_TIMES[name]
            same = all(one == other or near(one, other, unit_ms) for one, other in each)
            return len(expected[1]) == len(found[1]) and same
        if name == b"TIME":
            return expected[0] == b"*" and near(expected[1][0], found[1][0], 1000)
        if name == b"OBJECT" and words[1].upper() == b"IDLETIME" and expected[0] == b":":
            return near(expected, found, 1000)
        if name == b"MEMORY" and expected[0] == b":":
            return int(found[1]) > 0
        if name in UNORDERED and isinstance(expected[1], list):
            same = Counter(chunks(expected, UNORDERED[name])) == Counter(chunks(found, UNORDERED[name]))
            return same and (name == b"KEYS" or in_exec or not self.is_listpack(words[1]))
        if name in DRAWN:
            return sound(name, words, expected, found)
        return False


def near(expected: tuple, found: tuple, unit_ms: int) -> bool:
    """Times that differ by no more than the servers' clocks may. What is below 0 says that there is none."""
    one, other = int(expected[1]), int(found[1])
    return one >= 0 and other >= 0 and abs(one - other) * unit_ms <= TOLERANCE_MS


def chunks(reply: tuple, size: int) -> list:
    """A reply's parts, by pairs where names and values alternate."""
    parts = [hashable(part) for part in reply[1]]
    return [tuple(parts[at : at + size]) for at in range(0, len(parts), size)]


def hashable(reply: tuple):
    kind, content = reply
    return (kind, tuple(hashable(part) for part in content)) if isinstance(content, list) else reply


def sound(name: bytes, words: tuple[bytes, ...], expected: tuple, found: tuple) -> bool:
    """Whether what was drawn by chance has the shape it should have. That it is there is looked up by the runner."""
    if expected[1] is None or found[1] is None:
        return False
    if name in (b"SCAN", b"HSCAN"):
        # A cursor and a list. What a whole scan finds is compared by the runner.
        return shape(expected)[:2] == shape(found)[:2] and len(found[1]) == 2
    if not isinstance(expected[1], list):
        return True
    if len(expected[1]) != len(found[1]):
        return False
    if expected[1] and {shape(part) for part in expected[1]} != {shape(part) for part in found[1]}:
        return False
    if not words[2].startswith(b"-"):
        # Each at most once.
        pairs = len(words) > 3 and expected[1] and not isinstance(expected[1][0][1], list)
        drawn = chunks(found, 2 if pairs else 1)
        return len(set(drawn)) == len(drawn)
    return True


def shape(reply: tuple):
    kind, content = reply
    return (kind, len(content)) if isinstance(content, list) else (kind,)
