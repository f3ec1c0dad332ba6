"""Fixtures: a server with 1, 2 and 4 workers for every test that takes `server`, emptied before each."""

import pytest

from server import Server


# Four workers are more than the cores of a small machine: that has to work too.
@pytest.fixture(scope="session", params=[1, 2, 4], ids=lambda workers: f"{workers}-workers")
def running_server(request):
    with Server("--workers", str(request.param)) as server:
        yield server


@pytest.fixture
def server(running_server):
    with running_server.client(protocol=2) as client:
        client.flushall()
    yield running_server
    assert running_server.process.poll() is None, f"the server died:\n{running_server.words()}"


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def protocol(request):
    return request.param


@pytest.fixture
def client(server, protocol):
    with server.client(protocol) as client:
        yield client
