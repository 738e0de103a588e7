"""One recorded call as SIP sees it: where it stands, and who must hear of its end.

    INVITE ─► OPENING ─ the desk took it ─► ANSWERED ─ ACK ─► RECORDING ──────┐
                 │                             │                  │           │
                 │ refused                     │ BYE, lost        │ BYE, lost │ the desk
                 ▼                             ▼                  ▼           ▼ ended it
               ENDED                     ENDED: the desk is told       ENDED: the peer
                                                                       gets a BYE

Guarantees:
    * Whoever ended a call, the other side hears of it once, and nobody twice.
    * A BYE of ours leaves only after the ACK of our 2xx, or once none will come.
    * `Call.resumed` of `Call.signalling` stands where the call stood; what cannot be
      read raises and is never half taken.

Left to others: messages and timers (`vault.sip`), what is asked of the desk
(`vault.siprec.server`).

Spec: RFC 3261, sections 12 to 15; RFC 7866, section 7.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any, Final, Self

from vault.core.errors import InvalidInputError
from vault.core.flow import CallFacts, Device
from vault.core.ids import RecordingId
from vault.sip.dialogs import Dialog
from vault.siprec.interfaces import KeptSession
from vault.siprec.metadata import read_or_flag
from vault.siprec.model import (
    CommunicationSession,
    Extension,
    MetadataStream,
    Mode,
    Party,
    RecordingMetadata,
)
from vault.siprec.updates import merged

CallKey = tuple[str, str]
"Call-ID and the peer's tag: what a request names before it knows our tag."

_VERSION: Final = 1
_MOST_KEPT_METADATA: Final = 32 * 1024
"Characters of metadata that survive our own death; a call's page has an end."


@unique
class State(StrEnum):
    """Where a call stands."""

    OPENING = "opening"
    "The desk is asked; nothing was answered."
    ANSWERED = "answered"
    "2xx sent, not acknowledged."
    RECORDING = "recording"
    OWED = "owed"
    "The desk has ended it before the ACK: the BYE waits for that."
    ENDED = "ended"


@unique
class Event(StrEnum):
    """What happens to a call."""

    OPENED = "opened"
    "The desk took it."
    REFUSED = "refused"
    "The desk did not take it."
    ACK = "ack"
    BYE = "bye"
    LOST = "lost"
    "No ACK, session timer, or a CANCEL that came with the 2xx: the peer is told."
    DESK_ENDED = "desk-ended"
    "Silent for too long, too long, or the tap goes down."


@unique
class Tell(StrEnum):
    """Who must hear of it now."""

    NOBODY = "nobody"
    DESK = "desk"
    "The session is to be closed."
    PEER = "peer"
    "A BYE is due."


_NEXT: Final = MappingProxyType(
    {
        (State.OPENING, Event.OPENED): (State.ANSWERED, Tell.NOBODY),
        (State.OPENING, Event.REFUSED): (State.ENDED, Tell.NOBODY),
        # No 2xx will be sent: the INVITE is refused and that is all.
        (State.OPENING, Event.DESK_ENDED): (State.ENDED, Tell.NOBODY),
        (State.ANSWERED, Event.ACK): (State.RECORDING, Tell.NOBODY),
        # A BYE may overtake the ACK (RFC 3261, section 15.1.2).
        (State.ANSWERED, Event.BYE): (State.ENDED, Tell.DESK),
        (State.ANSWERED, Event.LOST): (State.ENDED, Tell.DESK),
        # "MUST NOT send a BYE … until it has received an ACK" (section 15).
        (State.ANSWERED, Event.DESK_ENDED): (State.OWED, Tell.NOBODY),
        (State.OWED, Event.ACK): (State.ENDED, Tell.PEER),
        (State.OWED, Event.BYE): (State.ENDED, Tell.NOBODY),
        (State.OWED, Event.LOST): (State.ENDED, Tell.NOBODY),
        # Of a re-INVITE.
        (State.RECORDING, Event.ACK): (State.RECORDING, Tell.NOBODY),
        (State.RECORDING, Event.BYE): (State.ENDED, Tell.DESK),
        (State.RECORDING, Event.LOST): (State.ENDED, Tell.DESK),
        (State.RECORDING, Event.DESK_ENDED): (State.ENDED, Tell.PEER),
    }
)


@dataclass(slots=True, kw_only=True)
class Call:
    """One call; lives on one event loop."""

    key: CallKey
    device: Device
    state: State = State.OPENING
    recording_id: RecordingId | None = None
    dialog: Dialog | None = None
    metadata: RecordingMetadata | None = None
    "As the documents that came so far add up; None while none could be read."
    flaw: str = field(default="", compare=False)
    "What the log said last of metadata that could not be read: once is enough."
    labels: tuple[str, ...] = ()
    "Names of the media sections of the last offer, in order."
    facts: CallFacts | None = None
    "What the desk was told of the call last; None after our own death."
    offered: bool = False
    "We have offered (a re-INVITE had no SDP), and the ACK brings the answer."
    kept: bytes = field(default=b"", compare=False, repr=False)
    "What the desk keeps of it now."
    _written: str = field(default="null", compare=False, repr=False)
    "`metadata` as JSON."

    @property
    def runs(self) -> bool:
        """Whether requests of its peer still change something."""
        return self.state in {State.ANSWERED, State.RECORDING}

    @property
    def is_due(self) -> bool:
        """Whether something is still to happen to it."""
        return self.state is not State.ENDED

    def step(self, event: Event) -> Tell:
        """Take *event*; return who must hear of it.

        Raises:
            RuntimeError: It cannot happen here.
        """
        if self.state is State.ENDED:
            # The desk says that it has ended what it was told to end, a BYE crosses
            # ours: both sides know.
            return Tell.NOBODY
        try:
            self.state, tell = _NEXT[self.state, event]
        except KeyError:
            raise RuntimeError(f"{event} of a call that is {self.state}") from None
        return tell

    def learn(self, octets: bytes, now_ns: int) -> str:
        """Take a metadata document; return what is wrong with it, "" for nothing.

        One that cannot be read changes nothing: what was known stays.
        """
        found, flaw = read_or_flag(octets)
        if found is not None:
            self.metadata = merged(self.metadata, found, now_ns=now_ns)
            self._written = json.dumps(asdict(self.metadata))
        return flaw

    def signalling(self) -> bytes:
        """Return what `resumed` reads."""
        metadata = self._written
        if len(metadata) > _MOST_KEPT_METADATA:
            # The page of a call has an end.  The recording keeps every document;
            # lost is only what later partial ones would be added to.
            metadata = "null"
        dialog = None if self.dialog is None else self.dialog.state().decode()
        return json.dumps(
            {
                "v": _VERSION,
                "key": self.key,
                "state": self.state,
                "dialog": dialog,
                "labels": self.labels,
                "metadata": metadata,
            }
        ).encode()

    @classmethod
    def resumed(cls, kept: KeptSession) -> Self:
        """Make the call of *kept* again.

        Its dialog is None if its 2xx had not been made: the peer knows nothing.

        Raises:
            InvalidInputError: It was not kept by this version.
        """
        try:
            said = json.loads(kept.signalling)
            if said["v"] != _VERSION:
                raise InvalidInputError("signalling of another version")
            call_id, tag = said["key"]
            dialog = said["dialog"]
            return cls(
                key=(str(call_id), str(tag)),
                device=kept.device,
                state=State(said["state"]),
                recording_id=kept.recording_id,
                dialog=None if dialog is None else Dialog.resumed(dialog.encode()),
                labels=tuple(map(str, said["labels"])),
                metadata=_metadata(json.loads(said["metadata"])),
                _written=said["metadata"],
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidInputError("not the signalling of a call") from None


def _metadata(said: dict[str, Any] | None) -> RecordingMetadata | None:
    """Return what `dataclasses.asdict` took apart."""
    if said is None:
        return None
    return RecordingMetadata(
        mode=Mode(said["mode"]),
        parties=tuple(Party(**_tuples(each)) for each in said["parties"]),
        streams=tuple(MetadataStream(**each) for each in said["streams"]),
        sessions=tuple(CommunicationSession(**each) for each in said["sessions"]),
        groups=tuple(said["groups"]),
        extensions=tuple(Extension(**_tuples(each)) for each in said["extensions"]),
        remarks=tuple(said["remarks"]),
    )


def _tuples(said: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
