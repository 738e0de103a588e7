"""Reading a call from the store, with nothing made of it."""

from collections.abc import Mapping

import pytest

from tests.simulators.calls import Phone, Vault, added, babble, capture
from vault.catalog.values import StoredObject
from vault.core.ids import RecordingId
from vault.renditions.evidence import Evidence, read_manifest
from vault.renditions.reading import CallReading
from vault.sealing.chunks import CHUNK_SIZE, context, seal


def reading(
    vault: Vault, id: RecordingId, known: Mapping[str, StoredObject] | None = None
) -> CallReading:
    manifest = read_manifest(
        vault.store,
        id,
        sha256_hex=vault.recordings.row(id).manifest_sha256,
        tap_keys=lambda: {"tap-1": vault.tap_key.public_key().public_bytes_raw()},
    )
    evidence = Evidence(vault.store, id, key=vault.warden.keys[id])
    return CallReading(manifest, evidence, known=known or {}, keep=lambda: None)


@pytest.fixture
def parts() -> tuple[bytes, bytes]:
    packets = Phone().say(babble(4))
    return (
        capture(packets[:100], added(0, "agent")),
        capture(packets[100:], added(0, "agent")),
    )


def test_parts_are_read_in_order_as_one_call(
    vault: Vault, parts: tuple[bytes, bytes]
) -> None:
    call = reading(vault, vault.captured(*parts)).read()

    assert ["capture/0001", "capture/0002"] == [part.name for part in call.parts]
    assert ["capture/0001", "capture/0002"] == list(call.sources)
    assert (200, 4000, 0) == (
        len(call.streams[0].packets),
        call.timeline.duration_ms,
        call.cut_bytes,
    )


def test_a_damaged_part_is_named_and_the_other_one_read(
    vault: Vault, parts: tuple[bytes, bytes]
) -> None:
    id = vault.captured(*parts)
    vault.damage(id, "capture/0001")

    looked = reading(vault, id)
    call = looked.read()

    assert ["capture/0001"] == [each.name for each in looked.damage]
    assert 100 == len(call.streams[0].packets)
    assert call.parts[0].first_ns is None


def test_a_cut_part_is_read_and_left_to_whoever_renders_it(
    vault: Vault, parts: tuple[bytes, bytes]
) -> None:
    id = vault.captured(*parts, cut={1})
    before = set(vault.store.keys(f"{id}/"))

    looked = reading(vault, id)
    call = looked.read()

    whole = (CHUNK_SIZE - len(added(0, "agent"))) // 192
    assert whole + 100 == len(call.streams[0].packets)
    assert before == set(vault.store.keys(f"{id}/"))
    assert {} == looked.recovered


def test_keys_that_are_none_are_damage(
    vault: Vault, parts: tuple[bytes, bytes]
) -> None:
    id = vault.captured(*parts)
    sealed = seal(
        b"no keys", key=vault.warden.keys[id], context=context(id, "srtp/0001")
    )
    known = {"srtp/0001": vault.put(id, "srtp/0001", sealed)}

    looked = reading(vault, id, known)
    call = looked.read()

    assert ["srtp/0001"] == [each.name for each in looked.damage]
    assert 200 == len(call.streams[0].packets)
