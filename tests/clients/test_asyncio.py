"""redis-py's asyncio flavour: many connections at once."""

import asyncio

import numpy
import pytest
import redis

from vectors import blob, keys, pairs


@pytest.fixture
async def client(server, protocol):
    async with server.asyncio_client(protocol) as client:
        yield client


async def test_the_commands_work_as_in_the_sync_flavour(client):
    assert await client.execute_command("VECSET", "a:one", 2, 1, 0) == b"OK"
    assert await client.execute_command("VECSET", "a:two", 2, "FP32", blob([0, 2])) == b"OK"
    assert pairs(await client.execute_command("VECQUERY", "a", 2, 1, 0)) == [(b"a:one", 0.0), (b"a:two", 1.0)]
    with pytest.raises(redis.ResponseError, match="got 3 but collection 'a' has 2"):
        await client.execute_command("VECSET", "a:three", 3, 1, 2, 3)
    assert await client.dbsize() == 2


async def test_a_deep_pipeline_is_answered_in_order(client):
    async with client.pipeline(transaction=False) as pipeline:
        for number in range(10_000):
            pipeline.echo(number)
        assert [int(reply) for reply in await pipeline.execute()] == list(range(10_000))


async def test_many_connections_set_and_query_at_once(server, protocol):
    """Each task has a connection and a collection of its own; nobody sees another's vectors."""

    async def work(task: int) -> None:
        generator = numpy.random.default_rng(task)
        async with server.asyncio_client(protocol) as client:
            for number in range(20):
                vector = blob(generator.standard_normal(16))
                await client.execute_command("VECSET", f"task{task}:{number}", 16, "FP32", vector)
                hits = pairs(await client.execute_command("VECQUERY", f"task{task}", 100, "FP32", vector))
                assert hits[0] == (f"task{task}:{number}".encode(), 0.0)
                assert len(hits) == number + 1

    await asyncio.gather(*(work(task) for task in range(50)))


async def test_one_of_two_first_vectors_wins_and_no_shard_disagrees(server, protocol):
    """Two dimensions race for the same new collection, again and again."""
    async with server.asyncio_client(protocol) as one, server.asyncio_client(protocol) as other:
        for race in range(50):
            outcomes = await asyncio.gather(
                *(one.execute_command("VECSET", f"race{race}:a{number}", 2, 1, 1) for number in range(8)),
                *(other.execute_command("VECSET", f"race{race}:b{number}", 3, 1, 1, 1) for number in range(8)),
                return_exceptions=True,
            )
            won = [outcome == b"OK" for outcome in outcomes]
            assert won in ([True] * 8 + [False] * 8, [False] * 8 + [True] * 8), outcomes
            dimension = 2 if won[0] else 3
            assert len(keys(await one.execute_command("VECQUERY", f"race{race}", 100, *[1] * dimension))) == 8
