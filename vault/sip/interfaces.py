"""What crosses the doorway of the SIP room: peers, requests, and who answers them.

The room does RFC 3261 below the application: octets to messages, transactions,
dialogs, timers, transports.  An `Application` decides what a request means; it sees
each request once, however often the peer sent it.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

from vault.sip.dialogs import Dialog
from vault.sip.messages import Request, Response
from vault.sip.peers import Peer, Transport

__all__ = ["Application", "Incoming", "Peer", "Transport", "WhyLost"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Incoming:
    """One request, new to us: no two are equal, however much alike."""

    request: Request
    peer: Peer
    dialog: Dialog | None = None
    "The confirmed or early dialog that it belongs to; None outside of one."


@unique
class WhyLost(StrEnum):
    """Why a dialog is over without a BYE of its peer."""

    NO_ACK = "no-ack"
    "Our 2xx was never acknowledged (64 times T1)."
    EXPIRED = "expired"
    "Its session timer ran out (RFC 4028)."
    CANCELLED = "cancelled"
    "A CANCEL met an INVITE that was answered 2xx at that moment."


class Application(Protocol):
    """What requests mean.  Every coroutine may take as long as it likes."""

    def admit(self, incoming: Incoming) -> Response | None:
        """Decide in microseconds if a request is looked at; else how it is refused.

        Called once for each request but ACK and what the room refuses by itself, never
        for a copy, and before anything is kept for it; *incoming* is the same
        (``is``) that `answer` gets, if it gets any.
        """
        ...

    async def answer(self, incoming: Incoming) -> Response:
        """Return the final response of a request (not ACK, CANCEL, PRACK).

        A 2xx to an INVITE outside a dialog makes one; ``Contact``, To tag and
        ``Record-Route`` are added by the room.  It MUST NOT raise; an exception is
        a bug, and the peer gets 500.
        """
        ...

    def confirmed(self, dialog: Dialog, body: bytes) -> None:
        """A 2xx to an INVITE was acknowledged; *body* is that of the ACK.

        Nobody is admitted for it: it is empty unless the ACK came from the place
        (`Peer.place`) of the last request in the dialog that was answered 2xx.
        """
        ...

    def lost(self, dialog: Dialog, why: WhyLost) -> None:
        """The dialog is over; the room has sent BYE where one is due."""
        ...

    def changed(self, dialog: Dialog) -> None:
        """Something of `Dialog.state()` has changed: worth keeping."""
        ...
