"""What was listened to, summed up: one leaf for each listening session.

The leaf of the key comes before the first octet and is what promise 6 rests on.
This one says afterwards how much was taken with it, in octets and in minutes, and is
best effort: a process that is killed loses it.

Guarantees:
    * Spans are merged, so that a player's hundred ranges make one line.
    * What the trail could not take is kept for the next attempt, up to a limit.
    * One rendition, one line: octets of two formats are never added up.

Left to others: when a session is over (`vault.playback.service`), which moment an
octet belongs to (`vault.playback.timing`).

Spec: docs/adr/0029-what-was-heard.md
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from vault.audit.entry import Action, Draft
from vault.core.flow import Grant, MediaPart
from vault.core.ids import GrantId
from vault.core.ranges import ByteRange
from vault.playback.timing import Timing

_MAX_TEXT: Final = 128
"Characters that a detail of the trail may have."
_MS: Final = 1000
_MINUTE_S, _HOUR_S = 60, 3600
_MOST_UNWRITTEN: Final = 1000

Spans = list[tuple[int, int]]


@dataclass(slots=True, kw_only=True)
class _Session:
    grant: Grant
    object: str
    timing: Timing | None
    last_ns: int
    spans: Spans = field(default_factory=list)


class PlayLedger:
    """Spans handed out, by grant and object; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[tuple[GrantId, str], _Session] = {}
        self._unwritten: deque[Draft] = deque(maxlen=_MOST_UNWRITTEN)

    def note(
        self,
        grant: Grant,
        span: ByteRange,
        *,
        now_ns: int,
        name: str = "",
        timing: Callable[[], Timing | None] = lambda: None,
    ) -> None:
        """Write down that *span* was handed out under *grant*.

        Args:
            grant: Under which.
            span: Of which octets.
            now_ns: When, in nanoseconds.
            name: Of which object; empty for the parts of a capture, one behind another.
            timing: Which moments its octets are; asked once for each session.
        """
        key = grant.id, name
        with self._lock:
            known = key in self._sessions
        # Without the lock: it reads from the store.  Two at once read the same.
        times = None if known else timing()
        with self._lock:
            session = self._sessions.setdefault(
                key, _Session(grant=grant, object=name, timing=times, last_ns=now_ns)
            )
            session.last_ns = now_ns
            session.spans = _merged([*session.spans, (span.start, span.stop)])

    def take_idle(self, *, before_ns: int) -> list[Draft]:
        """Remove the sessions that were last used before *before_ns*."""
        return self._take(lambda session: session.last_ns < before_ns)

    def take_of(self, credential: str) -> list[Draft]:
        """Remove what was heard with one credential: somebody signs out."""
        return self._take(lambda session: session.grant.caller.session == credential)

    def take(self, grant_id: GrantId) -> list[Draft]:
        """Remove one grant; an empty list where nothing was handed out."""
        return self._take(lambda session: session.grant.id == grant_id)

    def keep(self, drafts: list[Draft]) -> None:
        """Keep what could not be written; beyond a thousand the oldest are lost."""
        with self._lock:
            self._unwritten.extend(drafts)

    def take_unwritten(self) -> list[Draft]:
        """Remove what waits for another attempt."""
        with self._lock:
            drafts = list(self._unwritten)
            self._unwritten.clear()
        return drafts

    @property
    def empty(self) -> bool:
        """Whether there is nothing to sum up and nothing to write."""
        return not self._sessions and not self._unwritten

    def _take(self, over: Callable[[_Session], bool]) -> list[Draft]:
        with self._lock:
            keys = [key for key, each in self._sessions.items() if over(each)]
            return [_draft(self._sessions.pop(key)) for key in keys]


def _draft(session: _Session) -> Draft:
    grant = session.grant
    # The capture is no listening: it leaves the player's reach.
    exported = grant.part is MediaPart.CAPTURE
    detail: dict[str, str | int] = {
        "grant": grant.id,
        "part": str(grant.part),
        "bytes": sum(stop - start for start, stop in session.spans),
        "ranges": _fitting(session.spans, _octets),
    }
    if session.object:
        detail["object"] = session.object
    if heard := _heard(session):
        detail["heard"] = _fitting(heard, _clock)
    return Draft(
        action=Action.RECORDING_EXPORTED if exported else Action.RECORDING_PLAYED,
        caller=grant.caller,
        recording=grant.recording_id,
        right=grant.right,
        detail=detail,
    )


def _heard(session: _Session) -> Spans:
    """Return whole seconds, begun ones among them."""
    if session.timing is None:
        return []
    times = [session.timing.span_ms(start, stop) for start, stop in session.spans]
    return _merged([(ms[0] // _MS, -(-ms[1] // _MS)) for ms in times if ms is not None])


def _merged(spans: Spans) -> Spans:
    merged: Spans = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _fitting(spans: Spans, worded: Callable[[int, int], str]) -> str:
    """Return spans in words; the nearest are joined until they fit."""
    spans = list(spans)
    while True:
        text = ",".join(worded(start, stop) for start, stop in spans)
        if len(text) <= _MAX_TEXT:
            return text
        gaps = [right[0] - left[1] for left, right in pairwise(spans)]
        at = gaps.index(min(gaps))
        spans[at : at + 2] = [(spans[at][0], spans[at + 1][1])]


def _octets(start: int, stop: int) -> str:
    return f"{start}-{stop - 1}"


def _clock(start_s: int, stop_s: int) -> str:
    return f"{_moment(start_s)}-{_moment(stop_s)}"


def _moment(seconds: int) -> str:
    """Return 3723 as ``1:02:03`` and 75 as ``1:15``."""
    minutes, left = divmod(seconds, _MINUTE_S)
    hours, minutes = divmod(minutes, _HOUR_S // _MINUTE_S)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
