"""Calls of a sweep without a network; each test closes what it opened."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulators.tap_line import Line
from vault.core.media import SrtpSuite


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Return a maker of lines; what they opened is closed afterwards."""
    made: list[Line] = []

    def make(
        suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80, **config: object
    ) -> Line:
        made.append(Line(tmp_path, suite, **config))
        return made[-1]

    yield make
    for line in made:
        line.end()
