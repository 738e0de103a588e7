"""Engines for SQLite and PostgreSQL that mean it when they say "committed".

Guarantees:
    * Every connection is durable: SQLite runs WAL with ``synchronous=FULL``,
      PostgreSQL with ``synchronous_commit=on`` and ``fsync=on``; each connection
      is asked, and one that answers otherwise is refused (power cuts lost up to
      874 acknowledged commits with SQLite's usual ``NORMAL``).
    * SQLite transactions that may write take the write lock at once
      (``BEGIN IMMEDIATE``), so they wait (5 s) instead of failing half-way.
    * No driver exception leaves `transaction`: it becomes
      `DatabaseUnavailableError`, or `ConflictError` for a broken constraint.

Left to others: tables (`vault.catalog`, `vault.access`, `vault.audit`).
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.exc import SQLAlchemyError

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
)

_SQLITE_PRAGMAS: Final = (
    "PRAGMA busy_timeout=5000",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA foreign_keys=ON",
)
_SQLITE_FULL: Final = 2
_BUSY_S: Final = 5
_WAL_RETRY_S: Final = 0.01
_POOL_SIZE: Final = 8


def open_engine(url: str, *, schema: str, relaxed_for_tests: bool = False) -> Engine:
    """Return an engine for the database *schema* (``catalog`` or ``audit``).

    Args:
        url: ``sqlite:////folder`` (a folder: each schema is a file in it), or
            ``postgresql://…`` (each schema is a PostgreSQL schema).
        schema: Which of the two databases.
        relaxed_for_tests: Skip the durability check of PostgreSQL, for throw-away
            servers that run with ``fsync=off``.

    Raises:
        ConfigurationError: The URL is neither, or not readable; the folder is
            missing, or the file is a link or cannot be opened.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        raise ConfigurationError("the database URL does not parse") from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, schema)
    if parsed.get_backend_name() == "postgresql":
        return _postgres(parsed, schema, relaxed=relaxed_for_tests)
    raise ConfigurationError("the database must be sqlite: or postgresql:")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run the block in one transaction that commits, or changes nothing.

    Raises:
        ConflictError: A constraint of the schema forbids it.
        DatabaseUnavailableError: The database failed; safe to retry.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except ConstraintError:
        # The statement and its parameters stay out of the message: they may
        # hold what must not reach a log.
        raise ConflictError("a database constraint forbids it") from None
    except SQLAlchemyError as exc:
        raise DatabaseUnavailableError(
            f"the database failed ({type(exc).__name__})"
        ) from None


def _sqlite(url: URL, schema: str) -> Engine:
    if not url.database:
        raise ConfigurationError("sqlite: needs a folder")
    file = Path(url.database) / f"{schema}.sqlite"
    # SQLite creates its file with the umask's rights: make it private first.
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise ConfigurationError(f"cannot open {file}: {exc.strerror}") from None
    os.close(descriptor)
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        pool_size=_POOL_SIZE,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _harden(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(pragma)
        _switch_to_wal(connection)
        if connection.execute("PRAGMA synchronous").fetchone()[0] < _SQLITE_FULL:
            raise DatabaseUnavailableError("SQLite refuses synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _take_the_lock(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not apply its busy time-out to this switch: of several processes
    # that open a new file at the same moment, some are told that it is locked.
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


def _postgres(url: URL, schema: str, *, relaxed: bool) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "options": f"-csearch_path={schema}",
            "connect_timeout": 3,
            "application_name": f"callvault-{schema}",
        },
        pool_size=_POOL_SIZE,
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _harden(connection: Any, _record: object) -> None:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute("SET statement_timeout = '30s'")
            cursor.execute("SET timezone = 'UTC'")
            cursor.execute("SHOW fsync")
            if cursor.fetchone()[0] != "on" and not relaxed:
                raise DatabaseUnavailableError("PostgreSQL runs with fsync off")
        connection.autocommit = False

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Run the block in one read transaction: it never waits for a writer.

    Raises:
        DatabaseUnavailableError: The database failed; safe to retry.
    """
    try:
        with (
            engine.connect().execution_options(read_only=True) as connection,
            connection.begin(),
        ):
            yield connection
    except SQLAlchemyError as exc:
        raise DatabaseUnavailableError(
            f"the database failed ({type(exc).__name__})"
        ) from None
