"""What a call left out on purpose: its pauses, and the holds of its streams.

Guarantees: a span that nobody ended ends with the call, or where a part begins anew
and does not say that it goes on; reading takes any order of events.

Left to others: the events themselves (`vault.tap.capture`).

Spec: docs/reference/formats/capture.md; docs/reference/formats/quality.md
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vault.core.canonical import JsonValue
from vault.core.clock import NS_PER_S
from vault.tap.capture import WHOLE_CALL, Event

_BEGINS: Final = MappingProxyType({Event.PAUSE: "pause", Event.HOLD: "hold"})
_ENDS: Final = frozenset({Event.RESUME, Event.UNHOLD})
_CLOSES: Final = frozenset({Event.GAP, Event.END})
_LISTED: Final = 200
_MS: Final = NS_PER_S // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A stretch of which nothing was captured."""

    what: str
    "``pause`` or ``hold``."
    stream: int
    "Whose hold; `WHOLE_CALL` for a pause."
    first_ns: int
    last_ns: int


class Pauses:
    """Collects them while a capture is read."""

    def __init__(self) -> None:
        self.spans: list[LeftOut] = []
        "In the order in which they ended."
        self._open: dict[int, tuple[str, int]] = {}
        self._at_the_end: frozenset[int] = frozenset()
        self._ended_ns = 0

    def note(self, event: str, stream: int, at_ns: int) -> None:
        """Take an event of the capture, whichever it is."""
        if event in _BEGINS:
            # Each part says again what goes on: it began with the first.
            self._open.setdefault(stream, (_BEGINS[Event(event)], at_ns))
        elif event in _ENDS:
            self._close(stream, at_ns)
        elif event in _CLOSES:
            if event == Event.END:
                self._at_the_end, self._ended_ns = frozenset(self._open), at_ns
            for each in list(self._open):
                self._close(each, at_ns)

    def silent_until_ns(self, audio: Collection[int]) -> int:
        """Return when the call ended, if it was silent on purpose then; else 0.

        Args:
            audio: Numbers of the streams that would be heard.
        """
        held = bool(audio) and self._at_the_end.issuperset(audio)
        return self._ended_ns if held or WHOLE_CALL in self._at_the_end else 0

    def _close(self, stream: int, at_ns: int) -> None:
        begun = self._open.pop(stream, None)
        if begun is not None:
            what, first_ns = begun
            self.spans.append(
                LeftOut(
                    what=what,
                    stream=stream,
                    first_ns=first_ns,
                    last_ns=max(at_ns, first_ns),
                )
            )


def listed(spans: Sequence[LeftOut], *, origin_ns: int) -> list[JsonValue]:
    """Return *spans* as a certificate lists them, in ms of the timeline."""
    return [
        {
            "event": one.what,
            "stream": None if one.stream == WHOLE_CALL else one.stream,
            "start_ms": (one.first_ns - origin_ns) // _MS,
            "length_ms": (one.last_ns - one.first_ns) // _MS,
        }
        for one in sorted(spans, key=lambda one: one.first_ns)[:_LISTED]
    ]
