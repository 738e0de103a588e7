"""Whether the parties of a running call are heard: alarms, and their ends.

    silent     no stream that should speak had an authentic packet for a while
    one-way    one audio stream had none, while another one has

A stream on hold is not expected to speak, nor is any stream of a paused call.  A PBX
that suppresses silence sends nothing while nobody speaks, so the second alarm waits
longer than the first.

Guarantees: each alarm is told once when it begins and once when it ends; packets that
nobody could authenticate silence no alarm.

Left to others: counting packets (`vault.tap`), saying it (`vault.recorder.watch`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from vault.tap.orders import StreamCounters

WHOLE_CALL: Final = -1
"In place of a stream's number: the alarm is about all of them."


@unique
class Alarm(StrEnum):
    """What can be wrong with a running call."""

    SILENT = "silent"
    ONE_WAY = "one-way"
    KEY_SPENT = "key-spent"
    "More packets than the lifetime of a key; it has no end."


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a party may say nothing, in seconds; 0 turns an alarm off."""

    silent_s: float
    one_way_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An alarm that began or ended."""

    alarm: Alarm
    stream: int
    "Number of the stream, or `WHOLE_CALL`."
    begins: bool
    quiet_s: float
    "For how long nothing was heard, at its beginning."


@dataclass(slots=True, kw_only=True)
class _Ear:
    authentic: int
    heard_s: float


class Hearing:
    """What was heard of one call."""

    def __init__(self) -> None:
        self._ears: dict[int, _Ear] = {}
        self._standing: set[tuple[Alarm, int]] = set()

    @property
    def alarms(self) -> frozenset[tuple[Alarm, int]]:
        """Alarms that stand now, each with its stream."""
        return frozenset(self._standing)

    def look(
        self,
        counters: Sequence[StreamCounters],
        expected: Collection[int],
        patience: Patience,
        *,
        now_s: float,
    ) -> tuple[Turn, ...]:
        """Take in the counters of a call; return which alarms begin and end.

        Args:
            counters: Of every stream.
            expected: Numbers of the streams that should speak now.
            patience: How long they need not.
            now_s: Second of the monotonic clock.
        """
        for one in counters:
            ear = self._ears.setdefault(one.index, _Ear(authentic=0, heard_s=now_s))
            if one.authentic != ear.authentic or one.index not in expected:
                ear.authentic, ear.heard_s = one.authentic, now_s
        quiet = {
            one.index: now_s - self._ears[one.index].heard_s
            for one in counters
            if one.index in expected
        }
        audio = [one.index for one in counters if one.media == "audio"]
        found = set(_alarms(quiet, audio, patience))
        return tuple(self._turns(found, quiet))

    def _turns(
        self, found: set[tuple[Alarm, int]], quiet: dict[int, float]
    ) -> Iterator[Turn]:
        before, self._standing = self._standing, found
        for alarm, stream in sorted(found ^ before):
            spoken = quiet.get(stream, min(quiet.values(), default=0.0))
            yield Turn(
                alarm=alarm,
                stream=stream,
                begins=(alarm, stream) in found,
                quiet_s=spoken,
            )


def _alarms(
    quiet: dict[int, float], audio: Iterable[int], patience: Patience
) -> Iterator[tuple[Alarm, int]]:
    if quiet and 0 < patience.silent_s <= min(quiet.values()):
        yield Alarm.SILENT, WHOLE_CALL
        return
    parties = [index for index in audio if index in quiet]
    for index in parties:
        others = [quiet[each] for each in parties if each != index]
        is_heard = bool(others) and min(others) < patience.one_way_s
        if is_heard and quiet[index] >= patience.one_way_s:
            yield Alarm.ONE_WAY, index
