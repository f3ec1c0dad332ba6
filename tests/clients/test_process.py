"""The server as a process: what signals, limits and a log that is not read do to it."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from server import BINARY, PATIENCE_S, REPOSITORY, Server, environment


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)


def await_words(server: Server, words: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while words not in server.words():
        assert time.monotonic() < end, server.words()
        time.sleep(0.05)


def await_that(holds) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


class TestWebPages:
    @pytest.mark.parametrize("head", [b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost:6379\r\n"])
    def test_a_request_of_a_browser_is_not_listened_to(self, head):
        with Server() as server:
            with connect(server) as page:
                page.sendall(head + b"\r\nSET posted 1\r\n")
                said = b""
                try:
                    while got := page.recv(4096):
                        said += got
                except ConnectionResetError:
                    pass
                assert b"+OK" not in said
            with server.client(protocol=3) as client:
                assert client.exists("posted") == 0
            await_words(server, "possible attack")


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
    def test_a_signal_that_means_nothing_ends_nothing(self, number):
        with Server() as server, server.client(protocol=3) as client:
            server.process.send_signal(number)
            await_words(server, f"got {number.name}")
            assert client.ping()

    def test_a_client_that_takes_nothing_is_not_waited_for(self):
        with Server() as server:
            with connect(server) as deaf, server.client(protocol=3) as client:
                client.set("large", b"x" * 30_000_000)
                deaf.sendall(b"GET large\r\n" * 3)
                time.sleep(0.3)
                server.process.send_signal(signal.SIGTERM)
                begun = time.monotonic()
                assert server.wait() == 0
                assert time.monotonic() - begun < 6

    def test_a_second_signal_ends_at_once(self):
        with Server("--shutdown-timeout", "3600") as server:
            with connect(server) as slow:
                # It reads a little now and then, so that it takes what it is sent.
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                with server.client(protocol=3) as client:
                    client.set("large", b"x" * 60_000_000)
                slow.sendall(b"GET large\r\n")
                slow.recv(100)
                server.process.send_signal(signal.SIGTERM)
                for _ in range(15):
                    slow.recv(200_000)
                    time.sleep(0.1)
                assert server.process.poll() is None
                server.process.send_signal(signal.SIGTERM)
                begun = time.monotonic()
                assert server.wait() == 0
                assert time.monotonic() - begun < 5


class TestLimits:
    def test_too_few_files_are_an_error_with_what_to_raise(self):
        ran = subprocess.run(
            ["prlimit", "--nofile=10:10", BINARY, "serve", "--port", "0"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ran.returncode == 1, ran.stderr
        assert "ulimit -n" in ran.stderr or "Too many open files" in ran.stderr, ran.stderr

    def test_sixty_four_files_are_room_for_twenty_clients(self):
        with Server("--workers", "2", open_files=(64, 64)) as server:
            clients = [connect(server) for _ in range(20)]
            for client in clients:
                client.sendall(b"PING\r\n")
                assert client.recv(100) == b"+PONG\r\n"
                client.close()

    def test_the_image_s_health_check_finds_port_and_password(self, tmp_path):
        (tmp_path / "kora").symlink_to(BINARY)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for flags in (["--port", str(port), "--requirepass", "secret"], [f"--port={port}", "--requirepass=secret"]):
            with Server(*flags, variables={"KORA_PORT": "1"}) as server:
                path = f"{tmp_path}:{os.environ['PATH']}"
                variables = environment(KORA_PROCESS=str(server.process.pid), PATH=path)
                check = [REPOSITORY / "docker" / "health.sh"]
                assert subprocess.run(check, env=variables, timeout=60, check=False).returncode == 0

    def test_a_connection_is_kept_alive_by_probes(self):
        """The kernel has armed the timer that finds a link that has gone down: `tr` is 2 in its list."""

        def timers(port: int) -> list[str]:
            rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
            return [row[5].split(":")[0] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]

        for seconds, timer in (("300", "02"), ("0", "00")):
            with Server("--tcp-keepalive", seconds) as server:
                with socket.create_connection(("127.0.0.1", server.port)) as client:
                    client.sendall(b"PING\r\n")
                    assert client.recv(100) == b"+PONG\r\n"
                    await_that(lambda: timers(server.port) == [timer])

    def test_the_address_of_a_service_is_no_port(self):
        variables = {"KORA_PORT": "tcp://10.43.0.5:6379", "KORA_SERVICE_HOST": "10.43.0.5", "KORA_PORT_6379_TCP": "x"}
        with Server("--port", "0", variables=variables) as server:
            await_words(server, "Kubernetes")
            assert "KORA_SERVICE_HOST" not in server.words()

    def test_workers_are_pinned_only_if_that_is_said_or_cores_were_set_aside(self):
        def masks(server: Server) -> list[set[int]]:
            tasks = pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()
            workers = [int(task.name) for task in tasks if (task / "comm").read_text().startswith("kora-worker")]
            return [os.sched_getaffinity(task) for task in workers]

        cores = os.sched_getaffinity(0)
        with Server("--workers", "2", "--pin-workers", "yes") as server:
            assert all(len(mask) == 1 for mask in masks(server))
        with Server("--workers", "2", "--pin-workers", "no") as server:
            assert all(mask == cores for mask in masks(server))


def test_a_log_that_is_not_read_stops_nothing():
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = ["--port", str(port), "--maxclients", "2", "--loglevel", "debug"]
    process = subprocess.Popen([BINARY, "serve", *flags], env=environment(), stderr=writing, stdout=subprocess.DEVNULL)
    os.close(writing)
    try:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                first = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.05)
        second = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        second.sendall(b"PING\r\n")
        assert second.recv(100) == b"+PONG\r\n"
        # Each is refused with a line in the log; a pipe holds 64 KiB.
        for _ in range(3_000):
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S):
                pass
        first.sendall(b"PING\r\n")
        assert first.recv(100) == b"+PONG\r\n"
        first.close()
        second.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_many_lines_of_a_kind_are_folded_into_one():
    with Server("--maxclients", "1") as server, connect(server) as only:
        only.sendall(b"PING\r\n")
        assert only.recv(100) == b"+PONG\r\n"
        for _ in range(300):
            connect(server).close()
        await_words(server, "more such lines")
        assert server.words().count("max number of clients reached") < 200
