"""What was listened to, summed up: one leaf for each listening session.

The leaf of the key comes before the first octet and is what promise 6 rests on.
This one says afterwards how much was taken with it, and is best effort: a process
that is killed loses it.

Guarantees: spans are merged, so that a player's hundred ranges make one line.

Left to others: when a session is over (`vault.playback.service`).
"""

import threading
from dataclasses import dataclass, field
from itertools import pairwise

from vault.audit.entry import Action, Draft
from vault.core.flow import Grant, MediaPart
from vault.core.ids import GrantId
from vault.core.ranges import ByteRange

_MAX_TEXT = 128
"Characters that a detail of the trail may have."


@dataclass(slots=True, kw_only=True)
class _Session:
    grant: Grant
    last_ns: int
    spans: list[tuple[int, int]] = field(default_factory=list)


class PlayLedger:
    """Spans handed out, by grant; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[GrantId, _Session] = {}

    def note(self, grant: Grant, span: ByteRange, *, now_ns: int) -> None:
        """Write down that *span* was handed out under *grant*."""
        with self._lock:
            session = self._sessions.setdefault(
                grant.id, _Session(grant=grant, last_ns=now_ns)
            )
            session.last_ns = now_ns
            session.spans = _merged([*session.spans, (span.start, span.stop)])

    def take_idle(self, *, before_ns: int) -> list[Draft]:
        """Remove the sessions that were last used before *before_ns*."""
        with self._lock:
            idle = [k for k, each in self._sessions.items() if each.last_ns < before_ns]
            return [_draft(self._sessions.pop(grant_id)) for grant_id in idle]

    @property
    def empty(self) -> bool:
        """Whether there is no session to sum up."""
        return not self._sessions

    def take(self, grant_id: GrantId) -> list[Draft]:
        """Remove one session; an empty list where nothing was handed out."""
        with self._lock:
            session = self._sessions.pop(grant_id, None)
        return [] if session is None else [_draft(session)]


def _draft(session: _Session) -> Draft:
    grant = session.grant
    # The capture is no listening: it leaves the player's reach.
    exported = grant.part is MediaPart.CAPTURE
    return Draft(
        action=Action.RECORDING_EXPORTED if exported else Action.RECORDING_PLAYED,
        caller=grant.caller,
        recording=grant.recording_id,
        right=grant.right,
        detail={
            "grant": grant.id,
            "part": str(grant.part),
            "bytes": sum(stop - start for start, stop in session.spans),
            "ranges": _text(session.spans),
        },
    )


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _text(spans: list[tuple[int, int]]) -> str:
    """Return spans as ``first-last`` octets; the nearest are joined until they fit."""
    spans = list(spans)
    while True:
        text = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
        if len(text) <= _MAX_TEXT:
            return text
        gaps = [right[0] - left[1] for left, right in pairwise(spans)]
        at = gaps.index(min(gaps))
        spans[at : at + 2] = [(spans[at][0], spans[at + 1][1])]
