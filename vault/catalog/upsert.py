"""Insert a row unless it is there: the statement that two databases spell apart.

Guarantees: two transactions that insert the same key at once both succeed, and
one row exists; neither sees an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_if_absent(
    connection: Connection, table: Table, *rows: Mapping[str, object]
) -> None:
    """Insert *rows* into *table*; a row with the same key stays as it is.

    Reads nothing back: who may only write into *table* may do this.
    """
    if rows:
        one = postgresql if connection.dialect.name == "postgresql" else sqlite
        inserted = one.insert(table).on_conflict_do_nothing()
        connection.execute(inserted, [dict(row) for row in rows])


def insert_absent(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    *,
    key: Column[Any],
) -> set[Any]:
    """Insert *rows*; return the keys of those that were not there."""
    if not rows:
        return set()
    one = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = one.insert(table).on_conflict_do_nothing().returning(key)
    return set(connection.scalars(inserted, [dict(row) for row in rows]))
