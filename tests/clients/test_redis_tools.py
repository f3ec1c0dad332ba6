"""The other programs that come with redis-cli, and its modes that are no transcript."""

import re
import subprocess

from server import PATIENCE_S, environment


def test_redis_benchmark_measures_pings(server):
    tests = ("-t", "ping_inline,ping_mbulk", "-n", "2000", "-c", "20")
    for extra in ((), ("-P", "16")):
        ran = server.run("redis-benchmark", "-p", server.port, "--csv", *tests, *extra)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        names = [line.split(",")[0] for line in ran.stdout.splitlines()[1:]]
        assert names == ['"PING_INLINE"', '"PING_MBULK"'], ran.stdout
        # It asks for settings that it wants to print; a server that answers no warning is one less question.
        assert "WARNING" not in ran.stdout + ran.stderr


def test_redis_benchmark_measures_the_commands_of_a_cache(server):
    tests = ("-t", "set,get,incr,hset,mset", "-n", "2000", "-c", "20", "-r", "100")
    for extra in ((), ("-P", "16")):
        ran = server.run("redis-benchmark", "-p", server.port, "--csv", *tests, *extra)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        names = [line.split(",")[0] for line in ran.stdout.splitlines()[1:]]
        assert names == ['"SET"', '"GET"', '"INCR"', '"HSET"', '"MSET (10 keys)"'], ran.stdout
        assert "WARNING" not in ran.stdout + ran.stderr


def test_redis_benchmark_reads_large_values_a_thousand_deep(server):
    tests = ("-t", "set,get", "-d", "100000", "-P", "1000", "-c", "1", "-n", "2000")
    ran = server.run("redis-benchmark", "-p", server.port, "--csv", *tests)
    assert ran.returncode == 0 and "closed" not in ran.stdout + ran.stderr, ran.stdout + ran.stderr
    assert [line.split(",")[0] for line in ran.stdout.splitlines()[1:]] == ['"SET"', '"GET"']


def test_redis_cli_stat_shows_the_server_s_numbers(server, client):
    for number in range(3):
        client.execute_command("VECSET", f"stat:{number}", 1, 1)
    stat = subprocess.Popen(
        ["redis-cli", "-p", str(server.port), "--stat", "-i", "0.05"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        lines = [stat.stdout.readline() for _ in range(5)]
    finally:
        stat.terminate()
        _, warnings = stat.communicate(timeout=PATIENCE_S)
    assert "keys" in lines[1] and "clients" in lines[1], lines
    rows = [line.split() for line in lines[2:]]
    for keys, memory, clients, blocked, *_ in rows:
        assert keys == "3" and int(clients) >= 1 and blocked == "0", lines
        assert re.fullmatch(r"\d+B|\d+\.\d+[KMG]", memory), lines
    requests = [int(re.search(r"(\d+) \(\+\d+\)", line)[1]) for line in lines[2:]]
    assert requests == sorted(requests), lines
    assert warnings == ""
