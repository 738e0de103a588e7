"""Single faults, each with the error it gets; whole calls are in test_worker."""

from dataclasses import replace

import pytest

from tests.simulators.calls import Phone, Vault, added, babble, capture
from vault.core.errors import KeyUnavailableError, SealBrokenError
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.objects.keys import ObjectKey
from vault.renditions.evidence import Evidence, Expected, read_manifest
from vault.sealing.manifest import Manifest

PART = capture(Phone().say(babble(4)), added(0, "agent"))


@pytest.fixture
def id(vault: Vault) -> RecordingId:
    return vault.captured(PART)


def manifest(vault: Vault, id: RecordingId, **changes: object) -> Manifest:
    said = {
        "sha256_hex": vault.recordings.row(id).manifest_sha256,
        "tap_keys": lambda: {"tap-1": vault.tap_key.public_key().public_bytes_raw()},
    }
    return read_manifest(vault.store, id, **(said | changes))


def part(vault: Vault, id: RecordingId) -> Expected:
    return Expected.of(manifest(vault, id).objects[0])


def evidence(vault: Vault, id: RecordingId) -> Evidence:
    return Evidence(vault.store, id, key=vault.warden.keys[id])


class TestManifest:
    def test_that_was_signed_and_shipped_is_believed(
        self, vault: Vault, id: RecordingId
    ) -> None:
        assert ["capture/0001", "session/0001"] == [
            each.name for each in manifest(vault, id).objects
        ]

    def test_that_is_not_the_one_in_the_row_is_not(
        self, vault: Vault, id: RecordingId
    ) -> None:
        with pytest.raises(SealBrokenError, match="shipped"):
            manifest(vault, id, sha256_hex="0" * 64)

    def test_without_a_row_to_compare_with_is_not(
        self, vault: Vault, id: RecordingId
    ) -> None:
        with pytest.raises(SealBrokenError):
            manifest(vault, id, sha256_hex=None)

    def test_by_a_tap_under_anothers_name_is_not(
        self, vault: Vault, id: RecordingId
    ) -> None:
        with pytest.raises(SealBrokenError, match="signature"):
            manifest(
                vault,
                id,
                tap_keys=lambda: {
                    "tap-1": vault.worker_key.public_key().public_bytes_raw()
                },
            )

    def test_by_a_tap_that_the_roster_has_not_got_waits(
        self, vault: Vault, id: RecordingId
    ) -> None:
        with pytest.raises(KeyUnavailableError):
            manifest(vault, id, tap_keys=lambda: {"tap-2": bytes(32)})

    def test_of_another_recording_is_not(self, vault: Vault, id: RecordingId) -> None:
        other = vault.captured(PART)
        octets = vault.store.read(ObjectKey.of(other, "manifest"))
        vault.store.delete(ObjectKey.of(id, "manifest"))
        stored = vault.put(id, "manifest", octets)

        with pytest.raises(SealBrokenError, match="another recording"):
            manifest(vault, id, sha256_hex=stored.sha256)


class TestObjects:
    def test_that_are_what_was_signed_open(self, vault: Vault, id: RecordingId) -> None:
        octets = b"".join(evidence(vault, id).stream(part(vault, id)))

        assert PART == octets

    def test_that_are_missing_are_damaged(self, vault: Vault, id: RecordingId) -> None:
        expected = replace(part(vault, id), name="capture/0007")

        with pytest.raises(SealBrokenError, match="missing"):
            list(evidence(vault, id).stream(expected))

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"size": 100}, "size"),
            ({"sha256": bytes(32)}, "signed"),
            ({"commitment": bytes(32)}, "commits"),
            ({"chunks": 9}, "chunks"),
        ],
    )
    def test_that_differ_in_anything_are_damaged(
        self, vault: Vault, id: RecordingId, change: dict[str, object], problem: str
    ) -> None:
        expected = replace(part(vault, id), **change)

        with pytest.raises(SealBrokenError, match=problem):
            list(evidence(vault, id).stream(expected))

    def test_under_another_key_are_damaged(self, vault: Vault, id: RecordingId) -> None:
        other = Evidence(vault.store, id, key=SecretBytes(bytes(32)))

        with pytest.raises(SealBrokenError):
            list(other.stream(part(vault, id)))


class TestRescue:
    def test_gives_the_chunks_that_verify(self, vault: Vault) -> None:
        id = vault.captured(PART, cut={1})

        octets = evidence(vault, id).rescue(part(vault, id))

        assert PART[: len(PART) // 16384 * 16384] == octets

    def test_of_a_part_that_is_whole_after_all_gives_all_of_it(
        self, vault: Vault
    ) -> None:
        """A tap that died after the last chunk marks the part all the same."""
        id = vault.captured(PART)
        whole = part(vault, id)
        octets = vault.store.read(ObjectKey.of(id, "capture/0001"))
        vault.put(id, "capture/0001.cut", octets)
        expected = replace(whole, name="capture/0001.cut", chunks=None)

        assert PART == evidence(vault, id).rescue(expected)

    def test_of_a_part_of_less_than_a_chunk_gives_nothing(self, vault: Vault) -> None:
        id = vault.captured(PART[:9000], cut={1})

        # Without a whole chunk the sealer has not even written its header.
        assert manifest(vault, id).objects[0].size <= 56
