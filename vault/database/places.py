"""Where the two databases are.

Of SQLite each has a folder of its own, since SQLite makes and removes files beside
it, and a process is let into a folder as a whole (`vault.confine`).  Before that both
lay in one folder; such databases are moved when they are first opened.

Guarantees: a database is moved whole or not at all, also when the power fails, and
never while anybody has it open or somebody else may be moving it.

Left to others: the lock that keeps movers apart (`vault.wiring` hands it in), what
an engine promises (`vault.database.engine`).

Spec: sqlite.org/wal.html, rename(2)
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from sqlalchemy import Engine

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
)
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine

SCHEMAS: Final = ("catalog", "audit")
_SQLITE: Final = "sqlite:///"
_BUSY_S: Final = 5
_LOOK_S: Final = 0.1
_MOVING_S: Final = 10.0
"How long whoever has the lock may take to move what an earlier version left."


class Databases:
    """The databases ``catalog`` and ``audit`` of one installation."""

    def __init__(
        self,
        url: str,
        *,
        alone: Callable[[], AbstractContextManager[object]],
        password: SecretBytes | None = None,
        statement_s: float | None = None,
    ) -> None:
        """Know where they are; nothing is opened yet.

        Args:
            url: ``sqlite:////folder`` or ``postgresql://…``.
            alone: Takes the lock under which databases are moved; raises
                `ConflictError` where somebody has it.
            password: For PostgreSQL, unless the URL has one.
            statement_s: See `open_engine`.
        """
        self._url = url
        self._alone = alone
        self._password = password
        self._statement_s = statement_s

    def folder(self, schema: str) -> Path | None:
        """Return where a database's files lie; None unless it is SQLite."""
        if not self._url.startswith(_SQLITE):
            return None
        return Path(self._url.removeprefix(_SQLITE)) / schema

    def open(self, schema: str, *, read_only: bool = False) -> Engine:
        """Return an engine for *schema*; see `open_engine`.

        Raises:
            ConfigurationError: See `open_engine`; or a program of an earlier
                version runs on these databases.
            DatabaseUnavailableError: An old database cannot be moved.
        """
        folder, url = self.folder(schema), self._whole_url
        if folder is not None:
            self._await_settled()
            with suppress(OSError):  # which the engine reports
                folder.mkdir(mode=0o700, exist_ok=True)
            url = f"{_SQLITE}{folder}"
        return open_engine(
            url, schema=schema, read_only=read_only, statement_s=self._statement_s
        )

    def settle(self) -> None:
        """Move what an earlier version left; only who has the lock may call it.

        Raises:
            DatabaseUnavailableError: Somebody has one of them open.
        """
        for old, new in self._unsettled():
            _move(old, new)

    def _unsettled(self) -> list[tuple[Path, Path]]:
        found: list[tuple[Path, Path]] = []
        for schema in SCHEMAS:
            if folder := self.folder(schema):
                old, new = (one / f"{schema}.sqlite" for one in (folder.parent, folder))
                if old.exists() and not new.exists():
                    found.append((old, new))
        return found

    def _await_settled(self) -> None:
        deadline = time.monotonic() + _MOVING_S
        while self._unsettled():
            try:
                with self._alone():
                    self.settle()
            except ConflictError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        "an earlier version still runs on these databases: stop it"
                    ) from None
                time.sleep(_LOOK_S)

    @property
    def _whole_url(self) -> str:
        parts = urlsplit(self._url)
        if self._password is None or parts.password:
            return self._url
        secret = quote(self._password.reveal().decode(), safe="")
        user, host = parts.username or "", parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{quote(user)}:{secret}@{host}").geturl()


def _move(old: Path, new: Path) -> None:
    try:
        _fold_up(old)
        new.parent.mkdir(mode=0o700, exist_ok=True)
        _sync(new.parent.parent)
        old.rename(new)
        _sync(new.parent)
        _sync(old.parent)
    except (OSError, sqlite3.Error) as exc:
        raise DatabaseUnavailableError(
            f"{old} cannot be moved to {new} ({type(exc).__name__})"
        ) from None


def _fold_up(file: Path) -> None:
    """Make one file of the database and its log; needs it for itself alone."""
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    finally:
        connection.close()
    if mode != "delete":
        raise sqlite3.OperationalError("in use")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
