"""The log on SQLite and on a real PostgreSQL: the same claims on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tests.simulators.postgres import throwaway_postgres
from tests.simulators.trail import Trail, asking, entry
from tests.simulators.verifiers import VERIFIED, callvault, program_verdict
from vault.audit import mark as marks
from vault.core.errors import (
    ConflictError,
    DatabaseUnavailableError,
    TrailBrokenError,
)
from vault.database.engine import open_engine

FROZEN = ("log_entry", "log_object", "log_node", "log_checkpoint")


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with throwaway_postgres() as url:
        yield url


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    else:
        url = request.getfixturevalue("postgres_url")
        engine = open_engine(url, schema="audit", relaxed_for_tests=True)
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS audit CASCADE"))
    yield engine
    engine.dispose()


@pytest.fixture
def trail(engine: Engine, tmp_path: Path) -> Iterator[Trail]:
    trail = Trail(engine=engine, folder=tmp_path)
    yield trail
    trail.log.close()


def without_guard_rails(engine: Engine, *changes: str) -> None:
    """Edit as whoever owns the database can."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        else:
            triggers = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).scalars()
            for name in list(triggers):
                connection.execute(text(f"DROP TRIGGER {name}"))
        for change in changes:
            connection.execute(text(change))
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = origin"))


class TestWriting:
    def test_a_log_grows_is_closed_and_goes_on(self, trail: Trail) -> None:
        trail.grow(5)
        trail.grow(300, batch=100)
        trail.reopen()
        indices = trail.log.append([entry(306)])

        assert range(306, 307) == indices
        assert VERIFIED == callvault(trail.export(), trail.vkey)

    def test_pages_and_proofs_are_read(self, trail: Trail) -> None:
        trail.grow(20)
        page = trail.reader.search(actor="user:u1", limit=3)
        rest = trail.reader.search(actor="user:u1", limit=9, cursor=page.next)

        assert [19, 16, 13] == [one.index for one in page.items]
        assert [10, 7, 4, 1] == [one.index for one in rest.items]
        assert rest.next is None
        assert VERIFIED == callvault(
            trail.export(
                query=asking(actor="user:u1"), previous=trail.reader.checkpoint(7)
            ),
            trail.vkey,
            trail.reader.checkpoint(7),
        )

    def test_a_late_entry_delivered_twice_is_refused_as_a_whole(
        self, trail: Trail
    ) -> None:
        late = entry(1, source="tap-1", source_seq=7)
        trail.log.append([late])
        with pytest.raises(ConflictError):
            trail.log.append([entry(2), late])

        assert range(2, 3) == trail.log.append([entry(2)])

    def test_a_second_writer_elsewhere_is_refused(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        """Another machine does not see the lock file; PostgreSQL's lock it does."""
        if trail.engine.dialect.name == "sqlite":
            pytest.skip("SQLite is on one machine: the lock file is enough")
        other = tmp_path / "other"
        other.mkdir()
        (other / "log-mark.json").write_bytes(trail.mark_path.read_bytes())
        writer = Trail.writer(trail)
        writer._mark_path = other / "log-mark.json"
        with pytest.raises(ConflictError):
            writer.open()
        trail.log.close()
        writer.open()
        writer.close()

    def test_a_writer_whose_connections_were_cut_goes_on(self, trail: Trail) -> None:
        if trail.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has no connection to cut")
        admin = create_engine(trail.engine.url, poolclass=NullPool)
        with admin.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'callvault-audit'"
                )
            )
        indices = trail.log.append([entry(1)])

        assert range(1, 2) == indices
        assert range(2, 3) == trail.log.append([entry(2)])

    def test_a_database_that_does_not_answer_fails_the_append_and_heals(
        self, trail: Trail
    ) -> None:
        if trail.engine.dialect.name == "sqlite":
            pytest.skip("a locked SQLite costs its whole busy time-out of 5 s")
        head = trail.reader.head()
        admin = create_engine(trail.engine.url, poolclass=NullPool)
        with trail.engine.begin() as connection:
            connection.execute(text("ALTER ROLE vault SET lock_timeout = '100ms'"))
        trail.engine.dispose()  # the writer's next connection has the time-out
        with admin.connect() as blocker:
            blocker.execute(text("LOCK TABLE audit.log_head"))
            with pytest.raises(DatabaseUnavailableError):
                trail.log.append([entry(1)])
        after = trail.reader.head()
        indices = trail.log.append([entry(1)])
        with trail.engine.begin() as connection:
            connection.execute(text("ALTER ROLE vault RESET lock_timeout"))

        assert (head, range(1, 2)) == (after, indices)


class TestGuardRails:
    @pytest.mark.parametrize("table", FROZEN)
    @pytest.mark.parametrize(
        "change",
        ["UPDATE {0} SET {1} = {1} + 1", "DELETE FROM {0}", "TRUNCATE {0}"],
    )
    def test_what_was_logged_is_neither_changed_nor_removed(
        self, trail: Trail, table: str, change: str
    ) -> None:
        if change.startswith("TRUNCATE") and trail.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has no TRUNCATE")
        trail.grow(1)
        column = "size" if table == "log_checkpoint" else "position"
        with (
            pytest.raises(DBAPIError, match="append-only"),
            trail.engine.begin() as connection,
        ):
            connection.execute(text(change.format(table, column)))

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE log_head SET size = size - 1",
            "UPDATE log_head SET size = size",
            "UPDATE log_head SET id = 2, size = size + 1",
            "DELETE FROM log_head",
            "INSERT INTO log_head SELECT 2, size, root FROM log_head",
        ],
    )
    def test_the_head_only_grows(self, trail: Trail, change: str) -> None:
        with (
            pytest.raises(DBAPIError, match="append-only"),
            trail.engine.begin() as connection,
        ):
            connection.execute(text(change))

    def test_an_entry_is_not_replaced(self, trail: Trail) -> None:
        if trail.engine.dialect.name != "sqlite":
            pytest.skip("only SQLite has REPLACE")
        with (
            pytest.raises(DBAPIError, match="append-only"),
            trail.engine.begin() as connection,
        ):
            connection.execute(
                text("REPLACE INTO log_entry SELECT * FROM log_entry LIMIT 1")
            )

    def test_sealed_text_is_the_one_thing_that_may_go(self, trail: Trail) -> None:
        with trail.engine.begin() as connection:
            connection.execute(text("DELETE FROM log_text"))


class TestTampering:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ("DELETE FROM log_entry WHERE position = 0", "entry 0"),
            ("DELETE FROM log_entry WHERE position = 4", "entry 4"),
            ("DELETE FROM log_entry WHERE position = 9", "entry 9"),
            ("DELETE FROM log_entry WHERE position > 6", "entry 7"),
            (
                (
                    "UPDATE log_entry SET octets = (SELECT octets FROM log_entry "
                    "WHERE position = 7) WHERE position = 3"
                ),
                "entry 3",
            ),
            ("UPDATE log_entry SET position = 55 WHERE position = 5", "entry 5"),
            ("DELETE FROM log_node WHERE level = 0 AND position = 8", "entry 8"),
        ],
    )
    def test_a_superusers_edit_is_named_by_the_officers_program(
        self, trail: Trail, tmp_path: Path, change: str, expected: str
    ) -> None:
        """Triggers do not stop whoever may switch them off; the tree does."""
        trail.grow(9)
        without_guard_rails(trail.engine, change)
        export = trail.export()
        (tmp_path / "export").write_bytes(export)

        assert expected == callvault(export, trail.vkey)
        assert expected == program_verdict(tmp_path / "export", trail.vkey)

    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM log_entry WHERE position = 9",
            "DELETE FROM log_checkpoint WHERE size = 10",
            "DELETE FROM log_head",
            "DELETE FROM log_node WHERE level = 3",
            "UPDATE log_head SET size = 9",
            "UPDATE log_head SET root = (SELECT hash FROM log_node LIMIT 1)",
            (
                "UPDATE log_checkpoint SET note = (SELECT note FROM log_checkpoint "
                "WHERE size = 9) WHERE size = 10"
            ),
            (
                "UPDATE log_node SET hash = (SELECT hash FROM log_node "
                "WHERE level = 0 AND position = 0) WHERE level = 3"
            ),
        ],
    )
    def test_a_writer_does_not_sign_on_top_of_an_edited_log(
        self, trail: Trail, change: str
    ) -> None:
        trail.grow(9)
        trail.log.close()
        without_guard_rails(trail.engine, change)
        mark = trail.mark_path.read_bytes()
        with pytest.raises(TrailBrokenError):
            trail.log.open()

        assert mark == trail.mark_path.read_bytes()

    def test_a_log_shrunk_with_everything_made_to_fit_is_refused_by_the_mark(
        self, trail: Trail
    ) -> None:
        """As a restore from last night's backup would leave it."""
        trail.grow(9)
        trail.log.close()
        without_guard_rails(
            trail.engine,
            "DELETE FROM log_entry WHERE position >= 8",
            "DELETE FROM log_object WHERE position >= 8",
            "DELETE FROM log_node WHERE ((position + 1) * (1 << level)) > 8",
            "DELETE FROM log_checkpoint WHERE size > 8",
            "UPDATE log_head SET size = 8, root = (SELECT hash FROM log_node "
            "WHERE level = 3 AND position = 0)",
        )
        with pytest.raises(TrailBrokenError, match="8 entries, and 10 were signed"):
            trail.log.open()

    def test_a_mark_rolled_back_with_the_log_is_found_by_an_old_checkpoint(
        self, trail: Trail
    ) -> None:
        """Whoever restores database and mark together meets the officer."""
        trail.grow(7)
        mark = marks.read(trail.mark_path)
        trail.grow(2)
        officer = trail.reader.checkpoint()
        trail.log.close()
        without_guard_rails(
            trail.engine,
            "DELETE FROM log_entry WHERE position >= 8",
            "DELETE FROM log_object WHERE position >= 8",
            "DELETE FROM log_node WHERE ((position + 1) * (1 << level)) > 8",
            "DELETE FROM log_checkpoint WHERE size > 8",
            "UPDATE log_head SET size = 8, root = (SELECT hash FROM log_node "
            "WHERE level = 3 AND position = 0)",
        )
        assert mark is not None
        marks.write(trail.mark_path, mark)
        trail.log.open()
        trail.grow(5)

        assert VERIFIED == callvault(trail.export(), trail.vkey)
        assert VERIFIED != callvault(trail.export(), trail.vkey, officer)
