"""Fields of hashes that expire, through redis-py."""

import time

import pytest
import redis
from redis.commands.core import HashDataPersistOptions

FAR_S = 4_102_444_800


def until(is_so) -> None:
    """Waits for what time brings, however busy the machine is."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "it never comes"
        time.sleep(0.01)


def test_deadlines_are_set_told_and_taken_away(client):
    client.hset("h", mapping={"a": 1, "b": 2, "c": 3})
    assert client.hexpire("h", 1000, "a", "b", "nothing") == [1, 1, -2]
    assert client.hexpireat("h", FAR_S, "a", nx=True) == [0]
    assert client.hexpireat("h", FAR_S, "a", "c", gt=True) == [1, 0]
    assert client.hpexpireat("h", FAR_S * 1000 - 1, "c", lt=True) == [1]
    assert client.hexpiretime("h", "a", "c", "nothing") == [FAR_S, FAR_S, -2]
    assert client.hpexpiretime("h", "a", "c") == [FAR_S * 1000, FAR_S * 1000 - 1]
    (seconds,), (milliseconds,) = client.httl("h", "b"), client.hpttl("h", "b")
    assert 900 < seconds <= 1000 and 900_000 < milliseconds <= 1_000_000
    assert client.hpersist("h", "a", "b", "nothing") == [1, 1, -2]
    assert client.hpersist("h", "a") == [-1]
    assert client.httl("h", "a", "b") == [-1, -1]
    assert client.hpexpire("h", 0, "a") == [2]
    assert client.hgetall("h") == {b"b": b"2", b"c": b"3"}
    assert client.httl("nothing", "a", "b") == [-2, -2]


def test_values_are_set_and_read_with_a_deadline(client):
    assert client.hsetex("h", mapping={"a": 1, "b": 2}, ex=1000) == 1
    assert client.hsetex("h", "a", 3, data_persist_option=HashDataPersistOptions.FNX) == 0
    assert client.hsetex("h", "a", 3, data_persist_option=HashDataPersistOptions.FXX, keepttl=True) == 1
    assert client.hsetex("nothing", "a", 3, data_persist_option=HashDataPersistOptions.FXX) == 0
    assert client.httl("h", "a")[0] > 900
    assert client.hgetex("h", "a", "nothing", exat=FAR_S) == [b"3", None]
    assert client.hexpiretime("h", "a") == [FAR_S]
    assert client.hgetex("h", "a", "b", persist=True) == [b"3", b"2"]
    assert client.httl("h", "a", "b") == [-1, -1]
    assert client.hgetex("h", "a", pxat=1) == [b"3"]
    assert client.hkeys("h") == [b"b"]
    assert client.hsetex("h", "b", 1, exat=1) == 1
    assert client.exists("h") == 0


def test_a_deadline_goes_with_a_new_value_and_stays_with_a_sum(client):
    client.hset("h", mapping={"a": 1, "b": 1, "c": 1, "d": 1})
    client.hexpireat("h", FAR_S, "a", "b", "c", "d")
    client.hset("h", "a", 2)
    client.hincrby("h", "b", 2)
    client.hincrbyfloat("h", "c", 2)
    client.hdel("h", "d")
    client.hset("h", "d", 1)
    assert client.hexpiretime("h", "a", "b", "c", "d") == [-1, FAR_S, FAR_S, -1]


@pytest.mark.parametrize("count", [4, 2000], ids=["small", "table"])
def test_fields_go_when_their_time_has_come_and_the_last_with_the_key(client, count):
    fields = [f"f{number}" for number in range(count)]
    client.hset("h", mapping={field: "v" for field in [*fields, "stays"]})
    client.hset("whole", mapping={field: "v" for field in fields})
    before = client.info("stats")["expired_subkeys"]
    assert client.hpexpire("h", 50, *fields) == [1] * count
    assert client.hpexpire("whole", 50, *fields) == [1] * count
    until(lambda: client.httl("h", fields[-1]) == [-2])
    # From here on no command sees them, whether they have been removed or not.
    assert client.hgetall("h") == {b"stays": b"v"}
    assert client.hlen("h") == 1 and client.hkeys("h") == [b"stays"] and client.hvals("h") == [b"v"]
    assert client.hmget("h", fields[0], "stays") == [None, b"v"]
    assert client.hrandfield("h", 5) == [b"stays"] and client.hrandfield("h") == b"stays"
    assert dict(client.hscan_iter("h")) == {b"stays": b"v"}
    assert client.hexists("h", fields[0]) is False and client.hstrlen("h", fields[0]) == 0
    assert client.hdel("h", fields[0]) == 0
    assert client.hincrby("h", fields[1], 5) == 5
    assert client.hset("h", fields[0], 1) == 1 and client.httl("h", fields[0], fields[1]) == [-1, -1]
    until(lambda: client.exists("whole") == 0)
    assert client.type("whole") == b"none" and list(client.scan_iter("whole")) == []
    until(lambda: client.info("stats")["expired_subkeys"] - before == 2 * count)
    until(lambda: client.dbsize() == 1)


def test_fields_are_removed_that_no_command_asks_for(client):
    for number in range(50):
        client.hset(f"h{number}", mapping={"a": 1, "b": 1})
        client.hexpireat(f"h{number}", FAR_S, "a", "b")
    assert client.info("keyspace")["db0"]["subexpiry"] == 50
    for number in range(50):
        client.hpexpire(f"h{number}", 20, "a", "b")
    until(lambda: client.dbsize() == 0)


@pytest.mark.parametrize("count", [3, 1000], ids=["small", "table"])
def test_deadlines_move_with_their_hash(client, count):
    mapping = {f"f{number}": "v" for number in range(count)}
    for number in range(20):
        # To other shards, too.
        source, copied, renamed = f"from{number}", f"copied{number}", f"renamed{number}"
        client.hset(source, mapping=mapping)
        client.hexpireat(source, FAR_S + number, "f0", "f2")
        client.copy(source, copied)
        client.rename(source, renamed)
        for key in [copied, renamed]:
            assert client.hexpiretime(key, "f0", "f1", "f2") == [FAR_S + number, -1, FAR_S + number]
            assert client.hlen(key) == count
    assert client.info("keyspace")["db0"]["subexpiry"] == 40
    assert client.delete(*client.keys()) == 40
    assert client.info("keyspace").get("db0", {}).get("subexpiry", 0) == 0


def test_encodings_are_those_of_redis(client):
    client.hset("h", mapping={"a": 1})
    assert client.object("encoding", "h") == b"listpack"
    client.hexpire("h", 1000, "a")
    assert client.object("encoding", "h") == b"listpackex"
    client.hpersist("h", "a")
    assert client.object("encoding", "h") == b"listpackex"
    client.hset("h", "b", "x" * 65)
    assert client.object("encoding", "h") == b"hashtable"
    client.hset("plain", mapping={"a": 1})
    client.execute_command("HEXPIRE", "plain", 1000, "FIELDS", 1, "nothing")
    assert client.object("encoding", "plain") == b"listpackex"


def test_deadlines_in_transactions_and_scripts(client):
    with client.pipeline(transaction=True) as transaction:
        transaction.hset("h", mapping={"a": 1, "b": 2}).hexpireat("h", FAR_S, "a").hpexpire("h", 0, "b").hgetall("h")
        assert transaction.execute() == [2, [1], [2], {b"a": b"1"}]
    script = "redis.call('HSETEX', KEYS[1], 'EXAT', ARGV[1], 'FIELDS', 1, 'c', 3) return redis.call('HEXPIRETIME', KEYS[1], 'FIELDS', 1, 'c')"
    assert client.eval(script, 1, "h", FAR_S) == [FAR_S]


def test_a_watched_hash_has_changed_when_a_field_expires(server):
    with server.client(3) as client:
        client.hset("h", mapping={"a": 1, "b": 2})
        client.hpexpire("h", 30, "a")
        with client.pipeline() as transaction:
            transaction.watch("h")
            with server.client(3) as other:
                until(lambda: other.httl("h", "a") == [-2])
            transaction.multi()
            transaction.hset("h", "b", 3)
            with pytest.raises(redis.WatchError):
                transaction.execute()


def test_what_is_wrong_is_refused(client):
    client.set("string", "x")
    client.hset("h", "a", 1)
    for words, error in [
        ("HEXPIRE string x", "wrong number of arguments for 'hexpire' command"),
        ("HEXPIRE string x FIELDS 0 a", "Operation against a key holding the wrong kind of value"),
        ("HTTL string FIELDS 0 a", "Operation against a key holding the wrong kind of value"),
        ("HEXPIRE h x FIELDS 1 a", "value is not an integer or out of range"),
        ("HEXPIRE h -1 FIELDS 1 a", "invalid expire time, must be >= 0"),
        ("HEXPIRE h 99999999999999 FIELDS 1 a", "invalid expire time in 'hexpire' command"),
        ("HPEXPIRE h 70368744177663 FIELDS 1 a", "invalid expire time in 'hpexpire' command"),
        ("HEXPIRE h 1 EQ FIELDS 1 a", "Mandatory argument FIELDS is missing or not at the right position"),
        ("HEXPIRE h 1 FIELDS 0 a", "Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 1 FIELDS 2 a", "The `numfields` parameter must match the number of arguments"),
        ("HTTL h FIELDS 0 a", "Number of fields must be a positive integer"),
        ("HPERSIST h FIELDS x a", "Number of fields must be a positive integer"),
        ("HGETEX h EX 1 FIELDS", "Number of fields must be a positive integer"),
        ("HGETEX h KEEPTTL FIELDS 1 a", "Mandatory argument FIELDS is missing or not at the right position"),
        ("HSETEX h EX 1 KEEPTTL FIELDS 1 a 1", "Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"),
        ("HSETEX h FNX FXX FIELDS 1 a 1", "Only one of FXX or FNX arguments can be specified"),
        ("HSETEX h NX FIELDS 1 a 1", "unknown argument: NX"),
        ("HSETEX h FIELDS 0 a 1", "invalid number of fields"),
        ("HSETEX h FIELDS 2 a 1", "wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 1 a 1 b", "wrong number of arguments for 'hsetex' command"),
    ]:
        with pytest.raises(redis.ResponseError) as refused:
            client.execute_command(*words.split())
        assert error in str(refused.value), words
    assert client.hgetall("h") == {b"a": b"1"} and client.httl("h", "a") == [-1]
