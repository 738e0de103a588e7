"""What is known about a session after one more document.

A complete document replaces what was known; who is not in it any more has left.  A
partial one replaces, by identifier, what it names.  Parties that have left stay, so
that a recording shows everybody who was in it.

Guarantees: a session cannot be made to grow without end by updates.

Left to others: reading documents (`vault.siprec.metadata`).

Spec: RFC 7865, section 5; RFC 7866, sections 9.1 and 9.2
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

from vault.siprec.model import (
    LEFT_SOMETIME,
    CommunicationSession,
    Extension,
    MetadataStream,
    Mode,
    Party,
    RecordingMetadata,
    attributed,
)

_MAX_PARTIES: Final = 256
_MAX_ITEMS: Final = 256
_Named = TypeVar("_Named", MetadataStream, CommunicationSession)


def merged(
    before: RecordingMetadata | None, update: RecordingMetadata, *, now_ns: int
) -> RecordingMetadata:
    """Return what is known after *update*.

    Args:
        before: What was known; None before the first document.
        update: What has come.
        now_ns: When it came: the time of joining or leaving where it says none.
    """
    if before is None:
        return replace(
            update,
            parties=tuple(_dated(party, now_ns=now_ns) for party in update.parties),
        )
    whole = update.mode is Mode.COMPLETE
    parties, crowded = _few(_parties(before, update, now_ns=now_ns))
    remarks = (*before.remarks, *update.remarks, *crowded)
    return attributed(
        RecordingMetadata(
            mode=Mode.COMPLETE if whole else before.mode,
            parties=parties,
            streams=update.streams
            if whole and update.streams
            else _by_id(_unlabelled(before.streams, update.streams), update.streams),
            sessions=update.sessions
            if whole and update.sessions
            else _by_id(before.sessions, update.sessions),
            groups=tuple(dict.fromkeys((*before.groups, *update.groups)))[-_MAX_ITEMS:],
            extensions=_extensions(before.extensions, update.extensions),
            remarks=tuple(dict.fromkeys(remarks)),
        )
    )


def _parties(
    before: RecordingMetadata, update: RecordingMetadata, *, now_ns: int
) -> tuple[Party, ...]:
    whole = update.mode is Mode.COMPLETE
    named = {party.id for party in update.parties}
    renamed = _renamed(before.parties, update.parties) if whole else {}
    found = {renamed.get(party.id, party.id): party for party in before.parties}
    for party in update.parties:
        old = found.get(party.id)
        if old is None and party.left_ns and not (party.aor or party.name):
            # Sonus tells of leaving with BYE, and not always whom it means.
            continue
        if old is None:
            joined = replace(party, joined_ns=party.joined_ns or now_ns)
            found[party.id] = _dated(joined, now_ns=now_ns)
        else:
            found[party.id] = _dated(_changed(old, party), now_ns=now_ns)
    if whole:
        for identifier, party in found.items():
            if identifier not in named and not party.left_ns:
                found[identifier] = replace(party, left_ns=now_ns)
    return tuple(found.values())


def _dated(party: Party, *, now_ns: int) -> Party:
    return replace(party, left_ns=now_ns) if party.left_ns == LEFT_SOMETIME else party


def _changed(old: Party, new: Party) -> Party:
    return Party(
        id=new.id,
        aor=new.aor or old.aor,
        name=new.name or old.name,
        sends=old.sends if new.sends is None else new.sends,
        labels=old.labels,
        by_place=old.by_place,
        joined_ns=old.joined_ns or new.joined_ns,
        left_ns=new.left_ns,
    )


def _renamed(before: Iterable[Party], now: Iterable[Party]) -> dict[str, str]:
    """Return new identifiers by old ones, for parties that are known by address.

    Some clients make new identifiers for every document of a session; the person is
    the same.
    """
    old = {party.id for party in before}
    new = {party.id for party in now}
    strangers = {
        party.aor: party.id for party in now if party.aor and party.id not in old
    }
    return {
        party.id: strangers.pop(party.aor)
        for party in before
        if party.id not in new and not party.left_ns and party.aor in strangers
    }


def _few(parties: tuple[Party, ...]) -> tuple[tuple[Party, ...], tuple[str, ...]]:
    """Drop who left first, where there are too many."""
    surplus = len(parties) - _MAX_PARTIES
    if surplus <= 0:
        return parties, ()
    gone = sorted(parties, key=lambda party: (not party.left_ns, party.left_ns))
    dropped = {party.id for party in gone[:surplus]}
    return (
        tuple(party for party in parties if party.id not in dropped),
        ("too-many-parties",),
    )


def _unlabelled(
    before: tuple[MetadataStream, ...], update: tuple[MetadataStream, ...]
) -> tuple[MetadataStream, ...]:
    """Return the streams whose section in SDP has not been given to another."""
    labels = {each.label for each in update if each.label}
    return tuple(each for each in before if each.label not in labels)


def _by_id(
    before: tuple[_Named, ...], update: tuple[_Named, ...]
) -> tuple[_Named, ...]:
    found = {each.id: each for each in before} | {each.id: each for each in update}
    return tuple(found.values())[-_MAX_ITEMS:]


def _extensions(
    before: tuple[Extension, ...], update: tuple[Extension, ...]
) -> tuple[Extension, ...]:
    told = {_place(each) for each in update}
    kept = (each for each in before if _place(each) not in told)
    return (*kept, *update)[-_MAX_ITEMS:]


def _place(each: Extension) -> tuple[str, str, str, tuple[str, ...]]:
    return each.owner, each.owner_id, each.namespace, each.path
