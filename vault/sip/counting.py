"""What the SIP room counts, as numbers that a metrics page can show.

Guarantees: label values are words of ours, never of a peer; a snapshot is a value
that no later message changes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

METHODS: Final = frozenset(
    {
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "OPTIONS", "PRACK", "UPDATE"),
        *("MESSAGE", "NOTIFY", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE"),
    }
)
"Methods with a counter of their own; any other is counted as ``other``."


@unique
class Refusal(StrEnum):
    """Why octets or connections were dropped without an application seeing them."""

    BUDGET = "budget"
    "Its address sent more than it may."
    MALFORMED = "malformed"
    "Not SIP, or not enough of it to answer."
    FRAMING = "framing"
    "A stream whose messages have no certain end; it was closed."
    CONNECTIONS = "connections"
    "One connection too many, in all or from its address."
    HANDSHAKE = "handshake"
    "TLS that failed, or took too long."
    CERTIFICATE = "certificate"
    "A client certificate that we don't take."
    SLOW_SENDER = "slow-sender"
    "A message that did not end in time."
    SLOW_READER = "slow-reader"
    "Answers that were not taken in time."
    MEMORY = "memory"
    "Begun messages of all connections together exceeded their budget."
    IDLE = "idle"
    "A connection that nobody used."
    UNSENT = "unsent"
    "An answer that could not be sent."
    STRAY = "stray"
    "A response that nothing of ours asked for."
    OVERLOAD = "overload"
    "More requests at the same time than may be."


@dataclass(frozen=True, slots=True, kw_only=True)
class SipCounts:
    """Counters since the start, and gauges of now."""

    requests: Mapping[str, int]
    "Received, by method; retransmissions count."
    responses: Mapping[int, int]
    "Sent, by status; retransmissions count."
    refused: Mapping[Refusal, int]
    "Dropped, by cause."
    retransmissions: int
    "Requests received again."
    connections: int
    "TCP and TLS connections now."
    dialogs: int
    "Dialogs now."
    transactions: int
    "Server transactions now."
    cut_off: int
    "Addresses that are not listened to now."


class Tally:
    """The counters themselves; one event loop writes and reads them."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._responses: Counter[int] = Counter()
        self._refused: Counter[Refusal] = Counter()
        self._retransmissions = 0

    def request(self, method: str) -> None:
        """Count a request."""
        self._requests[method if method in METHODS else "other"] += 1

    def response(self, status: int) -> None:
        """Count a response that was sent."""
        self._responses[status] += 1

    def refused(self, why: Refusal, count: int = 1) -> None:
        """Count what was dropped."""
        self._refused[why] += count

    def retransmission(self) -> None:
        """Count a request that came again."""
        self._retransmissions += 1

    def snapshot(
        self, *, connections: int, dialogs: int, transactions: int, cut_off: int
    ) -> SipCounts:
        """Return the counters with the gauges that the caller knows."""
        return SipCounts(
            requests=MappingProxyType(dict(self._requests)),
            responses=MappingProxyType(dict(self._responses)),
            refused=MappingProxyType(dict(self._refused)),
            retransmissions=self._retransmissions,
            connections=connections,
            dialogs=dialogs,
            transactions=transactions,
            cut_off=cut_off,
        )
