"""Databases: each has keys and collections of its own, and everything that speaks of keys speaks of those of one."""

import os
import threading

import pytest
import redis
from server import Server

WORKERS = (1, 3)


@pytest.fixture(params=WORKERS, ids=lambda workers: f"{workers}-workers", scope="module")
def server(request):
    with Server("--workers", str(request.param)) as server:
        yield server


@pytest.fixture
def in_database(server):
    """Clients of a database by its number; all databases are empty."""
    clients = {}

    def client(number: int, **options) -> redis.Redis:
        key = (number, tuple(options.items()))
        if key not in clients:
            clients[key] = redis.Redis(port=server.port, db=number, **options)
        return clients[key]

    client(0).flushall()
    yield client
    for one in clients.values():
        one.close()


def test_names_of_one_database_are_unknown_in_another(in_database):
    for number in (0, 1, 15):
        client = in_database(number)
        client.set("k", number)
        client.hset("h", mapping={"f": number})
        client.mset({f"many:{index}": number for index in range(30)})
        client.execute_command("VECSET", "docs:1", 2, number + 1, 1)
        client.execute_command("VADD", "set", "VALUES", 2, number + 1, 1, "e")
    for number in (0, 1, 15):
        client = in_database(number)
        assert client.get("k") == b"%d" % number and client.hget("h", "f") == b"%d" % number
        assert set(client.mget([f"many:{index}" for index in range(30)])) == {b"%d" % number}
        assert [float(part) for part in client.execute_command("VECGET", "docs:1")] == [number + 1, 1]
        assert client.execute_command("VEMB", "set", "e")[0] == pytest.approx(number + 1, abs=0.2)
        assert client.dbsize() == 34 and client.exists("k", "h", "docs:1", "set", "nothing") == 4
        assert client.type("docs") == b"vectorset" and client.execute_command("VECLIST") == [b"docs", b"set"]
        everything = {b"k", b"h", b"docs", b"docs:1", b"set"} | {b"many:%d" % index for index in range(30)}
        assert set(client.scan_iter(count=7)) == everything == set(client.keys("*"))
        assert client.keys("many:1?") and all(key.startswith(b"many:1") for key in client.scan_iter("many:1*"))
        assert client.randomkey() in everything
    assert in_database(2).dbsize() == 0 and in_database(2).randomkey() is None and in_database(2).keys() == []


def test_a_query_finds_vectors_of_its_database(in_database):
    for number in (0, 3):
        for index in range(40):
            in_database(number).execute_command("VECSET", f"docs:{number}-{index}", 3, index + 1, number + 1, 1)
    for number in (0, 3):
        client = in_database(number)
        hits = client.execute_command("VECQUERY", "docs", 5, "KEY", f"docs:{number}-7", "NOT", f"docs:{number}-8")
        keys = hits[::2] if not isinstance(hits[0], list) else [hit[0] for hit in hits]
        assert len(keys) == 5 and all(key.startswith(b"docs:%d-" % number) for key in keys)
        assert b"docs:%d-8" % number not in keys
        described = client.execute_command("VECINFO", "docs")
        assert described[b"collection"] == b"docs" and described[b"vectors"] == 40
        with pytest.raises(redis.ResponseError, match=f"^no such vector 'docs:{3 - number}-1'"):
            client.execute_command("VECQUERY", "docs", 5, "KEY", f"docs:{3 - number}-1")
    with pytest.raises(redis.ResponseError, match="collection 'docs' has 3"):
        in_database(3).execute_command("VECSET", "docs:other", 2, 1, 2)
    assert in_database(3).execute_command("VECDROP", "docs") == 1
    assert in_database(0).dbsize() == 40 and in_database(3).dbsize() == 0


def test_names_of_any_bytes_come_back_as_they_were_said(in_database):
    names = [b"", b"\xff", b"\xff\x80\x80", b"\xff\x80\x81k", b"\xff\x87\xffk", b"{t}\xff", b"\x00"]
    for number in (0, 1):
        client = in_database(number)
        for index, name in enumerate(names):
            client.set(name, index)
        assert [client.get(name) for name in names] == [b"%d" % index for index in range(len(names))]
        assert sorted(client.keys("*")) == sorted(names) == sorted(client.scan_iter())
        assert client.dbsize() == len(names)
    client.delete(*names)
    assert in_database(0).dbsize() == len(names)


def test_flushdb_empties_one_and_flushall_all(in_database):
    for number in (0, 1, 2):
        in_database(number).mset({f"k{index}": index for index in range(500)})
        in_database(number).execute_command("VECSET", "docs:1", 2, 1, 2)
        in_database(number).execute_command("VADD", "set", "VALUES", 2, 1, 1, "e")
    in_database(1).flushdb()
    assert [in_database(number).dbsize() for number in (0, 1, 2)] == [502, 0, 502]
    assert in_database(1).execute_command("VECLIST") == [] and in_database(0).execute_command("VECLIST") == [b"docs", b"set"]
    in_database(0).flushdb()
    assert [in_database(number).dbsize() for number in (0, 1, 2)] == [0, 0, 502]
    in_database(1).set("new", 1)
    in_database(0).flushall()
    assert [in_database(number).dbsize() for number in (0, 1, 2)] == [0, 0, 0]


def test_keys_are_moved_and_copied_between_databases(in_database):
    zero, one = in_database(0), in_database(1)
    zero.set("k", "v", px=100_000)
    assert zero.move("k", 1) and not zero.exists("k")
    assert one.get("k") == b"v" and 90_000 < one.pttl("k") <= 100_000
    zero.set("k", "other")
    assert zero.move("k", 1) == 0 and zero.get("k") == b"other" and one.get("k") == b"v"
    assert zero.move("nothing", 1) == 0
    zero.hset("h", mapping={f"f{index}": index for index in range(1_000)})
    assert zero.copy("h", "copied", destination_db=1) and zero.hlen("h") == one.hlen("copied") == 1_000
    assert zero.copy("h", "h", destination_db=1) and not zero.copy("h", "h", destination_db=1)
    one.hset("h", "only", "here")
    assert zero.copy("h", "h", destination_db=1, replace=True) and not one.hexists("h", "only")
    for words in (["MOVE", "k", "0"], ["COPY", "k", "k", "DB", "0"]):
        with pytest.raises(redis.ResponseError, match="^source and destination objects are the same"):
            zero.execute_command(*words)
    for words in (["MOVE", "k", "16"], ["COPY", "k", "k", "DB", "-1"]):
        with pytest.raises(redis.ResponseError, match="^DB index is out of range"):
            zero.execute_command(*words)


def test_a_vector_moves_to_the_collection_of_its_name(in_database):
    zero, one = in_database(0), in_database(1)
    zero.execute_command("VECSET", "docs:1", 2, 1, 2, "ATTR", '{"a":1}')
    with pytest.raises(redis.ResponseError, match="^no such collection 'docs'"):
        zero.move("docs:1", 1)
    one.execute_command("VECCREATE", "docs", "DIM", 2)
    assert zero.move("docs:1", 1) == 1
    assert one.execute_command("VECGETATTR", "docs:1") == b'{"a":1}' and one.dbsize() == 1
    assert zero.dbsize() == 0


def test_what_is_told_of_databases(server, in_database):
    in_database(0).set("a", 1)
    in_database(4).set("a", 1, ex=100)
    in_database(4).execute_command("VECSET", "docs:1", 2, 1, 2)
    keyspace = in_database(0).info("keyspace")
    assert {name: keyspace[name]["keys"] for name in keyspace if name.startswith("db")} == {"db0": 1, "db4": 2}
    assert keyspace["db4"]["expires"] == 1 and 0 < keyspace["db4"]["avg_ttl"] <= 100_000
    assert keyspace["db0"]["expires"] == 0
    client = in_database(4)
    assert client.client_info()["db"] == 4
    assert {line["db"] for line in client.client_list()} == {"0", "4"}
    assert client.config_get("databases") == {"databases": "16"}
    with pytest.raises(redis.ResponseError, match="immutable"):
        client.config_set("databases", 8)
    with redis.Redis(port=server.port) as other:
        with other.monitor() as monitor:
            client.get("a")
            heard = monitor.next_command()
            while heard["command"] != "GET a":
                heard = monitor.next_command()
            assert heard["db"] == 4


def test_select_between_multi_and_exec_holds_for_what_follows(server, in_database):
    with redis.Redis(port=server.port, single_connection_client=True) as client:
        replies = pipelined(client, ["MULTI"], ["SELECT", "2"], ["SET", "k", "two"], ["DBSIZE"], ["EXEC"])
        assert replies[4] == [b"OK", b"OK", 1]
        assert client.get("k") == b"two" and client.client_info()["db"] == 2
        for end in ("DISCARD", "EXEC"):
            client.execute_command("SELECT", 0)
            if end == "EXEC":
                client.execute_command("WATCH", "watched")
                in_database(0).incr("watched")
            # In one write, so that what follows is read before the transaction has come to nothing.
            replies = pipelined(client, ["MULTI"], ["SELECT", "2"], ["GET", "k"], [end], ["GET", "k"], ["CLIENT", "INFO"])
            assert replies[3] == (b"OK" if end == "DISCARD" else None) and replies[4] is None
            assert b" db=0 " in replies[5]
        replies = pipelined(client, ["MULTI"], ["SELECT", "2"], ["GET", "k"], ["EXEC"], ["GET", "k"])
        assert replies[3:] == [[b"OK", b"two"], b"two"]
        client.execute_command("RESET")
        assert client.get("k") is None


def pipelined(client: redis.Redis, *commands: list[str]) -> list:
    connection = client.connection
    connection.send_packed_command(connection.pack_commands(commands))
    replies = []
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except redis.ResponseError as error:
            replies.append(error)
    return replies


def test_selecting_in_a_pipeline(in_database):
    client = in_database(0, single_connection_client=True)
    words = []
    for number in (3, 0, 5, 3):
        words += [["SELECT", str(number)], ["INCR", "k"], ["MSET", "a", str(number), "b", "x"], ["DBSIZE"]]
    client.ping()
    replies = pipelined(client, *words, ["SELECT", "16"], ["GET", "a"], ["SELECT", "0"])
    assert [replies[at] for at in range(1, 16, 4)] == [1, 1, 1, 2]
    assert [replies[at] for at in range(3, 16, 4)] == [3, 3, 3, 3]
    assert isinstance(replies[16], redis.ResponseError) and replies[17] == b"3"


def test_watched_keys_are_those_of_one_database(in_database):
    zero, one = in_database(0), in_database(1)
    with one.pipeline() as transaction:
        transaction.watch("k")
        zero.set("k", "another database's")
        transaction.multi()
        transaction.set("k", "mine")
        assert transaction.execute() == [True]
        transaction.watch("k")
        zero.flushdb()
        transaction.multi()
        transaction.get("k")
        assert transaction.execute() == [b"mine"]
        transaction.watch("k")
        one.flushdb()
        transaction.multi()
        transaction.get("k")
        with pytest.raises(redis.WatchError):
            transaction.execute()


def test_scripts_run_in_the_database_of_their_client(in_database):
    zero, one = in_database(0), in_database(1)
    script = "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], redis.call('GET', KEYS[1])}"
    assert one.eval(script, 1, "k", "one") == [b"k", b"one"]
    assert one.get("k") == b"one" and zero.get("k") is None
    # What a script selects is its own.
    script = "redis.call('SELECT', 2) redis.call('SET', KEYS[1], 'two') return redis.call('GET', KEYS[1])"
    assert one.eval(script, 1, "k") == b"two"
    assert one.get("k") == b"one" and in_database(2).get("k") == b"two" and one.client_info()["db"] == 1
    assert one.eval("return redis.call('MOVE', KEYS[1], 3)", 1, "k") == 1
    assert in_database(3).get("k") == b"one" and not one.exists("k")


def test_events_name_the_database(server, in_database):
    client = in_database(7)
    client.config_set("notify-keyspace-events", "KEA")
    subscriber = in_database(0).pubsub()
    subscriber.psubscribe("__key*@*__:*")
    assert subscriber.get_message(timeout=10)["type"] == "psubscribe"
    client.set("k", 1)
    client.move("k", 8)
    in_database(8).copy("k", "copied", destination_db=9)
    in_database(9).execute_command("VECSET", "docs:1", 2, 1, 2)
    heard = []
    wanted = [
        (b"__keyspace@7__:k", b"set"),
        (b"__keyevent@7__:set", b"k"),
        (b"__keyspace@7__:k", b"move_from"),
        (b"__keyevent@7__:move_from", b"k"),
        (b"__keyspace@8__:k", b"move_to"),
        (b"__keyevent@8__:move_to", b"k"),
        (b"__keyspace@9__:copied", b"copy_to"),
        (b"__keyevent@9__:copy_to", b"copied"),
        (b"__keyevent@9__:vecset", b"docs:1"),
    ]
    while not set(wanted) <= set(heard):
        message = subscriber.get_message(timeout=10)
        assert message is not None, heard
        heard.append((message["channel"], message["data"]))
    assert [event for event in heard if event in wanted[:6]] == wanted[:6]
    client.config_set("notify-keyspace-events", "")
    subscriber.close()


def test_a_cache_of_one_database_is_told_of_its_keys(server, in_database):
    with redis.Redis(port=server.port, db=1, protocol=3, single_connection_client=True) as client:
        heard = []
        client.ping()
        client.connection._parser.set_invalidation_push_handler(heard.append)
        client.execute_command("CLIENT", "TRACKING", "ON")
        client.get("k")
        in_database(1).set("k", 1)
        for _ in range(1000):
            if heard:
                break
            client.ping()
        assert heard == [[b"invalidate", [b"k"]]]
        client.execute_command("CLIENT", "TRACKING", "OFF")
        client.execute_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:")
        in_database(2).set("other:1", 1)
        in_database(1).set("user:1", 1)
        for _ in range(1000):
            if len(heard) > 1:
                break
            client.ping()
        assert heard[1:] == [[b"invalidate", [b"user:1"]]]


def test_rights_are_held_against_the_name_that_was_said(server, in_database):
    admin = in_database(0)
    admin.execute_command("ACL", "SETUSER", "limited", "on", ">pass", "~mine:*", "+@all")
    one = redis.Redis(port=server.port, db=1, username="limited", password="pass")
    one.set("mine:k", 1)
    assert one.get("mine:k") == b"1" and in_database(1).get("mine:k") == b"1"
    with pytest.raises(redis.exceptions.NoPermissionError):
        one.get("other")
    with pytest.raises(redis.exceptions.NoPermissionError):
        one.execute_command("COPY", "mine:k", "other", "DB", 0)
    # A collection takes a pattern that covers its keys, and so it does in another database.
    one.execute_command("VECSET", "mine:docs:1", 2, 1, 2)
    with pytest.raises(redis.exceptions.NoPermissionError):
        admin_collection = redis.Redis(port=server.port, db=1, username="limited", password="pass")
        admin_collection.delete("docs")
    admin.execute_command("ACL", "DELUSER", "limited")


def test_large_requests_of_another_database(in_database):
    client = in_database(1)
    value = os.urandom(3_000_000)
    client.set("large", value)
    assert client.get("large") == value and client.strlen("large") == len(value)
    pairs = {f"k{index}": "x" * 10 for index in range(50_000)}
    client.mset(pairs)
    assert client.dbsize() == 50_001 and in_database(0).dbsize() == 0
    assert client.mget(list(pairs)[:1_000]) == [b"x" * 10] * 1_000
    assert client.delete(*pairs) == 50_000


def test_there_are_as_many_as_the_setting_says(tmp_path):
    with Server("--databases", "2") as server:
        with redis.Redis(port=server.port) as client:
            client.execute_command("SELECT", 1)
            with pytest.raises(redis.ResponseError, match="^DB index is out of range"):
                client.execute_command("SELECT", 2)
            assert client.config_get("databases") == {"databases": "2"}


def stored(server: Server) -> dict:
    """Everything in all databases."""
    everything = {}
    for number in range(16):
        with redis.Redis(port=server.port, db=number) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key)
                value = {
                    b"string": lambda: client.get(key),
                    b"hash": lambda: client.hgetall(key),
                    b"vector": lambda: client.execute_command("VECGET", key),
                    b"vectorset": lambda: None,
                }[kind]()
                everything[number, key] = (kind, value, client.pexpiretime(key))
    return everything


def await_loaded(server: Server) -> None:
    with redis.Redis(port=server.port) as client:
        for _ in range(100_000):
            try:
                client.dbsize()
                return
            except redis.exceptions.BusyLoadingError:
                pass


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_databases_are_there_after_a_restart(tmp_path, is_killed):
    flags = ("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always", "--workers", "2")
    with Server(*flags) as server:
        clients = [redis.Redis(port=server.port, db=number) for number in range(4)]
        for number, client in enumerate(clients):
            client.mset({f"k{index}": f"{number}-{index}" for index in range(50)})
            client.hset("h", mapping={f"f{index}": number for index in range(10)})
            client.set(b"\xffbytes", number)
            client.expire("k7", 10_000)
            for index in range(20):
                client.execute_command("VECSET", f"docs:{index}", 3, index + 1, number + 1, 1)
        clients[1].flushdb()
        clients[1].set("after", "the flush")
        clients[0].move("k3", 1)
        clients[2].copy("h", "copied", destination_db=0)
        clients[0].save()
        clients[2].delete("k1")
        clients[3].flushdb()
        clients[3].execute_command("VECSET", "docs:new", 2, 1, 2)
        expected = stored(server)
        assert {number for number, _ in expected} == {0, 1, 2, 3}
        if is_killed:
            server.process.kill()
            server.process.wait()
    with Server(*flags) as server:
        await_loaded(server)
        assert stored(server) == expected
    # With fewer databases than are used, it does not start, and says why.
    try:
        server = Server(*flags, "--databases", "2")
    except RuntimeError as error:
        said = str(error)
    else:
        assert server.wait() != 0
        said = server.words()
        server.stop()
    assert "the setting `databases` is 2" in said, said


def test_other_databases_are_evicted_and_expire_like_the_first(tmp_path):
    flags = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--workers", "2")
    with Server(*flags) as server:
        clients = [redis.Redis(port=server.port, db=number) for number in (0, 5)]
        for at in range(0, 40_000, 500):
            for client in clients:
                client.mset({f"k{index}": "x" * 1_500 for index in range(at, at + 500)})
        sizes = [client.dbsize() for client in clients]
        assert clients[0].info("stats")["evicted_keys"] > 0
        # Neither is spared.
        assert all(1_000 < size < 40_000 for size in sizes), sizes
        clients[1].flushdb()
        clients[1].mset({f"short{index}": 1 for index in range(100)})
        for index in range(100):
            clients[1].pexpire(f"short{index}", 1)
        gone = threading.Event()
        for _ in range(1_000):
            if clients[1].dbsize() == 0:
                break
            gone.wait(0.02)
        assert clients[1].dbsize() == 0
