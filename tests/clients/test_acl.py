"""Users and their rights, with redis-py."""

import pathlib

import pytest
import redis

from server import PATIENCE_S, Server

VECTOR = [0.0, 1.0]


@pytest.fixture(params=[1, 3])
def server(request):
    with Server("--workers", str(request.param)) as running:
        yield running


def user(server, name: str, *rules: str, protocol: int = 3) -> redis.Redis:
    """A connection of a new user."""
    server.client(3).execute_command("ACL", "SETUSER", name, "reset", "on", f">{name}", *rules)
    return server.client(protocol, username=name, password=name)


def refuses(client: redis.Redis, *words: object) -> str:
    with pytest.raises(redis.exceptions.NoPermissionError) as caught:
        client.execute_command(*words)
    return str(caught.value)


def test_a_user_that_may_query_one_collection_can_do_nothing_else(server):
    admin = server.client(3)
    for collection in ["docs", "secret", "docs2"]:
        admin.execute_command("VECSET", f"{collection}:1", 2, *VECTOR)
    admin.set("docs:text", "mine")
    admin.set("other", "theirs")
    reader = user(server, "reader", "+vecquery", "+vecget", "+vecinfo", "%R~docs:*")
    assert reader.execute_command("VECQUERY", "docs", 1, *VECTOR) == [[b"docs:1", 0.0]]
    assert reader.execute_command("VECQUERY", "docs:*", 1, *VECTOR) == [[b"docs:1", 0.0]]
    assert reader.execute_command("VECQUERY", "docs", 1, "KEY", "docs:1") == [[b"docs:1", 0.0]]
    assert reader.execute_command("VECGET", "docs:1") == VECTOR
    assert reader.execute_command("VECINFO", "docs")[b"vectors"] == 1
    # What it tries to learn of others: whether they exist is not told either.
    no_key = "No permissions to access a key"
    for name in ["secret", "docs2", "nothing"]:
        assert refuses(reader, "VECQUERY", name, 1, *VECTOR) == no_key
        assert refuses(reader, "VECQUERY", f"{name}:*", 1, *VECTOR) == no_key
        assert refuses(reader, "VECQUERY", f"{name}:1", 1, *VECTOR) == no_key
        assert refuses(reader, "VECQUERY", "docs", 1, "KEY", f"{name}:1") == no_key
        assert refuses(reader, "VECGET", f"{name}:1") == no_key
        assert refuses(reader, "VECINFO", name) == no_key
    tried = [
        ["VECLIST"],
        ["VECDROP", "docs"],
        ["VECRECALL", "docs"],
        ["VECSET", "docs:2", 2, *VECTOR],
        ["KEYS", "*"],
        ["SCAN", 0],
        ["RANDOMKEY"],
        ["DBSIZE"],
        ["EXISTS", "secret"],
        ["TYPE", "secret"],
        ["GET", "docs:text"],
        ["INFO"],
        ["CLIENT", "LIST"],
        ["CONFIG", "GET", "*"],
        ["MEMORY", "USAGE", "secret"],
        ["OBJECT", "ENCODING", "secret"],
        ["EVAL", "return 1", 0],
        ["WATCH", "secret"],
        ["SUBSCRIBE", "news"],
        ["PUBSUB", "CHANNELS"],
        ["COMMAND", "LIST"],
        ["ACL", "LIST"],
        ["ACL", "WHOAMI"],
        ["PING"],
    ]
    for words in tried:
        assert "has no permissions to run" in refuses(reader, *words), words


def test_a_name_alone_is_no_right_to_the_collection(server):
    admin = server.client(3)
    admin.execute_command("VECSET", "docs:1", 2, *VECTOR)
    named = user(server, "named", "+@all", "~docs", "~free")
    refuses(named, "DEL", "docs")
    refuses(named, "EXPIRE", "docs", 1)
    assert named.delete("free") == 0
    assert user(server, "owner", "+@all", "~docs*").delete("docs") == 1


def test_what_a_user_may_not_do_is_said_as_redis_says_it(server):
    limited = user(server, "limited", "+@all", "-@dangerous", "~a*", "%R~r*", "&n*")
    assert refuses(limited, "KEYS", "*") == "User limited has no permissions to run the 'keys' command"
    assert refuses(limited, "CONFIG", "GET", "x") == "User limited has no permissions to run the 'config|get' command"
    assert refuses(limited, "GET", "b") == "No permissions to access a key"
    assert refuses(limited, "SET", "r", "x") == "No permissions to access a key"
    assert refuses(limited, "PUBLISH", "x", "y") == "No permissions to access a channel"
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        limited.execute_command("GET")
    assert limited.execute_command("ACL", "WHOAMI") == b"limited"
    assert "user=limited" in limited.execute_command("CLIENT", "INFO").decode()
    assert "OK" == server.client(3).execute_command("ACL", "DRYRUN", "limited", "GET", "r").decode()


def test_rights_in_a_pipeline_are_those_of_its_moment(server):
    user(server, "one", "+@all", "~one")
    connection = server.client(3, single_connection_client=True)
    pipeline = connection.pipeline(transaction=False)
    pipeline.execute_command("GET", "two")
    pipeline.execute_command("AUTH", "one", "one")
    pipeline.execute_command("GET", "two")
    pipeline.execute_command("GET", "one")
    pipeline.execute_command("ACL", "SETUSER", "one", "~two")
    pipeline.execute_command("GET", "two")
    pipeline.execute_command("ACL", "SETUSER", "one", "-get")
    pipeline.execute_command("GET", "one")
    replies = pipeline.execute(raise_on_error=False)
    refused = [isinstance(reply, redis.exceptions.NoPermissionError) for reply in replies]
    assert refused == [False, False, True, False, False, False, False, True]


def test_a_transaction_is_checked_when_it_is_queued_and_when_it_is_executed(server):
    admin = server.client(3)
    limited = user(server, "limited", "+@all", "~a*")
    connection = redis.Redis(port=server.port, username="limited", password="limited", single_connection_client=True)
    connection.execute_command("MULTI")
    refuses(connection, "GET", "b")
    with pytest.raises(redis.exceptions.ExecAbortError):
        connection.execute_command("EXEC")
    connection.execute_command("MULTI")
    connection.execute_command("SET", "a", "1")
    connection.execute_command("GET", "a")
    admin.execute_command("ACL", "SETUSER", "limited", "-get")
    written, refused = connection.execute_command("EXEC")
    assert written in (True, b"OK")
    assert str(refused).startswith("ACLs rules changed between the moment the transaction was accumulated")
    assert limited.execute_command("SET", "a", "2") is not None


def test_a_script_may_do_what_its_client_may(server):
    limited = user(server, "limited", "+@all", "-incr", "~a*")
    assert limited.eval("return redis.call('set', KEYS[1], 'x')", 1, "a") in (True, b"OK")
    refuses(limited, "EVAL", "return 1", 1, "b")
    for call in ["'get', 'b'", "'incr', 'a'"]:
        with pytest.raises(redis.ResponseError, match="ACL failure in script"):
            limited.eval(f"return redis.call({call})", 0)
    admin = server.client(3)
    contexts = {entry["context"] for entry in admin.acl_log()}
    assert contexts == {"toplevel", "lua"}


def test_failures_are_logged(server):
    admin = server.client(3)
    limited = user(server, "limited", "+@all", "~a*", "&*")
    for _ in range(3):
        refuses(limited, "GET", "b")
    with pytest.raises(redis.AuthenticationError, match="invalid username-password pair or user is disabled"):
        server.client(3, username="limited", password="wrong").ping()
    login, read = admin.acl_log()
    assert (read["reason"], read["object"], read["username"], read["count"]) == ("key", "b", "limited", 3)
    # redis-py tries again by itself.
    assert (login["reason"], login["username"]) == ("auth", "limited") and login["count"] >= 1
    assert admin.acl_log(1)[0]["reason"] == "auth"
    assert admin.acl_log_reset()
    assert admin.acl_log() == []
    admin.config_set("acllog-max-len", 2)
    for key in "bcd":
        refuses(limited, "GET", key)
    assert [entry["object"] for entry in admin.acl_log()] == ["d", "c"]


def test_connections_of_a_deleted_user_are_closed(server):
    admin = server.client(3)
    gone = user(server, "gone", "+@all", "~*", "&*")
    kept = user(server, "kept", "+@all", "~*", "&*")
    listener = gone.pubsub()
    listener.subscribe("news")
    assert listener.get_message(timeout=PATIENCE_S)["type"] == "subscribe"
    connections = [redis.Redis(port=server.port, username="gone", password="gone") for _ in range(8)]
    assert all(connection.ping() for connection in [*connections, kept])
    assert admin.acl_deluser("gone", "nobody") == 1
    assert admin.acl_users() == [b"default", b"kept"]
    for line in admin.client_list():
        assert line["user"] != "gone"
    with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
        while True:
            listener.get_message(timeout=1)
    with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
        connections[0].ping()
    assert kept.ping()
    with pytest.raises(redis.ResponseError, match="The 'default' user cannot be removed"):
        admin.acl_deluser("default")


def test_a_subscriber_that_may_hear_no_more_is_closed(server):
    admin = server.client(3)
    hearer = user(server, "hearer", "+@all", "&news", "&sport")
    news, sport = hearer.pubsub(), hearer.pubsub()
    news.subscribe("news")
    sport.subscribe("sport")
    assert all(one.get_message(timeout=PATIENCE_S)["type"] == "subscribe" for one in (news, sport))
    admin.execute_command("ACL", "SETUSER", "hearer", "resetchannels", "&sport")
    # redis-py connects again by itself, and is refused.
    with pytest.raises((redis.ConnectionError, redis.exceptions.NoPermissionError)):
        while True:
            news.get_message(timeout=1)
    assert admin.publish("sport", "goal") == 1


def test_the_password_of_the_setting_is_that_of_the_default_user():
    with Server("--requirepass", "first") as server:
        with pytest.raises(redis.AuthenticationError):
            server.client(3).ping()
        admin = server.client(3, password="first", single_connection_client=True)
        assert admin.acl_whoami() == b"default"
        admin.config_set("requirepass", "second")
        assert server.client(3, password="second").ping()
        assert admin.ping(), "a client that has logged in stays"
        admin.execute_command("ACL", "SETUSER", "default", "off")
        with pytest.raises(redis.AuthenticationError):
            server.client(3, password="second").ping()


def test_users_are_kept_in_a_file(tmp_path: pathlib.Path):
    path = tmp_path / "users.acl"
    path.write_text("user reader on nopass +get ~a*\n")
    with Server("--aclfile", str(path)) as server:
        admin = server.client(3)
        assert admin.acl_users() == [b"default", b"reader"]
        admin.execute_command("ACL", "SETUSER", "writer", "on", ">secret", "+set", "~w:*")
        assert admin.acl_save()
        written = path.read_text()
        assert "secret" not in written and "user writer on sanitize-payload #" in written
        reader = server.client(3, username="reader", password="")
        assert reader.get("a") is None
        path.write_text("user writer off\nuser reader on nopass +nothing\n")
        with pytest.raises(redis.ResponseError, match="users.acl:2: Error in applying operation '.nothing'"):
            admin.acl_load()
        assert admin.acl_users() == [b"default", b"reader", b"writer"]
        path.write_text("user writer off\n")
        assert admin.acl_load()
        assert admin.acl_users() == [b"default", b"writer"]
        with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
            reader.ping()
    path.write_text(written)
    with Server("--aclfile", str(path)) as server:
        assert server.client(3, username="writer", password="secret").set("w:1", "x")
    path.write_text("nonsense\n")
    with pytest.raises(RuntimeError, match="should start with user keyword"):
        Server("--aclfile", str(path))


def test_without_a_file_there_is_nothing_to_load_or_save(server):
    for word in ["LOAD", "SAVE"]:
        with pytest.raises(redis.ResponseError, match="not configured to use an ACL file"):
            server.client(3).execute_command("ACL", word)


def test_a_user_is_shown_and_drawn_a_password(server):
    admin = server.client(3)
    user(server, "shown", "+@read", "-get", "~a", "%R~b", "&c", "(+set ~d)")
    shown = admin.acl_getuser("shown")
    assert shown["flags"] == ["on", "sanitize-payload"]
    assert shown["keys"] == ["~a", "%R~b"] and shown["channels"] == ["&c"]
    assert admin.acl_getuser("nobody") is None
    assert len(admin.acl_genpass()) == 64 and len(admin.acl_genpass(5)) == 2
    assert b"get" in admin.acl_cat("read") and b"vector" in admin.acl_cat()
    line = [line.decode() for line in admin.acl_list() if line.startswith(b"user shown ")][0]
    assert line.endswith("~a %R~b resetchannels &c -@all +@read -get (~d resetchannels -@all +set)")
