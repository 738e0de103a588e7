from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from vault.audit.schema import upgrade_audit
from vault.audit.tables import metadata
from vault.database.engine import open_engine


def test_the_migrations_make_the_tables_that_the_code_expects(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    upgrade_audit(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": "schema_version",
                "include_name": lambda name, kind, _: (
                    kind != "table" or str(name).startswith("log_")
                ),
            },
        )
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert [] == differences


def test_a_second_upgrade_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    first, second = upgrade_audit(engine), upgrade_audit(engine)
    engine.dispose()

    assert (["audit_0001"], []) == (list(first), list(second))
