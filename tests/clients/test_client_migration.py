"""Clients that go over to the worker where their keys are: nothing of them is lost, and nobody misses them on their way."""

import threading
import time

import pytest
import redis

from server import Server

# More tags than workers: some lie with every worker.
TAGS = [f"{{tag{number}}}" for number in range(12)]


def moved(client) -> int:
    return client.info("stats")["kora_clients_moved"]


def ask_about(client, tag: str, times: int = 80):
    for number in range(times):
        assert client.incr(f"{tag}:count") == number + 1
    client.delete(f"{tag}:count")
    # No more than one client leaves a worker in twenty milliseconds.
    time.sleep(0.03)


def test_a_client_goes_to_where_its_keys_are_and_stays_who_it_was(server, protocol):
    with server.client(protocol, client_name="bird", single_connection_client=True) as client:
        before, own = moved(client), client.client_id()
        workers = client.info("server")["kora_workers"]
        # The first ones may find the other workers busy with the test before.
        for tag in TAGS:
            client.set(f"{tag}:kept", tag)
            ask_about(client, tag)
        assert (moved(client) > before) == (workers > 1)
        assert all(client.get(f"{tag}:kept") == tag.encode() for tag in TAGS)
        info = client.client_info()
        assert (info["id"], info["name"], info["resp"]) == (own, "bird", str(protocol))
        assert info["lib-name"] == "redis-py"
        assert [entry["id"] for entry in client.client_list()].count(str(own)) == 1
        assert client.info("clients")["connected_clients"] == len(client.client_list())


def test_pipelines_and_transactions_go_on_where_the_client_has_gone(server, protocol):
    with server.client(protocol, single_connection_client=True) as client:
        for tag in TAGS:
            for transaction in (False, True):
                pipeline = client.pipeline(transaction=transaction)
                for number in range(100):
                    pipeline.set(f"{tag}:{number}", number)
                assert pipeline.execute() == [True] * 100
                time.sleep(0.03)
            assert client.mget([f"{tag}:{number}" for number in range(100)]) == [b"%d" % n for n in range(100)]


def test_whoever_watches_a_key_stays_until_it_has_executed(server, protocol):
    with server.client(protocol, single_connection_client=True) as client, server.client(protocol) as other:
        for tag in TAGS:
            with client.pipeline() as pipeline:
                pipeline.watch(f"{tag}:watched")
                for _ in range(80):
                    pipeline.get(f"{tag}:watched")
                time.sleep(0.03)
                pipeline.get(f"{tag}:watched")
                other.set(f"{tag}:watched", "changed")
                pipeline.multi()
                pipeline.set(f"{tag}:watched", "mine")
                with pytest.raises(redis.WatchError):
                    pipeline.execute()


def test_whoever_is_killed_between_two_workers_is_gone(server, protocol):
    """Clients that go to and fro; each is killed once, and says no more."""
    stopping = threading.Event()
    ends = []

    def go_to_and_fro(victim):
        with pytest.raises(redis.ConnectionError):
            while not stopping.is_set():
                for tag in TAGS[:4]:
                    for _ in range(70):
                        victim.send_command("GET", f"{tag}:nothing")
                        assert victim.read_response() is None
            pytest.fail("nobody has closed the connection")
        ends.append(victim)

    with server.client(protocol) as killer:
        pool = killer.connection_pool
        victims = [pool.make_connection() for _ in range(12)]
        ids = []
        for victim in victims:
            victim.retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
            victim.connect()
            victim.send_command("CLIENT", "ID")
            ids.append(victim.read_response())
        threads = [threading.Thread(target=go_to_and_fro, args=[victim]) for victim in victims]
        for thread in threads:
            thread.start()
        try:
            for victim_id in ids:
                time.sleep(0.05)
                listed = [int(entry["id"]) for entry in killer.client_list()]
                assert listed.count(victim_id) == 1 and len(set(listed)) == len(listed)
                assert killer.client_kill_filter(_id=str(victim_id)) == 1
                assert killer.client_kill_filter(_id=str(victim_id)) == 0
        finally:
            stopping.set()
            for thread in threads:
                thread.join(timeout=30)
        assert len(ends) == len(victims)


def test_whoever_has_authenticated_stays_so(protocol):
    with Server("--workers", "4", "--requirepass", "secret") as server:
        with server.client(protocol, password="secret", single_connection_client=True) as client:
            for tag in TAGS:
                ask_about(client, tag)
            assert moved(client) > 0
            # Before AUTH an argument may have 16 KiB.
            assert client.set("large", b"x" * 1_000_000) is True
