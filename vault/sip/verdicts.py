"""What a request turned out to be, as `vault.sip.transactions` says it."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from vault.sip.matching import DialogId, TransactionKey
from vault.sip.peers import Outgoing


@unique
class What(StrEnum):
    """What a request turned out to be."""

    NEW = "new"
    "Hand it to the application; `ServerTransactions.answer` is due."
    REPEATED = "repeated"
    "A copy; `Verdict.send` has the same answer again, once there is one."
    ACKNOWLEDGED = "acknowledged"
    "The first ACK of a 2xx of ours; `Verdict.dialog` names the dialog."
    CANCELLED = "cancelled"
    """The INVITE `Verdict.key` is to be abandoned.  It has been answered 487 and its
    CANCEL 200 (`Verdict.send`); `answer` takes no answer for it any more."""
    REFUSED = "refused"
    "Answered here (481, 482, 503: `Verdict.send`); nobody else needs to know."
    ABSORBED = "absorbed"
    "An ACK that changes nothing, or a CANCEL that came too late."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do about a request."""

    what: What
    send: tuple[Outgoing, ...] = ()
    key: TransactionKey | None = None
    "The transaction; that of the INVITE for its ACK or CANCEL."
    to_tag: str = field(default="", repr=False)
    "NEW: the tag that answers will have: that of the request, or a fresh one of ours."
    dialog: DialogId | None = None
    "ACKNOWLEDGED: whose 2xx it was."


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverAcknowledged:
    """A 2xx of ours was repeated for 64 times T1 and nobody sent ACK."""

    key: TransactionKey
    dialog: DialogId
