from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from vault.catalog.days import recordings_of_days
from vault.catalog.recordings import Recordings
from vault.catalog.schema import upgrade_catalog
from vault.catalog.values import OpenRecording
from vault.core.errors import InvalidInputError
from vault.core.flow import HowEnded
from vault.core.ids import DeviceId, KeyId, RecordingId, WorkgroupId, new_recording_id
from vault.database.engine import open_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
    upgrade_catalog(engine)
    yield engine
    engine.dispose()


def opened(engine: Engine, day: str) -> RecordingId:
    recording_id = new_recording_id()
    Recordings(engine).open(
        OpenRecording(
            id=recording_id,
            device_id=DeviceId("22222222-2222-4222-8222-222222222222"),
            workgroup_id=WorkgroupId("11111111-1111-4111-8111-111111111111"),
            agent_id=None,
            day=day,
            kid=KeyId("ab" * 16),
            envelope=b"{}",
        )
    )
    return recording_id


def test_the_days_asked_for_are_given_and_a_row_without_a_day(engine: Engine) -> None:
    ids = [opened(engine, f"2026-11-{day}") for day in (21, 22, 23, 24)]
    shipped = new_recording_id()
    Recordings(engine).captured(
        shipped,
        objects=[],
        size_bytes=1,
        manifest_sha256="ab" * 32,
        how=HowEnded.BYE,
    )
    rows = recordings_of_days(engine, day_from="2026-11-22", day_to="2026-11-23")

    assert [ids[1], ids[2], shipped] == [row.id for row in rows]


def test_more_than_a_page_comes_in_order_and_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.catalog.days._PAGE", 2)
    ids = [opened(engine, "2026-11-23") for _ in range(5)]

    assert ids == [row.id for row in recordings_of_days(engine)]


def test_what_is_no_day_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInputError):
        list(recordings_of_days(engine, day_from="yesterday"))
