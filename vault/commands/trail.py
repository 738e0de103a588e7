"""``audit``: exporting the trail and checking what was exported."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from vault import config
from vault.audit.entry import Action, Draft
from vault.audit.export import export_jsonl
from vault.audit.verify import checkpoint_in, verify_export
from vault.commands.output import ERR, AsJson, failures, note, say, show_json
from vault.core.errors import InvalidInputError
from vault.serving.borrowed import borrowed_warden, operator
from vault.wiring import Installation

audit = typer.Typer(no_args_is_help=True, help="The audit trail.")


@audit.command("key")
def key() -> None:
    """Print the verifier key of the log; give it to officers out of band."""
    with failures():
        typer.echo(Installation(config.load()).verifier_key())


@audit.command("export")
def export(
    output: Annotated[Path, typer.Option(help="File to make.")],
    format: Annotated[str, typer.Option(help="jsonl.")] = "jsonl",
    previous: Annotated[
        Path | None,
        typer.Option(help="An earlier export: prove that this one continues it."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write every entry, its proofs and the checkpoint to a file."""
    with failures():
        if format != "jsonl":
            raise InvalidInputError("this version exports jsonl")
        installation = Installation(config.load())
        # On the trail before the first entry leaves it, so it is in the file.
        with borrowed_warden(installation) as warden:
            warden.append(
                Draft(
                    action=Action.AUDIT_TRAIL_EXPORTED,
                    caller=operator(),
                    detail={"format": "jsonl"},
                )
            )
        _write(installation, output, previous, as_json=as_json)


def _write(
    installation: Installation, output: Path, previous: Path | None, *, as_json: bool
) -> None:
    fresh = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with fresh.open("xb") as file, Progress(console=ERR, transient=True) as bar:
            task = bar.add_task("Exporting", total=None)
            summary = export_jsonl(
                installation.trail_reader(),
                file,
                previous=_older(previous),
                progress=lambda done, rows: bar.update(
                    task, completed=done, total=rows
                ),
            )
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(output)
    except OSError as exc:
        raise InvalidInputError(f"{output}: {exc.strerror or exc}") from None
    finally:
        fresh.unlink(missing_ok=True)
    if as_json:
        show_json({"file": str(output), "rows": summary.rows, "size": summary.size})
    else:
        note(f"{summary.rows} entries under a checkpoint of size {summary.size}")


@audit.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="An export.")],
    key: Annotated[str, typer.Option(help="Verifier key, from callvault audit key.")],
    previous: Annotated[
        Path | None, typer.Option(help="An earlier export or checkpoint.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check an export offline: entries, tree, checkpoint, continuity."""
    with failures():
        try:
            report = verify_export(file, key, _older(previous))
        except OSError as exc:
            raise InvalidInputError(f"{file}: {exc.strerror or exc}") from None
    if as_json:
        show_json({"rows": report.rows, "size": report.size, "result": "ok"})
    else:
        part = "" if report.whole else " (a part of the log)"
        say(f"OK: {report.rows} entries{part}, checkpoint of size {report.size}")
        if report.previous_size is not None:
            say(f"It continues the earlier checkpoint of size {report.previous_size}.")


def _older(previous: Path | None) -> str | None:
    return checkpoint_in(previous) if previous else None
