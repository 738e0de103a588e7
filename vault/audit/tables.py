"""The tables of the audit database.

    log_entry       every entry as it is hashed, with columns to find it by
    log_object      what each entry is about, to find it by
    log_node        the root of every perfect subtree; level 0 holds the leaves
    log_head        one row: size and root, swapped by comparison
    log_checkpoint  every checkpoint that was signed, one per commit
    log_text        sealed free text beside the log: the only table that forgets
    log_probe       one row that a health check writes to

Guarantees: nothing by itself.  Triggers (`vault.audit.migrations`) refuse edits
as a guard rail; the proof is the tree and its signed checkpoints, which hold
against whoever owns the database.

Left to others: writing (`vault.audit.log`), reading (`vault.audit.reading`).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

# SQLite makes only INTEGER PRIMARY KEY an alias of its row id.
_POSITION: Final = BigInteger().with_variant(Integer, "sqlite")

# Ranges of times and actions compare octets, whatever the database's language is.
_OCTETS: Final = Text().with_variant(Text(collation="C"), "postgresql")

metadata: Final = MetaData()

log_entry: Final = Table(
    "log_entry",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=False),
    Column("octets", LargeBinary, nullable=False),
    # What follows repeats members of the entry.  It is not hashed, so a reader
    # compares it with the entry before believing it.
    Column("time", _OCTETS, nullable=False),
    Column("action", _OCTETS, nullable=False),
    Column("actor", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("source", Text),
    Column("source_seq", BigInteger),
    Index("log_entry_time", "time"),
    Index("log_entry_action", "action", "position"),
    Index("log_entry_actor", "actor", "position"),
    Index("log_entry_source", "source", "source_seq", unique=True),
)

# Repeats what `vault.audit.query.objects_of` says of the entry.  Not hashed either:
# whoever shows an entry compares.
log_object: Final = Table(
    "log_object",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("object", Text, primary_key=True),
    Index("log_object_object", "object", "position"),
    sqlite_with_rowid=False,
)

log_node: Final = Table(
    "log_node",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

log_head: Final = Table(
    "log_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
)

log_checkpoint: Final = Table(
    "log_checkpoint",
    metadata,
    Column("size", _POSITION, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)

log_text: Final = Table(
    "log_text",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

log_probe: Final = Table(
    "log_probe",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("time_ns", BigInteger, nullable=False),
)

THE_ROW: Final = 1
"The id of the one row of `log_head` and `log_probe`."
