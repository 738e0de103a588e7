"""The log's writer, killed at every step of a commit and of its recovery.

Left to others: the deaths themselves (`tests.simulators.log_deaths`).
"""

import tempfile
from pathlib import Path

from site_under_test import Settings

from tests.simulators.log_deaths import die, figures

_LOOK_EVERY = 10


def kill_writers(count: int, twice: int, seed: int, _: Settings) -> dict[str, object]:
    """Kill the writer *count* times in a commit, *twice* times in recovery, too."""
    with tempfile.TemporaryDirectory() as folder:
        found = die(Path(folder), count, twice=twice, seed=seed, look_every=_LOOK_EVERY)
    return {"family": "kill-log", **figures(found)}
