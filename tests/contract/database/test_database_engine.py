import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, text

from vault.access.tables import WORKGROUP
from vault.access.workgroups import DEFAULT_WORKGROUP
from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
)
from vault.database.engine import open_engine, reading, transaction


class TestSqlite:
    @pytest.mark.parametrize(
        ("pragma", "expected"),
        [
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("secure_delete", 1),
            ("foreign_keys", 1),
            ("busy_timeout", 5000),
        ],
    )
    def test_every_connection_is_durable(
        self, tmp_path: Path, pragma: str, expected: object
    ) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
        with reading(engine) as connection:
            actual = connection.execute(text(f"PRAGMA {pragma}")).scalar()
        engine.dispose()

        assert expected == actual

    def test_the_file_is_its_owners_alone(self, tmp_path: Path) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
        engine.dispose()

        mode = stat.S_IMODE((tmp_path / "catalog.sqlite").stat().st_mode)
        assert mode == 0o600

    def test_a_link_in_the_files_place_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "catalog.sqlite").symlink_to(tmp_path / "elsewhere")

        with pytest.raises(ConfigurationError, match="catalog"):
            open_engine(f"sqlite:///{tmp_path}", schema="catalog")

    def test_processes_that_open_a_new_file_together_all_get_in(
        self, tmp_path: Path
    ) -> None:
        def first_write(_: int) -> None:
            engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
            with transaction(engine) as connection:
                connection.execute(text("CREATE TABLE IF NOT EXISTS t (x)"))
            engine.dispose()

        with ThreadPoolExecutor(6) as pool:
            assert [None] * 6 == list(pool.map(first_write, range(6)))


@pytest.mark.parametrize("url", ["", "mysql://x/y", "not a url", "sqlite://"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_engine(url, schema="catalog")


@pytest.mark.postgres
def test_a_server_that_does_not_sync_is_refused(postgres_url: str) -> None:
    engine = open_engine(postgres_url, schema="catalog")

    with (
        pytest.raises(DatabaseUnavailableError, match="fsync"),
        transaction(engine),
    ):
        pass
    engine.dispose()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    engine = open_engine("postgresql://vault@127.0.0.1:1/x", schema="catalog")

    with pytest.raises(DatabaseUnavailableError), transaction(engine):
        pass
    with pytest.raises(DatabaseUnavailableError), reading(engine):
        pass
    engine.dispose()


def test_a_broken_constraint_is_a_conflict_that_quotes_nothing(
    catalog_engine: Engine,
) -> None:
    with (
        pytest.raises(ConflictError) as caught,
        transaction(catalog_engine) as connection,
    ):
        connection.execute(
            insert(WORKGROUP).values(
                id=DEFAULT_WORKGROUP, name="secret", name_key="secret"
            )
        )

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_failed_statement_is_unavailable_and_quotes_nothing(
    catalog_engine: Engine,
) -> None:
    with (
        pytest.raises(DatabaseUnavailableError) as caught,
        transaction(catalog_engine) as connection,
    ):
        connection.execute(text("SELECT secret FROM nowhere"))

    assert "secret" not in str(caught.value)


def test_a_transaction_that_raises_changes_nothing(catalog_engine: Engine) -> None:
    def write_and_fail() -> None:
        with transaction(catalog_engine) as connection:
            connection.execute(
                insert(WORKGROUP).values(id="x", name="gone", name_key="gone")
            )
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        write_and_fail()

    with reading(catalog_engine) as connection:
        names = connection.scalars(text("SELECT name FROM workgroup")).all()
    assert ["default"] == list(names)


def test_a_reader_does_not_wait_for_a_writer(catalog_engine: Engine) -> None:
    with transaction(catalog_engine) as writer:
        writer.execute(insert(WORKGROUP).values(id="x", name="new", name_key="new"))
        with reading(catalog_engine) as reader:
            seen = reader.scalar(text("SELECT count(*) FROM workgroup"))

    assert seen == 1
