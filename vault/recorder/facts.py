"""Facts about a call: what the PBX says, sealed before it rests.

Guarantees: what leaves here for the spool is sealed under the call's key and
padded, so that not even the length of a name shows.

Left to others: the format (`vault.sealing.metadata`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.core.flow import CallFacts, Direction, Participant
from vault.recorder.keying import KEYS_BY_DTLS
from vault.recorder.session import Session
from vault.sealing.chunks import context, seal
from vault.sealing.metadata import (
    ParticipantMetadata,
    SessionMetadata,
    StreamMetadata,
)
from vault.sealing.padding import pad


def seal_metadata(
    session: Session,
    *,
    ended_ns: int | None = None,
    write: Callable[[str, bytes], None] | None = None,
) -> None:
    """Seal what is known now as the next ``session/000n`` in the spool.

    Args:
        session: Whose facts.
        ended_ns: When it ended, if it did.
        write: How to write it; durably where nothing else is said.

    Raises:
        SpoolFullError: No room.
        UnavailableError: The disk failed.
    """
    if ended_ns is None and (
        session.revision >= MOST_REVISIONS
        or session.metadata_octets >= MOST_METADATA_OCTETS
    ):
        return  # what is known is sealed at the end, whatever a device goes on to say
    name = f"session/{session.revision + 1:04d}"
    sealed = seal(
        pad(_bounded(_metadata(session, ended_ns))),
        key=session.dek,
        context=context(session.recording_id, name),
    )
    (write or session.folder.write_once)(name, sealed)
    session.revision += 1
    session.metadata_octets += len(sealed)


def replaced(
    facts: CallFacts, changes: Mapping[str, object], *, now_ns: int
) -> CallFacts:
    """Return *facts* with *changes*; attributes are merged name by name.

    Beyond `MOST_ATTRIBUTES` a new name is not taken; those that are known change.
    Whoever took part and is not named any more has left *now_ns*, and stays known.

    Raises:
        InvalidInputError: No such fact, or a value of another type.
    """
    found: CallFacts = facts
    for name, value in changes.items():
        if name == "attributes" and isinstance(value, Mapping):
            found = replace(found, attributes=_merged(facts.attributes, value))
        elif name == "direction" and isinstance(value, str):
            found = replace(found, direction=_direction(value))
        elif name in _TEXTS and isinstance(value, str):
            found = replace(found, **{name: value})  # type: ignore[arg-type] # names are checked
        elif name == "participants" and isinstance(value, tuple):
            named = _participants(value)
            found = replace(
                found, participants=_joined(facts.participants, named, now_ns)
            )
        else:
            raise InvalidInputError(f"no fact of a call: {name[:32]!r}")
    return found


MOST_PARTICIPANTS: Final = 256
MOST_ATTRIBUTES: Final = 256
MOST_REVISIONS: Final = 9000
"Names have four digits, and the end needs one."
MOST_METADATA_OCTETS: Final = 32 * 1024 * 1024
"Of all revisions of one call together: a device fills no disk with facts."
_MOST_OCTETS: Final = 384 * 1024
"Of metadata: what the warden takes for a row (512 KiB), with room to spare."
_TEXTS: Final = frozenset({"pbx_id", "caller", "callee", "agent", "workgroup"})


def _merged(
    before: Mapping[str, str], said: Mapping[object, object]
) -> Mapping[str, str]:
    merged = {**before, **{str(name): str(value) for name, value in said.items()}}
    return dict(islice(merged.items(), MOST_ATTRIBUTES))


def _participants(values: tuple[object, ...]) -> tuple[Participant, ...]:
    named = tuple(each for each in values if isinstance(each, Participant))
    if len(named) != len(values):
        raise InvalidInputError("no participants of a call")
    return named


def _joined(
    before: tuple[Participant, ...], named: tuple[Participant, ...], now_ns: int
) -> tuple[Participant, ...]:
    """Return *named*, and behind them those of *before* that are not among them."""
    ids = {each.id for each in named}
    gone = [
        each if each.left_ns else replace(each, left_ns=now_ns)
        for each in before
        if each.id not in ids
    ]
    # A client that gives everybody a new id with every update would fill a call.
    return (*named, *gone)[:MOST_PARTICIPANTS]


def _direction(text: str) -> Direction:
    try:
        return Direction(text)
    except ValueError:
        raise InvalidInputError("no direction of a call") from None


def _metadata(session: Session, ended_ns: int | None) -> SessionMetadata:
    facts = session.place.facts
    return SessionMetadata(
        recording_id=session.recording_id,
        started=rfc3339(session.started_ns),
        ended=None if ended_ns is None else rfc3339(ended_ns),
        pbx_id=_text(facts.pbx_id),
        direction=facts.direction,
        caller=_text(facts.caller),
        callee=_text(facts.callee),
        agent=_text(facts.agent),
        workgroup=_text(facts.workgroup),
        workgroup_id=session.order.workgroup_id,
        workgroup_known=session.place.workgroup_known,
        device=session.device.name,
        device_id=session.device.id,
        attributes={_text(k): _text(v) for k, v in facts.attributes.items()},
        streams=tuple(
            StreamMetadata(
                label=_text(stream.offered.label),
                codec=stream.codec,
                # The worst: what a reader has to be told is told by this.
                suite=KEYS_BY_DTLS if stream.weakest is None else stream.weakest.value,
            )
            for stream in session.streams.values()
        ),
        peer=session.origin,
        participants=tuple(_participant(each) for each in facts.participants),
    )


def _bounded(metadata: SessionMetadata) -> bytes:
    """Return the octets of *metadata*: of what there is too much of, a part."""
    octets = bytes(metadata)
    while len(octets) > _MOST_OCTETS and (metadata.participants or metadata.attributes):
        people, names = metadata.participants, metadata.attributes
        kept = islice(names.items(), len(names) // 2) if not people else names.items()
        metadata = replace(
            metadata,
            participants=people[: len(people) // 2],
            attributes=dict(kept),
        )
        octets = bytes(metadata)
    return octets


def _participant(participant: Participant) -> ParticipantMetadata:
    joined_ns, left_ns = participant.joined_ns, participant.left_ns
    return ParticipantMetadata(
        id=_text(participant.id),
        aor=_text(participant.aor),
        name=_text(participant.name),
        streams=tuple(_text(label) for label in participant.streams),
        joined=rfc3339(joined_ns) if joined_ns else None,
        left=rfc3339(left_ns) if left_ns else None,
        agent=_text(participant.agent),
    )


def _text(said: str) -> str:
    """Return *said* with what is no text (octets that are not UTF-8) marked as such."""
    if said.isascii():
        return said
    return said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
