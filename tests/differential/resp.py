"""RESP as it is on the wire: a reply keeps its type, so that `$1` and `:1` differ.

A reply is a pair of its type's byte and its content: bytes of a line or a bulk, a list of replies of an aggregate, None
of a null.
"""

import socket

# A server answers in milliseconds; this is for a machine that is busy with something else.
PATIENCE_S = 60


class Closed(Exception):
    """The server has closed the connection."""


class Connection:
    """A socket to a server, in the protocol that was asked for."""

    def __init__(self, port: int, protocol: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=1 << 16)
        reply = self.ask(b"HELLO", b"%d" % protocol)
        if reply[0] == b"-":
            raise RuntimeError(f"HELLO {protocol}: {reply}")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def send(self, *requests: tuple[bytes, ...]) -> None:
        self.socket.sendall(b"".join(encode(words) for words in requests))

    def ask(self, *words: bytes) -> tuple:
        self.send(words)
        return self.receive()

    def receive(self) -> tuple:
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Closed
        kind, text = line[:1], line[1:-2]
        if kind in b"+-:,#(":
            return (kind, text)
        if kind == b"_":
            return (kind, None)
        if kind in b"$=!":
            size = int(text)
            if size < 0:
                return (kind, None)
            content = self.file.read(size + 2)
            if len(content) < size + 2:
                raise Closed
            return (kind, content[:-2])
        if kind in b"*~>%":
            size = int(text)
            if size < 0:
                return (kind, None)
            return (kind, [self.receive() for _ in range(size * 2 if kind == b"%" else size)])
        raise RuntimeError(f"no reply begins like this: {line!r}")


def encode(words: tuple[bytes, ...]) -> bytes:
    """A request: an array of bulks."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def show(reply: tuple) -> str:
    """A reply on one line, cut where it becomes long."""
    kind, content = reply
    if isinstance(content, list):
        shown = ", ".join(show(part) for part in content[:12])
        more = f", … {len(content)} in all" if len(content) > 12 else ""
        return f"{kind.decode()}[{shown}{more}]"
    if content is None:
        return f"{kind.decode()}null"
    text = repr(content)[2:-1]
    return f"{kind.decode()}{text if len(text) < 200 else f'{text[:120]}… {len(content)} bytes'}"


def comparable(reply):
    """Sets and maps have no order that a script could rely on."""
    kind, content = reply
    if isinstance(content, list):
        content = [comparable(part) for part in content]
        if kind == b"~":
            content.sort(key=repr)
        if kind == b"%":
            pairs = sorted(zip(content[::2], content[1::2]), key=repr)
            content = [part for pair in pairs for part in pair]
    return (kind, content)
