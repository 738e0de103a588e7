"""One server transaction: its states, what moves it on, and what it holds.

`vault.sip.transactions` draws the diagram and does the moving.

Spec: RFC 3261, section 17.2; RFC 6026, section 7.1.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto, unique
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from vault.sip.matching import DialogId, TransactionKey
from vault.sip.messages import Request
from vault.sip.peers import Outgoing, Peer
from vault.sip.timing import T1_S


@unique
class State(Enum):
    """Where a transaction stands; the first five are those of INVITE."""

    PROCEEDING = auto()
    ACCEPTED = auto()
    ACKNOWLEDGED = auto()
    REFUSED = auto()
    CONFIRMED = auto()
    TRYING = auto()
    ANSWERED = auto()


@unique
class Event(Enum):
    """What moves it on."""

    SUCCESS = auto()
    REFUSAL = auto()
    ACK = auto()
    OVER = auto()
    "Nobody waits for the ACK any more: its time or its dialog is over."


NEXT: Final = MappingProxyType(
    {
        (State.PROCEEDING, Event.SUCCESS): State.ACCEPTED,
        (State.PROCEEDING, Event.REFUSAL): State.REFUSED,
        (State.ACCEPTED, Event.ACK): State.ACKNOWLEDGED,
        (State.ACCEPTED, Event.OVER): State.ACKNOWLEDGED,
        (State.REFUSED, Event.ACK): State.CONFIRMED,
        (State.REFUSED, Event.OVER): State.CONFIRMED,
        (State.TRYING, Event.SUCCESS): State.ANSWERED,
        (State.TRYING, Event.REFUSAL): State.ANSWERED,
    }
)
"Whatever is not here changes nothing: a second answer, a second ACK."

OPEN: Final = frozenset({State.PROCEEDING, State.TRYING})
FINISHED: Final = frozenset({State.ACKNOWLEDGED, State.CONFIRMED, State.ANSWERED})
MADE: Final = frozenset({State.PROCEEDING, State.ACCEPTED, State.ACKNOWLEDGED})
"An INVITE in one of these may have made a session: a second way to it is a loop."


@dataclass(slots=True, eq=False)
class Transaction:
    """A request, for as long as copies of it may come."""

    key: TransactionKey
    peer: Peer
    "Of the newest copy: a sender behind NAT may have changed its port."
    state: State
    from_tag: str
    to_tag: str
    in_dialog: bool
    request: Request | None
    "An INVITE's, until it is answered."
    last: bytes = b""
    interval_s: float = T1_S
    resend_s: float = math.inf
    ends_s: float = math.inf

    @property
    def dialog(self) -> DialogId:
        """The dialog that its 2xx makes, or is said in."""
        return DialogId(self.key.call_id, self.to_tag, self.from_tag)

    @property
    def ack(self) -> "AckId":
        """What an ACK of its 2xx names."""
        return (self.key.call_id, self.from_tag, self.key.cseq)

    def again(self) -> tuple[Outgoing, ...]:
        """Return the answer once more; nothing while there is none."""
        return (Outgoing(message=self.last, peer=self.peer),) if self.last else ()


AckId: TypeAlias = tuple[str, str, int]
"Call-ID, From tag and CSeq: what an ACK shares with its INVITE, and both with a loop."

Name = TypeVar("Name", DialogId, AckId)
