"""The program around the server: settings, start, stop, `kora ping`, `kora demo`."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
import redis

from server import BINARY, PATIENCE_S, REPOSITORY, Server, environment


# A folder without config/kora.toml.
NOWHERE = pathlib.Path(__file__).parent


def kora(*words: str, folder=None, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program, run to its end."""
    return subprocess.run(
        [BINARY, *words],
        cwd=folder or NOWHERE,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class TestSettings:
    def test_a_later_source_wins(self, tmp_path):
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "kora.toml").write_text("maxclients = 11\nvector-m = 11\nvector-ef-search = 11\n")
        variables = {"KORA_VECTOR_M": "12", "KORA_VECTOR_EF_SEARCH": "12"}
        with Server("--vector-ef-search", "13", variables=variables, folder=tmp_path) as server:
            with server.client(protocol=3) as client:
                settings = client.config_get("*")
        names = ("maxclients", "vector-m", "vector-ef-search", "vector-ef-construction")
        assert [settings[name] for name in names] == ["11", "12", "13", "200"]

    def test_a_variable_that_is_no_setting_is_named(self):
        with Server(variables={"KORA_PROT": "7000", "KORA_VECTOR_M": "12"}) as server:
            words = server.words()
            assert "KORA_PROT" in words and "KORA_VECTOR_M" not in words and "KORA_PORT" not in words

    def test_the_shipped_file_changes_nothing(self):
        with Server(folder=REPOSITORY) as shipped, Server() as plain:
            with shipped.client(protocol=3) as one, plain.client(protocol=3) as other:
                assert one.config_get("*") == {**other.config_get("*"), "port": one.config_get("port")["port"]}

    def test_another_file_is_read_instead(self, tmp_path):
        (tmp_path / "other.toml").write_text('vector-metric = "l2"\n')
        with Server("--config", str(tmp_path / "other.toml")) as server, server.client(protocol=2) as client:
            assert client.config_get("vector-metric") == {"vector-metric": "l2"}
            client.execute_command("VECSET", "far:a", 2, 3, 4)
            assert client.execute_command("VECQUERY", "far", 1, 0, 0) == [b"far:a", b"5"]

    def test_an_unknown_key_or_a_bad_value_stops_the_start_with_its_line(self, tmp_path):
        file = tmp_path / "kora.toml"
        for text, said in (
            ("port = 7000\n\nmaxclient = 5\n", f"kora: {file}:3: unknown field `maxclient`, expected one of `bind`, "),
            ("# ports\nport = 65536\n", f"kora: {file}:2: `65536` is not a whole number from 0 to 65535\n"),
        ):
            file.write_text(text)
            ran = kora("--config", str(file))
            assert (ran.returncode, ran.stdout) == (2, "")
            assert ran.stderr.startswith(said), ran.stderr

    def test_a_bad_variable_or_flag_stops_the_start_and_is_named(self):
        ran = kora(KORA_WORKERS="all")
        assert (ran.returncode, ran.stderr) == (2, "kora: KORA_WORKERS: `all` is not a whole number from 0 to 256\n")
        ran = kora("serve", "--workers", "all")
        assert ran.returncode == 2 and "'--workers <WORKERS>': `all` is not a whole number from 0 to 256" in ran.stderr
        assert "a similar argument exists: '--port'" in kora("--prot", "7000").stderr

    def test_help_lists_every_setting_and_never_a_password(self):
        for words in (["--help"], ["serve", "--help"], ["demo", "--help"]):
            ran = kora(*words, KORA_REQUIREPASS="hunter2")
            assert ran.returncode == 0 and "hunter2" not in ran.stdout
            for flag in ("--bind", "--port", "--requirepass", "--workers", "--vector-ef-search", "--config"):
                assert flag in ran.stdout
        assert re.fullmatch(r"kora \d+\.\d+\.\d+\n", kora("--version").stdout)

    def test_more_workers_than_cores_are_no_trouble(self):
        with Server("--workers", "8") as server, server.client(protocol=3) as client:
            info = client.info()
            assert (info["kora_workers"], info["kora_shards"]) == (8, 8)
            client.execute_command("VECSET", "a:b", 1, 1)
            assert client.execute_command("VECQUERY", "a", 1, 1) == [[b"a:b", 0.0]]

    def test_shards_need_not_be_workers(self):
        with Server("--workers", "2", "--shards", "5") as server, server.client(protocol=3) as client:
            for number in range(500):
                client.execute_command("VECSET", f"five:{number}", 2, number, 1)
            shards = client.execute_command("VECINFO", "five")[b"shards"]
            assert len(shards) == 5 and all(shard[b"vectors"] > 50 for shard in shards)
            assert len(client.execute_command("VECQUERY", "five", 500, 1, 1)) == 500


class TestListening:
    def test_without_a_password_only_this_machine_can_connect_and_the_log_says_so(self):
        with Server() as server:
            assert "listening on 127.0.0.1:" in server.words() and "listening on 0.0.0.0" not in server.words()
            assert "only this machine can connect" in server.words()

    def test_with_a_password_every_interface_is_listened_on(self):
        with Server(variables={"KORA_REQUIREPASS": "p"}) as server:
            assert f"listening on 0.0.0.0:{server.port}" in server.words()

    def test_an_open_door_is_a_warning(self):
        with Server("--bind", "0.0.0.0") as server:
            assert re.search(r"WARN.*no password is set", server.words()), server.words()

    def test_a_taken_port_is_said_and_ends_the_start(self):
        with Server() as server:
            ran = kora("serve", "--port", str(server.port))
            assert ran.returncode == 1
            assert f"127.0.0.1:{server.port}" in ran.stderr and "in use" in ran.stderr

    def test_one_client_too_many_is_told_and_others_stay(self):
        with Server("--maxclients", "2") as server:
            with server.client(2, single_connection_client=True) as one, server.client(2) as two:
                assert one.ping() and two.ping()
                with server.client(2) as three, pytest.raises(redis.ConnectionError, match="max number of clients"):
                    three.ping()
                assert one.ping() and two.ping()


class TestStop:
    def test_sigterm_ends_it_with_status_0(self):
        with Server() as server, server.client(protocol=3) as client:
            assert client.ping()
            server.process.send_signal(signal.SIGTERM)
            assert server.wait() == 0

    def test_a_log_that_nobody_reads_any_more_keeps_it_from_nothing(self):
        """Its log goes to a pipe whose reader leaves, as in `kora 2>&1 | head -1`."""
        process = subprocess.Popen(
            [BINARY, "serve"], cwd=NOWHERE, env=environment(KORA_PORT="0"), stderr=subprocess.PIPE, text=True
        )
        try:
            address = None
            while not address:
                address = re.search(r"listening on 127.0.0.1:(\d+)\s", process.stderr.readline())
            process.stderr.close()
            for _ in range(3):
                with redis.Redis(port=int(address[1]), protocol=3) as client:
                    assert client.ping()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()

    def test_shutdown_ends_it_with_status_0(self):
        with Server() as server, server.client(protocol=2) as client:
            client.shutdown()
            assert server.wait() == 0

    def test_what_was_received_is_finished(self):
        """A pipeline that ends in SHUTDOWN is answered to its end."""
        with Server("--workers", "2") as server:
            commands = "".join(f"VECSET s:{number} 2 {number} 1\r\n" for number in range(2_000))
            ran = server.redis_cli(stdin=commands + "DBSIZE\nSHUTDOWN NOSAVE\n")
            assert ran.stdout.splitlines()[:2_001] == ["OK"] * 2_000 + ["(integer) 2000"]
            assert server.wait() == 0


class TestPing:
    def test_a_server_that_is_well_says_pong(self):
        with Server() as server:
            ran = kora("ping", "--port", str(server.port))
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, "PONG\n", "")
            assert kora("ping", KORA_PORT=str(server.port)).returncode == 0

    def test_the_file_says_port_and_password(self, tmp_path):
        with Server(variables={"KORA_REQUIREPASS": "p"}) as server:
            (tmp_path / "config").mkdir()
            (tmp_path / "config" / "kora.toml").write_text(f'port = {server.port}\nrequirepass = "p"\n')
            assert kora("ping", folder=tmp_path).stdout == "PONG\n"
            ran = kora("ping", folder=tmp_path, KORA_REQUIREPASS="wrong")
            assert (ran.returncode, ran.stdout) == (1, "") and "WRONGPASS" in ran.stderr
            ran = kora("ping", folder=tmp_path, KORA_REQUIREPASS="")
            assert ran.returncode == 1 and "NOAUTH" in ran.stderr and "KORA_REQUIREPASS" in ran.stderr

    def test_no_server_is_said(self):
        with Server() as server:
            port = server.port
        ran = kora("ping", "--port", str(port))
        assert (ran.returncode, ran.stdout) == (1, "") and "refused" in ran.stderr


class TestDemo:
    def test_it_shows_real_words_and_what_it_measured(self):
        ran = kora("demo", "--exit", "--port", "0")
        assert ran.returncode == 0, ran.stderr
        assert "Loaded 10000 word vectors" in ran.stdout
        assert re.search(r"^king +\S+ ms +king 0 ", ran.stdout, re.MULTILINE), ran.stdout
        measured = re.search(r"recall@10 (\d\.\d+)", ran.stdout)
        assert measured and float(measured[1]) >= 0.98, ran.stdout

    def test_with_a_password_it_still_shows(self):
        ran = kora("demo", "--exit", "--port", "0", "--bind", "127.0.0.1", KORA_REQUIREPASS="hunter2")
        assert ran.returncode == 0 and "recall@10" in ran.stdout, ran.stderr
        assert "hunter2" not in ran.stdout + ran.stderr

    def test_the_lines_that_it_offers_work(self):
        demo = subprocess.Popen(
            [BINARY, "demo", "--port", "0"],
            cwd=NOWHERE,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            shown = []
            while not shown or not shown[-1].startswith("Serving on"):
                shown.append(demo.stdout.readline())
                assert shown[-1], "the demo ended early:\n" + "".join(shown)
            shell = [line.strip() for line in shown if line.startswith("  redis-cli")]
            assert len(shell) == 3
            limited = subprocess.run(shell[2], shell=True, env=environment(), capture_output=True, text=True, check=True)
            assert limited.stdout == "OK\n"
            ran = subprocess.run(shell[1], shell=True, env=environment(), capture_output=True, text=True, check=True)
            assert ran.stdout.splitlines()[:2] == ["glove:music", "0"]
            python = [line[2:] for line in shown if line.startswith(("  import", "  r ", "  r.", "  vector"))]
            python[-1] = f"assert {python[-1]}[0][0] == b'glove:music'"
            exec("\n".join(python), {})
            demo.send_signal(signal.SIGINT)
            assert demo.wait(PATIENCE_S) == 0
        finally:
            demo.kill()
            demo.wait()
            demo.stdout.close()


def test_an_idle_server_uses_no_cpu():
    """Workers look around before they sleep, and then they sleep: two seconds cost at most two hundredths of one."""
    with Server() as server, server.client(protocol=3) as client:
        client.ping()
        time.sleep(0.5)
        before = cpu_ticks(server.process.pid)
        time.sleep(2)
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        assert (cpu_ticks(server.process.pid) - before) / ticks_per_second <= 0.02


def cpu_ticks(process: int) -> int:
    fields = open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
