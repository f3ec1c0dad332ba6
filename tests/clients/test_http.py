"""The HTTP port: metrics, health checks, the page and what it asks for, and clients that mean no good."""

import base64
import json
import pathlib
import re
import socket
import time
import urllib.error
import urllib.request

import pytest

from server import PATIENCE_S, Server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Web:
    """A server with an HTTP port."""

    def __init__(self, *flags: str):
        self.port = free_port()
        self.server = Server("--http-port", str(self.port), *flags)

    def __enter__(self) -> "Web":
        self.server.__enter__()
        return self

    def __exit__(self, *outcome) -> None:
        self.server.__exit__(*outcome)

    def get(self, path: str, body: bytes | None = None, login: str | None = None, **headers: str):
        """The status and the text."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers)
        if login is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def samples(text: str) -> dict[str, float]:
    """Metrics by name and labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


@pytest.fixture(scope="module")
def web():
    with Web("--workers", "2") as web:
        with web.server.client(protocol=3) as client:
            for number in range(300):
                client.execute_command("VECSET", f"w:{number}", 3, number, 1, -number)
            client.set("a", "b")
            client.get("a")
        yield web


class TestMetrics:
    def test_they_are_what_info_says(self, web):
        status, text = web.get("/metrics")
        assert status == 200
        assert text.endswith("# EOF\n")
        metrics = samples(text)
        assert metrics['kora_collection_vectors{collection="w"}'] == 300
        assert metrics['kora_collection_dimension{collection="w"}'] == 3
        assert metrics['kora_database_keys{database="0"}'] == 301
        assert metrics['kora_command_calls_total{command="vecset"}'] == 300
        assert metrics['kora_command_seconds_total{command="vecset"}'] > 0
        assert metrics['kora_command_latency_seconds{command="vecset",quantile="0.99"}'] > 0
        assert metrics['kora_worker_vectors{worker="0"}'] + metrics['kora_worker_vectors{worker="1"}'] == 300
        assert metrics["kora_collections"] == 1
        assert metrics["kora_collections_omitted"] == 0
        assert metrics["kora_memory_resident_bytes"] > 1_000_000
        assert metrics["kora_loading"] == 0
        with web.server.client(protocol=3) as client:
            assert f'kora_build{{version="{client.info()["kora_version"]}"' in text

    def test_every_field_that_a_metric_is_made_of_exists(self, web):
        source = (pathlib.Path(__file__).parents[2] / "crates/kora-server/src/http/metrics.rs").read_text()
        table = source[source.index("const FIELDS") : source.index("const COMMAND_COUNTERS")]
        fields = set(re.findall(r'(?:gauge|counter)\(\s*"(\w+)"', table))
        assert len(fields) > 30
        with web.server.client(protocol=3) as client:
            there = set(client.info("everything"))
        assert fields - there == ONLY_AT_TIMES

    def test_many_collections_are_cut_short(self):
        with Web("--workers", "1") as web:
            with web.server.client(protocol=3) as client:
                for number in range(120):
                    client.execute_command("VECSET", f"c{number:03}:x", 2, 1, 2)
            metrics = samples(web.get("/metrics")[1])
            assert metrics["kora_collections_omitted"] == 20
            assert sum(name.startswith("kora_collection_vectors{") for name in metrics) == 100

    def test_odd_names_do_not_break_the_format(self):
        with Web("--workers", "1") as web:
            with web.server.client(protocol=3) as client:
                client.execute_command("VECSET", b'a"b\\\nc\xff:x', 2, 1, 2)
            status, text = web.get("/metrics")
            assert status == 200
            assert 'kora_collection_vectors{collection="a\\"b\\\\\\nc\ufffd"} 1.0' in text


# Fields of a server that loads its data, and those that INFO does not have yet.
ONLY_AT_TIMES = {
    "loading_loaded_bytes",
    "loading_total_bytes",
}


class TestHealth:
    def test_a_server_that_answers_is_well_and_ready(self, web):
        assert web.get("/healthz") == (200, "ok\n")
        assert web.get("/readyz") == (200, "ok\n")

    def test_it_needs_no_password(self):
        with Web("--workers", "2", "--requirepass", "secret") as web:
            assert web.get("/healthz") == (200, "ok\n")
            assert web.get("/readyz") == (200, "ok\n")


class TestPage:
    def test_it_loads_nothing_from_elsewhere(self, web):
        for path in ["/", "/page.css", "/page.js", "/neighbourhood.js"]:
            status, text = web.get(path)
            assert status == 200
            outside = [line for line in text.splitlines() if "//" in line and ("src=" in line or "@import" in line)]
            assert not outside

    def test_what_it_asks_for(self, web):
        info = json.loads(web.get("/api/info")[1])
        assert info["server"]["redis_mode"] == "standalone"
        assert set(info["workers"]) == {"worker0", "worker1"}
        listed = json.loads(web.get("/api/collections")[1])
        assert (listed["count"], listed["collections"][0]["collection"]) == (1, "w")
        assert listed["collections"][0]["vectors"] == 300
        found = json.loads(web.get("/api/neighbours?collection=w&key=w%3A7&k=5")[1])
        assert len(found["hits"]) == 5
        assert found["hits"][0] == {"key": "w:7", "distance": 0.0}
        assert found["info"]["mode"] == "exact"
        assert len(json.loads(web.get("/api/neighbours?collection=w")[1])["hits"]) == 24
        asked = json.dumps({"collection": "w", "k": 3, "vector": [7, 1, -7]}).encode()
        assert json.loads(web.get("/api/search", asked)[1])["hits"][0]["key"] == "w:7"
        assert isinstance(json.loads(web.get("/api/slow")[1]), list)

    @pytest.mark.parametrize(
        "path, body, said",
        [
            ("/api/neighbours", None, "`collection` is missing"),
            ("/api/neighbours?collection=none", None, "there is no such collection"),
            ("/api/neighbours?collection=w&key=w:1&k=0", None, "`k` must be 1 to 200"),
            ("/api/neighbours?collection=w&key=w:1&k=201", None, "`k` must be 1 to 200"),
            ("/api/neighbours?collection=w&key=w:1&k=x", None, "`k` is no number"),
            ("/api/search", b"[", "EOF"),
            ("/api/search", b"[" * 100_000, "recursion limit"),
            ("/api/search", b'{"collection": "w", "vector": [1, "x"]}', "no number"),
            ("/api/search", b'{"collection": "w", "vector": [1, 2]}', "dim"),
        ],
    )
    def test_what_is_wrong_is_said(self, web, path, body, said):
        status, text = web.get(path, body)
        assert status == 400
        assert said in text


class TestAccess:
    def test_it_asks_for_the_password(self):
        with Web("--workers", "1", "--requirepass", "secret") as web:
            for path in ["/metrics", "/api/info", "/api/collections"]:
                assert web.get(path)[0] == 401
                assert web.get(path, login="default:wrong")[0] == 401
                assert web.get(path, login="default:secret")[0] == 200
                assert web.get(path, login=":secret")[0] == 200

    def test_a_page_of_another_site_gets_nothing(self, web):
        assert web.get("/api/info", Host="evil.example")[0] == 421
        assert web.get("/api/info", Host="localhost:1")[0] == 200

    def test_it_is_off_and_local_by_default(self):
        with Server("--workers", "1") as server, server.client(protocol=3) as client:
            assert client.config_get("http-*") == {"http-port": "0", "http-bind": "127.0.0.1 -::1"}

    def test_other_methods_are_refused(self, web):
        assert web.get("/metrics", b"x")[0] == 405
        assert web.get("/nothing")[0] == 404


class TestHostileClients:
    def test_a_long_head_and_a_long_body_are_refused(self, web):
        assert web.get("/api/search", b" " * (2 << 20))[0] == 413
        with socket.create_connection(("127.0.0.1", web.port), PATIENCE_S) as client:
            client.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 100_000)
            assert client.recv(100).startswith(b"HTTP/1.1 431")

    def test_slow_ones_keep_nobody_out_for_ever(self, web):
        """As many as there can be say one byte and stop. The server closes them after 20 seconds."""
        slow = [socket.create_connection(("127.0.0.1", web.port), PATIENCE_S) for _ in range(64)]
        try:
            for client in slow:
                client.sendall(b"G")
            began = time.monotonic()
            assert web.get("/healthz")[0] == 200
            assert time.monotonic() - began < PATIENCE_S
            # RESP clients never notice.
            with web.server.client(protocol=3) as client:
                assert client.ping()
        finally:
            for client in slow:
                client.close()

    def test_nonsense_is_no_request(self, web):
        for nonsense in [b"\x00" * 100, b"*1\r\n$4\r\nPING\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]:
            with socket.create_connection(("127.0.0.1", web.port), PATIENCE_S) as client:
                client.sendall(nonsense)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
        assert web.get("/healthz") == (200, "ok\n")

    def test_a_stop_waits_for_no_browser(self):
        with Web("--workers", "1") as web:
            assert web.get("/healthz")[0] == 200
            with socket.create_connection(("127.0.0.1", web.port), PATIENCE_S) as client:
                client.sendall(b"GET / HTTP/1.1\r\n")
                web.server.process.terminate()
                assert web.server.process.wait(PATIENCE_S) == 0


class TestDashboard:
    def test_every_query_asks_for_a_metric_that_is_there(self, web):
        """Each metric of the Grafana dashboard is one that the server gives, with the labels that the query uses."""
        folder = pathlib.Path(__file__).parents[2] / "docker" / "observe"
        dashboard = json.loads((folder / "dashboard.json").read_text())
        with web.server.client(protocol=3) as client:
            client.execute_command("VECRECALL", "w", "SAMPLES", 1)
        names = {name.split("{")[0] for name in samples(web.get("/metrics")[1])}
        # Recall is there once a collection is large enough to be sampled.
        names.add("kora_collection_recall")
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        assert len(queries) > 20
        for query in queries:
            assert set(re.findall(r"kora_\w+", query)) <= names, query
