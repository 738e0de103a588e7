"""The log, its tree, its checkpoints, and the text beside it.

Triggers forbid what nobody but an intruder would do: changing or removing what
was logged.  They are a guard rail (a superuser can switch them off); the tree
is what proves.
"""

import hashlib
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "audit_0001"
down_revision: Final = None

_POSITION: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# Ranges of times and actions compare octets, whatever the database's language is.
_OCTETS: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_FROZEN: Final = ("log_entry", "log_object", "log_node", "log_checkpoint")
_KEYS: Final = {
    "log_entry": "position = NEW.position",
    "log_object": "position = NEW.position AND object = NEW.object",
    "log_node": "level = NEW.level AND position = NEW.position",
    "log_checkpoint": "size = NEW.size",
}
_REFUSAL: Final = "the audit log is append-only"


def upgrade() -> None:
    """Create everything."""
    _create_entries()
    _create_tree()
    _create_beside()
    empty = hashlib.sha256(b"").digest()
    head = sa.table("log_head", sa.column("id"), sa.column("size"), sa.column("root"))
    op.execute(head.insert().values(id=1, size=0, root=empty))
    op.execute(sa.text("INSERT INTO log_probe (id, time_ns) VALUES (1, 0)"))
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _create_entries() -> None:
    op.create_table(
        "log_entry",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=False),
        sa.Column("octets", sa.LargeBinary, nullable=False),
        sa.Column("time", _OCTETS, nullable=False),
        sa.Column("action", _OCTETS, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("source_seq", sa.BigInteger),
    )
    op.create_index("log_entry_time", "log_entry", ["time"])
    for column in ("action", "actor"):
        op.create_index(f"log_entry_{column}", "log_entry", [column, "position"])
    op.create_index(
        "log_entry_source", "log_entry", ["source", "source_seq"], unique=True
    )
    op.create_table(
        "log_object",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("object", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("log_object_object", "log_object", ["object", "position"])


def _create_tree() -> None:
    op.create_table(
        "log_node",
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_head",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", _POSITION, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def _create_beside() -> None:
    op.create_table(
        "log_text",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_probe",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
    )


def _guard_sqlite() -> None:
    for table in _FROZEN:
        for verb in ("UPDATE", "DELETE"):
            _sqlite_trigger(table, verb)
        # REPLACE deletes the old row without firing its DELETE trigger.
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE {_KEYS[table]})"  # noqa: S608 - constants of this module
        _sqlite_trigger(table, "INSERT", exists)
    _sqlite_trigger("log_text", "UPDATE")
    _sqlite_trigger("log_head", "DELETE")
    _sqlite_trigger("log_head", "INSERT")
    _sqlite_trigger("log_head", "UPDATE", "NEW.size <= OLD.size OR NEW.id <> OLD.id")


def _sqlite_trigger(table: str, verb: str, when: str = "1") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"WHEN {when} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION '{_REFUSAL}' "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in _FROZEN:
        _postgresql_trigger(table, "UPDATE OR DELETE")
    _postgresql_trigger("log_text", "UPDATE")
    _postgresql_trigger("log_head", "DELETE OR INSERT")
    op.execute(
        "CREATE TRIGGER log_head_only_grows BEFORE UPDATE ON log_head FOR EACH ROW "
        "WHEN (NEW.size <= OLD.size OR NEW.id <> OLD.id) EXECUTE FUNCTION log_refuse()"
    )
    for table in (*_FROZEN, "log_head", "log_text"):
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION log_refuse()"
        )


def _postgresql_trigger(table: str, verbs: str) -> None:
    name = verbs.lower().replace(" or ", "_")
    op.execute(
        f"CREATE TRIGGER {table}_no_{name} BEFORE {verbs} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION log_refuse()"
    )
