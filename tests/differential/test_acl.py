"""Users' rules mean what they mean to Redis, and what is said of them is said in the same words."""

import os

import pytest

import servers
from rules import Party, first_difference

SEED = os.environ.get("KORA_ACL_SEED", "1")
PROGRAMS = int(os.environ.get("KORA_ACL_PROGRAMS", "12"))
STEPS = 250


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("protocol", [2, 3])
def test_rules_are_those_of_redis(workers, protocol):
    reference, subject = servers.Redis(), servers.Kora(workers)
    try:
        parties = [Party(reference, protocol), Party(subject, protocol)]
        for number in range(PROGRAMS):
            difference = first_difference(f"{SEED}/{workers}/{protocol}/{number}", parties, STEPS)
            assert difference is None, "\n" + difference
    finally:
        reference.stop()
        subject.stop()
