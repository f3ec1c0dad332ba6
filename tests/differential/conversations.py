"""Conversations of several connections that are sent things unasked: after each command all are read, and all that came
is compared."""

import resp
from draw import Draw

CONNECTIONS = 4


class Party:
    """One server, and the connections of a conversation with it."""

    def __init__(self, server, protocol: int):
        self.server = server
        self.protocols = [protocol, protocol, 2, 3]
        self.connections = []
        self.syncs = 0

    def begin(self) -> None:
        self.end()
        own = resp.Connection(self.server.port, 2)
        assert own.ask(b"FLUSHALL") == (b"+", b"OK")
        own.close()
        self.connections = [resp.Connection(self.server.port, protocol) for protocol in self.protocols]

    def end(self) -> None:
        for connection in self.connections:
            connection.close()
        self.connections = []

    def say(self, number: int, words: list[bytes]) -> list[list[tuple]]:
        """What all connections get when one says this: replies, and what comes unasked."""
        self.connections[number].socket.sendall(resp.encode(tuple(words)))
        heard = [[] for _ in self.connections]
        # First the one that spoke: what it has begun is done then.
        for index in [number, *(other for other in range(CONNECTIONS) if other != number)]:
            heard[index] = self.hear(self.connections[index])
        return heard

    def hear(self, connection) -> list[tuple]:
        """All that comes before the reply to a PING."""
        self.syncs += 1
        mark = b"sync %d" % self.syncs
        connection.socket.sendall(resp.encode((b"PING", mark)))
        heard = []
        while True:
            reply = connection.receive()
            if reply == (b"+", b"QUEUED"):
                # It stands in a transaction, and so does the PING.
                return [*heard, reply]
            if reply == (b"$", mark) or (isinstance(reply[1], list) and reply[1][-1:] == [(b"$", mark)]):
                return heard
            heard.append(reply)


# Not the empty one: that `*` matches it is among the departures.
CHANNELS = [b"news", b"news.art", b"k", b"{a}1", b"\x00\xff", b"L" * 300]
PATTERNS = [b"news*", b"*", b"n?ws", b"[mn]ews.a*", b"{a}?", b"nothing"]


def words_about_subscriptions(draw: Draw) -> list[bytes]:
    """A command about publishing and subscribing, mostly in order."""
    names = lambda choices, least=1: [draw.choice(choices) for _ in range(draw.between(least, 3))]  # noqa: E731
    kind = draw.choice([b"", b"", b"P", b"S"])
    choices = PATTERNS if kind == b"P" else CHANNELS
    words = draw.choice(
        [
            lambda: [kind + b"SUBSCRIBE", *names(choices)],
            lambda: [kind + b"SUBSCRIBE", *names(choices)],
            lambda: [kind + b"UNSUBSCRIBE", *names(choices, 0)],
            lambda: [draw.choice([b"PUBLISH", b"SPUBLISH"]), draw.choice(CHANNELS), draw.value()],
            lambda: [b"PUBLISH", draw.choice(CHANNELS), draw.value()],
            lambda: [b"PUBLISH", draw.choice(CHANNELS), draw.value()],
            lambda: [b"PUBSUB", b"NUMSUB", *names(CHANNELS, 0)],
            lambda: [b"PUBSUB", b"SHARDNUMSUB", *names(CHANNELS, 0)],
            lambda: [b"PUBSUB", b"NUMPAT"],
            lambda: [b"PUBSUB", draw.choice([b"CHANNELS", b"SHARDCHANNELS"]), *names(PATTERNS, 0)[:2]],
            lambda: [b"PUBSUB", draw.choice([b"NOTHING", b"numpat", b"NUMSUB"]), draw.odd_word()],
            lambda: [b"RESET"],
            lambda: [b"HELLO", draw.choice([b"2", b"3"])],
            lambda: [b"GET", b"k"],
            lambda: [b"NOSUCHCOMMAND"],
            lambda: [b"PING"],
        ]
    )()
    if draw.chance(0.05):
        words = words[:1] if draw.chance(0.5) else [*words, draw.odd_word()]
    return [draw.cased(words[0]), *words[1:]]


def alike(words: list[bytes], expected: list[tuple], found: list[tuple]) -> bool:
    """Whether the same came. Names come in any order where Redis takes them from a hash table."""
    if expected == found:
        return True
    name = words[0].upper()
    if name.endswith(b"UNSUBSCRIBE") and len(words) == 1:
        names = lambda replies: sorted(repr(reply[1][1]) for reply in replies)  # noqa: E731
        counts = lambda replies: [(reply[0], reply[1][0], reply[1][2]) for reply in replies]  # noqa: E731
        return names(expected) == names(found) and counts(expected) == counts(found)
    if name == b"PUBSUB" and words[1].upper().endswith(b"CHANNELS") and expected[0][0] == found[0][0] == b"*":
        return sorted(expected[0][1]) == sorted(found[0][1]) and expected[1:] == found[1:]
    if name == b"HELLO":
        return len(expected) == len(found) == 1 and expected[0][0] == found[0][0]
    # Messages of several patterns come in the order of a hash table, too.
    return name == b"PUBLISH" and sorted(map(repr, expected)) == sorted(map(repr, found))


def first_difference(seed: str, parties: list[Party], count: int) -> str | None:
    """Leads one conversation on both servers; what was said when the answers first differed, if they did."""
    draw = Draw(seed)
    for party in parties:
        party.begin()
    said = []
    for _ in range(count):
        number = draw.between(0, CONNECTIONS - 1)
        words = words_about_subscriptions(draw)
        said.append((number, words))
        one, other = (party.say(number, words) for party in parties)
        for connection, (expected, found) in enumerate(zip(one, other, strict=True)):
            if not alike(words, expected, found):
                lines = [f"  {number}> {words}" for number, words in said[-30:]]
                return "\n".join([*lines, f"  connection {connection}", f"  expected: {expected}", f"  found:    {found}"])
    return None
