"""Schema upgrades, one alembic history per database.

Guarantees: two processes that start together upgrade once (SQLite: the write
lock; PostgreSQL: an advisory lock); an upgrade that fails leaves the schema as it
was; a schema newer than the code is refused.

Left to others: the steps themselves, in ``<room>/migrations/versions``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, inspect, text

from vault.core.errors import ConfigurationError
from vault.database.engine import reading, transaction

_LOCK: Final = 0x0CA11FA17
_VERSION_TABLE: Final = "schema_version"


def upgrade(engine: Engine, *, folder: Path, schema: str, head: str) -> Sequence[str]:
    """Bring the database behind *engine* to the newest revision of *folder*.

    Args:
        engine: From `open_engine` with the same *schema*.
        folder: An alembic script folder (``versions/`` lies in it).
        schema: ``catalog`` or ``audit``; created first on PostgreSQL.
        head: The newest revision.  A database that is there already costs one
            SELECT, and alembic is not even loaded.

    Returns:
        The revisions applied, oldest first.

    Raises:
        ConfigurationError: The database is newer than this program.
        DatabaseUnavailableError: The database failed; nothing was changed.
    """
    if _revision(engine) == head:
        return []
    # Loaded here, because nearly every start of a process ends above.
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.operations import Operations  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory(str(folder))
    known = {step.revision for step in script.walk_revisions()}
    applied: list[str] = []
    with transaction(engine) as connection:
        # A table of millions of rows takes as long as it takes.
        connection.execution_options(unlimited=True)
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        context = MigrationContext.configure(
            connection, opts={"version_table": _VERSION_TABLE}
        )
        current = context.get_current_revision()
        if current is not None and current not in known:
            raise ConfigurationError(
                f"the {schema} database is at revision {current}, which this program "
                "does not know: it was upgraded by a newer Callvault"
            )
        context._ensure_version_table()  # noqa: SLF001 - alembic offers no public call for it
        with Operations.context(context):
            for step in reversed(
                list(script.iterate_revisions("head", current or "base"))
            ):
                step.module.upgrade()
                context.stamp(script, step.revision)
                applied.append(step.revision)
    return applied


def _revision(engine: Engine) -> str | None:
    # Through `reading`: a start must not wait for the write lock of others.
    with reading(engine) as connection:
        if not inspect(connection).has_table(_VERSION_TABLE):
            return None
        query = text(f"SELECT version_num FROM {_VERSION_TABLE}")  # noqa: S608 - our own constant
        return connection.execute(query).scalar()
