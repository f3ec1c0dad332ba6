"""Publishing and subscribing with redis-py, across workers."""

import asyncio
import socket
import threading
import time

import pytest
import redis

from server import Server


def messages(pubsub, count: int) -> list[dict]:
    """The next messages, confirmations among them."""
    found = []
    end = time.monotonic() + 30
    while len(found) < count and time.monotonic() < end:
        message = pubsub.get_message(timeout=1)
        if message:
            found.append(message)
    return found


def test_messages_reach_subscribers_of_channels_and_patterns_in_order(server, protocol):
    with server.client(protocol) as client, server.client(protocol) as publisher:
        pubsub = client.pubsub()
        pubsub.subscribe("news")
        pubsub.psubscribe("n?ws")
        assert [message["type"] for message in messages(pubsub, 2)] == ["subscribe", "psubscribe"]
        assert [publisher.publish("news", number) for number in range(200)] == [2] * 200
        heard = messages(pubsub, 400)
        for kind in ("message", "pmessage"):
            texts = [message["data"] for message in heard if message["type"] == kind]
            assert texts == [b"%d" % number for number in range(200)]
        assert publisher.pubsub_numsub("news", "other") == [(b"news", 1), (b"other", 0)]
        assert (publisher.pubsub_channels(), publisher.pubsub_numpat()) == ([b"news"], 1)
        pubsub.close()
        end = time.monotonic() + 10
        while publisher.pubsub_numpat() and time.monotonic() < end:
            time.sleep(0.01)
        assert publisher.publish("news", "nobody") == 0


def test_a_comparison_that_takes_a_whole_slice_is_not_begun_again_for_ever(server, protocol):
    with server.client(protocol) as client, server.client(protocol) as publisher:
        pubsub = client.pubsub()
        pubsub.psubscribe("*a" * 500)
        messages(pubsub, 1)
        assert publisher.publish("a" * 60_000, "message") == 1
        assert messages(pubsub, 1)[0]["data"] == b"message"
        pubsub.close()


def test_a_client_that_subscribes_is_listed_and_a_large_message_comes_whole(server, protocol):
    with server.client(protocol) as client, server.client(protocol) as publisher:
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        pubsub.ssubscribe("shard")
        pubsub.subscribe("large")
        assert pubsub.get_message(timeout=1) is None and pubsub.get_message(timeout=0.1) is None
        (entry,) = publisher.client_list(_type="pubsub")
        assert (entry["flags"], entry["sub"], entry["ssub"], entry["psub"]) == ("P", "1", "1", "0")
        text = bytes(range(256)) * 8192
        assert publisher.publish("large", text) == 1
        assert publisher.spublish("shard", text[:10]) == 1
        assert [message["data"] for message in messages(pubsub, 1)] == [text]
        assert pubsub.get_sharded_message(timeout=5)["data"] == text[:10]


def test_publishing_in_a_transaction(server, protocol):
    with server.client(protocol) as client, server.client(protocol) as publisher:
        pubsub = client.pubsub()
        pubsub.subscribe("news")
        messages(pubsub, 1)
        pipeline = publisher.pipeline(transaction=True)
        pipeline.set("{a}k", "v").publish("news", "one").incr("{a}n").publish("news", "two")
        assert pipeline.execute() == [True, 1, 1, 1]
        assert [message["data"] for message in messages(pubsub, 2)] == [b"one", b"two"]


async def test_asyncio_subscribers_hear_what_many_publish(server, protocol):
    client = server.asyncio_client(protocol)
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("news")
        publishers = [server.asyncio_client(protocol) for _ in range(4)]

        async def publish(number, publisher):
            for count in range(50):
                await publisher.publish("news", f"{number}:{count}")

        await asyncio.gather(*(publish(*pair) for pair in enumerate(publishers)))
        heard = {number: [] for number in range(4)}
        while sum(map(len, heard.values())) < 200:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
            if message:
                number, count = message["data"].split(b":")
                heard[int(number)].append(int(count))
        assert all(counts == list(range(50)) for counts in heard.values())
        for publisher in publishers:
            await publisher.aclose()
    await client.aclose()


def test_a_subscriber_that_never_reads_is_dropped_at_its_limit_and_others_are_not():
    flags = ["--workers", "2", "--client-output-buffer-limit", "pubsub 1mb 0 0"]
    with Server(*flags) as server, server.client(3) as publisher, server.client(3) as reader:
        pubsub = reader.pubsub()
        pubsub.subscribe("news")
        messages(pubsub, 1)
        deaf = socket.create_connection(("127.0.0.1", server.port))
        deaf.sendall(b"SUBSCRIBE news\r\n")
        end = time.monotonic() + 10
        while publisher.pubsub_numsub("news") != [(b"news", 2)] and time.monotonic() < end:
            time.sleep(0.01)
        text, count, end = "x" * 100_000, 0, time.monotonic() + 20
        while publisher.publish("news", text) == 2 and time.monotonic() < end:
            count += 1
            assert messages(pubsub, 1)[0]["data"] == text.encode()
        # What the kernel holds for it comes on top of the limit.
        assert count > 5
        assert publisher.pubsub_numsub("news") == [(b"news", 1)]
        assert "client-output-buffer-limit" in server.words()
        deaf.close()


def test_thousands_of_subscribers_are_served_in_slices():
    # Each connection of a client's library would be a thread or a task: these are sockets and no more.
    with Server("--workers", "2") as server, server.client(3) as publisher:
        subscribers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2_000)]
        for subscriber in subscribers:
            subscriber.sendall(b"SUBSCRIBE news\r\n")
        end = time.monotonic() + 30
        while publisher.pubsub_numsub("news") != [(b"news", 2_000)] and time.monotonic() < end:
            time.sleep(0.05)
        publisher.config_resetstat()
        assert [publisher.publish("news", f"text {number}") for number in range(5)] == [2_000] * 5
        expected = b"".join(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$6\r\ntext %d\r\n" % number for number in range(5))
        head = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
        for subscriber in subscribers:
            heard = b""
            while len(heard) < len(head + expected):
                heard += subscriber.recv(65536)
            assert heard == head + expected
            subscriber.close()


@pytest.mark.parametrize("version", [2, 3])
def test_a_thread_that_waits_for_messages_hears_those_of_others(server, version):
    heard = []
    with server.client(version) as client, server.client(version) as publisher:
        pubsub = client.pubsub()
        pubsub.subscribe(news=lambda message: heard.append(message["data"]))
        thread = pubsub.run_in_thread(sleep_time=0.01)
        assert isinstance(thread, threading.Thread)
        end = time.monotonic() + 10
        while publisher.publish("news", "hello") == 0 and time.monotonic() < end:
            time.sleep(0.01)
        while not heard and time.monotonic() < end:
            time.sleep(0.01)
        thread.stop()
        thread.join()
        assert heard[0] == b"hello"


def test_what_a_subscriber_may_not_say_in_resp2_is_refused(server):
    with server.client(2, single_connection_client=True) as client:
        client.execute_command("SUBSCRIBE", "news")
        with pytest.raises(redis.ResponseError, match=r"Can't execute 'get': only \(P\|S\)SUBSCRIBE"):
            client.execute_command("GET", "k")
        # What it may say is refused for what is wrong with it.
        with pytest.raises(redis.ResponseError, match="65537 bytes, at most 65536"):
            client.execute_command("SUBSCRIBE", "x" * 65_537)
        assert client.execute_command("RESET") in (b"RESET", "RESET")
        assert client.execute_command("GET", "k") is None
