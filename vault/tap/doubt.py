"""Packets in doubt: authentic perhaps, under a rollover counter we do not know.

SRTP's rollover counter is in no packet.  A receiver that joins late, lost the one
packet before a rollover, or lost half a number space of packets refuses everything
that follows, for ever.  So what fails is kept for a moment; when several packets of
one SSRC have failed, likely counters are tried on one of them, and where one is right
the session is led there and takes all of them.  A new key is tried on what is kept,
too: media under it may be faster than the re-offer that brings it.

What a flood can make us do is bounded: `MOST_PACKETS` and `MOST_OCTETS` are kept per
stream, for `HELD_S`; a stream is tried again only after twice the time as before, up
to `_LONGEST_WAIT_S`; all streams of a worker share one number of candidates per tick.

Guarantees: nothing here believes a packet, and none is kept for longer.

Left to others: trying and taking (`vault.tap.trials`).

Spec: RFC 3711, section 3.3.1.
"""

import random
from dataclasses import dataclass
from typing import Final

from vault.tap.orders import Rejection
from vault.tap.rtp import RTCP_SECOND_OCTETS

MOST_PACKETS: Final = 64
"Per stream: more than a second of audio."
MOST_OCTETS: Final = 32 * 1024
HELD_S: Final = 2.0
_MOST_REPORTS: Final = 4
_FEW: Final = 3
"Packets of one SSRC that must fail first: one alone is garbage, as a rule."
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 1.6
_CANDIDATES: Final = (16, 128, 1024)
"Per try: the likely ones at once, two weeks of a call in the third."


@dataclass(slots=True, kw_only=True)
class Doubted:
    """One packet that failed."""

    arrival: bytes
    "When it arrived, as its record says it."
    packet: bytes
    "Verbatim."
    reason: Rejection
    since_s: float
    was_capturing: bool
    "Whether the call captured when it arrived."
    keep: bool
    "Whether to keep it verbatim if it stays unauthenticated."
    triable: bool
    "Whether an unknown rollover counter may be why it failed."
    is_foreign: bool = False
    "Whether it came from elsewhere than the media of the stream."
    failed: Rejection | None = None
    "Why it failed, where *reason* says no more than that it is foreign."

    @property
    def seq(self) -> int:
        """Sequence number on the wire."""
        return int.from_bytes(self.packet[2:4], "big")

    @property
    def is_rtcp(self) -> bool:
        """Whether it is a report, which has no rollover counter."""
        return self.packet[1] in RTCP_SECOND_OCTETS

    @property
    def ssrc(self) -> int:
        """As it claims; of no SSRC if it is a report."""
        if self.is_rtcp:
            return -1
        return int.from_bytes(self.packet[8:12], "big")


class Doubt:
    """The packets in doubt of one stream, oldest first."""

    __slots__ = ("_next_s", "_octets", "_tries", "packets")

    def __init__(self) -> None:
        # A list: an empty queue of the other kind takes 700 octets, per stream.
        self.packets: list[Doubted] = []
        self._octets = 0
        self._next_s = 0.0
        self._tries = 0

    def add(self, one: Doubted) -> list[Doubted]:
        """Keep a packet; return those that have to go for it."""
        self.packets.append(one)
        self._octets += len(one.packet)
        gone = []
        while len(self.packets) > MOST_PACKETS or self._octets > MOST_OCTETS:
            gone.append(self._oldest())
        return gone

    def has_room_for_rtcp(self) -> bool:
        """Whether few reports are held: a flood of them must not drive out media."""
        return sum(one.is_rtcp for one in self.packets) < _MOST_REPORTS

    def expired(self, now_s: float) -> list[Doubted]:
        """Take out what was held long enough."""
        gone = []
        while self.packets and self.packets[0].since_s <= now_s - HELD_S:
            gone.append(self._oldest())
        return gone

    def _oldest(self) -> Doubted:
        one = self.packets.pop(0)
        self._octets -= len(one.packet)
        return one

    def take(self, ssrc: int | None = None) -> list[Doubted]:
        """Take out the packets of one SSRC, or all."""
        taken = [one for one in self.packets if ssrc is None or one.ssrc == ssrc]
        left = [one for one in self.packets if ssrc is not None and one.ssrc != ssrc]
        self.packets = left
        self._octets = sum(len(one.packet) for one in left)
        return taken

    def next_try(self, now_s: float, budget: int) -> tuple[Doubted, int] | None:
        """Choose a packet to try, and how many counters; None if it is not time.

        Args:
            now_s: By the sweep's clock.
            budget: Counters that may still be tried in this tick.
        """
        most = _CANDIDATES[min(self._tries, len(_CANDIDATES) - 1)]
        if len(self.packets) < _FEW or now_s < self._next_s or most > budget:
            return None
        by_ssrc: dict[int, dict[int, Doubted]] = {}
        for one in self.packets:
            if one.triable:
                by_ssrc.setdefault(one.ssrc, {})[one.seq] = one
        suspects = [seqs for seqs in by_ssrc.values() if len(seqs) >= _FEW]
        if not suspects:
            return None
        wait_s = min(_FIRST_WAIT_S * 2**self._tries, _LONGEST_WAIT_S)
        self._next_s = now_s + wait_s
        self._tries = min(self._tries + 1, len(_CANDIDATES) + 1)
        # Forged packets may lie among the good ones: none is tried for ever.
        seqs = random.choice(suspects)  # noqa: S311 - fairness, and no secret
        return random.choice(list(seqs.values())), most  # noqa: S311 - as above

    def hurry(self) -> None:
        """Let the next try be now, and with more than the likely counters."""
        self._tries, self._next_s = 1, 0.0

    def resolved(self) -> None:
        """Begin with the likely counters again."""
        self._tries, self._next_s = 0, 0.0
