"""The ledger: every session that the tap has answered, and how it ended.

It is read from two places: the catalog knows what is in the store, the spool what
is not.  A session is in one of them from before its answer on, and in both while it
is on its way.

Guarantees: every row and every folder of the spool gives one entry; none is counted
twice, and what only one side knows, where both should, says so in its reason.

Left to others: who spoke (sealed; `vault.recorder.reconcile` is handed it).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from types import MappingProxyType
from typing import Final

from vault.catalog.values import RecordingRow
from vault.core.errors import VaultError
from vault.core.flow import HowEnded, Reason, RecordingState
from vault.core.ids import RecordingId
from vault.spool.files import SessionFolder
from vault.spool.ledger import SpoolState, SpoolStatus


@unique
class End(StrEnum):
    """How a session ended, as far as it has."""

    RECORDING = "recording"
    "It runs, or its tap has died and not come back yet."
    WAITING = "waiting"
    "It has ended; not all of it is in the store."
    STORED = "stored"
    PARTIAL = "partial"
    FAILED = "failed"


NOT_IN_SPOOL: Final = "not-in-spool"
"A row that runs and no folder: another tap's, or this spool was lost."

_STORED: Final = frozenset(
    {
        RecordingState.CAPTURED,
        RecordingState.RENDERING,
        RecordingState.READY,
        RecordingState.EXPIRED,
        RecordingState.SHREDDED,
    }
)
_ENDS: Final = MappingProxyType(
    {RecordingState.PARTIAL: End.PARTIAL, RecordingState.FAILED: End.FAILED}
)
_CUT_SHORT: Final = MappingProxyType(
    {HowEnded.CUT: Reason.CUT.value, HowEnded.TIMEOUT: Reason.TIMEOUT.value}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One session."""

    recording_id: RecordingId
    day: str
    "UTC day of its start, or empty where only the store has heard of it."
    started: str
    "RFC 3339, where it is not sealed yet: in the spool; else empty."
    end: End
    reason: str
    "A slug; empty where all is well."
    bytes: int
    "Sealed octets."
    duration_s: float | None
    "Of what can be played."


def read_ledger(
    rows: Iterable[RecordingRow],
    spooled: Sequence[SpoolStatus],
    spool: Path,
    *,
    day_from: str = "",
    day_to: str = "9999",
) -> list[Entry]:
    """Return one entry for each session, oldest day first.

    Args:
        rows: Of these days.
        spooled: What lies in the spool, of any day.
        spool: Where.
        day_from: First UTC day.
        day_to: Last UTC day.
    """
    waiting = {one.recording_id: one for one in spooled}
    entries = [_entry(row, waiting.pop(row.id, None), spool) for row in rows]
    for one in waiting.values():
        entry = _spooled(one, spool)
        if day_from <= entry.day <= day_to:
            entries.append(entry)
    return sorted(entries, key=lambda one: (one.day, one.started, one.recording_id))


def _entry(row: RecordingRow, spooled: SpoolStatus | None, spool: Path) -> Entry:
    if row.state is RecordingState.RECORDING and spooled is not None:
        return _spooled(spooled, spool)
    reason = str(row.reason or "")
    if row.state is RecordingState.RECORDING:
        end, reason = End.RECORDING, NOT_IN_SPOOL
    elif row.state in _STORED:
        end = End.STORED
        reason = reason or (_CUT_SHORT.get(row.how, "") if row.how else "")
    else:
        end = _ENDS[row.state]
    return Entry(
        recording_id=row.id,
        day=row.day,
        started="",
        end=end,
        reason=reason,
        bytes=row.size_bytes,
        duration_s=None if row.duration_ms is None else row.duration_ms / 1000,
    )


def _spooled(one: SpoolStatus, spool: Path) -> Entry:
    started = ""
    try:
        folder = SessionFolder(spool / one.recording_id, one.recording_id)
        started = folder.order().started
    except VaultError:
        pass  # freed at this moment, or damaged: the tap has said so
    running = one.state is SpoolState.RECORDING
    failing = one.state is SpoolState.FAILING
    return Entry(
        recording_id=one.recording_id,
        day=started[:10],
        started=started,
        end=End.RECORDING if running else End.WAITING,
        reason="not-shipped" if failing else "",
        bytes=one.bytes,
        duration_s=None,
    )
