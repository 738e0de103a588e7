"""``spool``: what waits for the object store, and how it moves.

Guarantees: looking takes no lock and needs no process; nothing here tells what a
call was about.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from vault import config
from vault.commands.moments import to_the_second
from vault.commands.output import ERR, AsJson, Row, failures, note, show, show_json
from vault.core.clock import NS_PER_S
from vault.spool.ledger import (
    SpoolState,
    SpoolStatus,
    SpoolTotals,
    read_status,
    read_totals,
)

spool = typer.Typer(no_args_is_help=True, help="What waits for the object store.")

_LOOK_S: Final = 0.5
_SHOWN: Final = 20


@spool.callback()
def _group() -> None:
    """What waits for the object store."""


@spool.command("status")
def spool_status(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until all is stored.")
    ] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="Only the totals.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every session that is not in the store yet, and how the store takes them."""
    with failures():
        folder = config.load().spool_folder
        if watch and not as_json:
            _watch(folder)
        sessions = read_status(folder)
        totals = read_totals(folder, sessions)
        if summary:
            _show_totals(totals, as_json=as_json)
            return
        show(
            [_row(one) for one in sessions],
            as_json=as_json,
            empty="The spool is empty: all of it is stored.",
        )
        if not as_json and (sessions or totals.alarm):
            note(_said(totals))


def _row(one: SpoolStatus) -> Row:
    waits = one.next_try_s > time.time()
    return {
        "id": one.recording_id,
        "state": str(one.state),
        "bytes": one.bytes,
        "shipped": one.shipped_bytes,
        "age_s": round(one.age_s),
        "next_try": to_the_second(int(one.next_try_s) * NS_PER_S) if waits else "",
        "last_error": one.last_error,
    }


def _show_totals(totals: SpoolTotals, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "alarm": totals.alarm,
                "sessions": totals.sessions,
                "waiting": totals.waiting,
                "bytes": totals.bytes,
                "waiting_bytes": totals.waiting_bytes,
                "oldest_age_s": round(totals.oldest_age_s),
                "bytes_per_s": round(totals.bytes_per_s),
                "drain_s": None if totals.drain_s is None else round(totals.drain_s),
            }
        )
    else:
        note(_said(totals))


def _said(totals: SpoolTotals) -> str:
    plural = "" if totals.sessions == 1 else "s"
    parts = [f"{totals.sessions} session{plural}, {totals.bytes} octets"]
    if totals.waiting:
        oldest = f"the oldest {totals.oldest_age_s:.0f} s old"
        parts.append(f"{totals.waiting} ended and not stored, {oldest}")
        drain = "nothing moves"
        if totals.drain_s is not None:
            drain = f"about {totals.drain_s:.0f} s at {totals.bytes_per_s:.0f} octets/s"
        parts.append(f"{totals.waiting_bytes} octets to go: {drain}")
    if totals.alarm:
        parts.append(
            f"ALARM: {totals.alarm}; no new call is taken until the tap starts anew"
        )
    return "; ".join(parts)


def _watch(folder: Path) -> None:
    """Show progress until nothing that has ended waits, or somebody interrupts."""
    try:
        with Live(console=ERR, refresh_per_second=4, transient=True) as live:
            while True:
                sessions = read_status(folder)
                totals = read_totals(folder, sessions)
                live.update(_picture(sessions, totals))
                if not totals.waiting:
                    return
                time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        return


def _picture(sessions: Sequence[SpoolStatus], totals: SpoolTotals) -> Group:
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=ERR
    )
    ended = [one for one in sessions if one.state is not SpoolState.RECORDING]
    for one in ended[:_SHOWN]:
        bars.add_task(
            one.recording_id,
            total=one.bytes,
            completed=min(one.bytes, one.shipped_bytes),
        )
    errors = Table.grid(padding=(0, 2))
    for one in ended[:_SHOWN]:
        if one.last_error:
            errors.add_row(one.recording_id, Text(one.last_error, style="red"))
    return Group(bars, errors, Text(_said(totals)))
