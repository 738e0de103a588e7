import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from vault.catalog.schema import upgrade_catalog
from vault.config import Settings
from vault.serving.children import Child
from vault.serving.metrics import _Installation
from vault.wiring import Installation


@pytest.fixture
def running() -> Iterator[Child]:
    child = Child(
        name="tap",
        arguments=list,
        program=(sys.executable, "-c", "import time; time.sleep(60)"),
    )
    child.spawn()
    yield child
    child.stop(within_s=10)


def page(folder: Path, *children: Child) -> list[str]:
    """Return what the collector says of an installation in *folder*."""
    installation = Installation(Settings(data_dir=folder))
    registry = CollectorRegistry()
    named = {child.name: child for child in children}
    registry.register(_Installation(installation, named))
    return generate_latest(registry).decode().splitlines()


def test_it_says_which_process_runs_and_how_often_it_died(
    running: Child, tmp_path: Path
) -> None:
    dead = Child(name="web", arguments=list, restarts=3)

    lines = page(tmp_path, running, dead)

    for line in (
        'callvault_process_up{process="tap"} 1.0',
        'callvault_process_up{process="web"} 0.0',
        'callvault_process_restarts{process="web"} 3.0',
    ):
        assert line in lines


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "catalog.sqlite").write_bytes(b"this is no database" * 100)

    lines = page(tmp_path)

    assert 'callvault_part_readable{part="catalog"} 0.0' in lines
    assert 'callvault_part_readable{part="spool"} 1.0' in lines
    assert "callvault_spool_bytes 0.0" in lines
    # No warden answers: that is read, and it is bad news.
    assert "callvault_audit_healthy 0.0" in lines


def test_recordings_are_counted_by_state(tmp_path: Path) -> None:
    upgrade_catalog(Installation(Settings(data_dir=tmp_path)).catalog_as_it_is)

    lines = page(tmp_path)

    assert 'callvault_part_readable{part="catalog"} 1.0' in lines
    assert any(line.startswith("callvault_recordings{state=") for line in lines)
