"""Connections by the thousand: what an idle one costs, and what happens where the kernel allows fewer files."""

import os
import pathlib
import re
import resource
import socket
import time

import pytest

from server import PATIENCE_S, Server

IDLE_CONNECTIONS = 5_000

# What this process and the server have open beside the connections.
OTHER_FILES = 300

# A session, its task and what is left of its buffers: 2.9 kB on the day this was written, without what the kernel holds.
IDLE_BYTES_MAX = 8 * 1024


def resident_bytes(server: Server) -> int:
    pages = pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def ask(connection: socket.socket) -> bytes:
    """A PING's reply, or why there is none."""
    connection.sendall(b"PING\r\n")
    return connection.recv(100)


def await_clients(client, expected: int) -> None:
    """Until INFO counts so many connections: those that left are noticed a little later."""
    end = time.monotonic() + PATIENCE_S
    while (count := client.info("clients")["connected_clients"]) != expected:
        assert time.monotonic() < end, f"{count} connections, not {expected}"
        time.sleep(0.02)


@pytest.fixture
def connection_count():
    """As many as are wanted, or as the machine lets this process open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1] if before[1] != resource.RLIM_INFINITY else IDLE_CONNECTIONS + OTHER_FILES
    allowed = min(IDLE_CONNECTIONS + OTHER_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, before[0]), before[1]))
    yield allowed - OTHER_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_thousands_of_idle_connections_cost_little_and_leave_nothing(connection_count, workers):
    if connection_count < IDLE_CONNECTIONS:
        print(f"only {connection_count} connections: the hard limit of open files allows no more")
    assert connection_count >= 500, "with so few open files this shows nothing"
    # It starts with the usual limit of 1,024 and has to raise it by itself.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with Server("--workers", str(workers), open_files=(1024, hard)) as server, server.client(3) as client:
        client.ping()
        for first in (True, False):
            # The second time the allocator has what it needs: what grows then is lost.
            before = resident_bytes(server)
            idle = [connect(server) for _ in range(connection_count)]
            # Each has spoken once: one that never did has no buffer yet.
            assert all(ask(connection) == b"+PONG\r\n" for connection in idle)
            await_clients(client, connection_count + 1)
            each = (resident_bytes(server) - before) / connection_count
            print(f"{workers} workers, {connection_count} connections: {each:.0f} bytes each")
            assert each < IDLE_BYTES_MAX
            with server.client(2) as newcomer:
                assert newcomer.execute_command("VECSET", "many:a", 2, 1, 2) == b"OK"
                assert newcomer.execute_command("VECQUERY", "many", 1, 1, 2) == [b"many:a", b"0"]
            listed = client.execute_command("CLIENT", "LIST")
            assert len(listed) >= connection_count + 1
            assert all(ask(connection) == b"+PONG\r\n" for connection in idle[:: connection_count // 50])
            for connection in idle:
                connection.close()
            await_clients(client, 1)
            if first:
                after_once = resident_bytes(server)
        lost = (resident_bytes(server) - after_once) / connection_count
        assert lost < 1024, f"{lost:.0f} bytes of each connection stay"
        assert "WARN" not in server.words(), server.words()


def test_where_fewer_files_are_allowed_it_says_so_and_refuses_the_rest_in_words():
    with Server("--workers", "2", open_files=(200, 200)) as server:
        told = re.search(r"the limit of open files \(200\) leaves room for (\d+) clients", server.words())
        assert told, server.words()
        # What the server itself has open is counted, and some are kept for a moment's need.
        room = int(told[1])
        assert 120 <= room <= 180
        served = [connect(server) for _ in range(room)]
        assert all(ask(connection) == b"+PONG\r\n" for connection in served)
        refused = connect(server)
        assert refused.recv(100) == b"-ERR max number of clients reached\r\n"
        for connection in (refused, *served):
            connection.close()
