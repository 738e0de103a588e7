"""Workers that cannot start; those that do are in tests/integration/test_tap*.py."""

import sys
from pathlib import Path
from typing import cast

import pytest

from vault import process
from vault.tap import meeting
from vault.tap.config import TapConfig
from vault.tap.link import LinkEvents, WorkerLink


def test_a_worker_that_cannot_be_started_leaves_neither_name_nor_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tap"
    meeting.private_folder(folder)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    before = process.open_descriptors()

    with pytest.raises(OSError, match="no-python"):
        WorkerLink.start(TapConfig(run_folder=str(folder)), cast("LinkEvents", None))

    assert process.open_descriptors() == before
    assert list(folder.iterdir()) == []
