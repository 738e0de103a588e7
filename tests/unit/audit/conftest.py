"""A log on SQLite in a folder of its own, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.trail import Trail
from vault.database.engine import open_engine


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    trail = Trail(engine=engine, folder=tmp_path)
    yield trail
    trail.log.close()
    engine.dispose()
