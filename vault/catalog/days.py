"""All recordings of some days, whoever's they are: for the ledger of an operator.

Guarantees: rows come a page at a time, so that a busy month is no problem; a row
that arrives meanwhile moves nothing.

Left to others: who may ask (`vault.commands`), what they add up to
(`vault.recorder.ledger`).
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Engine, or_, select

from vault.catalog.reading import read_rows
from vault.catalog.tables import RECORDING
from vault.catalog.values import RecordingRow, parse_day
from vault.database.engine import reading

_PAGE: Final = 500


def recordings_of_days(
    engine: Engine, *, day_from: str | None = None, day_to: str | None = None
) -> Iterator[RecordingRow]:
    """Yield the recordings that began on these UTC days, oldest row first.

    A row without a day is among them: its call was shipped and not opened yet.

    Args:
        engine: The catalog.
        day_from: First day, ``2026-11-23``; None for the first there is.
        day_to: Last day, included; None for the last.

    Raises:
        InvalidInputError: A day that is none.
        DatabaseUnavailableError: Ask again.
    """
    query = select(RECORDING).order_by(RECORDING.c.seq).limit(_PAGE)
    day = RECORDING.c.day
    if day_from is not None:
        query = query.where(or_(day.is_(None), day >= parse_day(day_from)))
    if day_to is not None:
        query = query.where(or_(day.is_(None), day <= parse_day(day_to)))
    last = 0
    while True:
        with reading(engine) as connection:
            rows = read_rows(connection, query.where(RECORDING.c.seq > last))
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq
