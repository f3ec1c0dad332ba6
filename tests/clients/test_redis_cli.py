"""redis-cli, compared word by word with transcripts.

A transcript is what a person would see: a command behind `> `, then exactly what redis-cli prints. Lines that begin with
`# ` are comments. Spaces at the end of a line are not compared. The same commands are typed one by one (a connection
each) and piped through one connection, over RESP2 and, with -3, RESP3. What a transcript says holds for every number of
workers, which is itself worth testing: no reply may depend on where a vector lives.
"""

import dataclasses
import pathlib
import re

import pytest

TRANSCRIPTS = sorted(pathlib.Path(__file__).with_name("transcripts").glob("*.transcript"))

# A word, with whatever quoted parts it has: what redis-cli itself splits a line into.
WORD = re.compile(r'"(?:\\.|[^"\\])*"|[^\s"]+')


@dataclasses.dataclass
class Step:
    command: str
    expected: list[str]


def steps(path: pathlib.Path) -> list[Step]:
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("> "):
            found.append(Step(line[2:], []))
        elif line and not line.startswith("# "):
            found[-1].expected.append(line.rstrip())
    assert found, f"{path.name} has no command"
    return found


def printed(output: str) -> list[str]:
    return [line.rstrip() for line in output.splitlines()]


def protocol_flags(path: pathlib.Path) -> list[str]:
    return ["-3"] if path.name.endswith(".resp3.transcript") else []


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name.removesuffix(".transcript"))
class TestTranscript:
    def test_typed_one_by_one(self, server, path):
        for step in steps(path):
            words = WORD.findall(step.command)
            ran = server.redis_cli(*protocol_flags(path), "--quoted-input", *words)
            assert (step.command, printed(ran.stdout), ran.stderr) == (step.command, step.expected, "")

    def test_piped_through_one_connection(self, server, path):
        script = steps(path)
        ran = server.redis_cli(*protocol_flags(path), stdin="".join(f"{step.command}\n" for step in script))
        assert printed(ran.stdout) == [line for step in script for line in step.expected]
        assert ran.stderr == ""


def test_every_transcript_exists_for_both_protocols():
    names = {path.name for path in TRANSCRIPTS}
    topics = {name.split(".")[0] for name in names}
    assert names == {f"{topic}.resp{version}.transcript" for topic in topics for version in (2, 3)}


def test_one_vector_is_asked_for_with_another_by_the_shell(server):
    """The demo's line: VECQUERY with the words that VECGET prints."""
    for name, vector in {"a": "1 0", "b": "0.5 0.5", "c": "-1 0"}.items():
        server.redis_cli("VECSET", f"s:{name}", "2", *vector.split())
    vector = server.redis_cli("--raw", "VECGET", "s:b").stdout.split()
    assert vector == ["0.5", "0.5"]
    assert server.redis_cli("--raw", "VECQUERY", "s", "1", *vector).stdout == "s:b\n0\n"


def test_pipe_mode_loads_raw_commands(server):
    """redis-cli --pipe: how people load in bulk."""
    commands = "".join(f"VECSET bulk:{number} 2 {number} 1\n" for number in range(1000))
    ran = server.redis_cli("--pipe", stdin=commands)
    assert "errors: 0, replies: 1000" in ran.stdout, ran.stdout + ran.stderr
    assert server.redis_cli("DBSIZE").stdout == "(integer) 1000\n"
