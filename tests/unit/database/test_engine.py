import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
    text,
)

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
)
from vault.database.engine import open_engine, reading, transaction

NOTE = Table(
    "note",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("words", Text, unique=True),
)
SECRET = "+49 30 9988776"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
    with transaction(engine) as connection:
        NOTE.metadata.create_all(connection)
    yield engine
    engine.dispose()


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(NOTE)) or 0


@pytest.mark.parametrize("schema", ["catalog", "audit"])
def test_each_database_is_a_private_file_of_its_own(
    tmp_path: Path, schema: str
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}", schema=schema)
    with transaction(engine):
        pass
    engine.dispose()

    assert stat.S_IMODE((tmp_path / f"{schema}.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("secure_delete", 1),
        ("foreign_keys", 1),
        ("busy_timeout", 5000),
    ],
)
def test_every_connection_is_durable_and_forgets_what_it_deletes(
    engine: Engine, pragma: str, value: object
) -> None:
    with reading(engine) as connection:
        assert connection.scalar(text(f"PRAGMA {pragma}")) == value


def test_a_transaction_commits_as_a_whole(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(insert(NOTE), [{"words": "a"}, {"words": "b"}])

    assert count(engine) == 2


def test_a_block_that_raises_changes_nothing(engine: Engine) -> None:
    def write_and_fail() -> None:
        with transaction(engine) as connection:
            connection.execute(insert(NOTE), {"words": "a"})
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert count(engine) == 0


def test_a_broken_constraint_is_a_conflict_that_does_not_say_what_it_was(
    engine: Engine,
) -> None:
    with pytest.raises(ConflictError) as caught, transaction(engine) as connection:
        connection.execute(insert(NOTE), [{"words": SECRET}, {"words": SECRET}])

    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert count(engine) == 0


def test_no_driver_error_leaves_a_transaction(engine: Engine) -> None:
    for block in (transaction, reading):
        with (
            pytest.raises(DatabaseUnavailableError) as caught,
            block(engine) as connection,
        ):
            connection.execute(text("SELECT :n FROM nowhere"), {"n": SECRET})

        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_writer_takes_its_lock_at_once_and_a_reader_never_waits_for_it(
    engine: Engine, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "catalog.sqlite", timeout=0)
    with transaction(engine):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        assert count(engine) == 0
    other.close()


def test_writers_wait_for_each_other(engine: Engine) -> None:
    """
    Read, then write: with a deferred BEGIN all but one of these fail half-way.
    """

    def add() -> None:
        for _ in range(5):
            with transaction(engine) as connection:
                highest = connection.scalar(select(func.max(NOTE.c.id))) or 0
                connection.execute(insert(NOTE), {"id": highest + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count(engine) == 20


def test_a_database_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError, match=r"catalog\.sqlite"):
        open_engine(f"sqlite:///{tmp_path}", schema="catalog")


def test_a_second_engine_takes_no_lock_away_from_the_first(
    engine: Engine, tmp_path: Path
) -> None:
    """
    Who closes a database as the last one removes its log.  Locks belong to the whole
    process, and closing any descriptor of the file drops them: another process would
    then be "the last one" while this one goes on writing into a file without a name.
    """
    assert count(engine) == 0
    second = open_engine(f"sqlite:///{tmp_path}", schema="catalog", read_only=True)
    elsewhere = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('SELECT count(*) FROM note').fetchone(); c.close()"
    )
    subprocess.run(
        [sys.executable, "-c", elsewhere, tmp_path / "catalog.sqlite"], check=True
    )
    second.dispose()

    assert (tmp_path / "catalog.sqlite-wal").exists()


def test_an_engine_for_reading_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    reader = open_engine(f"sqlite:///{tmp_path}", schema="catalog", read_only=True)

    with pytest.raises(DatabaseUnavailableError), transaction(reader) as connection:
        connection.execute(insert(NOTE), {"id": 1})

    assert count(reader) == 0
    reader.dispose()


def test_a_folder_that_is_missing_is_the_operators_to_make(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        open_engine(f"sqlite:///{tmp_path}/missing", schema="catalog")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://u:geheim@h/db", "sqlite://", "oracle:geheim"]
)
def test_another_kind_of_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_engine(url, schema="catalog")

    assert "geheim" not in str(caught.value)


def test_a_postgresql_engine_is_made_without_connecting() -> None:
    engine = open_engine("postgresql://u:geheim@127.0.0.1:1/vault", schema="audit")

    assert engine.dialect.name == "postgresql"
    assert "geheim" not in repr(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("postgresql://u@db.test/v", {"sslmode": "verify-full", "sslrootcert": "system"}),
        ("postgresql://u@192.0.2.1/v", {"sslmode": "verify-full", "sslrootcert": "system"}),
        (
            "postgresql://u@db.test/v?sslrootcert=/ca.pem",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem"},
        ),
        (
            "postgresql://u@/v?host=/run/postgresql,db.test",
            {
                "host": "/run/postgresql,db.test",
                "sslmode": "verify-full",
                "sslrootcert": "system",
            },
        ),
        ("postgresql://u@db.test/v?sslmode=disable", {"sslmode": "disable"}),
        ("postgresql://u@127.0.0.1/v", {}),
        ("postgresql://u@[::1]/v", {}),
        ("postgresql://u@localhost/v", {}),
        ("postgresql://u@/v?host=/run/postgresql", {"host": "/run/postgresql"}),
    ],
)  # fmt: skip
def test_a_postgresql_elsewhere_shows_its_certificate_unless_the_url_says_how(
    monkeypatch: pytest.MonkeyPatch, url: str, asked: dict[str, str]
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    engine = open_engine(url, schema="catalog")

    assert asked == dict(engine.url.query)
