"""Facts about a call: what the PBX says, sealed before it rests.

Guarantees: what leaves here for the spool is sealed under the call's key and
padded, so that not even the length of a name shows.

Left to others: the format (`vault.sealing.metadata`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.core.flow import CallFacts, Direction
from vault.recorder.keying import KEYS_BY_DTLS
from vault.recorder.session import Session
from vault.sealing.chunks import context, seal
from vault.sealing.metadata import SessionMetadata, StreamMetadata
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
    name = f"session/{session.revision + 1:04d}"
    sealed = seal(
        pad(bytes(_metadata(session, ended_ns))),
        key=session.dek,
        context=context(session.recording_id, name),
    )
    (write or session.folder.write_once)(name, sealed)
    session.revision += 1


def replaced(facts: CallFacts, changes: Mapping[str, object]) -> CallFacts:
    """Return *facts* with *changes*; attributes are merged name by name.

    Raises:
        InvalidInputError: No such fact, or a value of another type.
    """
    found: CallFacts = facts
    for name, value in changes.items():
        if name == "attributes" and isinstance(value, Mapping):
            merged = {**facts.attributes, **{str(k): str(v) for k, v in value.items()}}
            found = replace(found, attributes=merged)
        elif name == "direction" and isinstance(value, str):
            found = replace(found, direction=_direction(value))
        elif name in _TEXTS and isinstance(value, str):
            found = replace(found, **{name: value})  # type: ignore[arg-type] # names are checked
        else:
            raise InvalidInputError(f"no fact of a call: {name[:32]!r}")
    return found


_TEXTS = frozenset({"pbx_id", "caller", "callee", "agent", "workgroup"})


def _direction(text: str) -> Direction:
    try:
        return Direction(text)
    except ValueError:
        raise InvalidInputError("no direction of a call") from None


def _metadata(session: Session, ended_ns: int | None) -> SessionMetadata:
    facts = session.facts
    return SessionMetadata(
        recording_id=session.recording_id,
        started=rfc3339(session.started_ns),
        ended=None if ended_ns is None else rfc3339(ended_ns),
        pbx_id=facts.pbx_id,
        direction=facts.direction,
        caller=facts.caller,
        callee=facts.callee,
        agent=facts.agent,
        workgroup=facts.workgroup,
        workgroup_id=session.order.workgroup_id,
        workgroup_known=session.workgroup_known,
        device=session.device.name,
        device_id=session.device.id,
        attributes=facts.attributes,
        streams=tuple(
            StreamMetadata(
                label=stream.offered.label,
                codec=stream.codec,
                # The worst: what a reader has to be told is told by this.
                suite=KEYS_BY_DTLS if stream.weakest is None else stream.weakest.value,
            )
            for stream in session.streams.values()
        ),
        peer=session.origin,
    )
