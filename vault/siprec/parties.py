"""Facts about a call, from what the recording client says in headers and metadata.

Three ways of knowing who called whom, the better replacing the worse:

    stated      the vendor says so: Oracle, BroadWorks, Ribbon
    by-order    the metadata's first participant, its second
    by-headers  From and To of the INVITE, or what Cisco puts there

Guarantees: nothing raises; names, numbers and attributes are text that can be
sealed and shown, capped like those of the fork API.

Left to others: what vendors write (`vault.siprec.dialects`, `vault.siprec.cisco`),
agents and workgroups by extension (`vault.recorder`).

Spec: docs/reference/siprec.md
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vault.core.flow import CallFacts, Direction, Participant
from vault.sip.messages import Headers, Request
from vault.sip.offer import unused_label
from vault.siprec.addresses import (
    display_name,
    name_addr_of,
    person_of,
    uri_of,
    user_of,
)
from vault.siprec.cisco import Ends, ends_of, recording_participants
from vault.siprec.dialects import Claims, claims_of
from vault.siprec.model import RecordingMetadata

SIDES: Final = "siprec_sides"
"Attribute: how caller and callee are known, see above."
METADATA: Final = "siprec_metadata"
"Attribute: ``complete``, ``partial``, ``unreadable``; absent where none came."
REMARKS: Final = "siprec_remarks"
"Attribute: what was odd about the metadata, as slugs."
_RANK: Final = {"": 0, "by-headers": 1, "by-order": 2, "stated": 3}
_PAIR: Final = 2
_CISCO: Final = re.compile(r"x-(near|far)end|media-index-")
_MAX_GONE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Who called whom, and how that is known."""

    caller: str = field(default="", repr=False)
    callee: str = field(default="", repr=False)
    known: str = ""


def facts_of(
    invite: Request,
    metadata: RecordingMetadata | None = None,
    *,
    labels: Sequence[str] = (),
    flaw: str = "",
    gtd: bytes = b"",
) -> CallFacts:
    """Say what is known about a call.

    Args:
        invite: The request that came: INVITE, re-INVITE, UPDATE or INFO.
        metadata: All that its metadata and earlier ones say; None without any.
        labels: Names of the media sections in order, as the recorder knows them.
        flaw: Why metadata that came could not be read, if so.
        gtd: The body of an ``application/gtd`` part: a Cisco gateway's call id.
    """
    labels = _told_apart(labels)
    claims = claims_of(invite.headers, metadata, gtd=gtd)
    ends = None if metadata else ends_of(invite.headers)
    remarks = metadata.remarks if metadata else ()
    if metadata:
        places = _places(metadata, labels)
        remarks = (*remarks, "labels-by-order") if places else remarks
        participants = _by_metadata(metadata, labels, places)
        sides = _stated(claims, participants) or _by_order(participants)
    else:
        participants, sides = _by_headers(invite.headers, ends, labels)
    attributes = {
        SIDES: sides.known,
        METADATA: "unreadable" if flaw else str(metadata.mode) if metadata else "",
        REMARKS: ",".join(remarks),
        **dict(ends.attributes if ends else ()),
        **claims.attributes,
    }
    refci = attributes.get("cisco_refci", "")
    return CallFacts(
        pbx_id=refci or claims.pbx_id or attributes.get("sip_call_id", ""),
        caller=sides.caller,
        callee=sides.callee,
        direction=claims.direction,
        attributes={name: value for name, value in attributes.items() if value},
        participants=participants,
    )


def learned(before: CallFacts | None, now: CallFacts, *, now_ns: int = 0) -> CallFacts:
    """Return what is known after *now*.

    What was stated is never replaced by what is assumed, and nothing is emptied: a
    re-INVITE has fewer headers than the INVITE had.

    Args:
        before: What was known; None if that was forgotten with our own death.
        now: What one request says, by `facts_of`.
        now_ns: When somebody left whom Cisco's headers no longer name.
    """
    if before is None:
        return now
    # The Call-ID of the recording stands in where no other identifier is known yet.
    stopgap = before.pbx_id in {"", before.attributes.get("sip_call_id", "")}
    better = _rank(now) > _rank(before)
    attributes = {**before.attributes, **now.attributes}
    if not better and SIDES in before.attributes:
        attributes[SIDES] = before.attributes[SIDES]
    unknown = now.direction is Direction.UNKNOWN
    return CallFacts(
        pbx_id=now.pbx_id if stopgap and now.pbx_id else before.pbx_id,
        caller=_better(before.caller, now.caller, better=better),
        callee=_better(before.callee, now.callee, better=better),
        agent=before.agent,
        workgroup=before.workgroup,
        direction=before.direction if unknown else now.direction,
        attributes=attributes,
        participants=(*now.participants, *_gone(before, now, now_ns=now_ns))
        or before.participants,
    )


def changes(before: CallFacts | None, after: CallFacts) -> Mapping[str, object] | None:
    """Return how *after* differs, for `SessionChange.call`; None if it does not.

    Args:
        before: What the recorder was told; None if that was forgotten, so that only
            what is stated, and metadata, is news.
        after: What is known now, by `learned`.
    """
    if before is None:
        return _certain(after)
    found: dict[str, object] = {
        name: value
        for name, was, value in (
            ("pbx_id", before.pbx_id, after.pbx_id),
            ("caller", before.caller, after.caller),
            ("callee", before.callee, after.callee),
            ("direction", str(before.direction), str(after.direction)),
        )
        if was != value
    }
    if before.participants != after.participants:
        found["participants"] = after.participants
    attributes = {
        name: value
        for name, value in after.attributes.items()
        if before.attributes.get(name) != value
    }
    if attributes:
        found["attributes"] = attributes
    return found or None


def _better(was: str, value: str, *, better: bool) -> str:
    return value if value and (better or not was) else was


def _certain(now: CallFacts) -> Mapping[str, object] | None:
    """Return what may be said of a call of which nothing is remembered."""
    rank = _rank(now)
    found: dict[str, object] = {}
    if rank >= _RANK["stated"]:
        found |= {"caller": now.caller, "callee": now.callee}
    if rank >= _RANK["by-order"]:
        found["participants"] = now.participants
    if now.direction is not Direction.UNKNOWN:
        found["direction"] = str(now.direction)
    return found or None


def _rank(facts: CallFacts) -> int:
    return _RANK.get(facts.attributes.get(SIDES, ""), 0)


def _gone(before: CallFacts, now: CallFacts, *, now_ns: int) -> tuple[Participant, ...]:
    """Return who was in Cisco's headers and is not any more.

    With metadata, who has left is in it (`vault.siprec.updates`).
    """
    if any(
        not _CISCO.match(each.id) for each in (*before.participants, *now.participants)
    ):
        return ()
    there = {(each.id, each.aor) for each in now.participants}
    number = len(before.participants)
    return tuple(
        each
        if each.left_ns
        else replace(each, id=f"{each.id}-{number}", left_ns=now_ns)
        for each in before.participants[:_MAX_GONE]
        if (each.id, each.aor) not in there
    )


def _told_apart(labels: Sequence[str]) -> tuple[str, ...]:
    """Return *labels* as the recorder names sections."""
    found: list[str] = []
    for label in labels:
        found.append(unused_label(label, found))
    return tuple(found)


def _by_metadata(
    metadata: RecordingMetadata, labels: Sequence[str], places: Mapping[str, str]
) -> tuple[Participant, ...]:
    return tuple(
        Participant(
            id=party.id,
            aor=uri_of(party.aor),
            name=display_name(party.name),
            streams=_streams(
                tuple(places.get(each, each) for each in party.labels), labels
            ),
            joined_ns=party.joined_ns,
            left_ns=party.left_ns,
        )
        for party in metadata.parties
    )


def _places(metadata: RecordingMetadata, labels: Sequence[str]) -> Mapping[str, str]:
    """Return the recorder's labels by those of the metadata, where they differ.

    Only where no label is the same and there are as many: a client that writes no
    ``a=label``, or another one, still has its streams in one order.
    """
    own = tuple(dict.fromkeys(each.label for each in metadata.streams if each.label))
    if len(own) != len(labels) or set(own) & set(labels):
        return {}
    return dict(zip(own, labels, strict=True))


def _streams(own: tuple[str, ...], labels: Sequence[str]) -> tuple[str, ...]:
    """Return those of a party's labels that the recorder knows, too.

    Where the offer is not at hand (INFO), all of them are believed.
    """
    return tuple(each for each in own if each in labels) if labels else own


def _stated(claims: Claims, participants: tuple[Participant, ...]) -> _Sides | None:
    """Return the sides that the vendor states, by flag or by number."""
    calling, called = _person(claims.calling), _person(claims.called)
    if calling or called:
        return _Sides(caller=calling, callee=called, known="stated")
    caller = [each for each in participants if each.id == claims.calling_party]
    others = [
        each
        for each in participants
        if each.id != claims.calling_party and not each.left_ns
    ]
    if not caller:
        return None
    return _Sides(
        caller=person_of(caller[0].aor),
        callee=person_of(others[0].aor) if others else "",
        known="stated",
    )


def _by_order(participants: tuple[Participant, ...]) -> _Sides:
    """Return the first two as caller and callee: the order that clients keep to."""
    people = [person_of(each.aor) or each.name for each in participants][:_PAIR]
    if not any(people):
        return _Sides()
    caller, callee = [*people, ""][:_PAIR]
    return _Sides(caller=caller, callee=callee, known="by-order")


def _by_headers(
    headers: Headers, ends: Ends | None, labels: Sequence[str]
) -> tuple[tuple[Participant, ...], _Sides]:
    """Return who takes part where there is no metadata that says it."""
    if ends is not None:
        both = ends.participants(labels)
        # Nothing says who called; most recorded phones are called.
        sides = _Sides(
            caller=person_of(ends.far), callee=person_of(ends.near), known="by-headers"
        )
        return both, sides
    named = recording_participants(headers, labels)
    if not named:
        named = _correspondents(headers, labels)
    sides = _by_order(named)
    known = "by-headers" if sides.known else ""
    return named, _Sides(caller=sides.caller, callee=sides.callee, known=known)


def _correspondents(headers: Headers, labels: Sequence[str]) -> tuple[Participant, ...]:
    """Return From and To, as far as they name somebody."""
    found: list[Participant] = []
    for place, name in enumerate(("From", "To")):
        address = name_addr_of(headers.get(name) or "")
        if address is None or not (user_of(address.uri) or address.display_name):
            continue
        streams = labels if len(labels) == 1 else labels[place : place + 1]
        found.append(
            Participant(
                id=name.lower(),
                aor=uri_of(address.uri),
                name=display_name(address.display_name),
                streams=tuple(streams),
            )
        )
    return tuple(found)


def _person(text: str) -> str:
    """Return whom a header or an address means."""
    address = name_addr_of(text) if "<" in text else None
    return person_of(address.uri if address else text)
