"""``hold``: legal holds, which are stronger than any erasure.

Guarantees: a hold, and its end, is on the trail before it counts, with its reason
sealed there.

Left to others: the mark (`vault.catalog.marks`).
"""

from typing import Annotated, Final

import typer

from vault.audit.entry import Action, Draft
from vault.catalog.marks import Holds
from vault.catalog.values import RecordingRow
from vault.commands.changes import looking, trusted
from vault.commands.moments import to_the_second
from vault.commands.output import AsJson, failures, say, show
from vault.commands.second_person import Reason, ReasonStdin, reason_of
from vault.core.ids import parse_recording_id
from vault.serving.borrowed import operator
from vault.trust.client import WardenClient

hold = typer.Typer(no_args_is_help=True, help="Legal holds on recordings.")

_MOST: Final = 10_000
RecordingId = Annotated[str, typer.Argument(metavar="RECORDING", help="Its id.")]


@hold.command("place")
def hold_place(
    recording: RecordingId, reason: Reason = "", *, reason_stdin: ReasonStdin = False
) -> None:
    """Hold a recording: nothing erases it until that is released."""
    with failures():
        said = reason_of(reason, reason_stdin=reason_stdin)
    with trusted() as (installation, warden):
        Holds(installation.catalog).place(
            parse_recording_id(recording),
            None,
            by=operator().actor,
            tell=lambda row: _tell(warden, Action.RECORDING_HOLD_PLACED, row, said),
        )
        say(f"{recording} is held.")


@hold.command("release")
def hold_release(
    recording: RecordingId, reason: Reason = "", *, reason_stdin: ReasonStdin = False
) -> None:
    """End a hold."""
    with failures():
        said = reason_of(reason, reason_stdin=reason_stdin)
    with trusted() as (installation, warden):
        Holds(installation.catalog).release(
            parse_recording_id(recording),
            None,
            tell=lambda row: _tell(warden, Action.RECORDING_HOLD_RELEASED, row, said),
        )
        say(f"{recording} is not held.")


@hold.command("list")
def hold_list(*, as_json: AsJson = False) -> None:
    """List recordings that are held, newest first."""
    with looking() as installation:
        rows = [
            {
                "id": row.id,
                "state": str(row.state),
                "day": row.day,
                "since": to_the_second(row.held_since_ns) if row.held_since_ns else "",
                "by": row.held_by,
            }
            for row in Holds(installation.catalog).list(_MOST)
        ]
        show(rows, as_json=as_json, empty="Nothing is held.")


def _tell(warden: WardenClient, action: Action, row: RecordingRow, reason: str) -> None:
    warden.append(
        Draft(
            action=action,
            caller=operator(),
            recording=row.id,
            detail={"state": str(row.state)},
            text={"reason": reason},
        )
    )
