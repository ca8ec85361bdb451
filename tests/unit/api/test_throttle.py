"""How long a caller waits after failed attempts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.kernel.credentials import throttle


@pytest.mark.parametrize(
    ("excess", "seconds"), [(-5, 0), (-1, 0), (0, 1), (1, 2), (4, 16), (9, 512), (10, 900), (10**6, 900)]
)
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(excess: int, seconds: int) -> None:
    assert throttle._wait(excess) == timedelta(seconds=seconds)
