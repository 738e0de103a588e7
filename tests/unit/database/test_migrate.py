import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from vault.core.errors import ConfigurationError, DatabaseUnavailableError
from vault.database.engine import open_engine, reading, transaction
from vault.database.migrate import upgrade

STEP = '''"""Step {name}."""

from alembic import op
import sqlalchemy as sa

revision = "{name}"
down_revision = {before}


def upgrade() -> None:
    {body}
'''
MAKE = 'op.create_table("t{name}", sa.Column("id", sa.Integer, primary_key=True))'


class History:
    """A folder of alembic steps that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last: str | None = None
        (folder / "versions").mkdir(parents=True)

    def add(self, name: str, body: str = "") -> None:
        step = STEP.format(
            name=name, before=repr(self.last), body=body or MAKE.format(name=name)
        )
        (self.folder / "versions" / f"{name}.py").write_text(step)
        self.last = name


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "migrations")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
    yield engine
    engine.dispose()


def run(engine: Engine, history: History) -> list[str]:
    head = history.last or ""
    return list(upgrade(engine, folder=history.folder, schema="catalog", head=head))


def tables(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(inspect(connection).get_table_names()) - {"schema_version"}


def test_steps_are_taken_once_and_in_order(engine: Engine, history: History) -> None:
    for name in ("0001", "0002", "0003"):
        history.add(name)
    assert run(engine, history) == ["0001", "0002", "0003"]
    assert run(engine, history) == []

    history.add("0004")
    assert run(engine, history) == ["0004"]
    assert tables(engine) == {"t0001", "t0002", "t0003", "t0004"}


def test_an_upgrade_that_fails_leaves_the_schema_as_it_was(
    engine: Engine, history: History
) -> None:
    history.add("0001")
    run(engine, history)
    history.add("0002")
    history.add("0003", body='op.execute("DROP TABLE nowhere")')

    with pytest.raises(DatabaseUnavailableError):
        run(engine, history)
    assert tables(engine) == {"t0001"}

    (history.folder / "versions" / "0003.py").unlink()
    history.last = "0002"
    assert run(engine, history) == ["0002"]


def test_a_newer_schema_is_refused_and_left_alone(
    engine: Engine, history: History
) -> None:
    history.add("0001")
    run(engine, history)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match=r"9999.*newer Callvault"):
        run(engine, history)
    assert tables(engine) == {"t0001"}


def test_processes_that_start_together_upgrade_once(
    tmp_path: Path, history: History
) -> None:
    for name in ("0001", "0002"):
        history.add(name)
    applied: list[str] = []

    def start() -> None:
        engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
        applied.extend(run(engine, history))
        engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert applied == ["0001", "0002"]


def test_a_start_does_not_wait_for_who_writes(
    engine: Engine, history: History, tmp_path: Path
) -> None:
    history.add("0001")
    run(engine, history)
    other = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert run(engine, history) == []
    other.close()


def test_a_database_that_fails_is_unavailable(
    engine: Engine, history: History, tmp_path: Path
) -> None:
    history.add("0001")
    (tmp_path / "catalog.sqlite").write_bytes(b"this was a database once " * 100)

    with pytest.raises(DatabaseUnavailableError):
        run(engine, history)
