"""``audit``: exporting the trail and checking what was exported."""

from pathlib import Path
from typing import Annotated

import typer

from vault import config
from vault.audit.verified import Report
from vault.audit.verify import verify_export
from vault.commands.output import AsJson, failures, say, show_json
from vault.commands.trail_export import earlier, export
from vault.commands.trail_fsck import fsck
from vault.commands.trail_stream import stream
from vault.commands.trail_succeed import succeed
from vault.commands.trail_witness import witness
from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.wiring import Installation

audit = typer.Typer(no_args_is_help=True, help="The audit trail.")
audit.add_typer(stream, name="stream")
audit.command("export")(export)
audit.command("fsck")(fsck)
audit.command("succeed")(succeed)
audit.command("witness")(witness)


@audit.command("key")
def key() -> None:
    """Print the verifier key of the log; give it to officers out of band."""
    with failures():
        typer.echo(Installation(config.load()).verifier_key())


@audit.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="An export.")],
    key: Annotated[str, typer.Option(help="Verifier key, from callvault audit key.")],
    previous: Annotated[
        Path | None, typer.Option(help="An earlier export or checkpoint.")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(help="Verifier key of a witness that must have cosigned it."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check an export offline: entries, tree, checkpoint, continuity."""
    with failures():
        older = None if previous is None else earlier(previous)
        try:
            report = verify_export(file, key, older, witnesses=witness or ())
        except OSError as exc:
            raise InvalidInputError(f"{file}: {exc.strerror or exc}") from None
    if as_json:
        show_json(_proved(report))
    else:
        part = "" if report.whole else " (a part of the log)"
        say(f"OK: {report.rows} entries{part}, checkpoint of size {report.size}")
        if report.previous_size is not None:
            say(f"It continues the earlier checkpoint of size {report.previous_size}.")
        elif report.continues is not None:
            say(f"It continues an earlier export of size {report.continues.size}.")
        for key_of, seen in report.witnessed.items():
            name, when = key_of.partition("+")[0], rfc3339(seen.time_s * 10**9)
            say(f"{name} saw the log of {seen.checkpoint.size} entries at {when}.")


def _proved(report: Report) -> dict[str, object]:
    """Return all that was proved, for scripts."""
    continues = report.continues
    return {
        "result": "ok",
        "origin": report.origin,
        "root": report.root.hex(),
        "size": report.size,
        "rows": report.rows,
        "whole": report.whole,
        "query": dict(report.query),
        "marks": report.marks,
        "first_time": report.first_time,
        "last_time": report.last_time,
        "previous_size": report.previous_size,
        "continues": None
        if continues is None
        else {"size": continues.size, "root": continues.root.hex()},
        "witnessed": {
            key: cosigned.checkpoint.size for key, cosigned in report.witnessed.items()
        },
        "checkpoint": report.checkpoint,
    }
