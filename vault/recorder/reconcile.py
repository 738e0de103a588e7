"""Our ledger against a PBX's call detail records: what is missing on either side.

A record and a session are the same call where the PBX's id says so.  Where it says
nothing, they are if they began at about the same time and their numbers agree.

Guarantees: each record and each session is in at most one pair; every record and
every session of the compared time is in the result, once.

Left to others: reading the records (`vault.recorder.detail_records`), opening the
sealed facts of a session, which leaves a leaf (the warden).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vault.core.ids import RecordingId
from vault.recorder.detail_records import DetailRecord
from vault.recorder.ledger import Entry

_NOT_DIGIT: Final = re.compile(r"[^0-9]")
_SAME_DIGITS: Final = 6
"Trailing digits that make two spellings one number: +49 30 1234567, 0301234567."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A session, with as much of its sealed facts as could be opened."""

    entry: Entry
    pbx_id: str = ""
    start_s: float | None = None
    "Since the epoch; None while it is sealed and not opened."
    duration_s: float | None = None
    caller: str = ""
    callee: str = ""

    def __repr__(self) -> str:
        return f"<Known {self.entry.recording_id}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far apart two accounts of one call may be."""

    duration_s: float = 5.0
    start_s: float = 120.0
    "Also how far apart calls without a common id may begin."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One call that both sides know."""

    record: DetailRecord
    known: Known
    by: str
    "``id`` or ``time``."
    differences: tuple[str, ...]
    "``duration`` or ``start``, where they are further apart than tolerated."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The result."""

    pairs: tuple[Pair, ...]
    not_recorded: tuple[DetailRecord, ...]
    "Calls of the PBX that we know nothing of."
    not_in_records: tuple[Known, ...]
    "Sessions that the PBX has no record of."
    unopened: tuple[Known, ...]
    "Sessions whose facts cannot be read yet: they may be any of `not_recorded`."

    @property
    def complete(self) -> bool:
        """Whether nothing is missing on either side."""
        return not self.not_recorded and not self.not_in_records


def reconcile(
    records: Sequence[DetailRecord], sessions: Sequence[Known], tolerance: Tolerance
) -> Reconciled:
    """Compare *records* with *sessions* of about the same time."""
    free = {one.entry.recording_id: one for one in sessions}
    pairs: list[Pair] = []
    # 1. By the PBX's own id.  One id may name several legs: the nearest in time.
    by_id: dict[str, list[Known]] = defaultdict(list)
    for one in sessions:
        if one.pbx_id:
            by_id[one.pbx_id.casefold()].append(one)
    rest: list[DetailRecord] = []
    for record in records:
        named = by_id.get(record.id.casefold(), []) if record.id else []
        _pair(record, (one for one in named), free, pairs, rest, "id", tolerance)
    # 2. By time and numbers, among what is left.
    missing: list[DetailRecord] = []
    nearby = _Nearby(free.values(), tolerance.start_s)
    for record in rest:
        alike = (one for one in nearby.of(record) if _alike(record, one))
        _pair(record, alike, free, pairs, missing, "time", tolerance)
    paired_ids = {pair.known.pbx_id.casefold() for pair in pairs if pair.by == "id"}
    left = [
        # A further leg of a call that the PBX has one record of is not missing there.
        one
        for one in free.values()
        if not (one.pbx_id and one.pbx_id.casefold() in paired_ids)
    ]
    first_s, last_s = _span(records, tolerance.start_s)
    return Reconciled(
        pairs=tuple(pairs),
        not_recorded=tuple(missing),
        not_in_records=tuple(
            one for one in left if one.start_s and first_s <= one.start_s <= last_s
        ),
        unopened=tuple(one for one in left if one.start_s is None),
    )


def _pair(
    record: DetailRecord,
    candidates: Iterable[Known],
    free: dict[RecordingId, Known],
    pairs: list[Pair],
    rest: list[DetailRecord],
    by: str,
    tolerance: Tolerance,
) -> None:
    """Pair *record* with the nearest free candidate, or put it to the *rest*."""
    still = [one for one in candidates if one.entry.recording_id in free]
    if not still:
        rest.append(record)
        return
    found = min(still, key=lambda one: _apart_s(record, one))
    del free[found.entry.recording_id]
    pairs.append(
        Pair(
            record=record,
            known=found,
            by=by,
            differences=tuple(_differences(record, found, tolerance)),
        )
    )


class _Nearby:
    """Sessions by the time of their start."""

    def __init__(self, sessions: Iterable[Known], window_s: float) -> None:
        self._window_s = max(1.0, window_s)
        self._slots: dict[int, list[Known]] = defaultdict(list)
        for one in sessions:
            if one.start_s is not None:
                self._slots[int(one.start_s // self._window_s)].append(one)

    def of(self, record: DetailRecord) -> Iterable[Known]:
        """Yield what began within the window around *record*."""
        if record.start_s is None:
            return
        slot = int(record.start_s // self._window_s)
        for near in (slot - 1, slot, slot + 1):
            for one in self._slots.get(near, ()):
                if _apart_s(record, one) <= self._window_s:
                    yield one


def _alike(record: DetailRecord, known: Known) -> bool:
    """Return whether a number agrees and none contradicts."""
    if record.id and known.pbx_id:
        return False  # each has an id, and they are not the same
    agreed = False
    for theirs, ours in (
        (record.caller, known.caller),
        (record.callee, known.callee),
    ):
        if theirs and ours:
            if not _same_number(theirs, ours):
                return False
            agreed = True
    return agreed


def _same_number(one: str, other: str) -> bool:
    if one.casefold() == other.casefold():
        return True
    first, second = _NOT_DIGIT.sub("", one), _NOT_DIGIT.sub("", other)
    # A trunk's zero and a country's code are spelled by one side only.
    first, second = first.lstrip("0"), second.lstrip("0")
    if min(len(first), len(second)) < _SAME_DIGITS:
        return bool(first) and first == second
    return first.endswith(second) or second.endswith(first)


def _apart_s(record: DetailRecord, known: Known) -> float:
    if record.start_s is None or known.start_s is None:
        return 0.0
    return abs(record.start_s - known.start_s)


def _differences(
    record: DetailRecord, known: Known, tolerance: Tolerance
) -> Iterable[str]:
    if _apart_s(record, known) > tolerance.start_s:
        yield "start"
    if (
        record.duration_s is not None
        and known.duration_s is not None
        and abs(record.duration_s - known.duration_s) > tolerance.duration_s
    ):
        yield "duration"


def _span(records: Sequence[DetailRecord], around_s: float) -> tuple[float, float]:
    starts = [one.start_s for one in records if one.start_s is not None]
    if not starts:
        return float("-inf"), float("inf")
    return min(starts) - around_s, max(starts) + around_s
