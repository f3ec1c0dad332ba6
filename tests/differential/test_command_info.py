"""COMMAND says of each command what Redis 8.2.3 says of it: arity, flags, places of keys, categories."""

import pytest

import resp
import servers

# What COMMAND says of a command, by its place in the reply. Tips and key specifications are not given by Kōra.
FIELDS = {"arity": 1, "flags": 2, "first key": 3, "last key": 4, "step": 5, "categories": 6}
SUBCOMMANDS = 9


def described(server) -> dict:
    """Each command with its fields; those whose order means nothing are sorted."""
    connection = resp.Connection(server.port, 2)
    commands = {}

    def add(entries):
        for _, entry in entries:
            name = entry[0][1].decode().lower()
            commands[name] = {field: plain(entry[place]) for field, place in FIELDS.items()}
            if "module" in commands[name]["flags"]:
                # Redis has the vector sets in a module, whose commands have no categories.
                commands[name]["flags"].remove("module")
                del commands[name]["categories"]
            add(entry[SUBCOMMANDS][1])

    try:
        add(connection.ask(b"COMMAND")[1])
    finally:
        connection.close()
        server.stop()
    return commands


def plain(reply):
    kind, value = reply
    return sorted(plain(part) for part in value) if kind == b"*" else value.decode()


@pytest.fixture(scope="module")
def both():
    return described(servers.Redis()), described(servers.Kora(1))


def test_commands_are_described_as_by_redis(both):
    redis, kora = both
    shared = redis.keys() & kora.keys()
    assert len(shared) > 100
    differences = [
        f"{name}: {field}: Redis {redis[name][field]}, Kōra {kora[name][field]}"
        for name in sorted(shared)
        for field in redis[name]
        if redis[name][field] != kora[name][field]
    ]
    assert not differences, "\n".join(differences)


def test_what_redis_8_2_does_not_have_is_about_vectors_or_of_a_later_redis(both):
    redis, kora = both
    own = kora.keys() - redis.keys()
    newer = {"msetex", "vrange"}  # Redis 8.4
    assert own and all(name.startswith("vec") for name in own - newer), own


def test_the_list_of_redis_is_what_redis_says_it_has():
    """`docs/coverage.md` is made from it."""
    server = servers.Redis()
    connection = resp.Connection(server.port, 2)
    found = []

    def add(pairs):
        for (_, name), (_, fields) in zip(pairs[0::2], pairs[1::2], strict=True):
            named = {key: value for (_, key), value in zip(fields[0::2], fields[1::2], strict=True)}
            found.append(f"{name.decode().lower()} {named[b'group'][1].decode()}")
            add(named[b"subcommands"][1] if b"subcommands" in named else [])

    add(connection.ask(b"COMMAND", b"DOCS")[1])
    connection.close()
    server.stop()
    listed = servers.REPOSITORY / "crates" / "kora-command" / "src" / "redis_commands.txt"
    assert sorted(found) == listed.read_text().splitlines()
