from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, text

from vault.access.tables import METADATA as ACCESS
from vault.access.workgroups import DEFAULT_WORKGROUP, Workgroups
from vault.catalog import schema
from vault.catalog.schema import upgrade_catalog
from vault.catalog.tables import METADATA as CATALOG
from vault.core.errors import ConfigurationError
from vault.database.engine import open_engine, transaction


def test_the_migrations_make_exactly_the_tables_that_the_rooms_use(
    catalog_engine: Engine,
) -> None:
    wanted = MetaData()
    for table in (*CATALOG.tables.values(), *ACCESS.tables.values()):
        table.to_metadata(wanted)

    with catalog_engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "schema_version", "compare_type": True}
        )
        differences = compare_metadata(context, wanted)

    assert [] == differences


def test_the_head_that_a_start_compares_with_is_the_newest_step() -> None:
    folder = Path(schema.__file__).parent / "migrations"

    assert ScriptDirectory(str(folder)).get_current_head() == schema.HEAD


def test_upgrading_again_changes_nothing(catalog_engine: Engine) -> None:
    assert [] == list(upgrade_catalog(catalog_engine))


def test_the_workgroup_default_is_there_from_the_first_step(
    catalog_engine: Engine,
) -> None:
    assert {DEFAULT_WORKGROUP: "default"} == Workgroups(catalog_engine).names()


def test_a_schema_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
    upgrade_catalog(engine)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match="9999"):
        upgrade_catalog(engine)
    engine.dispose()


def test_two_processes_that_start_together_upgrade_once(tmp_path: Path) -> None:
    engines = [open_engine(f"sqlite:///{tmp_path}", schema="catalog") for _ in "12"]
    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(upgrade_catalog, engines))
    for engine in engines:
        engine.dispose()

    assert [[], ["0001", "0002"]] == sorted(list(steps) for steps in applied)
