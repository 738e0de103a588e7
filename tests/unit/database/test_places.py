import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
)
from vault.core.secrets import SecretBytes
from vault.database import places
from vault.database.engine import reading
from vault.database.places import Databases


@contextmanager
def _alone() -> Iterator[None]:
    yield


def databases(
    folder: Path, alone: Callable[[], AbstractContextManager[object]] = _alone
) -> Databases:
    return Databases(f"sqlite:///{folder}", alone=alone)


def old_database(folder: Path, name: str) -> None:
    """Leave a database as an earlier version did, its newest row still in the log."""
    file = folder / f"{name}.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE note (words TEXT)")
    connection.execute("INSERT INTO note VALUES ('kept')")
    wal = (folder / f"{name}.sqlite-wal").read_bytes()
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    connection.close()
    # As a process leaves it that was killed.
    (folder / f"{name}.sqlite-wal").write_bytes(wal)


def words(found: Databases, schema: str) -> list[str]:
    engine = found.open(schema, read_only=True)
    with reading(engine) as connection:
        kept = list(connection.execute(text("SELECT words FROM note")).scalars())
    engine.dispose()
    return kept


def test_each_database_has_a_private_folder_of_its_own(tmp_path: Path) -> None:
    found = databases(tmp_path)
    for schema in places.SCHEMAS:
        found.open(schema).dispose()

    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
        if path.is_dir() or path.suffix == ".sqlite"
    }

    assert modes == {
        "audit": 0o700,
        "audit/audit.sqlite": 0o600,
        "catalog": 0o700,
        "catalog/catalog.sqlite": 0o600,
    }


def test_databases_of_an_earlier_version_are_moved_whole(tmp_path: Path) -> None:
    for schema in places.SCHEMAS:
        old_database(tmp_path, schema)
    found = databases(tmp_path)

    assert [["kept"], ["kept"]] == [words(found, one) for one in places.SCHEMAS]
    assert not list(tmp_path.glob("*.sqlite*"))


def test_one_that_somebody_has_open_is_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_BUSY_S", 0.05)
    old_database(tmp_path, "catalog")
    other = sqlite3.connect(tmp_path / "catalog.sqlite")
    other.execute("SELECT * FROM note").fetchall()

    with pytest.raises(DatabaseUnavailableError, match="cannot be moved"):
        databases(tmp_path).settle()

    assert other.execute("SELECT * FROM note").fetchall() == [("kept",)]
    other.close()
    assert words(databases(tmp_path), "catalog") == ["kept"]


def test_a_crash_before_the_move_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_database(tmp_path, "catalog")

    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(places, "_sync", crash)
        with pytest.raises(KeyboardInterrupt):
            databases(tmp_path).settle()

    assert words(databases(tmp_path), "catalog") == ["kept"]


def test_what_is_there_already_is_never_written_over(tmp_path: Path) -> None:
    found = databases(tmp_path)
    old_database(tmp_path, "audit")
    assert words(found, "audit") == ["kept"]
    old_database(tmp_path, "audit")
    found.settle()

    assert (tmp_path / "audit.sqlite").exists()


def test_while_an_earlier_version_runs_nothing_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_MOVING_S", 0.05)
    old_database(tmp_path, "audit")

    def taken() -> AbstractContextManager[object]:
        raise ConflictError("a warden is running")

    with pytest.raises(ConfigurationError, match="earlier version"):
        databases(tmp_path, taken).open("audit")

    assert (tmp_path / "audit.sqlite").exists()


def test_a_server_has_no_folders_and_gets_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def remember(url: str, **_: object) -> None:
        asked.append(url)

    monkeypatch.setattr(places, "open_engine", remember)
    found = Databases(
        "postgresql://vault@db.example/callvault",
        alone=_alone,
        password=SecretBytes(b"p@ss/word"),
    )
    found.open("audit")

    assert found.folder("audit") is None
    assert asked == ["postgresql://vault:p%40ss%2Fword@db.example/callvault"]
