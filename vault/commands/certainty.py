"""Warnings before a command does what its user may not have meant.

Guarantees: each warning is a line on standard error; where somebody sits at a terminal
they are asked before anything changes, and ``--yes`` answers for them.
"""

import sys
from typing import Annotated, TypeAlias

import typer

from vault.commands.output import note
from vault.core.errors import ConflictError

Yes: TypeAlias = Annotated[
    bool, typer.Option("--yes", help="Do it in spite of warnings; ask nothing.")
]


def make_sure(*warnings: str, yes: bool, insists: bool) -> None:
    """Say *warnings*, and ask whoever is there whether to go on.

    Args:
        *warnings: Whole sentences; without any nothing happens here.
        yes: The answer was given beforehand.
        insists: A script has to give it: nobody is there who could be asked.

    Raises:
        ConflictError: *insists*, and there is neither an answer nor a terminal.
        typer.Exit: The answer is no.
    """
    for one in warnings:
        note(f"Warning: {one}")
    if not warnings or yes:
        return
    if sys.stdin.isatty():
        if not typer.confirm("Go on?", err=True):
            note("Nothing was changed.")
            raise typer.Exit(1)
    elif insists:
        raise ConflictError("nothing was changed: say --yes if this is meant")
