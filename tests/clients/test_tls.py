"""The port for TLS, with certificates made for the test."""

import pathlib
import signal
import socket
import ssl
import subprocess
import time

import pytest
import redis

from server import PATIENCE_S, Server
from test_http import free_port


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Certificates:
    """An authority, and what it has signed."""

    def __init__(self, folder: pathlib.Path, name: str):
        self.folder, self.name = folder, name
        self.authority = folder / f"{name}.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2, "-subj",
                f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", self.authority)

    def sign(self, name: str) -> tuple[pathlib.Path, pathlib.Path]:
        """A certificate for 127.0.0.1, and its key."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ["key", "csr", "crt"])
        names = self.folder / f"{name}.ext"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout",
                key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.folder / f"{self.name}.key",
                "-CAcreateserial", "-days", 2, "-extfile", names, "-out", certificate)
        return certificate, key


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("theirs"), "theirs")


def flags(certificates: Certificates, port: int, **settings: object) -> list[str]:
    certificate, key = certificates.sign("server")
    all_settings = {"tls_port": port, "tls_cert_file": certificate, "tls_key_file": key, **settings}
    return [word for name, value in all_settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def connect(port: int, certificates: Certificates, pair=(None, None), **options) -> redis.Redis:
    return redis.Redis(
        port=port,
        host="127.0.0.1",
        ssl=True,
        ssl_ca_certs=str(certificates.authority),
        ssl_certfile=pair[0] and str(pair[0]),
        ssl_keyfile=pair[1] and str(pair[1]),
        socket_timeout=PATIENCE_S,
        **options,
    )


class TestEncryptedClients:
    def test_they_are_served_as_any_client_is(self, ours):
        port = free_port()
        with Server("--workers", "2", *flags(ours, port, tls_auth_clients="no")) as server:
            with connect(port, ours, protocol=3) as client:
                assert client.ping()
                large = b"x" * 5_000_000
                assert client.set("large", large)
                assert client.get("large") == large
                pipeline = client.pipeline(transaction=False)
                for number in range(2_000):
                    pipeline.set(f"k{number}", number)
                assert all(pipeline.execute())
                listed = client.client_list()
                assert [entry["laddr"] for entry in listed] == [f"127.0.0.1:{port}"]
                messages = client.pubsub()
                messages.subscribe("c")
                assert messages.get_message(timeout=PATIENCE_S)["type"] == "subscribe"
                assert client.publish("c", "hello") == 1
                assert messages.get_message(timeout=PATIENCE_S)["data"] == b"hello"
                messages.close()
            # The plain port stays open beside it.
            with server.client(protocol=3) as client:
                assert client.get("k7") == b"7"

    def test_a_client_certificate_is_wanted(self, ours, theirs):
        port = free_port()
        with Server("--workers", "1", *flags(ours, port, tls_ca_cert_file=ours.authority)):
            with connect(port, ours, ours.sign("client")) as client:
                assert client.ping()
            for pair in [(None, None), theirs.sign("client")]:
                with connect(port, ours, pair) as client, pytest.raises(redis.ConnectionError):
                    client.ping()

    def test_optional_takes_none_or_a_good_one(self, ours, theirs):
        port = free_port()
        with Server("--workers", "1", *flags(ours, port, tls_ca_cert_file=ours.authority, tls_auth_clients="optional")):
            for pair in [(None, None), ours.sign("client")]:
                with connect(port, ours, pair) as client:
                    assert client.ping()
            with connect(port, ours, theirs.sign("client")) as client, pytest.raises(redis.ConnectionError):
                client.ping()

    @pytest.mark.parametrize("least, works", [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)])
    def test_only_the_versions_of_the_setting_are_spoken(self, ours, least, works):
        port = free_port()
        with Server("--workers", "1", *flags(ours, port, tls_auth_clients="no", tls_protocols="TLSv1.3")):
            context = ssl.create_default_context(cafile=ours.authority)
            context.minimum_version = context.maximum_version = least
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
                if works:
                    assert context.wrap_socket(plain, server_hostname="localhost").version() == "TLSv1.3"
                else:
                    with pytest.raises(ssl.SSLError):
                        context.wrap_socket(plain, server_hostname="localhost")


class TestReload:
    def served(self, port: int) -> bytes:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
            return context.wrap_socket(plain).getpeercert(binary_form=True)

    def test_sighup_and_config_set_read_the_files_again(self, ours, theirs, tmp_path):
        port = free_port()
        certificate, key = tmp_path / "crt", tmp_path / "key"
        for path, source in zip([certificate, key], ours.sign("first")):
            path.write_bytes(source.read_bytes())
        names = {"tls_port": port, "tls_cert_file": certificate, "tls_key_file": key, "tls_auth_clients": "no"}
        with Server("--workers", "1", *[w for n, v in names.items() for w in (f"--{n.replace('_', '-')}", str(v))]) as server:
            first = self.served(port)
            with connect(port, ours) as old:
                assert old.ping()
                for path, source in zip([certificate, key], theirs.sign("second")):
                    path.write_bytes(source.read_bytes())
                server.process.send_signal(signal.SIGHUP)
                end = time.monotonic() + PATIENCE_S
                while (second := self.served(port)) == first:
                    assert time.monotonic() < end, server.words()
                    time.sleep(0.05)
                # A connection that exists goes on.
                assert old.ping()
            third, third_key = ours.sign("third")
            with server.client(protocol=3) as client:
                with pytest.raises(redis.ResponseError, match="tls-cert-file"):
                    client.config_set("tls-cert-file", str(tmp_path / "none"))
                with pytest.raises(redis.ResponseError):
                    client.config_set("tls-cert-file", str(third))
                assert self.served(port) == second
                client.config_set("tls-cert-file", str(third), "tls-key-file", str(third_key))
                assert self.served(port) not in (first, second)

    @pytest.mark.parametrize(
        "change, said",
        [
            ({"tls_cert_file": ""}, "tls-cert-file: is needed by `tls-port`"),
            ({"tls_cert_file": "/none"}, "tls-cert-file"),
            ({"tls_key_file": "/dev/null"}, "tls-key-file"),
            ({}, "tls-ca-cert-file: is needed to check clients' certificates"),
        ],
    )
    def test_a_start_says_what_is_missing(self, ours, change, said):
        with pytest.raises(RuntimeError, match="status 1") as error:
            Server("--workers", "1", *flags(ours, free_port(), **change))
        assert said in str(error.value)


class TestHostileClients:
    def test_those_who_speak_something_else_are_let_go(self, ours):
        port = free_port()
        with Server("--workers", "1", *flags(ours, port, tls_auth_clients="no")):
            for nonsense in [b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100, b"\x00" * 1000]:
                with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
                    client.sendall(nonsense)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(4096):
                        pass
            with connect(port, ours) as client:
                assert client.ping()

    def test_silent_ones_keep_nobody_out(self, ours):
        port = free_port()
        with Server("--workers", "1", *flags(ours, port, tls_auth_clients="no")) as server:
            silent = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in range(100)]
            with connect(port, ours) as client:
                assert client.ping()
            began = time.monotonic()
            server.process.terminate()
            assert server.wait() == 0
            assert time.monotonic() - began < PATIENCE_S
            for client in silent:
                client.close()

    def test_maxclients_counts_them(self, ours):
        port = free_port()
        with Server("--workers", "1", "--maxclients", "1", *flags(ours, port, tls_auth_clients="no")):
            with connect(port, ours) as first:
                assert first.ping()
                with connect(port, ours) as second, pytest.raises(redis.ConnectionError, match="max number of clients"):
                    second.ping()
