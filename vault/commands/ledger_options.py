"""What ``sessions`` takes: the days, and how a PBX writes its records down.

Left to others: what is done with it (`vault.commands.ledger`).
"""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Since: TypeAlias = Annotated[
    str,
    typer.Option(
        help="First UTC day, 2026-11-23.", show_default="all or the records' days"
    ),
]
Until: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Last UTC day, included.", show_default="all or the records' days"
    ),
]
File: TypeAlias = Annotated[
    Path | None,
    typer.Option("--reconcile", help="CSV file of a PBX's call detail records."),
]
ColumnId: TypeAlias = Annotated[
    str, typer.Option(help="Column of the call's id.", show_default="guessed")
]
ColumnStart: TypeAlias = Annotated[
    str, typer.Option(help="Column of its start.", show_default="guessed")
]
ColumnDuration: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Column of its duration, in seconds or 1:02:03.", show_default="guessed"
    ),
]
ColumnCaller: TypeAlias = Annotated[
    str, typer.Option(help="Column of who called.", show_default="guessed")
]
ColumnCallee: TypeAlias = Annotated[
    str, typer.Option(help="Column of who was called.", show_default="guessed")
]
NoHeader: TypeAlias = Annotated[
    bool, typer.Option("--no-header", help="Columns are numbers, from 1.")
]
TimeFormat: TypeAlias = Annotated[
    str, typer.Option(help="Of the start, as strptime has it.", show_default="tried")
]
Timezone: TypeAlias = Annotated[
    str, typer.Option(help="Of times that name none, as Europe/Berlin.")
]
Tolerance: TypeAlias = Annotated[
    float, typer.Option(min=0, help="Seconds that durations may differ.")
]
Window: TypeAlias = Annotated[
    float, typer.Option(min=0, help="Seconds that starts may differ.")
]
MinDuration: TypeAlias = Annotated[
    float, typer.Option(min=0, help="Shorter calls of the PBX don't count.")
]
