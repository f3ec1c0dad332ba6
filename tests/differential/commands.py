"""The commands that are compared, by family: what arguments each takes, and which options."""

from draw import Draw


def string_commands(draw: Draw) -> dict:
    key, value = draw.key, draw.value
    return {
        b"SET": lambda: [key(), value(), *set_options(draw)],
        b"GET": lambda: [key()],
        b"GETEX": lambda: [key(), *some_of(draw, [draw.expiry(), [b"PERSIST"]])],
        b"GETDEL": lambda: [key()],
        b"GETSET": lambda: [key(), value()],
        b"SETNX": lambda: [key(), value()],
        b"SETEX": lambda: [key(), draw.lifetime(1), value()],
        b"PSETEX": lambda: [key(), draw.lifetime(1000), value()],
        b"MSET": lambda: many_keys(draw) if draw.chance(0.1) else pairs(draw, key),
        b"MSETNX": lambda: pairs(draw, key),
        b"MGET": lambda: names(draw, b"many:%d") if draw.chance(0.05) else draw.keys(),
        b"APPEND": lambda: [key(), value()],
        b"STRLEN": lambda: [key()],
        b"GETRANGE": lambda: [key(), draw.place(), draw.place()],
        b"SUBSTR": lambda: [key(), draw.place(), draw.place()],
        b"SETRANGE": lambda: [key(), offset(draw), value()],
        b"INCR": lambda: [key()],
        b"DECR": lambda: [key()],
        b"INCRBY": lambda: [key(), draw.integer()],
        b"DECRBY": lambda: [key(), draw.integer()],
        b"INCRBYFLOAT": lambda: [key(), draw.float()],
    }


def hash_commands(draw: Draw) -> dict:
    key, field, value = draw.key, draw.field, draw.value

    def fields():
        return names(draw, b"%d") if draw.chance(0.05) else [field() for _ in range(draw.between(1, 5))]

    def counted(words):
        """FIELDS, how many there are (sometimes wrong), and the fields."""
        count = draw.choice([b"0", b"x", b"-1", b"1"]) if draw.chance(0.1) else b"%d" % len(words)
        return [b"FIELD" if draw.chance(0.03) else b"FIELDS", count, *words]

    def conditions():
        return [draw.cased(draw.choice([b"NX", b"XX", b"GT", b"LT"]))] if draw.chance(0.4) else []

    def set_options():
        return some_of(draw, [draw.expiry(), [b"KEEPTTL"], [b"FNX"], [b"FXX"]], probability=0.25)

    def counted_pairs():
        words = pairs(draw, field)
        count = draw.choice([b"0", b"x", b"-1", b"1"]) if draw.chance(0.1) else b"%d" % (len(words) // 2)
        return [draw.cased(b"FIELDS"), count, *words]

    return {
        b"HEXPIRE": lambda: [key(), draw.lifetime(1), *conditions(), *counted(fields())],
        b"HPEXPIRE": lambda: [key(), draw.lifetime(1000), *conditions(), *counted(fields())],
        b"HEXPIREAT": lambda: [key(), draw.moment(1), *conditions(), *counted(fields())],
        b"HPEXPIREAT": lambda: [key(), draw.moment(1000), *conditions(), *counted(fields())],
        b"HTTL": lambda: [key(), *counted(fields())],
        b"HPTTL": lambda: [key(), *counted(fields())],
        b"HEXPIRETIME": lambda: [key(), *counted(fields())],
        b"HPEXPIRETIME": lambda: [key(), *counted(fields())],
        b"HPERSIST": lambda: [key(), *counted(fields())],
        b"HGETEX": lambda: [key(), *draw.choice([[], draw.expiry(), draw.expiry(), [b"PERSIST"]]), *counted(fields())],
        b"HSETEX": lambda: [key(), *set_options(), *counted_pairs()],
        b"HSET": lambda: [key(), *(many_fields(draw) if draw.chance(0.03) else pairs(draw, field))],
        b"HMSET": lambda: [key(), *pairs(draw, field)],
        b"HSETNX": lambda: [key(), field(), value()],
        b"HGET": lambda: [key(), field()],
        b"HMGET": lambda: [key(), *fields()],
        b"HGETALL": lambda: [key()],
        b"HDEL": lambda: [key(), *fields()],
        b"HGETDEL": lambda: [key(), *counted(fields())],
        b"HEXISTS": lambda: [key(), field()],
        b"HLEN": lambda: [key()],
        b"HKEYS": lambda: [key()],
        b"HVALS": lambda: [key()],
        b"HSTRLEN": lambda: [key(), field()],
        b"HINCRBY": lambda: [key(), field(), draw.integer()],
        b"HINCRBYFLOAT": lambda: [key(), field(), draw.float()],
        b"HRANDFIELD": lambda: [key(), *draw.choice([[], [draw.count()], [draw.count(), b"WITHVALUES"]])],
    }


def key_commands(draw: Draw) -> dict:
    key = draw.key

    def keys():
        return names(draw, b"many:%d") if draw.chance(0.05) else draw.keys()

    return {
        b"DEL": keys,
        b"UNLINK": keys,
        b"EXISTS": keys,
        b"TOUCH": keys,
        b"TYPE": lambda: [key()],
        b"RENAME": lambda: [key(), key()],
        b"RENAMENX": lambda: [key(), key()],
        b"COPY": lambda: [key(), key(), *some_of(draw, [[b"REPLACE"], [b"DB", database(draw)]])],
        b"MOVE": lambda: [key(), database(draw)],
        b"RANDOMKEY": lambda: [],
        b"KEYS": lambda: [draw.pattern()],
        b"DBSIZE": lambda: [],
        b"FLUSHALL": lambda: draw.choice([[], [], [b"ASYNC"], [b"SYNC"], [b"NOW"]]),
        b"FLUSHDB": lambda: draw.choice([[], [], [b"ASYNC"], [b"SYNC"], [b"NOW"]]),
        b"OBJECT": lambda: [draw.choice(b"ENCODING ENCODING ENCODING IDLETIME FREQ REFCOUNT NO".split()), key()],
        b"MEMORY": lambda: [b"USAGE", key(), *draw.choice([[], [], [b"SAMPLES", draw.count()]])],
        b"TIME": lambda: [],
        b"SELECT": lambda: [database(draw)],
        b"PING": lambda: draw.choice([[], [value_of(draw)]]),
        b"ECHO": lambda: [value_of(draw)],
        b"NOSUCHCOMMAND": lambda: [value_of(draw)],
    }


def expiry_commands(draw: Draw) -> dict:
    def conditions():
        return some_of(
            draw, [[b"NX"], [b"XX"], [b"GT"], [b"LT"], *([[b"AT"]] if draw.chance(0.05) else [])], probability=0.18
        )

    return {
        b"EXPIRE": lambda: [draw.key(), draw.lifetime(1), *conditions()],
        b"PEXPIRE": lambda: [draw.key(), draw.lifetime(1000), *conditions()],
        b"EXPIREAT": lambda: [draw.key(), draw.moment(1), *conditions()],
        b"PEXPIREAT": lambda: [draw.key(), draw.moment(1000), *conditions()],
        b"TTL": lambda: [draw.key()],
        b"PTTL": lambda: [draw.key()],
        b"EXPIRETIME": lambda: [draw.key()],
        b"PEXPIRETIME": lambda: [draw.key()],
        b"PERSIST": lambda: [draw.key()],
    }


def scan_commands(draw: Draw) -> dict:
    def options(more=()):
        return some_of(draw, [[b"MATCH", draw.pattern()], [b"COUNT", draw.count()], *more], probability=0.4)

    types = [b"string", b"hash", b"STRING", b"list", b"zset", b"nonsense"]
    return {
        b"SCAN": lambda: [cursor(draw), *options([[b"TYPE", draw.choice(types)]])],
        b"HSCAN": lambda: [draw.key(), cursor(draw), *options([[b"NOVALUES"]])],
    }


def transaction_commands(draw: Draw) -> dict:
    return {
        b"MULTI": lambda: [],
        b"EXEC": lambda: [],
        b"DISCARD": lambda: [],
        b"WATCH": lambda: draw.keys(),
        b"UNWATCH": lambda: [],
    }


# The databases that programs select, most often the first.
DATABASES = (0, 1, 2, 15)


def database(draw: Draw) -> bytes:
    if draw.chance(0.05):
        return draw.choice([b"16", b"-1", b"x", b"00", b"4294967296", b"99999999999999999999"])
    return b"%d" % draw.choice([0, 0, 0, 0, *DATABASES])


# In which share of a program's commands each family comes.
FAMILIES = {
    "string": (string_commands, 30),
    "hash": (hash_commands, 30),
    "key": (key_commands, 16),
    "expiry": (expiry_commands, 14),
    "scan": (scan_commands, 5),
    "transaction": (transaction_commands, 5),
}

# How much more often than the others of its family a command comes. What empties everything would leave nothing to the
# rest, what fills it gives the rest something to do.
SHARES = {
    **{b"SET": 3, b"MSET": 0.4, b"GETDEL": 0.5},
    **{b"HSET": 4, b"HDEL": 0.6, b"HGETDEL": 0.6},
    **{b"HEXPIREAT": 0.7, b"HPEXPIREAT": 0.7, b"HTTL": 0.5, b"HEXPIRETIME": 0.5, b"HSETEX": 1.5},
    **{b"DEL": 0.4, b"UNLINK": 0.3, b"RENAME": 0.4, b"FLUSHALL": 0.05, b"FLUSHDB": 0.05, b"OBJECT": 2},
    **{b"NOSUCHCOMMAND": 0.2, b"ECHO": 0.2, b"PING": 0.2, b"TIME": 0.2, b"SELECT": 0.6, b"SUBSTR": 0.2, b"HMSET": 0.5},
    **{b"MULTI": 2, b"EXEC": 0.2, b"DISCARD": 0.3},
}

# These need all their keys in one slot: within a transaction, or always (WATCH).
ONE_SLOT = {b"RENAME", b"RENAMENX", b"COPY", b"MSETNX", b"WATCH"}


def set_options(draw: Draw) -> list[bytes]:
    options = some_of(draw, [draw.expiry(), [b"KEEPTTL"], [b"NX"], [b"XX"], [b"GET"]], probability=0.2)
    return [b"NONSENSE"] if draw.chance(0.01) else options


def some_of(draw: Draw, options: list[list[bytes]], probability: float = 0.3) -> list[bytes]:
    """Each with this probability, in any order: often more than go together."""
    chosen = [option for option in options if draw.chance(probability)]
    draw.random.shuffle(chosen)
    return [word if index else draw.cased(word) for option in chosen for index, word in enumerate(option)]


def pairs(draw: Draw, name) -> list[bytes]:
    return [word for _ in range(draw.between(1, 4)) for word in (name(), draw.value())]


def many_fields(draw: Draw) -> list[bytes]:
    """About as many as a small hash may have."""
    count = draw.choice([500, 511, 512, 513, 600, 1500])
    return [word for number in range(count) for word in (b"%d" % number, b"v%d" % number)]


def many_keys(draw: Draw) -> list[bytes]:
    """So many that a scan takes more than a page."""
    first = draw.between(0, 500)
    return [word for number in range(first, first + draw.between(1, 120)) for word in (b"many:%d" % number, b"v")]


def names(draw: Draw, form: bytes) -> list[bytes]:
    """So many that they are looked at in several steps."""
    first = draw.between(0, 300)
    return [form % number for number in range(first, first + draw.choice([100, 600, 3000]))]


def offset(draw: Draw) -> bytes:
    if draw.chance(0.03):
        # At the longest that a string may be and beyond, and at what overflows.
        return draw.choice([b"1048570", b"1048576", b"536870911", b"4294967296", b"9223372036854775807", b"-1"])
    return b"%d" % draw.between(0, 60) if draw.chance(0.9) else draw.integer()


# Cursors that lead somewhere, and what is none.
NUMBERS_AND_NOT = b"1 123456789 9007199254740991 18446744073709551615 18446744073709551616 -1 x 00 +1 0x".split()


def cursor(draw: Draw) -> bytes:
    """Mostly the beginning; a number from elsewhere leads anywhere, and what is no number is refused."""
    if draw.chance(0.9):
        return b"0"
    return draw.choice([b"", b" 0", *NUMBERS_AND_NOT])


def value_of(draw: Draw) -> bytes:
    return draw.choice([b"", b"hello", b"\x00\xff"])
