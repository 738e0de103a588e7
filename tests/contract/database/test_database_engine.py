import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, text
from sqlalchemy.exc import SQLAlchemyError

from tests.simulators.installation import until
from tests.simulators.postgres import throwaway_postgres
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


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return an engine that gives each statement a fifth of a second."""
    url = f"sqlite:///{tmp_path}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    engine = open_engine(url, schema="catalog", statement_s=0.2, relaxed_for_tests=True)
    yield engine
    engine.dispose()


def test_h20_a_statement_that_takes_too_long_is_given_up(hasty: Engine) -> None:
    numbers = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        " SELECT count(*) FROM n"
    )

    with pytest.raises(DatabaseUnavailableError), reading(hasty) as connection:
        connection.execute(text(numbers.format(10**9)))
    with reading(hasty) as connection:
        afterwards = connection.execute(text(numbers.format(10**3))).scalar()

    assert 10**3 == afterwards


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_write_that_was_given_up_takes_all_of_its_transaction_with_it(
    tmp_path: Path, goes_on: bool
) -> None:
    endless = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " INSERT INTO t SELECT count(*) FROM n"
    )
    engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog", statement_s=0.2)
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (x)"))

    def write() -> None:
        with transaction(engine) as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            with suppress(SQLAlchemyError):
                connection.execute(text(endless))
            if goes_on:
                connection.execute(text("INSERT INTO t VALUES (2)"))

    with pytest.raises(DatabaseUnavailableError):
        write()
    with reading(engine) as connection:
        left = connection.scalars(text("SELECT x FROM t")).all()
    engine.dispose()

    assert [] == list(left)


@pytest.mark.postgres
def test_a_transaction_that_failed_on_postgresql_does_not_look_committed(
    postgres_url: str,
) -> None:
    engine = open_engine(postgres_url, schema="catalog", relaxed_for_tests=True)

    with (
        pytest.raises(DatabaseUnavailableError),
        transaction(engine) as connection,
        suppress(SQLAlchemyError),
    ):
        connection.execute(text("SELECT secret FROM nowhere"))
    engine.dispose()


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


def test_a_postgresql_elsewhere_that_has_no_tls_is_not_spoken_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # Another name of this machine, which is not known to be one.
        url = f"postgresql://u:geheim@vault-database.test:{port}/v?hostaddr=127.0.0.1"
        engine = open_engine(url, schema="catalog")
        heard = ThreadPoolExecutor(1).submit(_without_tls, server)
        with pytest.raises(DatabaseUnavailableError), reading(engine):
            pass

    assert b"geheim" not in heard.result(20)


def _without_tls(server: socket.socket) -> bytes:
    """Say that there is no TLS, and return all that the client said."""
    server.settimeout(10)
    said = b""
    with server.accept()[0] as peer:
        peer.settimeout(10)
        said += peer.recv(8)
        peer.sendall(b"N")
        while octets := peer.recv(4096):
            said += octets
    return said


@pytest.mark.postgres
def test_a_connection_commits_durably_or_is_refused_by_the_settings_name() -> None:
    with throwaway_postgres(durable=True) as url:
        admin = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

        def asked() -> list[str]:
            engine = open_engine(url, schema="audit")
            try:
                with reading(engine) as connection:
                    return [
                        str(connection.scalar(text(f"SHOW {name}")))
                        for name in ("synchronous_commit", "fsync", "full_page_writes")
                    ]
            finally:
                engine.dispose()

        def say(statement: str) -> None:
            with admin.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.execute(text(statement))
                connection.execute(text("SELECT pg_reload_conf()"))

        # Whatever the role was given: each connection says what it needs.
        say("ALTER ROLE vault SET synchronous_commit = off")
        assert ["on", "on", "on"] == asked()
        for setting in ("full_page_writes", "fsync"):
            say(f"ALTER SYSTEM SET {setting} = off")
            with pytest.raises(DatabaseUnavailableError, match=f"{setting} off"):
                until(lambda: asked() != ["on", "on", "on"], "the server reloads")
        admin.dispose()
