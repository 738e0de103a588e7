"""What recording metadata says, whatever spelling it came in.

Guarantees:
    * Identifiers of parties are unique within one value.
    * A party's labels are those of streams that are there, or were when it left.
    * A reference that leads nowhere, an identifier used twice and a stream given to
      a party by its place alone are remarked, never passed over in silence.

Left to others: reading documents (`vault.siprec.metadata`), putting a later one
upon what was known (`vault.siprec.updates`).

Spec: RFC 7865, section 6
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

LEFT_SOMETIME: Final = 1
"In `Party.left_ns`: it has left, and the document does not say when."


@unique
class Mode(StrEnum):
    """Whether a document says everything or what has changed."""

    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A participant.  Spec: RFC 7865, section 6.5."""

    id: str
    aor: str = ""
    "As it was written, with or without scheme."
    name: str = ""
    sends: tuple[str, ...] | None = None
    "Identifiers of streams; None where nobody said."
    labels: tuple[str, ...] = ()
    "Labels of the streams that carry what it sends, as far as they are known."
    by_place: bool = False
    "Whether *labels* rest on order alone: better is known as soon as it is said."
    joined_ns: int = 0
    left_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataStream:
    """A media stream.  Spec: RFC 7865, section 6.6."""

    id: str
    label: str = ""
    "The ``a=label`` of its section in SDP."


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunicationSession:
    """A call that is being recorded.  Spec: RFC 7865, section 6.3."""

    id: str
    group: str = ""
    sip_session_id: str = ""
    "RFC 7989 says a Session-ID; OpenSIPS and jambonz write the Call-ID of the call."


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """A value that no standard knows."""

    owner: str
    "Element that it was in: ``session``, ``participant``, ``recording``, …"
    owner_id: str
    namespace: str
    path: tuple[str, ...]
    "Names from the outermost unknown element, in lower case."
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMetadata:
    """What one document says, or all documents of a session together."""

    mode: Mode = Mode.COMPLETE
    parties: tuple[Party, ...] = ()
    streams: tuple[MetadataStream, ...] = ()
    sessions: tuple[CommunicationSession, ...] = ()
    groups: tuple[str, ...] = ()
    extensions: tuple[Extension, ...] = ()
    remarks: tuple[str, ...] = ()
    """Slugs: ``duplicate-id``, ``not-utf-8``, ``streams-by-order``,
    ``too-many-parties``, ``unknown-stream``."""

    def __repr__(self) -> str:
        # Names and numbers of people stay out of tracebacks and logs.
        return f"<RecordingMetadata {self.mode}, {len(self.parties)} parties>"


def attributed(found: RecordingMetadata) -> RecordingMetadata:
    """Give every party that takes part the labels of the streams it sends.

    By reference, first; what was so known before a hold stays known.  Where that
    gives nobody anything, by place (see `_by_place`); where it leaves one party and
    one stream, they belong together.
    """
    labels = {stream.id: stream.label for stream in found.streams if stream.label}
    present = [party for party in found.parties if not party.left_ns]
    sent = {party.id: _by_reference(party, labels) for party in present}
    guessed: dict[str, tuple[str, ...]] = {}
    if found.mode is Mode.COMPLETE:
        every = tuple(dict.fromkeys(labels.values()))
        if not any(sent.values()):
            guessed = dict(_by_place(present, every))
        else:
            guessed = _left_over(sent, every)
    remarks = dict.fromkeys(found.remarks)
    if any(each not in labels for party in present for each in party.sends or ()):
        remarks["unknown-stream"] = None
    if guessed:
        remarks["streams-by-order"] = None
    return replace(
        found,
        parties=tuple(
            party
            if party.left_ns
            else replace(
                party,
                labels=guessed.get(party.id) or sent[party.id],
                by_place=party.id in guessed,
            )
            for party in found.parties
        ),
        remarks=tuple(remarks),
    )


def _by_reference(party: Party, labels: Mapping[str, str]) -> tuple[str, ...]:
    named = tuple(
        dict.fromkeys(labels[each] for each in party.sends or () if each in labels)
    )
    if named or party.by_place:
        return named
    # On hold nothing is sent; what was is still what it will be.
    there = frozenset(labels.values())
    return tuple(label for label in party.labels if label in there)


def _left_over(
    sent: Mapping[str, tuple[str, ...]], labels: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return the one stream that nobody sends for the one party that sends none."""
    silent = [party for party, own in sent.items() if not own]
    taken = {label for own in sent.values() for label in own}
    free = [label for label in labels if label not in taken]
    return {silent[0]: (free[0],)} if len(silent) == len(free) == 1 else {}


def _by_place(
    present: list[Party], labels: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the labels of parties where no reference leads anywhere.

    If as many streams are told of as are referred to, or as there are parties:
    OpenSIPS writes no association, a gateway on hold writes empty ones, and some
    mix up two kinds of identifiers.  A single stream carries everybody.
    """
    told = dict.fromkeys(each for party in present for each in party.sends or ())
    referred = {each: place for place, each in enumerate(told)}
    for number, party in enumerate(present):
        if len(labels) == 1:
            yield party.id, labels
        elif len(referred) == len(labels):
            places = (referred[each] for each in party.sends or ())
            yield party.id, tuple(dict.fromkeys(labels[place] for place in places))
        elif not referred and len(present) == len(labels):
            yield party.id, (labels[number],)
