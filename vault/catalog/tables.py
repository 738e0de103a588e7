"""Tables of the catalog: what the database may know about a call.

Guarantees: in plaintext there are only random ids, pseudonymous workgroup and
agent ids, the start *day*, states, sizes, counters and key ids.  Numbers, names,
times of day and free text are in ``sealed_row`` or not here at all; a test reads
every column and fails on one that is not on its list.

Left to others: changing a schema that is already in use (`vault.catalog.migrations`).

Spec: docs/reference/formats/catalog.md
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

from vault.core.flow import RecordingState

METADATA: Final = MetaData()

# SQLite numbers rows by itself only where the column is spelled INTEGER.
_SEQUENCE: Final = BigInteger().with_variant(Integer, "sqlite")
_ID: Final = String(36)
_SHA256_HEX: Final = String(64)

_STATES: Final = ", ".join(f"'{state}'" for state in RecordingState)

RECORDING: Final = Table(
    "recording",
    METADATA,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", _ID, nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("held", Boolean, nullable=False, server_default=false()),
    Column("held_since_ns", BigInteger),
    # An actor as the trail spells it.
    Column("held_by", String(128)),
    # These four are unknown while a call was shipped before it was opened here.
    Column("device_id", _ID),
    Column("workgroup_id", _ID),
    Column("day", Date),
    Column("kid", String(64)),
    Column("agent_id", _ID),
    # None: that of its workgroup.
    Column("class_name", String(32)),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("duration_ms", BigInteger),
    Column("manifest_sha256", _SHA256_HEX),
    Column("how", String(16)),
    Column("streams", Text, nullable=False, server_default="[]"),
    Column("has_screen", Boolean, nullable=False, server_default=false()),
    # The lease of a worker; also "not before" after a failed attempt.
    Column("worker", String(64)),
    Column("lease_until_ns", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    CheckConstraint(f"state IN ({_STATES})", name="recording_state_known"),
    Index("recording_by_workgroup", "workgroup_id", "day", "seq"),
    Index("recording_by_day", "day", "seq"),
    Index("recording_by_state", "state", "attempts", "seq"),
    sqlite_autoincrement=True,
)

_OF_RECORDING: Final = "recording.id"

ENVELOPE: Final = Table(
    "envelope",
    METADATA,
    Column("recording_id", _ID, ForeignKey(_OF_RECORDING), primary_key=True),
    Column("octets", LargeBinary, nullable=False),
)

STORED_OBJECT: Final = Table(
    "stored_object",
    METADATA,
    Column("recording_id", _ID, ForeignKey(_OF_RECORDING), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", _SHA256_HEX, nullable=False),
    Column("media_type", String(64), nullable=False),
    # A superseded revision stays known, so that nobody can put it back.
    Column("is_current", Boolean, nullable=False),
)

WANTED_FORMAT: Final = Table(
    "wanted_format",
    METADATA,
    Column("recording_id", _ID, ForeignKey(_OF_RECORDING), primary_key=True),
    Column("media_type", String(64), primary_key=True),
)

SEALED_ROW: Final = Table(
    "sealed_row",
    METADATA,
    Column("recording_id", _ID, ForeignKey(_OF_RECORDING), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("key_id", String(64), nullable=False),
)

INDEX_TOKEN: Final = Table(
    "index_token",
    METADATA,
    Column("recording_id", _ID, ForeignKey(_OF_RECORDING), primary_key=True),
    Column("field", String(16), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("token", LargeBinary, primary_key=True),
    Index("index_token_by_value", "field", "month", "token"),
)
