"""What commands print: a table for people, JSON for scripts, errors on stderr.

Guarantees: an expected failure is one line on standard error and exit status 1; a
wrong use of the command is 2 (typer's); nothing that the vault hides is printed in
either form.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Final, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vault.core.errors import VaultError

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for scripts.")
]
Row: TypeAlias = Mapping[str, object]

# In a pipe there is no width to fit: a broken line would be a broken value.
_WIDE: Final = None if sys.stdout.isatty() else 240
_out = Console(highlight=False, width=_WIDE)
ERR: Final = Console(stderr=True, highlight=False)


@contextmanager
def failures() -> Iterator[None]:
    """Turn what the vault refuses into one line and exit status 1."""
    try:
        yield
    except VaultError as exc:
        ERR.print(f"[bold red]callvault:[/] {escape(str(exc))}", soft_wrap=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        # The reader of our output went away: that is its decision, not an error.
        sys.stderr.close()
        raise typer.Exit(0) from None


def say(text: str) -> None:
    """Print one line for a person."""
    _out.print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """Print one line on standard error: progress, hints, secrets shown once."""
    ERR.print(escape(text), soft_wrap=True)


def show_json(value: object) -> None:
    """Print *value* as JSON, for scripts."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show(rows: Sequence[Row], *, as_json: bool, empty: str) -> None:
    """Print *rows* as a table or as a JSON list.

    Args:
        rows: Mappings with the same members, in the order of the columns.
        as_json: For scripts.
        empty: What to say to a person when there are none.
    """
    if as_json:
        show_json(list(rows))
        return
    if not rows:
        note(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in rows[0]:
        # An id that is broken over two lines cannot be copied.
        table.add_column(
            column.replace("_", " "), overflow="fold", no_wrap=column == "id"
        )
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    _out.print(table)


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(item) for item in value) or "-"
    return str(value)
