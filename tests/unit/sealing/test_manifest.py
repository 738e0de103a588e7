from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core import canonical
from vault.core.errors import SealBrokenError
from vault.core.flow import HowEnded
from vault.core.ids import new_recording_id
from vault.core.media import PayloadFormat
from vault.sealing import dsse
from vault.sealing.manifest import (
    MANIFEST_TYPE,
    Addendum,
    Manifest,
    ManifestObject,
    SsrcCount,
    StreamCount,
    sign_addendum,
    sign_manifest,
    verify_addendum,
    verify_manifest,
)

KEY = Ed25519PrivateKey.generate()
KEYS = {"tap-1": KEY.public_key().public_bytes_raw()}
OBJECT = ManifestObject(
    name="capture/0001",
    size=16472,
    sha256=bytes(range(32)),
    chunks=2,
    commitment=bytes(range(32, 64)),
)
STREAM = StreamCount(
    stream=0,
    label="agent",
    suite="AEAD_AES_256_GCM",
    media="audio",
    received=100,
    authentic=98,
    rejected={"auth-failed": 2},
    rtcp=4,
    undecryptable_kept=2,
    kernel_drops=0,
    payloads={0: PayloadFormat(payload_type=0, encoding="PCMU", clock_rate_hz=8000)},
    ssrcs=(SsrcCount(ssrc=0xFFFFFFFF, first=65530, last=65628, packets=98),),
)
MANIFEST = Manifest(
    recording_id=new_recording_id(),
    tap="tap-1",
    started="2026-11-23T06:16:09.123456789Z",
    ended="2026-11-23T06:17:09Z",
    how=HowEnded.BYE,
    objects=(OBJECT, replace(OBJECT, name="capture/0002.cut")),
    streams=(STREAM,),
)
ADDENDUM = Addendum(
    recording_id=MANIFEST.recording_id,
    worker="tap-1",
    made="2026-11-23T06:18:00Z",
    object=replace(OBJECT, name="rendition/0001"),
    media_type="audio/flac",
    sources={"capture/0001": bytes(32)},
)


def altered(payload: bytes, change: dict[str, Any]) -> bytes:
    return canonical.dumps({**canonical.parse(payload), **change})


class TestManifest:
    def test_reading_and_writing_are_inverses(self) -> None:
        assert Manifest.parse(bytes(MANIFEST)) == MANIFEST

    def test_a_signed_one_verifies(self) -> None:
        assert MANIFEST == verify_manifest(sign_manifest(MANIFEST, KEY, "tap-1"), KEYS)

    def test_a_tap_signs_only_for_itself(self) -> None:
        with pytest.raises(ValueError):
            sign_manifest(MANIFEST, KEY, "tap-2")

    def test_one_signed_by_another_trusted_tap_is_refused(self) -> None:
        other = Ed25519PrivateKey.generate()
        keys = {**KEYS, "tap-2": other.public_key().public_bytes_raw()}
        forged = dsse.sign(
            bytes(MANIFEST), payload_type=MANIFEST_TYPE, key=other, keyid="tap-1"
        )

        with pytest.raises(SealBrokenError, match="signature"):
            verify_manifest(forged, keys)

    def test_a_manifest_that_names_another_tap_than_its_signer_is_refused(self) -> None:
        keys = {"tap-2": KEYS["tap-1"]}
        forged = dsse.sign(
            bytes(MANIFEST),
            payload_type=MANIFEST_TYPE,
            key=KEY,
            keyid="tap-2",
        )

        with pytest.raises(SealBrokenError, match="another tap"):
            verify_manifest(forged, keys)

    @pytest.mark.parametrize(
        "change",
        [
            {"v": 1},
            {"v": 3},
            {"how": "unknown"},
            {"started": "yesterday"},
            {"objects": [{}]},
            {"streams": 1},
            {"extra": 1},
        ],
    )
    def test_one_that_we_did_not_write_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(SealBrokenError):
            Manifest.parse(altered(bytes(MANIFEST), change))

    def test_one_of_the_first_version_is_read_and_verifies(self) -> None:
        old = replace(MANIFEST, v=1)

        assert b"stray_drops" not in bytes(old)
        assert old == verify_manifest(sign_manifest(old, KEY, "tap-1"), KEYS)

    def test_one_that_says_another_version_than_its_type_is_refused(self) -> None:
        forged = dsse.sign(
            bytes(replace(MANIFEST, v=1)),
            payload_type=MANIFEST_TYPE,
            key=KEY,
            keyid="tap-1",
        )

        with pytest.raises(SealBrokenError, match="version"):
            verify_manifest(forged, KEYS)

    def test_an_object_named_twice_is_refused(self) -> None:
        twice = replace(MANIFEST, objects=(OBJECT, OBJECT))

        with pytest.raises(SealBrokenError, match="twice"):
            Manifest.parse(bytes(twice))

    @pytest.mark.parametrize("name", ["00", "-1", "x", "²", ""])
    def test_a_payload_type_is_a_number(self, name: str) -> None:
        members = canonical.parse(bytes(MANIFEST))
        stream: dict[str, Any] = dict(members["streams"][0])  # type: ignore[index,arg-type] # our own document
        stream["payloads"] = {name: stream["payloads"]["0"]}

        with pytest.raises(SealBrokenError):
            Manifest.parse(canonical.dumps({**members, "streams": [stream]}))


class TestAddendum:
    def test_reading_and_writing_are_inverses(self) -> None:
        assert Addendum.parse(bytes(ADDENDUM)) == ADDENDUM

    def test_a_signed_one_verifies(self) -> None:
        assert ADDENDUM == verify_addendum(sign_addendum(ADDENDUM, KEY, "tap-1"), KEYS)

    def test_a_manifest_does_not_pass_for_an_addendum(self) -> None:
        with pytest.raises(SealBrokenError):
            verify_addendum(sign_manifest(MANIFEST, KEY, "tap-1"), KEYS)

    def test_a_worker_signs_only_for_itself(self) -> None:
        with pytest.raises(ValueError):
            sign_addendum(ADDENDUM, KEY, "worker-9")

    @pytest.mark.parametrize(
        "change", [{"sources": {"a": "00"}}, {"made": ""}, {"object": []}, {"x": 1}]
    )
    def test_one_that_we_did_not_write_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(SealBrokenError):
            Addendum.parse(altered(bytes(ADDENDUM), change))
