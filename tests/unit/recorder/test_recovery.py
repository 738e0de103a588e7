import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core.flow import HowEnded
from vault.core.ids import DeviceId, KeyId, WorkgroupId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.recorder.keys import ManifestKey
from vault.recorder.recovery import recover
from vault.sealing.chunks import SEALED_CHUNK_SIZE, context, seal
from vault.sealing.manifest import verify_manifest
from vault.spool.config import SpoolConfig
from vault.spool.files import SessionFolder
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool

KEY = ManifestKey(name="tap", private=Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(SpoolConfig(directory=tmp_path / "s", reserve_bytes=0)).open()


def left(spool: Spool) -> SessionFolder:
    order = SpoolOrder(
        recording_id=new_recording_id(),
        device_id=DeviceId("d"),
        workgroup_id=WorkgroupId("w"),
        agent_id=None,
        kid=KeyId("ab" * 16),
        tap="tap",
        started="2020-11-23T06:16:09.123456789Z",
    )
    return spool.create(order)


def part(folder: SessionFolder, number: int, octets: bytes) -> None:
    descriptor = folder.open_part(number)
    os.write(descriptor, octets)
    os.close(descriptor)


def test_a_call_that_was_cut_gets_a_manifest_of_what_there_is(spool: Spool) -> None:
    folder = left(spool)
    folder.write_once("envelope", b"e")
    sealed = seal(
        bytes(3 * 16_384),
        key=SecretBytes(bytes(32)),
        context=context(folder.recording_id, "capture/0001"),
    )
    part(folder, 1, sealed[: 56 + 2 * SEALED_CHUNK_SIZE + 5])
    part(folder, 2, b"")

    assert [folder.recording_id] == recover(spool, KEY)
    assert [] == recover(spool, KEY)
    manifest = verify_manifest(folder.read("manifest"), {"tap": KEY.public})
    assert (HowEnded.CUT, [("capture/0001.cut", 2)]) == (
        manifest.how,
        [(one.name, one.chunks) for one in manifest.objects],
    )
    assert manifest.started <= manifest.ended
    assert sealed[24:56] == manifest.objects[0].commitment


def test_a_call_whose_answer_was_never_given_is_forgotten(spool: Spool) -> None:
    folder = left(spool)

    assert [] == recover(spool, KEY)
    assert not folder.path.exists()


def test_a_folder_that_is_not_understood_is_left_alone(spool: Spool) -> None:
    folder = left(spool)
    folder.write_once("session/0001", b"s" * 100)
    (folder.path / "order").write_bytes(b"torn")
    finished = left(spool)
    finished.write_once("envelope", b"e")

    assert [finished.recording_id] == recover(spool, KEY)
    assert folder.path.exists()


def test_a_call_without_a_packet_is_recovered_too(spool: Spool) -> None:
    folder = left(spool)
    folder.write_once("envelope", b"e")
    recover(spool, KEY)
    manifest = verify_manifest(folder.read("manifest"), {"tap": KEY.public})

    assert (HowEnded.CUT, (), manifest.started) == (
        manifest.how,
        manifest.objects,
        manifest.ended,
    )


@pytest.mark.parametrize("octets", [b"", bytes(700)])
def test_a_manifest_that_a_power_cut_left_empty_is_none(
    spool: Spool, octets: bytes
) -> None:
    folder = left(spool)
    folder.write_once("envelope", b"e")
    folder.write_once("manifest", octets)

    assert [folder.recording_id] == recover(spool, KEY)
    manifest = verify_manifest(folder.read("manifest"), {"tap": KEY.public})
    assert HowEnded.CUT is manifest.how


def test_a_call_that_goes_on_is_left_to_those_who_adopted_it(spool: Spool) -> None:
    going, dead = left(spool), left(spool)
    for folder in (going, dead):
        folder.write_once("envelope", b"e")
        part(folder, 1, b"s" * 100)

    assert [dead.recording_id] == recover(spool, KEY, skip={going.recording_id})
    assert ["capture/0001"] == going.objects()
    assert not going.has("manifest")


@pytest.mark.parametrize("name", ["order", "envelope"])
@pytest.mark.parametrize("left_over", [b"", bytes(300)])
def test_what_a_power_cut_left_of_a_call_that_was_not_answered_is_forgotten(
    spool: Spool, name: str, left_over: bytes
) -> None:
    folder = left(spool)
    folder.write_once("envelope", b"e")
    folder.write_once("session/0001", bytes(500))
    part(folder, 1, b"")
    (folder.path / name).write_bytes(left_over)

    assert [] == recover(spool, KEY)
    assert not folder.path.exists()


@pytest.mark.parametrize("name", ["order", "envelope"])
def test_media_without_an_order_or_an_envelope_is_never_thrown_away(
    spool: Spool, name: str
) -> None:
    folder = left(spool)
    folder.write_once("envelope", b"e")
    part(folder, 1, b"s" * 100)
    (folder.path / name).unlink()

    assert [] == recover(spool, KEY)
    assert ["capture/0001"] == folder.objects()


@pytest.mark.parametrize("died_after", ["first cut", "all cuts", "private manifest"])
def test_a_second_death_in_recovery_ends_in_one_manifest(
    spool: Spool, died_after: str
) -> None:
    folder = left(spool)
    folder.write_once("envelope", b"e")
    for number in (1, 2):
        part(folder, number, b"s" * 17_000)
    folder.mark_cut(1)
    if died_after != "first cut":
        folder.mark_cut(2)
    if died_after == "private manifest":
        (folder.path / f".manifest.{os.getpid()}.new").write_bytes(b"torn")

    assert [folder.recording_id] == recover(spool, KEY)
    assert [] == recover(spool, KEY)
    manifest = verify_manifest(folder.read("manifest"), {"tap": KEY.public})
    assert ["capture/0001.cut", "capture/0002.cut"] == [
        one.name for one in manifest.objects
    ]


def test_a_folder_that_was_planted_stops_no_recovery(
    spool: Spool, tmp_path: Path
) -> None:
    folder, hostile = left(spool), left(spool)
    for one in (folder, hostile):
        one.write_once("envelope", b"e")
    (tmp_path / "target").write_bytes(b"x" * 100)
    (hostile.path / "capture-0001").symlink_to(tmp_path / "target")

    assert folder.recording_id in recover(spool, KEY)
    assert b"x" * 100 == (tmp_path / "target").read_bytes()
