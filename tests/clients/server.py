"""A real server for tests: started on a free port, stopped at the end, its words kept for failures."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import time

import redis
import redis.asyncio

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("KORA_BINARY", REPOSITORY / "target" / "release" / "kora")).resolve()

# A start takes milliseconds; this is for a machine that is busy with something else.
PATIENCE_S = 120


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would configure a server, and with `variables`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KORA_", "REDISCLI_"))}
    return {**inherited, **variables}


class Server:
    """`kora serve` with these flags, in an empty folder of its own (so no config/kora.toml is found).

    `open_files` are the soft and the hard limit that it is started with, `address_bytes` is the limit of its address space.
    """

    def __init__(
        self,
        *flags: str,
        variables: dict[str, str] | None = None,
        folder: pathlib.Path | None = None,
        open_files: tuple[int, int] | None = None,
        address_bytes: int | None = None,
    ):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = folder or pathlib.Path(self.temporary.name)
        self.log = open(pathlib.Path(self.temporary.name) / "log", "w+b")

        def limit():
            if open_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, open_files)
            if address_bytes:
                resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))

        self.process = subprocess.Popen(
            [BINARY, "serve", *flags],
            cwd=self.folder,
            env=environment(**{"KORA_PORT": "0", **(variables or {})}),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            preexec_fn=limit if open_files or address_bytes else None,
        )
        try:
            self.port = self.await_port()
        except BaseException:
            self.stop()
            raise

    def words(self) -> str:
        """All that the server has said so far."""
        return pathlib.Path(self.log.name).read_text()

    def await_port(self) -> int:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = re.search(r"listening on [^ ]*:(\d+)\s", self.words())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                raise RuntimeError(f"the server left with status {self.process.returncode}:\n{self.words()}")
            time.sleep(0.01)
        raise RuntimeError(f"the server does not say where it listens:\n{self.words()}")

    def wait(self) -> int:
        """The exit status, once it has left."""
        return self.process.wait(PATIENCE_S)

    def stop(self) -> None:
        """Stops it if it still runs. A server that does not stop by itself is killed, and that is a failure."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.wait()
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()
            self.temporary.cleanup()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client(self, protocol: int, **options: object) -> redis.Redis:
        """redis-py, connected to this server."""
        return redis.Redis(port=self.port, protocol=protocol, socket_timeout=PATIENCE_S, **options)

    def asyncio_client(self, protocol: int, **options: object) -> redis.asyncio.Redis:
        """The asyncio flavour of redis-py, connected to this server."""
        return redis.asyncio.Redis(port=self.port, protocol=protocol, socket_timeout=PATIENCE_S, **options)

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """A client's program, run to its end."""
        return subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=PATIENCE_S,
            check=False,
        )

    def redis_cli(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """redis-cli against this server, formatted as on a terminal."""
        return subprocess.run(
            ["redis-cli", "-p", str(self.port), "--no-raw", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment(**variables),
            timeout=PATIENCE_S,
            check=False,
        )
