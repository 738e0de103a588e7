"""Ways to take the audit trail away from a vault that serves, and to give it back.

Each is a context manager over a `Place`: inside of its block the log cannot be written,
or must not be.  Some are for good until the warden starts again; they see to that.

Left to others: playing meanwhile, and counting (`trail`).
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.simulators.installation import Installation, Process
from tests.simulators.small_disk import pull_the_plug
from tests.simulators.trail import entry
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.sealing.keyring import Keyring
from vault.warden.log_keeping import LogKeeping

_DATABASE = "audit.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One installation that serves, and what lies where in it."""

    vault: Installation
    url: str
    "Of its PostgreSQL; empty where the log is on SQLite, on a disk of its own."

    @property
    def disk(self) -> Path:
        """The disk that only the log is on."""
        return self.vault.folder / "audit"

    @property
    def database(self) -> Path:
        """The log, on SQLite."""
        return self.disk / _DATABASE

    @property
    def keys(self) -> Path:
        """The signer's folder."""
        return self.vault.folder / "keys"

    def warden(self) -> Process:
        """The warden that serves now."""
        return self.vault.process("warden")


Trouble = Callable[[Place], AbstractContextManager[None]]


@contextmanager
def _without_warden(place: Place) -> Iterator[None]:
    """Kill the warden, and let nobody start another one for the block's length."""
    parent = place.vault.parent()
    parent.stop()
    try:
        for one in place.vault.descendants():
            if "warden" in one.words:
                one.kill()
        yield
    finally:
        parent.go_on()


@contextmanager
def _said(url: str, *statements: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        for one in statements:
            connection.execute(one)
        yield
        connection.rollback()


def _sqlite(place: Place) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(place.database, isolation_level=None, timeout=30))


# ------------------------------------------------------------------ the database


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Somebody holds the database's lock."""
    with _sqlite(place) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def table_locked(place: Place) -> Iterator[None]:
    """Somebody holds the head of the log, on PostgreSQL."""
    with _said(place.url, "LOCK TABLE audit.log_head"):
        yield


@contextmanager
def server_hangs(place: Place) -> Iterator[None]:
    """PostgreSQL takes connections and answers nothing."""
    with psycopg.connect(place.url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    pid = int(Path(str(row and row[0]), "postmaster.pid").read_text().split()[0])
    stopped = [Process(pid=pid, words=()), *Process.below(pid)]
    for one in stopped:
        one.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in stopped:
            one.go_on()


# ---------------------------------------------------------------------- the disk


@contextmanager
def disk_full(place: Place) -> Iterator[None]:
    """The log's disk has no octet left."""
    ballast = place.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (bytes(65_536), bytes(512)):
            with contextlib.suppress(OSError):
                while file.write(block) == len(block):
                    pass
        # What SQLite has made room for already is taken away, too.
        with contextlib.suppress(sqlite3.Error), _sqlite(place) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with contextlib.suppress(OSError):
            while file.write(bytes(512)) == len(bytes(512)):
                pass
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def sync_hangs(place: Place) -> Iterator[None]:
    """No write and no fsync of the log's disk comes back."""
    subprocess.run(["fsfreeze", "--freeze", str(place.disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(place.disk)], check=True)


@contextmanager
def disk_dies(place: Place) -> Iterator[None]:
    """The log's disk fails every request, and forgot what was not synced."""
    pull_the_plug(place.disk)
    try:
        yield
    finally:
        image = place.disk.with_name(f"{place.disk.name}.img")
        with _without_warden(place):
            for words in (
                ["umount", "-l", str(place.disk)],
                ["mount", "-o", "loop", str(image), str(place.disk)],
            ):
                subprocess.run(words, check=True)


@contextmanager
def keys_read_only(place: Place) -> Iterator[None]:
    """The folder of the mark can be read and not written."""
    keys = str(place.keys)
    for words in (
        ["mount", "--bind", keys, keys],
        ["mount", "-o", "remount,ro,bind", keys],
    ):
        subprocess.run(words, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", keys], check=True)


# ------------------------------------------------------------ the signer and its memory


@contextmanager
def _moved_away(place: Place, file: Path, instead: bytes | None) -> Iterator[None]:
    """Start a warden that finds *instead* in the place of *file*."""
    kept = file.with_name(f"{file.name}.kept")
    with _without_warden(place):
        file.rename(kept)
        if instead is not None:
            file.write_bytes(instead)
    try:
        yield
    finally:
        with _without_warden(place):
            kept.replace(file)


def signer_key_missing(place: Place) -> AbstractContextManager[None]:
    """The warden died, and the next one finds no keyring."""
    return _moved_away(place, place.keys / "keyring.json", None)


def mark_unreadable(place: Place) -> AbstractContextManager[None]:
    """The warden died, and the next one finds half a mark."""
    mark = place.keys / "log-mark.json"
    return _moved_away(place, mark, mark.read_bytes()[:40])


@contextmanager
def restored(place: Place) -> Iterator[None]:
    """The warden died, and the next one finds an older database."""
    kept, older = (place.vault.place / name for name in ("kept", "older"))
    with _without_warden(place):
        with _sqlite(place) as db, closing(sqlite3.connect(kept)) as copy:
            db.backup(copy)
        shutil.copy(kept, older)
        _cut(older)
        _replace(place, older)
    try:
        yield
    finally:
        with _without_warden(place):
            _replace(place, kept)
        for copy in (kept, older):
            copy.unlink()


def _cut(database: Path) -> None:
    """Make of *database* what it was some commits ago."""
    with closing(sqlite3.connect(database)) as db, db:
        size = db.execute("SELECT size FROM log_head").fetchone()[0]
        at = db.execute(
            "SELECT max(size) FROM log_checkpoint WHERE size <= ?", (size - 5,)
        ).fetchone()[0]
        _drop_triggers(db)
        note = db.execute("SELECT note FROM log_checkpoint WHERE size = ?", (at,))
        root = note.fetchone()[0].split("\n")[2]
        db.execute("DELETE FROM log_entry WHERE position >= ?", (at,))
        db.execute("DELETE FROM log_checkpoint WHERE size > ?", (at,))
        db.execute("DELETE FROM log_node WHERE (position + 1) << level > ?", (at,))
        db.execute("UPDATE log_head SET size = ?, root = base64(?)", (at, root))


def _drop_triggers(db: sqlite3.Connection) -> None:
    # Not every SQLite can read base64.
    import base64  # noqa: PLC0415 - of this one place

    db.create_function("base64", 1, base64.b64decode)
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    for (name,) in names.fetchall():
        db.execute(f"DROP TRIGGER {name}")


def _replace(place: Place, database: Path) -> None:
    for file in place.disk.glob(f"{_DATABASE}*"):
        file.unlink()
    shutil.copy(database, place.database)


# ------------------------------------------------------------------------- others


@contextmanager
def killed(place: Place) -> Iterator[None]:
    """The warden is dead, and nobody starts another one."""
    with _without_warden(place):
        yield


@contextmanager
def stopped(place: Place) -> Iterator[None]:
    """The warden is there, and stands still."""
    warden = place.warden()
    warden.stop()
    try:
        yield
    finally:
        warden.go_on()


@contextmanager
def head_changed(place: Place) -> Iterator[None]:
    """Somebody who owns the database moves the head of the log."""
    with _sqlite(place) as db:
        db.execute("UPDATE log_head SET size = size + 1")
    try:
        yield
    finally:
        with _without_warden(place), _sqlite(place) as db:
            name = "log_head_no_update"
            made = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,))
            (sql,) = made.fetchone()
            db.execute(f"DROP TRIGGER {name}")
            db.execute("UPDATE log_head SET size = size - 1")
            db.execute(sql)


@contextmanager
def second_writer(place: Place) -> Iterator[None]:
    """Another machine with a copy of the keys writes to the same database."""
    copy = place.vault.place / "copied-keys"
    shutil.copytree(place.keys, copy)
    secret = (place.vault.folder / "passphrase").read_text().rstrip("\n")
    keyring = Keyring.unlock(copy / "keyring.json", SecretBytes(secret.encode()))
    engine = open_engine(f"sqlite:///{place.disk}", schema="audit")
    keeping = LogKeeping(copy, origin="callvault/audit", key=keyring.log_signing_key)
    with keeping.open(engine) as log:
        log.append([entry(log.size)])
    engine.dispose()
    try:
        yield
    finally:
        with _without_warden(place):
            shutil.rmtree(copy)


ON_SQLITE: Mapping[str, Trouble] = {
    "locked": locked,
    "disk-full": disk_full,
    "sync-hangs": sync_hangs,
    "disk-dies": disk_dies,
    "keys-read-only": keys_read_only,
    "signer-key-missing": signer_key_missing,
    "mark-unreadable": mark_unreadable,
    "restored-from-backup": restored,
    "warden-killed": killed,
    "warden-stopped": stopped,
    "head-changed": head_changed,
    "second-writer": second_writer,
}
ON_POSTGRESQL: Mapping[str, Trouble] = {
    "table-locked": table_locked,
    "server-hangs": server_hangs,
}


def possible() -> str:
    """Return why the trail can't be taken away here; empty if it can."""
    if os.geteuid():
        return "mounting and freezing a disk takes root"
    missing = [one for one in ("fsfreeze", "mkfs.ext4") if shutil.which(one) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""
