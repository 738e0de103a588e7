"""Every way to change the trail's tables behind its back is noticed, once each.

``scripts/faults --only tampering`` does it 10,000 times, on PostgreSQL as well, and
looks at as many honest logs.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.tampering import WAYS, Log, grow, restored_with_its_mark, tamper
from tests.simulators.trail import Trail
from vault.database.engine import open_engine

TRIES = 40
"Chance may choose a change that no database takes, and chooses again."


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder: Path = tmp_path_factory.mktemp("tampered")
    chance = random.Random(9)
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    trail = Trail(engine=engine, folder=folder)
    grow(trail, chance, 10)
    yield Log(trail, chance)
    engine.dispose()


@pytest.mark.parametrize("way", WAYS)
def test_it_is_noticed_and_what_was_there_before_raises_no_alarm(
    log: Log, way: str
) -> None:
    who = next(
        (who for _ in range(TRIES) if (who := tamper(log, way)) is not None), None
    )

    assert who
    assert set() == log.found()


def test_a_backup_with_its_own_mark_is_noticed_by_who_kept_a_checkpoint(
    log: Log,
) -> None:
    assert {"officer", "script"} == restored_with_its_mark(log)
