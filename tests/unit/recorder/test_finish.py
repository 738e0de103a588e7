import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core.flow import HowEnded
from vault.core.ids import DeviceId, KeyId, WorkgroupId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.recorder.finish import ALTERED, finish
from vault.recorder.keys import ManifestKey
from vault.recorder.session import Session
from vault.sealing.chunks import context, seal
from vault.sealing.manifest import Manifest
from vault.spool.config import SpoolConfig
from vault.spool.files import SessionFolder
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool
from vault.tap.orders import CallReport, PartReport

KEY = ManifestKey(name="tap", private=Ed25519PrivateKey.from_private_bytes(bytes(32)))
ENDED_NS = 1_795_000_000_000_000_000


class Ending:
    """As much of a session as its end needs; its metadata is sealed already."""

    def __init__(self, spool: Spool) -> None:
        self.order = SpoolOrder(
            recording_id=new_recording_id(),
            device_id=DeviceId("d"),
            workgroup_id=WorkgroupId("w"),
            agent_id=None,
            kid=KeyId("ab" * 16),
            tap="tap",
            started="2026-11-23T06:16:09.123456789Z",
        )
        self.folder: SessionFolder = spool.create(self.order)
        self.sealed_end = True
        self.ended_ns = ENDED_NS
        self.streams: dict[int, object] = {}
        self.written: list[bytes] = []

    def part(self, octets: int, *, final: bool = True) -> bytes:
        number = len(self.written) + 1
        name = f"capture/{number:04d}"
        sealed = seal(
            bytes(octets),
            key=SecretBytes(bytes(32)),
            context=context(self.order.recording_id, name),
        )
        if not final:
            sealed = sealed[:-10]
        part = self.folder.open_part(number)
        os.write(part, sealed)
        os.close(part)
        self.written.append(sealed)
        return sealed

    def path(self, number: int) -> Path:
        return self.folder.path / f"capture-{number:04d}"

    def report(self, *final: bool, digests: bool = True) -> CallReport:
        return CallReport(
            recording_id=self.order.recording_id,
            parts=tuple(
                PartReport(
                    part=number,
                    final=whole,
                    size_bytes=len(sealed) if digests else None,
                    sha256=hashlib.sha256(sealed).digest() if digests else None,
                )
                for number, (whole, sealed) in enumerate(
                    zip(final, self.written, strict=True), 1
                )
            ),
            streams=(),
        )

    def finish(self, report: CallReport) -> Manifest:
        return finish(cast("Session", self), report, KEY)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(SpoolConfig(directory=tmp_path / "s", reserve_bytes=0)) as opened:
        yield opened


@pytest.fixture
def ending(spool: Spool) -> Ending:
    return Ending(spool)


@pytest.mark.parametrize("digests", [True, False])
def test_a_whole_part_is_described_with_and_without_its_workers_digest(
    ending: Ending,
    digests: bool,
) -> None:
    sealed = ending.part(40_000)
    manifest = ending.finish(ending.report(True, digests=digests))
    (one,) = manifest.objects

    assert ("capture/0001", len(sealed), hashlib.sha256(sealed).digest(), 3) == (
        one.name,
        one.size,
        one.sha256,
        one.chunks,
    )
    assert (HowEnded.BYE, sealed[24:56]) == (manifest.how, one.commitment)


def test_a_long_part_is_not_read_again_where_its_size_is_what_was_written(
    ending: Ending,
) -> None:
    """The digest of the report is in the manifest, although the octets changed:
    nothing read them.  The shipper does, and the store, before they are freed."""
    sealed = bytearray(ending.part(40_000))
    report = ending.report(True)
    sealed[30_000] ^= 1
    ending.path(1).write_bytes(sealed)
    (one,) = ending.finish(report).objects

    assert report.parts[0].sha256 == one.sha256


def test_after_a_failure_of_the_disk_every_part_is_read_back(
    ending: Ending, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = ending.part(40_000), bytearray(ending.part(40_000))
    report = ending.report(True, True)
    bad[30_000] ^= 1
    ending.path(2).write_bytes(bad)
    spool.disk.fail("syncfs: EIO")
    manifest = ending.finish(report)

    assert ["capture/0001", "capture/0002.cut"] == [o.name for o in manifest.objects]
    assert hashlib.sha256(good).digest() == manifest.objects[0].sha256
    assert hashlib.sha256(bad).digest() == manifest.objects[1].sha256
    assert HowEnded.CUT is manifest.how
    assert ALTERED in capsys.readouterr().out


@pytest.mark.parametrize("change", [-100, +100])
def test_a_part_of_another_size_is_cut_and_described_as_it_is(
    ending: Ending, change: int, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed = ending.part(40_000)
    report = ending.report(True)
    os.truncate(ending.path(1), len(sealed) + change)
    (one,) = ending.finish(report).objects

    assert ("capture/0001.cut", len(sealed) + change) == (one.name, one.size)
    assert ALTERED in capsys.readouterr().out


def test_a_part_that_no_finished_object_can_be_is_cut(ending: Ending) -> None:
    sealed = ending.part(16_384)
    os.truncate(ending.path(1), len(sealed) - 10)
    (one,) = ending.finish(ending.report(True, digests=False)).objects

    assert "capture/0001.cut" == one.name


def test_a_part_whose_sync_failed_is_in_the_manifest_as_a_new_file(
    ending: Ending, spool: Spool
) -> None:
    sealed = ending.part(40_000)
    before = ending.path(1).stat().st_ino
    ending.folder._tainted.add("capture/0001")
    spool.disk.fail("fsync: EIO")
    (one,) = ending.finish(ending.report(True)).objects

    assert ("capture/0001", hashlib.sha256(sealed).digest()) == (one.name, one.sha256)
    assert before != ending.path(1).stat().st_ino


def test_a_cut_part_in_the_middle_does_not_cut_the_call(ending: Ending) -> None:
    ending.part(20_000, final=False)
    ending.part(20_000)
    manifest = ending.finish(ending.report(False, True))

    assert HowEnded.BYE is manifest.how
    assert ["capture/0001.cut", "capture/0002"] == [o.name for o in manifest.objects]


def test_an_end_that_is_repeated_ends_in_the_same_manifest(ending: Ending) -> None:
    ending.part(20_000, final=False)
    report = ending.report(False)
    first = ending.finish(report)
    document = ending.folder.read("manifest")

    assert first == ending.finish(report)
    assert document == ending.folder.read("manifest")


def test_what_a_power_cut_left_of_metadata_is_not_in_the_manifest(
    ending: Ending,
) -> None:
    ending.part(100)
    (ending.folder.path / "session-0001").write_bytes(bytes(500))
    (ending.folder.path / "session-0002").write_bytes(b"")
    manifest = ending.finish(ending.report(True))

    assert ["capture/0001"] == [one.name for one in manifest.objects]
