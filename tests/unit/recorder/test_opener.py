"""Rows of calls that begin: together where they can be, and each in the end."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vault.core.errors import ConflictError
from vault.core.ids import DeviceId, KeyId, RecordingId, WorkgroupId, new_recording_id
from vault.recorder.opener import Opener
from vault.spool.config import SpoolConfig
from vault.spool.files import ENVELOPE
from vault.spool.interfaces import ShippedRecording
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool


class Catalog:
    """Takes rows, all of a batch or none; refuses those of one recording."""

    def __init__(self) -> None:
        self.refused: RecordingId | None = None
        self.rows: list[RecordingId] = []
        self.wanted = 0
        self.full = threading.Event()

    def opened(self, order: SpoolOrder, envelope: bytes) -> None:
        self.opened_together([(order, envelope)])

    def opened_together(self, begun: Sequence[tuple[SpoolOrder, bytes]]) -> None:
        if self.refused in [order.recording_id for order, _ in begun]:
            raise ConflictError("another device's")
        self.rows += [order.recording_id for order, _ in begun]
        if len(self.rows) == self.wanted:
            self.full.set()

    def captured(self, recording: ShippedRecording) -> None:
        raise NotImplementedError


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    config = SpoolConfig(directory=tmp_path / "spool", reserve_bytes=0)
    with Spool(config) as opened:
        yield opened


def begun(spool: Spool) -> RecordingId:
    order = SpoolOrder(
        recording_id=new_recording_id(),
        device_id=DeviceId("d"),
        workgroup_id=WorkgroupId("w"),
        agent_id=None,
        kid=KeyId("ab" * 16),
        tap="tap",
        started="2026-11-23T06:16:09.123456789Z",
    )
    spool.create(order).write_once(ENVELOPE, b"envelope")
    return order.recording_id


def test_a_row_that_is_refused_holds_up_none_beside_it(spool: Spool) -> None:
    ids = sorted(begun(spool) for _ in range(100))
    catalog = Catalog()
    catalog.refused, catalog.wanted = ids[40], 99
    opener = Opener(catalog)
    opener.start(spool)

    assert catalog.full.wait(30)
    opener.stop()
    assert [one for one in ids if one != ids[40]] == catalog.rows


def test_a_call_that_was_shipped_and_freed_meanwhile_needs_no_row(
    spool: Spool,
) -> None:
    gone, here = spool.folder(begun(spool)), spool.folder(begun(spool))
    gone.remove()
    catalog = Catalog()
    catalog.wanted = 1
    opener = Opener(catalog)
    opener.opened(gone)
    opener.start(spool)

    assert catalog.full.wait(30)
    opener.stop()
    assert [here.recording_id] == catalog.rows
