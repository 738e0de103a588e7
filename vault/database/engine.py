"""Engines for SQLite and PostgreSQL that mean it when they say "committed".

Guarantees:
    * Every connection is durable: SQLite runs WAL with ``synchronous=FULL``,
      PostgreSQL with ``fsync``, ``full_page_writes`` and ``synchronous_commit`` on;
      each connection is asked, and one that answers otherwise is refused (power cuts
      lost up to 874 acknowledged commits with SQLite's usual ``NORMAL``).
    * A PostgreSQL on another machine is spoken to over TLS, and proves its name,
      unless the URL or libpq's environment says how (``sslmode``).
    * SQLite transactions that may write take the write lock at once
      (``BEGIN IMMEDIATE``), so they wait (5 s) instead of failing half-way.
    * A process that answers strangers gives each statement only so long, on both.
    * A transaction that the database took back by itself neither goes on nor commits.
    * No driver exception leaves `transaction`: it becomes
      `DatabaseUnavailableError`, or `ConflictError` for a broken constraint.

Left to others: tables (`vault.catalog`, `vault.access`, `vault.audit`).
"""

import errno
import ipaddress
import math
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
    # What is sorted never lies in a folder for everybody's temporary files.
    "PRAGMA temp_store=MEMORY",
)
_SQLITE_FULL: Final = 2
_BEGIN: Final = "BEGIN"
_BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
_BUSY_S: Final = 5
_WAL_RETRY_S: Final = 0.01
_POOL_SIZE: Final = 8
_POSTGRES_STATEMENT_S: Final = 30
_POSTGRES_DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")
_STEPS_PER_LOOK: Final = 10_000
"Of SQLite's virtual machine: less than a millisecond."


def open_engine(
    url: str,
    *,
    schema: str,
    read_only: bool = False,
    statement_s: float | None = None,
    relaxed_for_tests: bool = False,
) -> Engine:
    """Return an engine for the database *schema* (``catalog`` or ``audit``).

    Args:
        url: ``sqlite:////folder`` (a folder: each schema is a file in it), or
            ``postgresql://…`` (each schema is a PostgreSQL schema).
        schema: Which of the two databases.
        read_only: Refuse every statement that would change something.
        statement_s: How long a statement may take, in seconds, before it fails.
            Unless given, 30 for PostgreSQL, and as long as it takes for SQLite,
            where nobody else's machine is at work.
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
        return _sqlite(parsed, schema, read_only=read_only, statement_s=statement_s)
    if parsed.get_backend_name() == "postgresql":
        return _postgres(
            parsed,
            schema,
            read_only=read_only,
            statement_s=statement_s or _POSTGRES_STATEMENT_S,
            relaxed=relaxed_for_tests,
        )
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
            _insist_it_runs(connection)
    except ConstraintError:
        # The statement and its parameters stay out of the message: they may
        # hold what must not reach a log.
        raise ConflictError("a database constraint forbids it") from None
    except SQLAlchemyError as exc:
        raise DatabaseUnavailableError(
            f"the database failed ({type(exc).__name__})"
        ) from None


def _insist_it_runs(connection: Connection) -> None:
    """Refuse what the database took back while somebody kept an error to themselves.

    Both do so: SQLite with a write that it gives up, PostgreSQL with each error.

    Raises:
        DatabaseUnavailableError: It did; nothing is committed.
    """
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        runs = driver.in_transaction
    else:
        # By its name: who runs on SQLite does not wait for the import of psycopg.
        runs = driver.info.transaction_status.name != "INERROR"
    if not runs:
        raise DatabaseUnavailableError("the database took the transaction back")


def _sqlite(
    url: URL, schema: str, *, read_only: bool, statement_s: float | None
) -> Engine:
    if not url.database:
        raise ConfigurationError("sqlite: needs a folder")
    file = Path(url.database) / f"{schema}.sqlite"
    try:
        _make_private(file)
    except OSError as exc:
        raise ConfigurationError(f"cannot open {file}: {exc.strerror}") from None
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
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    if statement_s is not None:
        _limit_statements(engine, statement_s)

    _say_begin(engine)
    return engine


def _say_begin(engine: Engine) -> None:
    """Begin transactions of SQLite by the lock they need, and stay within them."""

    @event.listens_for(engine, "begin")
    def _take_the_lock(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql(_BEGIN if read_only else _BEGIN_WRITING)

    @event.listens_for(engine, "before_cursor_execute")
    def _stay_within(connection: Connection, _: object, said: str, *__: object) -> None:
        # Outside of a transaction each statement would commit by itself.
        if said not in (_BEGIN, _BEGIN_WRITING):
            _insist_it_runs(connection)


def _limit_statements(engine: Engine, statement_s: float) -> None:
    """Have SQLite give up a statement after a time, which it knows no setting for."""

    @event.listens_for(engine, "connect")
    def _watch(connection: sqlite3.Connection, record: Any) -> None:
        def is_over() -> bool:
            deadline: float | None = record.info.get("deadline")
            return deadline is not None and time.monotonic() > deadline

        connection.set_progress_handler(is_over, _STEPS_PER_LOOK)

    @event.listens_for(engine, "before_cursor_execute")
    def _begin(connection: Connection, *_: object) -> None:
        unlimited = connection.get_execution_options().get("unlimited", False)
        limit_s = math.inf if unlimited else statement_s
        connection.info["deadline"] = time.monotonic() + limit_s


def _make_private(file: Path) -> None:
    """Make *file* if it is missing: SQLite would make it with the umask's rights.

    One that is there is not opened here.  Closing it again would take away the locks
    of every engine that this process has on it (POSIX, fcntl), and another process
    that closes it would then remove the log beside it as if it were the last one.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW
    try:
        os.close(os.open(file, flags, 0o600))
    except FileExistsError:
        if file.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        if not os.access(file, os.R_OK | os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES)) from None


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


def _postgres(
    url: URL, schema: str, *, read_only: bool, statement_s: float, relaxed: bool
) -> Engine:
    engine = create_engine(
        _proven(url).set(drivername="postgresql+psycopg"),
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
            cursor.execute(f"SET statement_timeout = {round(statement_s * 1000)}")
            cursor.execute("SET timezone = 'UTC'")
            if not relaxed:
                _insist_it_syncs(cursor)
            if read_only:
                cursor.execute("SET default_transaction_read_only = on")
        connection.autocommit = False

    return engine


def _insist_it_syncs(cursor: Any) -> None:
    """Refuse a server that says "committed" before it is durable.

    Asked and not only set: a session that came through a pooler may be another one
    than that which took the setting.

    Raises:
        DatabaseUnavailableError: It does; the message names the setting.
    """
    for setting in _POSTGRES_DURABLE:
        cursor.execute(f"SHOW {setting}")
        if cursor.fetchone()[0] != "on":
            raise DatabaseUnavailableError(f"PostgreSQL runs with {setting} off")


def _proven(url: URL) -> URL:
    """Return *url* with what makes a server elsewhere show its certificate.

    Left to itself, libpq goes on in the clear where the server has no TLS, and
    takes any certificate.
    """
    if "sslmode" in url.query or "PGSSLMODE" in os.environ or _is_here(url):
        return url
    asked = {"sslmode": "verify-full"}
    if "sslrootcert" not in url.query and "PGSSLROOTCERT" not in os.environ:
        asked["sslrootcert"] = "system"
    return url.update_query_dict(asked)


def _is_here(url: URL) -> bool:
    """Tell whether *url* names a socket or an address of this machine."""
    named = url.query.get("host", url.host or "")
    hosts = ",".join((named,) if isinstance(named, str) else named).split(",")
    return all(_is_local(host) for host in hosts)


def _is_local(host: str) -> bool:
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
