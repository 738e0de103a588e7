import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.simulators.waiting import wait_until
from vault.audit.entry import Draft
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    DatabaseUnavailableError,
    IntegrityError,
    SealBrokenError,
    StoreUnavailableError,
    UnavailableError,
    VaultError,
)
from vault.core.flow import HowEnded, StreamStatus
from vault.core.ids import RecordingId, new_recording_id
from vault.objects.directory import DirectoryStore
from vault.objects.keys import ObjectKey
from vault.sealing.manifest import Manifest, ManifestObject, StreamCount, sign_manifest
from vault.spool.interfaces import ShippedRecording
from vault.spool.ledger import EndedNotes, read_status
from vault.spool.order import SpoolOrder
from vault.spool.outbox import Outbox
from vault.spool.shipper import Destinations, Shipper, ending_reason
from vault.spool.spool import Spool

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TAPS = {"tap": KEY.public_key().public_bytes_raw()}


class Failing:
    """Stands before a part and fails its calls by a plan, before or after."""

    def __init__(self, part: Any, error: Callable[[], VaultError]) -> None:
        self._part = part
        self._error = error
        self.calls = 0
        self.fail_at: set[int] = set()
        self.fail_after: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self.calls += 1
            at = self.calls
            if at in self.fail_at:
                raise self._error()
            result = getattr(self._part, name)(*given, **named)
            if at in self.fail_after:
                raise self._error()
            return result

        return call


class Catalog:
    def __init__(self) -> None:
        self.opened_ids: list[RecordingId] = []
        self.rows: list[ShippedRecording] = []

    def opened(self, order: SpoolOrder, envelope: bytes) -> None:
        assert b"envelope" == envelope
        self.opened_ids.append(order.recording_id)

    def opened_together(self, begun: Sequence[tuple[SpoolOrder, bytes]]) -> None:
        for order, envelope in begun:
            self.opened(order, envelope)

    def captured(self, recording: ShippedRecording) -> None:
        self.rows.append(recording)


class Trail:
    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def append(self, *drafts: Draft) -> None:
        self.drafts += drafts


class Scene:
    def __init__(self, spool: Spool, folder: Path) -> None:
        self.spool = spool
        self.media = Failing(
            DirectoryStore(folder / "m"), lambda: StoreUnavailableError("down")
        )
        self.envelopes = Failing(
            DirectoryStore(folder / "e"), lambda: StoreUnavailableError("down")
        )
        self.catalog = Failing(Catalog(), lambda: DatabaseUnavailableError("down"))
        self.trail = Failing(Trail(), lambda: AuditUnavailableError("down"))
        self.outbox = Outbox(folder / "o", source="tap", trail=self.trail)
        self.notes = EndedNotes(spool.config.directory)

    def shipper(self) -> Shipper:
        return Shipper(
            self.spool,
            Destinations(
                media=self.media, envelopes=self.envelopes, catalog=self.catalog
            ),
            outbox=self.outbox,
            notes=self.notes,
            taps=TAPS,
            first_retry_s=0.01,
            longest_retry_s=0.02,
        )

    def until_freed(self, recording_id: RecordingId) -> None:
        wait_until(lambda: recording_id not in self.spool.recordings())


@pytest.fixture
def scene(spool: Spool, tmp_path: Path) -> Scene:
    return Scene(spool, tmp_path)


def captured(spool: Spool, order: SpoolOrder) -> None:
    folder = spool.create(order)
    folder.write_once("envelope", b"envelope")
    part = folder.open_part(1)
    os.write(part, b"c" * 500)
    os.close(part)
    folder.write_once("session/0001", b"s" * 300)
    objects = tuple(
        ManifestObject(
            name=name,
            size=len(folder.read(name)),
            sha256=hashlib.sha256(folder.read(name)).digest(),
            chunks=1,
            commitment=bytes(32),
        )
        for name in folder.objects()
    )
    manifest = Manifest(
        recording_id=order.recording_id,
        tap="tap",
        started=order.started,
        ended=order.started,
        how=HowEnded.BYE,
        objects=objects,
        streams=(
            StreamCount(
                stream=0,
                label="agent",
                suite="S",
                media="audio",
                received=5,
                authentic=5,
            ),
        ),
    )
    folder.write_once("manifest", sign_manifest(manifest, KEY, "tap"))


def test_a_recording_goes_to_store_row_and_trail_and_only_then_from_the_spool(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    shipper = scene.shipper()
    with pytest.raises(AuditUnavailableError):
        shipper.ship(order.recording_id)
    assert [order.recording_id] == scene.spool.recordings()
    scene.outbox.deliver()
    shipper.ship(order.recording_id)
    keys = list(map(str, scene.media._part.keys()))
    (row,) = scene.catalog._part.rows
    (leaf,) = scene.trail._part.drafts

    assert [] == scene.spool.recordings()
    assert [
        f"{order.recording_id}/{name}"
        for name in ("capture/0001", "manifest", "session/0001")
    ] == keys
    assert b"envelope" == scene.envelopes.read(
        ObjectKey.of(order.recording_id, "envelope")
    )
    assert (500, 3, HowEnded.BYE) == (row.capture_bytes, len(row.objects), row.how)
    assert {
        "bytes": 500,
        "count": 3,
        "how": "bye",
        "manifest_sha256": row.manifest_sha256.hex(),
    } == dict(leaf.detail)
    assert order.device_id == scene.notes.read(order.recording_id).device_id


@pytest.mark.parametrize("part", ["media", "envelopes", "catalog", "trail"])
@pytest.mark.parametrize("when", ["fail_at", "fail_after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_outage_at_any_step_delays_and_loses_nothing(
    scene: Scene, order: SpoolOrder, part: str, when: str, nth: int
) -> None:
    captured(scene.spool, order)
    getattr(getattr(scene, part), when).add(nth)
    scene.outbox.start()
    shipper = scene.shipper()
    shipper.start()
    scene.until_freed(order.recording_id)
    shipper.stop()
    scene.outbox.stop()
    manifests = {row.manifest_sha256 for row in scene.catalog._part.rows}

    assert 3 == len(list(scene.media._part.keys()))
    assert 1 == len(manifests)
    assert scene.trail._part.drafts


def test_a_shipper_that_starts_again_goes_on_from_anywhere(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    with pytest.raises(AuditUnavailableError):
        scene.shipper().ship(order.recording_id)
    scene.outbox.start()
    shipper = scene.shipper()
    shipper.start()
    scene.until_freed(order.recording_id)
    shipper.stop()
    scene.outbox.stop()

    assert 3 == len(list(scene.media._part.keys()))


def test_octets_that_changed_in_the_spool_are_not_committed(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    part = scene.spool.folder(order.recording_id).path / "capture-0001"
    part.write_bytes(b"x" * 500)

    with pytest.raises(IntegrityError):
        scene.shipper().ship(order.recording_id)
    assert [] == list(scene.media.keys())
    assert [] == scene.catalog._part.rows


def test_a_manifest_of_another_signer_is_not_committed(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    path = scene.spool.folder(order.recording_id).path / "manifest"
    path.write_bytes(path.read_bytes().replace(b'"sig":"', b'"sig":"A', 1))

    with pytest.raises(SealBrokenError):
        scene.shipper().ship(order.recording_id)
    assert [] == list(scene.media.keys())


def test_one_recording_that_cannot_go_holds_up_no_other(
    scene: Scene, order: SpoolOrder
) -> None:
    other = replace(order, recording_id=new_recording_id())
    captured(scene.spool, order)
    captured(scene.spool, other)
    bad = scene.spool.folder(order.recording_id)
    (bad.path / "capture-0001").write_bytes(b"x")
    scene.outbox.start()
    shipper = scene.shipper()
    shipper.start()
    scene.until_freed(other.recording_id)
    wait_until(lambda: read_status(scene.spool.config.directory)[0].last_error)
    shipper.stop()
    scene.outbox.stop()
    (status,) = read_status(scene.spool.config.directory)

    assert order.recording_id == status.recording_id
    assert "IntegrityError" in status.last_error


def test_a_running_call_is_not_shipped(scene: Scene, order: SpoolOrder) -> None:
    scene.spool.create(order).write_once("envelope", b"envelope")

    assert [] == scene.shipper().waiting()


@pytest.mark.parametrize(
    ("how", "received", "authentic", "reason"),
    [
        (HowEnded.BYE, 5, 5, ""),
        (HowEnded.BYE, 0, 0, "no-media"),
        (HowEnded.BYE, 5, 0, "srtp-unauthenticated"),
        (HowEnded.TIMEOUT, 5, 5, "timeout"),
        (HowEnded.CUT, 5, 5, "cut"),
    ],
)
def test_an_ending_has_its_reason(
    how: HowEnded, received: int, authentic: int, reason: str
) -> None:
    stream = StreamStatus(
        label="agent",
        codec="PCMU",
        suite="S",
        packets_received=received,
        packets_authentic=authentic,
    )

    assert reason == ending_reason(how, (stream,))


def test_a_call_whose_counters_died_is_cut_and_not_without_media() -> None:
    assert "cut" == ending_reason(HowEnded.CUT, ())


def test_an_upload_that_went_wrong_in_an_earlier_process_is_mended(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    for name in ("capture/0001", "manifest"):
        key = ObjectKey.of(order.recording_id, name)
        scene.media._part.replace(key, b"half of i")
    scene.outbox.start()
    shipper = scene.shipper()
    shipper.start()
    scene.until_freed(order.recording_id)
    shipper.stop()
    scene.outbox.stop()
    stored = scene.media.read(ObjectKey.of(order.recording_id, "capture/0001"))

    assert b"c" * 500 == stored


def test_a_recording_that_is_committed_as_another_one_is_not_touched(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    folder = scene.spool.folder(order.recording_id)
    other = Manifest(
        recording_id=order.recording_id,
        tap="tap",
        started=order.started,
        ended=order.started,
        how=HowEnded.CUT,
        objects=(),
        streams=(),
    )
    signed = sign_manifest(other, KEY, "tap")
    scene.media._part.replace(ObjectKey.of(order.recording_id, "manifest"), signed)

    with pytest.raises(ConflictError):
        scene.shipper().ship(order.recording_id)
    assert folder.has("manifest")
    assert signed == scene.media.read(ObjectKey.of(order.recording_id, "manifest"))


def test_what_a_store_lost_after_its_yes_is_not_freed(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    shipper = scene.shipper()
    with pytest.raises(AuditUnavailableError):
        shipper.ship(order.recording_id)
    scene.media._part.delete(ObjectKey.of(order.recording_id, "capture/0001"))
    scene.outbox.deliver()

    with pytest.raises(StoreUnavailableError, match="stored and lost"):
        shipper.ship(order.recording_id)
    assert [order.recording_id] == scene.spool.recordings()


def test_the_oldest_goes_first(scene: Scene, order: SpoolOrder) -> None:
    orders = [
        replace(
            order,
            recording_id=new_recording_id(),
            started=f"2026-11-2{day}T06:16:09.123456789Z",
        )
        for day in (5, 3, 4)
    ]
    for one in orders:
        captured(scene.spool, one)
    going = scene.shipper().waiting()

    assert [orders[n].recording_id for n in (1, 2, 0)] == going


def test_a_shipper_that_stops_gives_up_in_the_middle_of_a_body(
    scene: Scene, order: SpoolOrder
) -> None:
    captured(scene.spool, order)
    shipper = scene.shipper()
    shipper.stop()

    with pytest.raises(UnavailableError):
        shipper.ship(order.recording_id)
    assert [] == list(scene.media.keys())
