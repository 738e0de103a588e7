import io
import time

import pytest

from vault.objects.pace import Pace


def test_octets_come_through_unchanged() -> None:
    octets = bytes(range(256)) * 1000

    assert octets == Pace(1 << 30).read_through(io.BytesIO(octets)).read()


def test_no_more_is_read_than_the_rate_allows() -> None:
    pace = Pace(100_000)
    began_s = time.monotonic()
    for _ in range(3):
        pace.read_through(io.BytesIO(bytes(10_000))).read()

    # The last octets are taken at once; those before them have to be through.
    assert time.monotonic() - began_s >= 0.15


def test_a_pace_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        Pace(0)
