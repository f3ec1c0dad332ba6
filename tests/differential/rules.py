"""Rules of users and commands that meet them, drawn at random, on both servers."""

import random

import resp

USERS = [b"alice", b"bob"]

# Of commands that both servers have.
COMMANDS = b"get set mget mset del incr getdel copy rename exists hset hget keys scan publish subscribe psubscribe eval".split()
COMMANDS += b"config|get config|set config client client|id memory|usage object|encoding select ping dbsize acl|whoami".split()
CATEGORIES = b"all read write string hash fast slow keyspace dangerous admin connection pubsub scripting transaction".split()
CATEGORIES += b"blocking geo stream set list".split()
# All keys have one slot: what Kōra does with others is among the departures.
PATTERNS = b"{t}a* {t}b* {t}a1 *1 {t}?1 {t}[ab]* {t}x h{t}* \\* k".split()
CHANNELS = b"n* news s? x".split()
KEYS = b"{t}a1 {t}a2 {t}b1 {t}b2 {t}x1".split()
PASSWORDS = [b"p", b"q", b""]
SHA = b"148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940"


class Draw:
    """A source of rules and commands. The same seed gives the same ones."""

    def __init__(self, seed: str):
        self.random = random.Random(seed)
        # One of both: Redis 8.2.3 leaves out a reply of some transactions with AUTH in them.
        self.has_transactions = self.chance(0.5)

    def choice(self, values):
        return self.random.choice(values)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def rule(self) -> bytes:
        sign = self.choice([b"+", b"-"])
        rule = self.choice(
            [
                lambda: sign + self.choice(COMMANDS),
                lambda: sign + self.choice(COMMANDS),
                lambda: sign + b"@" + self.choice(CATEGORIES),
                lambda: sign + b"@" + self.choice(CATEGORIES),
                lambda: b"~" + self.choice(PATTERNS),
                lambda: b"~" + self.choice(PATTERNS),
                lambda: self.choice([b"%R~", b"%W~", b"%RW~", b"%r~", b"%~", b"%X~"]) + self.choice(PATTERNS),
                lambda: b"&" + self.choice(CHANNELS),
                lambda: self.choice(b"allkeys resetkeys ~* allchannels resetchannels &* allcommands nocommands".split()),
                lambda: self.choice(b"on off nopass resetpass reset clearselectors sanitize-payload".split()),
                lambda: self.choice([b">", b"<"]) + self.choice(PASSWORDS),
                lambda: self.choice([b"#", b"!"]) + self.choice([SHA, SHA[:-1], SHA.upper()]),
                lambda: self.selector(),
                lambda: self.choice([b"", b"foo", b"+nothing", b"+@nothing", b"+select|0", b"+select|", b"+config|get|x"]),
                lambda: self.choice([b"(+get", b")", b"()", b"(on)", b"~a b", b"+", b"-", b"%", b"+@", b"-select|0"]),
            ]
        )()
        return rule.upper() if self.chance(0.1) and not rule.startswith((b"~", b"%", b"&", b"(")) else rule

    def selector(self) -> bytes:
        parts = [
            self.choice([b"+", b"-"]) + self.choice(COMMANDS),
            b"+@" + self.choice(CATEGORIES),
            self.choice([b"~", b"%R~", b"%W~"]) + self.choice(PATTERNS),
            b"&" + self.choice(CHANNELS),
        ]
        return b"(" + b" ".join(self.random.sample(parts, self.random.randint(1, 4))) + b")"

    def key(self) -> bytes:
        return self.choice(KEYS)

    def command(self) -> list[bytes]:
        """What a user says: replies that do not depend on what the server is."""
        key = self.key
        return self.choice(
            [
                lambda: [b"GET", key()],
                lambda: [b"SET", key(), b"1"],
                lambda: [b"SET", key(), b"1", b"GET"],
                lambda: [b"MGET", key(), key()],
                lambda: [b"MSET", key(), b"1", key(), b"2"],
                lambda: [b"DEL", key(), key()],
                lambda: [b"INCR", key()],
                lambda: [b"GETDEL", key()],
                lambda: [b"EXISTS", key(), key()],
                lambda: [b"COPY", key(), key()],
                lambda: [b"RENAME", key(), key()],
                lambda: [b"TYPE", key()],
                lambda: [b"STRLEN", key()],
                lambda: [b"APPEND", key(), b"1"],
                lambda: [b"HSET", b"h" + key(), b"f", b"1"],
                lambda: [b"HGET", b"h" + key(), b"f"],
                lambda: [b"EXPIRE", key(), b"1000"],
                lambda: [b"WATCH", key()],
                lambda: [b"UNWATCH"],
                lambda: [b"PUBLISH", self.choice([b"news", b"n1", b"x", b"sx"]), b"m"],
                lambda: [b"SPUBLISH", self.choice([b"news", b"n1", b"x"]), b"m"],
                lambda: [b"EVAL", b"return 1", b"1", key()],
                lambda: [b"EVAL_RO", b"return 1", b"2", key(), key()],
                lambda: [b"EVAL", b"return redis.pcall('set', KEYS[1], '1')", b"1", key()],
                lambda: [b"EVAL", b"return redis.pcall('get', KEYS[1])", b"1", key()],
                lambda: [b"CLIENT", b"GETNAME"],
                lambda: [b"CONFIG", b"GET", b"nothing"],
                lambda: [b"CONFIG", b"NOTHING"],
                lambda: [b"SELECT", b"0"],
                lambda: [b"PING"],
                lambda: [b"ECHO", b"x"],
                lambda: [b"GET"],
                lambda: [b"NOTHING", key()],
                lambda: [b"ACL", b"WHOAMI"],
                lambda: [b"ACL", b"NOTHING"],
                lambda: [b"SET", key(), b"1", b"NOTHING"],
            ]
        )()


class Party:
    """One server: an operator, and a connection of each user."""

    def __init__(self, server, protocol: int):
        self.server, self.protocol = server, protocol
        self.admin = resp.Connection(server.port, protocol)
        self.connections = {}

    def begin(self) -> None:
        self.end()
        for words in [[b"ACL", b"DELUSER", *USERS], [b"FLUSHALL"], [b"ACL", b"LOG", b"RESET"]]:
            self.admin.ask(*words)
        for name in USERS:
            assert self.admin.ask(b"ACL", b"SETUSER", name, b"on", b">login") == (b"+", b"OK")
            connection = resp.Connection(self.server.port, self.protocol)
            assert connection.ask(b"AUTH", name, b"login") == (b"+", b"OK")
            self.connections[name] = connection

    def end(self) -> None:
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    def say(self, who: bytes | None, words: list[bytes]) -> tuple:
        connection = self.admin if who is None else self.connections[who]
        return connection.ask(*words)


def step(draw: Draw) -> tuple[bytes | None, list[bytes]]:
    """Who says what next."""
    name = draw.choice(USERS)
    return draw.choice(
        [
            lambda: (None, [b"ACL", b"SETUSER", name, *(draw.rule() for _ in range(draw.random.randint(1, 5)))]),
            lambda: (None, [b"ACL", b"SETUSER", name, draw.rule()]),
            lambda: (None, [b"ACL", b"GETUSER", name]),
            lambda: (None, [b"ACL", b"LIST"]),
            lambda: (None, [b"ACL", b"USERS"]),
            lambda: (None, [b"ACL", b"DRYRUN", name, *draw.command()]),
            lambda: (None, [b"ACL", b"LOG", b"3"]),
            lambda: (name, draw.command()),
            lambda: (name, draw.command()),
            lambda: (name, draw.command()),
            lambda: (name, draw.command()),
            lambda: (name, [b"MULTI"] if draw.has_transactions else draw.command()),
            lambda: (name, [b"EXEC"]),
            lambda: (name, draw.command() if draw.has_transactions else [b"AUTH", draw.choice([name, name, b"nobody"]), draw.choice([b"login", b"p", b"wrong"])]),
        ]
    )()


def comparable(words: list[bytes], reply: tuple) -> tuple:
    """A reply without what is of one server only: of the log, times, ids and descriptions of connections."""
    if [word.upper() for word in words[:2]] == [b"ACL", b"LOG"] and isinstance(reply[1], list):
        return (reply[0], [fields(entry) for entry in reply[1]])
    return reply


def fields(entry: tuple) -> list:
    pairs = list(zip(entry[1][::2], entry[1][1::2], strict=True))
    changing = {b"age-seconds", b"client-info", b"timestamp-created", b"timestamp-last-updated", b"entry-id"}
    return [(name[1], value) for name, value in pairs if name[1] not in changing]


def first_difference(seed: str, parties: list[Party], count: int) -> str | None:
    """Leads one conversation with both servers; what was said until the answers first differed, if they did."""
    draw = Draw(seed)
    for party in parties:
        party.begin()
    said = []
    for _ in range(count):
        who, words = step(draw)
        said.append(f"  {(who or b'admin').decode()}> " + " ".join(repr(word)[2:-1] for word in words))
        one, other = (comparable(words, party.say(who, words)) for party in parties)
        if one != other:
            return f"seed {seed}\n" + "\n".join(said[-40:]) + f"\n  Redis {one}\n  Kōra  {other}"
    return None
