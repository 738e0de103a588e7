"""Exports for operators, from a real store and catalog, with a warden in memory."""

import pytest

from tests.simulators.calls import Phone, Vault, added, babble, capture
from vault.audit.entry import Action
from vault.core.errors import (
    AuditUnavailableError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    SealBrokenError,
)
from vault.core.flow import Actor, ActorKind, Caller, Document, MediaPart, Purpose
from vault.core.ids import RecordingId, new_recording_id
from vault.playback.export import SIGNALLING, Export
from vault.sealing.padding import unpad
from vault.sealing.signalling import Signalling

OPERATOR = Caller(actor=Actor(kind=ActorKind.OPERATOR, id="1000"))


@pytest.fixture
def ready(vault: Vault) -> RecordingId:
    """A call in two parts, each of more than one block."""
    parts = [
        capture(Phone(ssrc=part).say(babble(8, seed=part)), added(0, "agent"))
        for part in (1, 2)
    ]
    id = vault.captured(*parts)
    vault.worker().run_once()
    vault.warden.drafts.clear()
    vault.warden.releases.clear()
    return id


def export(
    vault: Vault,
    id: RecordingId,
    part: MediaPart = MediaPart.AUDIO,
    *,
    signalling: bool = False,
) -> Export:
    return Export(
        id,
        part,
        caller=OPERATOR,
        catalog=vault.recordings,
        store=vault.store,
        keys=vault.warden,
        trail=vault.warden,
        signalling=signalling,
    )


def test_it_is_what_a_listener_gets(vault: Vault, ready: RecordingId) -> None:
    listened = vault.playback().open(vault.grant(ready))

    exported = export(vault, ready)
    octets = b"".join(exported)

    assert listened.size == exported.size == len(octets)
    assert octets.startswith(b"fLaC")


def test_all_parts_of_a_capture_are_one(vault: Vault, ready: RecordingId) -> None:
    exported = export(vault, ready, MediaPart.CAPTURE)
    whole = b"".join(exported)

    listened = vault.playback().open(vault.grant(ready, part=MediaPart.CAPTURE))
    assert listened.size == len(whole) == exported.size


def test_no_block_is_larger_than_64_kib(vault: Vault, ready: RecordingId) -> None:
    sizes = [len(block) for block in export(vault, ready, MediaPart.CAPTURE)]

    assert len(sizes) > 2
    assert max(sizes) <= 64 * 1024


def test_the_leaf_comes_before_the_key_and_names_the_operator(
    vault: Vault, ready: RecordingId
) -> None:
    export(vault, ready)

    (draft,) = vault.warden.drafts
    assert ("recording.exported", OPERATOR) == (str(draft.action), draft.caller)
    assert [(ready, Purpose.EXPORT)] == vault.warden.releases


def test_without_a_log_there_is_no_key(vault: Vault, ready: RecordingId) -> None:
    vault.warden.down = True

    with pytest.raises(AuditUnavailableError):
        export(vault, ready)


def test_what_cannot_be_played_asks_for_no_key(vault: Vault) -> None:
    waiting = vault.captured(capture(Phone().say(babble(1)), added(0, "agent")))
    with pytest.raises(NotReadyError):
        export(vault, waiting)
    with pytest.raises(NotFoundError):
        export(vault, new_recording_id())

    assert vault.warden.releases == []


def test_a_call_without_media_has_nothing_to_export(vault: Vault) -> None:
    silent = vault.captured(added(0, "agent"))
    vault.worker().run_once()
    vault.warden.releases.clear()

    with pytest.raises(NoMediaError):
        export(vault, silent)

    assert vault.warden.releases == []


@pytest.mark.parametrize("cut", [0, 400])
def test_damage_at_the_end_is_found_before_the_first_octet(
    vault: Vault, ready: RecordingId, cut: int
) -> None:
    vault.damage(ready, "rendition/0001", cut=cut)

    with pytest.raises(SealBrokenError):
        export(vault, ready)

    assert ["rendition/0001"] == _damaged(vault)


def test_damage_in_the_middle_ends_it_there_and_the_trail_knows(
    vault: Vault, ready: RecordingId
) -> None:
    whole = b"".join(export(vault, ready, MediaPart.CAPTURE))
    vault.damage(ready, "capture/0002", at=56 + 100)
    got: list[bytes] = []

    with pytest.raises(SealBrokenError):
        got.extend(export(vault, ready, MediaPart.CAPTURE))

    assert 0 < len(b"".join(got)) < len(whole)
    assert whole.startswith(b"".join(got))
    assert ["capture/0002"] == _damaged(vault)


def _damaged(vault: Vault) -> list[str | int]:
    """Return the objects that the trail calls damaged."""
    return [
        draft.detail["object"]
        for draft in vault.warden.drafts
        if draft.action is Action.RECORDING_DAMAGED
    ]


def test_what_lies_beside_is_opened_by_the_same_key(
    vault: Vault, ready: RecordingId
) -> None:
    exported = export(vault, ready, MediaPart.CAPTURE)

    (quality,) = exported.beside("quality")

    assert quality.startswith(b"{")
    assert exported.beside("srtp") == []
    assert [(ready, Purpose.EXPORT)] == vault.warden.releases


def test_damage_beside_is_told_as_well(vault: Vault, ready: RecordingId) -> None:
    vault.damage(ready, "quality/0001")
    exported = export(vault, ready, MediaPart.CAPTURE)

    with pytest.raises(SealBrokenError):
        exported.beside("quality")


def test_what_the_pbx_sent_leaves_by_itself_with_a_leaf(vault: Vault) -> None:
    document = Document(kind="rs-metadata", octets=b"<recording/>\xff")
    part = capture(Phone().say(babble(1)), added(0, "agent"))
    id = vault.captured(part, documents=[document])
    vault.worker().run_once()
    vault.warden.drafts.clear()
    exported = export(vault, id, MediaPart.CAPTURE, signalling=True)
    (octets,) = exported.beside(SIGNALLING)
    (leaf,) = vault.warden.drafts

    assert (document,) == Signalling.parse(unpad(octets)).documents
    assert ("signalling", 1) == (leaf.detail["part"], leaf.detail["count"])


def test_where_the_pbx_sent_nothing_there_is_nothing(
    vault: Vault, ready: RecordingId
) -> None:
    with pytest.raises(NoMediaError):
        export(vault, ready, MediaPart.CAPTURE, signalling=True)

    assert [] == vault.warden.drafts
