"""``audit export``: the trail as a file, proved to go on from the operator's last one.

Guarantees: the leaf is on the trail before the first entry leaves it; a file is there
whole or not at all; what is kept for the next export is a checkpoint whose export is
whole.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from vault import config
from vault.access.people import People
from vault.audit.entry import Action, Draft
from vault.audit.kinds import BUNDLE, JSONL, KINDS, LINES, Order, export_trail
from vault.audit.language import read
from vault.audit.statement import ExportSummary, statement_of
from vault.audit.verify import checkpoint_in
from vault.auditor.cosigned import CosignedNote
from vault.commands.files import Overwrite, check_free, whole_file
from vault.commands.output import ERR, AsJson, failures, note, show_json
from vault.commands.trail_kept import KeptCheckpoint
from vault.core import canonical
from vault.core.clock import rfc3339, system_clock_ns
from vault.core.errors import InvalidInputError, NotFoundError
from vault.serving.borrowed import borrowed_warden, operator
from vault.wiring import Installation

_USER: Final = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where to, and what may be replaced there."""

    file: Path
    statement: Path | None
    overwrite: bool

    def check(self) -> None:
        for one in filter(None, (self.file, self.statement)):
            check_free(one, overwrite=self.overwrite)


def export(
    output: Annotated[
        Path | None, typer.Option(help="File to make, in --format.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="ZIP archive to make instead: entries, proofs, key, verifier, report."
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="jsonl (proves itself), csv, cef, leef or ocsf.")
    ] = JSONL,
    query: Annotated[
        str, typer.Option(help="Which entries, as the search field of the trail reads.")
    ] = "",
    previous: Annotated[
        Path | None,
        typer.Option(
            help="An earlier export or checkpoint to go on from; else your last one."
        ),
    ] = None,
    *,
    no_previous: Annotated[
        bool,
        typer.Option("--no-previous", help="Don't prove that an earlier one goes on."),
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write entries, their proofs and the checkpoint to a file."""
    with failures():
        kind = _kind(output, bundle, format)
        target = _target(kind, output or bundle or Path(), overwrite=overwrite)
        target.check()
        if previous is not None and no_previous:
            raise InvalidInputError(
                "--previous and --no-previous contradict each other"
            )
        older = None if previous is None else earlier(previous)
        installation = Installation(config.load())
        installation.require_initialised()
        kept = KeptCheckpoint(installation.folder, os.getuid())
        kept.prepare()
        if older is None and not no_previous:
            older = kept.note()
        order = _order(installation, kind, query, older)
        summary = _export(installation, target, order)
        kept.keep(summary.checkpoint)
    _tell(target, order, summary, as_json=as_json)


def earlier(file: Path) -> str:
    """Return the checkpoint (signed note) in *file*.

    Raises:
        InvalidInputError: There is none, or the file cannot be read.
    """
    try:
        return checkpoint_in(file)
    except OSError as exc:
        raise InvalidInputError(f"{file}: {exc.strerror or exc}") from None


def _kind(output: Path | None, bundle: Path | None, format: str) -> str:
    if (output is None) == (bundle is None):
        raise InvalidInputError("say --output FILE or --bundle FILE.zip")
    if bundle is None:
        kinds = [kind for kind in KINDS if kind != BUNDLE]
        if format not in kinds:
            raise InvalidInputError("--format is one of " + ", ".join(kinds))
        return format
    if format != JSONL:
        raise InvalidInputError("a bundle holds jsonl: leave --format out")
    return BUNDLE


def _target(kind: str, file: Path, *, overwrite: bool) -> _Target:
    beside = file.with_name(file.name + ".statement.json") if kind in LINES else None
    return _Target(file=file, statement=beside, overwrite=overwrite)


def _order(
    installation: Installation, kind: str, query: str, older: str | None
) -> Order:
    now_ns = system_clock_ns()
    people = _People(People(installation.catalog))
    reading = read(query, names=people, now_ns=now_ns)
    if reading.unknown:
        raise InvalidInputError("nobody is called " + ", ".join(reading.unknown))
    return Order(
        kind=kind,
        query=reading.query,
        previous=older,
        cosigned=CosignedNote(installation.cosigned_folder).read(),
        made=rfc3339(now_ns),
        by=str(operator().actor),
        vkey=installation.verifier_key(),
    )


def _export(installation: Installation, target: _Target, order: Order) -> ExportSummary:
    # Where the file can't be made, nothing is exported and nothing is on record.
    with whole_file(target.file, overwrite=target.overwrite) as file:
        # On the trail before the first entry leaves it, so it is in the file.
        with borrowed_warden(installation) as warden:
            warden.append(
                Draft(
                    action=Action.AUDIT_TRAIL_EXPORTED,
                    caller=operator(),
                    detail={"format": order.kind, **order.query.detail()},
                )
            )
        summary = _write(installation, file, order)
    if target.statement is not None:
        said = statement_of(summary, format=order.kind, made=order.made)
        with whole_file(target.statement, overwrite=target.overwrite) as file:
            file.write(canonical.dumps(said) + b"\n")
    return summary


def _write(installation: Installation, file: BinaryIO, order: Order) -> ExportSummary:
    columns = (
        TextColumn("Exporting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task("Exporting", total=None)
        return export_trail(
            installation.trail_reader(),
            file,
            order,
            progress=lambda done, rows: bar.update(task, completed=done, total=rows),
        )


def _tell(
    target: _Target, order: Order, summary: ExportSummary, *, as_json: bool
) -> None:
    if as_json:
        show_json(
            {
                "file": str(target.file),
                "format": order.kind,
                "query": dict(summary.query),
                "rows": summary.rows,
                "size": summary.size,
                "sha256": summary.sha256,
                "previous_size": summary.previous_size,
            }
        )
        return
    note(f"{summary.rows} entries under a checkpoint of size {summary.size}")
    if summary.previous_size is not None:
        note(f"It goes on from your export of size {summary.previous_size}.")


class _People:
    """The people of this installation, as queries name them."""

    def __init__(self, people: People) -> None:
        self._people = people

    def me(self) -> str:
        """Return who runs this command."""
        return str(operator().actor)

    def ids(self, name: str, kinds: Collection[str]) -> Sequence[str]:
        """Return the person of that name; devices and groups go by their ids here."""
        if _USER not in kinds:
            return []
        try:
            return [f"{_USER}:{self._people.by_name(name).id}"]
        except NotFoundError:
            return []
