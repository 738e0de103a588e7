from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vault.catalog.values import RecordingRow
from vault.core.flow import HowEnded, Reason, RecordingState
from vault.core.ids import DeviceId, KeyId, RecordingId, WorkgroupId, new_recording_id
from vault.recorder.ledger import End, read_ledger
from vault.spool.config import SpoolConfig
from vault.spool.ledger import read_status
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool

ROW = RecordingRow(
    seq=1,
    id=new_recording_id(),
    state=RecordingState.READY,
    reason=None,
    held=False,
    device_id=None,
    workgroup_id=None,
    agent_id=None,
    class_name=None,
    day="2026-11-23",
    kid=None,
    size_bytes=5,
    duration_ms=61_500,
    manifest_sha256=None,
    how=HowEnded.BYE,
    streams=(),
    has_screen=False,
    wanted=(),
    worker=None,
    attempts=0,
)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(SpoolConfig(directory=tmp_path / "s", reserve_bytes=0)) as opened:
        yield opened


def begun(spool: Spool, day: str = "2026-11-23") -> RecordingId:
    order = SpoolOrder(
        recording_id=new_recording_id(),
        device_id=DeviceId("d"),
        workgroup_id=WorkgroupId("w"),
        agent_id=None,
        kid=KeyId("ab" * 16),
        tap="tap",
        started=f"{day}T06:16:09.123456789Z",
    )
    spool.create(order)
    return order.recording_id


@pytest.mark.parametrize(
    ("state", "reason", "how", "end", "said"),
    [
        ("ready", None, HowEnded.BYE, End.STORED, ""),
        ("captured", None, HowEnded.CUT, End.STORED, "cut"),
        ("rendering", None, HowEnded.TIMEOUT, End.STORED, "timeout"),
        ("partial", Reason.CUT, HowEnded.CUT, End.PARTIAL, "cut"),
        ("failed", Reason.NO_MEDIA, HowEnded.BYE, End.FAILED, "no-media"),
        ("shredded", None, HowEnded.BYE, End.STORED, ""),
        ("recording", None, None, End.RECORDING, "not-in-spool"),
    ],
)
def test_every_row_has_an_end_and_a_reason(
    tmp_path: Path,
    state: str,
    reason: Reason | None,
    how: HowEnded | None,
    end: End,
    said: str,
) -> None:
    row = replace(ROW, state=RecordingState(state), reason=reason, how=how)
    (entry,) = read_ledger([row], [], tmp_path)

    assert (end, said, 61.5) == (entry.end, entry.reason, entry.duration_s)


def test_every_state_has_an_end(tmp_path: Path) -> None:
    rows = [replace(ROW, state=state) for state in RecordingState]

    assert len(rows) == len(read_ledger(rows, [], tmp_path))


def test_a_session_on_its_way_is_counted_once(spool: Spool) -> None:
    directory = spool.config.directory
    running, waiting, stored = (begun(spool) for _ in range(3))
    spool.folder(waiting).write_once("manifest", b"m")
    spool.folder(waiting).tell_trouble("StoreUnavailableError: down")
    spool.folder(stored).write_once("manifest", b"m")
    rows = [
        replace(ROW, id=running, state=RecordingState.RECORDING),
        replace(ROW, id=stored, state=RecordingState.CAPTURED),
    ]
    entries = read_ledger(rows, read_status(directory), directory)

    assert {
        running: (End.RECORDING, ""),
        waiting: (End.WAITING, "not-shipped"),
        stored: (End.STORED, ""),
    } == {one.recording_id: (one.end, one.reason) for one in entries}


def test_the_spool_is_asked_for_the_same_days(spool: Spool) -> None:
    directory = spool.config.directory
    begun(spool, "2026-11-22")
    inside = begun(spool)
    begun(spool, "2026-11-24")
    entries = read_ledger(
        [],
        read_status(directory),
        directory,
        day_from="2026-11-23",
        day_to="2026-11-23",
    )

    assert [inside] == [one.recording_id for one in entries]
    assert ["2026-11-23T06:16:09.123456789Z"] == [one.started for one in entries]
