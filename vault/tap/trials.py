"""Resolving doubt: likely rollover counters are tried, a few per tick.

Guarantees: a session is led forward only, never back: an old packet that somebody
sends again cannot make it forget what it has received.  However many streams are
flooded, one tick tries `CANDIDATES_PER_TICK` counters at most.

Left to others: which packets are in doubt (`vault.tap.intake`, `vault.tap.doubt`),
the cryptography (`vault.tap.rollover`).

Spec: RFC 3711, section 3.3.1.
"""

from typing import Final

from vault.tap.calls import Stream
from vault.tap.doubt import Doubted
from vault.tap.intake import Intake
from vault.tap.refusals import Refusals
from vault.tap.rollover import find_rollover, join, likely_rollovers
from vault.tap.touched import Touched

CANDIDATES_PER_TICK: Final = 1024
"Some four milliseconds."


class Trials:
    """Goes through the streams in doubt, in turn."""

    def __init__(self, intake: Intake, refusals: Refusals, touched: Touched) -> None:
        self._intake = intake
        self._refusals = refusals
        self._touched = touched

    def run(self, now_s: float) -> None:
        """Try what is due, and give up what was held long enough."""
        budget = CANDIDATES_PER_TICK
        streams = self._touched.doubting
        # In turn: those that were tried last come last in the next tick.
        waiting: list[Stream] = []
        tried: list[Stream] = []
        for stream in streams:
            chosen = stream.doubt.next_try(now_s, budget)
            if chosen is not None:
                budget -= chosen[1]
                self._try(stream, *chosen, now_s)
            for one in stream.doubt.expired(now_s):
                self._refusals.keep(stream, one, now_s)
            if stream.doubt.packets:
                (waiting if chosen is None else tried).append(stream)
        self._touched.doubting = waiting + tried

    def rekeyed(self, stream: Stream, now_s: float) -> None:
        """Try a new key on what the old one did not fit."""
        for one in stream.doubt.take():
            if not self._intake.retake(stream, one, now_s):
                one.triable = stream.session.can_trial and not one.is_rtcp
                self._refusals.doubt(stream, one, now_s)
        stream.doubt.resolved()

    def give_up(self, stream: Stream, now_s: float) -> None:
        """Resolve a stream's doubts now, after a last try: its call ends."""
        stream.doubt.hurry()
        chosen = stream.doubt.next_try(now_s, CANDIDATES_PER_TICK)
        if chosen is not None:
            self._try(stream, *chosen, now_s)
        for one in stream.doubt.take():
            self._refusals.keep(stream, one, now_s)
        if stream in self._touched.doubting:
            self._touched.doubting.remove(stream)

    def _try(self, stream: Stream, one: Doubted, most: int, now_s: float) -> None:
        session = stream.session
        tried = session.trial(one.packet)
        if tried is None:
            return
        ssrc = one.ssrc
        known = stream.known.get(ssrc)
        before = stream.count.ssrcs.tracks.get(ssrc)
        roc = find_rollover(
            session.suite,
            *tried,
            likely_rollovers(
                current=None if known is None else known.index >> 16,
                before=None if before is None else before.index >> 16,
                most=most,
            ),
            # What was authentic once may have been sent again by somebody.
            after=-1 if known is None else known.index,
        )
        if roc is None:
            return
        index = roc << 16 | one.seq
        extended = None if known is None else index + known.shift
        if not join(session, one.packet, roc):
            return
        stream.known.pop(ssrc, None)
        stream.track = None
        stream.joined[ssrc] = index, extended
        stream.doubt.resolved()
        self._touched.mark(stream)
        for packet in stream.doubt.take(ssrc):
            if not self._intake.retake(stream, packet, now_s):
                self._refusals.keep(stream, packet, now_s)
