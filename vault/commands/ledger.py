"""``sessions``: every session the tap has answered, and a PBX's view of them.

Guarantees: the ledger itself opens nothing that is sealed.  A comparison does: the
warden writes its leaf before each page of rows is opened, and one more says that
all of it was compared.

``sessions list`` and ``sessions end`` are about people who are signed in, as they
always were (`vault.commands.people`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import typer
from rich.progress import Progress

from vault.audit.entry import Action, Draft
from vault.catalog.days import recordings_of_days
from vault.catalog.values import parse_day
from vault.commands import ledger_options as options
from vault.commands.changes import looking
from vault.commands.output import ERR, AsJson, note, show, show_json
from vault.commands.signed_in import sessions_end, sessions_list
from vault.core.errors import InvalidInputError
from vault.recorder.detail_records import (
    MAX_BYTES,
    Columns,
    CsvShape,
    DetailRecord,
    DetailRecords,
    read_records,
)
from vault.recorder.ledger import Entry, read_ledger
from vault.recorder.reconcile import Known, Pair, Reconciled, Tolerance, reconcile
from vault.sealing.metadata import SessionMetadata
from vault.serving.borrowed import borrowed_warden, operator
from vault.spool.ledger import read_status
from vault.trust.interfaces import MAX_ROWS
from vault.wiring import Installation

sessions = typer.Typer(
    invoke_without_command=True,
    help="What became of every session; and (list, end) who is signed in.",
)
sessions.command("list")(sessions_list)
sessions.command("end")(sessions_end)

_DAY_MARGIN: Final = timedelta(days=1)
"A call that began before midnight may be in the records of the next day."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Days:
    first: str | None
    last: str | None


@sessions.callback()
def sessions_ledger(
    context: typer.Context,
    *,
    since: options.Since = "",
    until: options.Until = "",
    file: options.File = None,
    column_id: options.ColumnId = "",
    column_start: options.ColumnStart = "",
    column_duration: options.ColumnDuration = "",
    column_caller: options.ColumnCaller = "",
    column_callee: options.ColumnCallee = "",
    no_header: options.NoHeader = False,
    time_format: options.TimeFormat = "",
    timezone: options.Timezone = "UTC",
    tolerance: options.Tolerance = 5.0,
    window: options.Window = 120.0,
    min_duration: options.MinDuration = 1.0,
    as_json: AsJson = False,
) -> None:
    """List every session that was answered, with its end; or compare with a PBX."""
    if context.invoked_subcommand is not None:
        return
    with looking() as installation:
        days = _Days(first=_day(since), last=_day(until))
        if file is None:
            entries = _entries(installation, days)
            show(
                [_entry_row(one) for one in entries],
                as_json=as_json,
                empty="No sessions yet.",
            )
            return
        shape = CsvShape(
            columns=Columns(
                id=column_id,
                start=column_start,
                duration=column_duration,
                caller=column_caller,
                callee=column_callee,
            ),
            zone=_zone(timezone),
            time_format=time_format,
            header=not no_header,
        )
        found = read_records(_octets(file), shape)
        allowed = Tolerance(duration_s=tolerance, start_s=window)
        records = _chosen(found.records, days, min_duration)
        result = _compared(installation, records, days, allowed)
    _show(result, found, as_json=as_json)
    if not result.complete or found.unreadable:
        raise typer.Exit(1)


def _compared(
    installation: Installation,
    records: list[DetailRecord],
    days: _Days,
    allowed: Tolerance,
) -> Reconciled:
    days = _around(records, days)
    known = _known(installation, _entries(installation, days))
    return reconcile(records, known, allowed)


# ------------------------------------------------------------------ our side


def _entries(installation: Installation, days: _Days) -> list[Entry]:
    spool = installation.settings.spool_folder
    # The spool first: what is shipped meanwhile is then found in the catalog.
    spooled = read_status(spool)
    rows = recordings_of_days(
        installation.catalog, day_from=days.first, day_to=days.last
    )
    return read_ledger(
        rows, spooled, spool, day_from=days.first or "", day_to=days.last or "9999"
    )


def _known(installation: Installation, entries: Sequence[Entry]) -> list[Known]:
    """Open the sealed facts of *entries*, as far as they are in the catalog."""
    known = []
    with (
        borrowed_warden(installation) as warden,
        Progress(console=ERR, transient=True) as bar,
    ):
        task = bar.add_task("Opening", total=len(entries))
        for at in range(0, len(entries), MAX_ROWS):
            page = entries[at : at + MAX_ROWS]
            opened = warden.open_rows(operator(), [one.recording_id for one in page])
            for one in page:
                octets = opened.get(one.recording_id)
                known.append(_facts(one, octets))
            bar.advance(task, len(page))
        warden.append(
            Draft(
                action=Action.RECORDING_LISTED,
                caller=operator(),
                detail={"rows": len(known), "purpose": "reconcile"},
            )
        )
    return known


def _facts(entry: Entry, octets: bytes | None) -> Known:
    if octets is None:
        started = _seconds(entry.started) if entry.started else None
        return Known(entry=entry, start_s=started)
    metadata = SessionMetadata.parse(octets)
    start_s = _seconds(metadata.started)
    duration_s = entry.duration_s
    if duration_s is None and metadata.ended is not None:
        duration_s = _seconds(metadata.ended) - start_s
    return Known(
        entry=entry,
        pbx_id=metadata.pbx_id,
        start_s=start_s,
        duration_s=duration_s,
        caller=metadata.caller,
        callee=metadata.callee,
    )


def _seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


# ---------------------------------------------------------------- their side


def _octets(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as exc:
        raise InvalidInputError(f"{file}: {exc.strerror or exc}") from None


def _chosen(
    records: Sequence[DetailRecord], days: _Days, min_duration_s: float
) -> list[DetailRecord]:
    """Leave out calls that nobody answered, and those of other days."""

    def counts(one: DetailRecord) -> bool:
        if one.duration_s is not None and one.duration_s < min_duration_s:
            return False
        day = _utc_day(one.start_s)
        return day is None or ((days.first or "") <= day <= (days.last or "9999"))

    return [one for one in records if counts(one)]


def _around(records: Sequence[DetailRecord], days: _Days) -> _Days:
    """Return the days to look at: those asked for, else those of the records."""
    if days.first and days.last:
        return days
    starts = [one.start_s for one in records if one.start_s is not None]
    if not starts:
        raise InvalidInputError(
            "the call records have no starts to go by: say --since and --until"
        )
    first, last = (datetime.fromtimestamp(s, UTC) for s in (min(starts), max(starts)))
    return _Days(
        first=days.first or (first - _DAY_MARGIN).date().isoformat(),
        last=days.last or (last + _DAY_MARGIN).date().isoformat(),
    )


def _utc_day(start_s: float | None) -> str | None:
    if start_s is None:
        return None
    return datetime.fromtimestamp(start_s, UTC).date().isoformat()


def _day(text: str) -> str | None:
    return parse_day(text).isoformat() if text else None


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInputError(f"no time zone {name[:40]!r}") from None


# ------------------------------------------------------------------- showing


def _entry_row(one: Entry) -> dict[str, object]:
    return {
        "id": one.recording_id,
        "day": one.day,
        "end": str(one.end),
        "reason": one.reason,
        "duration_s": one.duration_s,
        "bytes": one.bytes,
    }


def _show(result: Reconciled, found: DetailRecords, *, as_json: bool) -> None:
    different = [pair for pair in result.pairs if pair.differences]
    if as_json:
        show_json(
            {
                "complete": result.complete,
                "matched": len(result.pairs),
                "not_recorded": [_record(one) for one in result.not_recorded],
                "not_in_records": [_session(one) for one in result.not_in_records],
                "different": [_pair(pair) for pair in different],
                "unopened": [_session(one) for one in result.unopened],
                "unreadable_lines": [one.line for one in found.unreadable],
                "unreadable": [
                    {"line": one.line, "why": one.why} for one in found.unreadable
                ],
            }
        )
        return
    show(
        list(_findings(result, found, different)),
        as_json=False,
        empty="Nothing to say.",
    )
    note(
        f"on both sides: {len(result.pairs)}; not recorded: "
        f"{len(result.not_recorded)}; not in the call records: "
        f"{len(result.not_in_records)}; differ: {len(different)}; not readable yet: "
        f"{len(result.unopened)}; lines not understood: {len(found.unreadable)}"
    )


def _findings(
    result: Reconciled, found: DetailRecords, different: Sequence[Pair]
) -> Iterator[dict[str, object]]:
    for record in result.not_recorded:
        yield _finding("not recorded", record=record)
    for known in result.not_in_records:
        yield _finding("not in the call records", known=known)
    for pair in different:
        verb = "differs" if len(pair.differences) == 1 else "differ"
        text = f"{' and '.join(pair.differences)} {verb}"
        yield _finding(text, record=pair.record, known=pair.known)
    for known in result.unopened:
        yield _finding("not readable yet", known=known)
    for one in found.unreadable:
        yield _finding(f"not understood: {one.why}", line=one.line)


def _finding(
    text: str,
    *,
    record: DetailRecord | None = None,
    known: Known | None = None,
    line: int | None = None,
) -> dict[str, object]:
    return {
        "finding": text,
        "line": record.line if record else line,
        "call id": _printable(record.id if record else known.pbx_id if known else ""),
        "start": _shown(record.start_s if record else known.start_s if known else None),
        "their s": record.duration_s if record else None,
        "our s": known.duration_s if known else None,
        "id": known.entry.recording_id if known else "",
        "end": str(known.entry.end) if known else "",
    }


def _printable(text: str) -> str:
    # A PBX's file is anybody's text: it must not command the terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])


def _record(one: DetailRecord) -> dict[str, object]:
    return {
        "line": one.line,
        "call_id": one.id,
        "start": _shown(one.start_s),
        "duration_s": one.duration_s,
        "caller": one.caller,
        "callee": one.callee,
    }


def _session(one: Known) -> dict[str, object]:
    return {
        **_entry_row(one.entry),
        "call_id": one.pbx_id,
        "start": _shown(one.start_s),
        "duration_s": one.duration_s,
    }


def _pair(pair: Pair) -> dict[str, object]:
    return {
        "by": pair.by,
        "differences": list(pair.differences),
        "record": _record(pair.record),
        "session": _session(pair.known),
    }


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
