"""What clients are sent unasked is what Redis sends them."""

import pytest

import servers
from conversations import Party, first_difference

SEED = "1"


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("protocol", [2, 3])
def test_messages_are_those_of_redis(workers, protocol):
    reference, subject = servers.Redis(), servers.Kora(workers)
    try:
        parties = [Party(reference, protocol), Party(subject, protocol)]
        for number in range(4):
            difference = first_difference(f"{SEED}/{workers}/{number}", parties, 150)
            assert difference is None, "\n" + difference
    finally:
        reference.stop()
        subject.stop()
