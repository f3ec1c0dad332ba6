"""Random programs on a real Redis 8.2.3 and on Kōra; and that the comparison itself is to be trusted."""

import pytest

import departures
import programs
import resp
import servers
from commands import FAMILIES
from session import Session

# 20,000 commands in all. run.py does any number.
RUNS = [(workers, protocol) for workers in (1, 2, 8) for protocol in (2, 3)]
COMMANDS = -(-20_000 // len(RUNS))

# Another one with each release would be a test that fails by chance; run.py draws its own.
SEED = "1"


@pytest.mark.parametrize("workers, protocol", RUNS)
def test_replies_are_those_of_redis(workers, protocol):
    with Session(lambda: servers.Kora(workers), protocol) as session:
        reports = session.compare(f"{SEED}/{workers}", COMMANDS, list(FAMILIES))
        assert not reports, "\n" + "\n\n".join(reports)


@pytest.fixture(scope="module")
def redis_beside_itself():
    with Session(servers.Redis, 3) as session:
        yield session


def test_the_reference_is_what_is_claimed(redis_beside_itself):
    info = redis_beside_itself.runner.sides[0].own.ask(b"INFO", b"server")[1]
    assert b"redis_version:8.2.3" in info


@pytest.mark.parametrize("family", [*FAMILIES, None])
def test_redis_does_not_differ_from_itself(redis_beside_itself, family):
    families = [family] if family else list(FAMILIES)
    assert redis_beside_itself.compare(SEED, 1_000, families) == []
    assert not redis_beside_itself.departures.used


ORDERED = {b"OBJECT", b"HGETALL", b"HKEYS", b"HVALS", b"HSCAN"}


@pytest.mark.parametrize(
    "flags, families, shown_by",
    [
        # A hash that becomes large one byte or one field early also loses the order of its fields.
        (["--hash-max-listpack-value", "63"], ["hash", "key"], ORDERED),
        (["--hash-max-listpack-entries", "511"], ["hash", "key"], ORDERED),
        (["--databases", "8"], ["key"], {b"COPY", b"MOVE", b"SELECT"}),
        (["--maxmemory-policy", "allkeys-lfu"], ["string", "key"], {b"OBJECT"}),
    ],
)
def test_a_small_fault_is_found_and_shrunk(flags, families, shown_by):
    with Session(lambda: servers.Redis(*flags), 2) as session:
        (report,) = session.compare(SEED, 100_000, families)
    lines = [line for line in report.splitlines() if "> " in line]
    assert len(lines) <= 4, report
    assert lines[-1].split()[1].upper().encode() in shown_by, report


def test_a_program_is_the_same_again():
    one, other = (programs.program("seed", list(FAMILIES)) for _ in range(2))
    assert one == other != programs.program("another", list(FAMILIES))


@pytest.fixture(scope="module", params=[1, 8], ids=lambda workers: f"{workers}-workers")
def kora_beside_redis(request):
    with Session(lambda: servers.Kora(request.param), 2) as session:
        yield session


EXAMPLES = [(departure, *example) for departure in departures.LIST for example in departure.examples]


@pytest.mark.parametrize("departure, commands, expected, found", EXAMPLES, ids=lambda value: getattr(value, "name", ""))
def test_a_departure_is_as_documented(kora_beside_redis, departure, commands, expected, found):
    for side, last in zip(kora_beside_redis.runner.sides, (expected, found), strict=True):
        side.begin()
        replies = [side.connections[0].ask(*words) for words in commands]
        assert replies[-1] == last, side.server.name
    if commands[-1] == [b"EXEC"]:
        # It is the last command of the transaction that shows it.
        commands, expected, found = commands[:-1], expected[1][-1], found[1][-1]
    assert departure.explains is None or departure.explains(tuple(commands[-1]), expected, found)


def test_departures_are_documented():
    assert sorted(departures.documented()) == sorted(departure.name for departure in departures.LIST)


def test_an_argument_at_the_limit_is_taken_and_one_beyond_refused(kora_beside_redis):
    largest = b"v" * servers.BULK_BYTES_MAX
    for side in kora_beside_redis.runner.sides:
        side.begin()
        own, other = side.connections
        assert own.ask(b"SET", b"k", largest) == (b"+", b"OK")
        assert own.ask(b"GET", b"k") == (b"$", largest)
        assert own.ask(b"HSET", b"h", b"f", largest) == (b":", b"1")
        assert own.ask(b"HGET", b"h", b"f") == (b"$", largest)
        assert own.ask(b"APPEND", b"k", b"v")[1].startswith(b"ERR string exceeds maximum allowed size")
        assert own.ask(b"STRLEN", b"k") == (b":", b"%d" % len(largest))
        other.socket.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (len(largest) + 1))
        kind, error = other.receive()
        # Kōra names the limit behind Redis's words.
        assert kind == b"-" and error.startswith(b"ERR Protocol error: invalid bulk length"), side.server.name
        with pytest.raises(resp.Closed):
            other.receive()
