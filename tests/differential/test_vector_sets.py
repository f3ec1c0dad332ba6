"""Random programs of commands on vector sets, on a real Redis 8.2.3 and on Kōra."""

import pytest

import resp
import servers
from vector_sets import SETS, STEPS_PER_PROGRAM, Writer, agree

# 20,000 commands in all.
RUNS = [(workers, protocol) for workers in (1, 2, 8) for protocol in (2, 3)]
COMMANDS = -(-20_000 // len(RUNS))

MOVES = (b"RENAME", b"RENAMENX", b"COPY")


@pytest.mark.parametrize("workers, protocol", RUNS)
def test_vector_sets_answer_as_those_of_redis(workers, protocol):
    reference, subject = servers.Redis(), servers.Kora(workers)
    try:
        sides = [resp.Connection(server.port, protocol) for server in (reference, subject)]
        differences = compare(sides, f"{workers}/{protocol}", COMMANDS)
        for side in sides:
            side.close()
        assert not differences, "\n".join(differences)
    finally:
        subject.stop()
        reference.stop()


def compare(sides: list[resp.Connection], seed: str, count: int) -> list[str]:
    """The differences found, ten at most."""
    writer, differences, queued = Writer(seed), [], None
    for number in range(count):
        if queued is None and number % STEPS_PER_PROGRAM == 0:
            for side in sides:
                side.ask(b"FLUSHALL")
        words = writer.command()
        if (words[0] == b"MULTI") == (queued is not None) and words[0] in (b"MULTI", b"EXEC", b"DISCARD"):
            continue
        if queued is not None and words[0] in MOVES and not (words[1].startswith(b"{a}") and words[2].startswith(b"{a}")):
            # Between slots it is refused there, which is among the departures.
            continue
        forms = {key: form_of(sides[0], key) for key in SETS} if queued is None else forms
        expected, found = (side.ask(*words) for side in sides)
        if words[0] == b"EXEC":
            is_same = expected[0] == found[0] and len(expected[1]) == len(queued) == len(found[1])
            # In a transaction the set may be another one than before, so what is rounded most is allowed.
            parts = zip(queued, expected[1], found[1])
            is_same = is_same and all(agree(said, one, other, b"int8") for said, one, other in parts)
        elif queued is not None:
            is_same = expected == found
        else:
            is_same = agree(words, expected, found, forms.get(words[1] if len(words) > 1 else b"", b""))
        if not is_same:
            differences.append(f"{number}: {words}\n  Redis {expected}\n  Kōra  {found}")
        if words[0] == b"MULTI":
            queued = []
        elif words[0] in (b"EXEC", b"DISCARD"):
            queued = None
        elif queued is not None:
            queued.append(words)
        if len(differences) == 10:
            break
    return differences


def form_of(reference: resp.Connection, key: bytes) -> bytes:
    """In what form a set of that name keeps its vectors."""
    if reference.ask(b"TYPE", key)[1] != b"vectorset":
        return b""
    return reference.ask(b"VINFO", key)[1][1][1]
