"""The first schema: recordings, sealed metadata, people, sessions, devices.

The tables are spelled out and not taken from the rooms' ``tables.py``: those
move on, and this step has to make in ten years what it makes today.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

_ID: Final = sa.String(36)
_NAME: Final = sa.String(64)
_NAME_KEY: Final = sa.String(192)
_SHA256_HEX: Final = sa.String(64)
_DEFAULT_WORKGROUP: Final = "00000000-0000-4000-8000-000000000001"


def upgrade() -> None:
    """Make every table and the workgroup ``default``."""
    _recording()
    _of_recording()
    _people()
    _credentials()
    _grants()


def _recording() -> None:
    op.create_table(
        "recording",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("id", _ID, nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("device_id", _ID),
        sa.Column("workgroup_id", _ID),
        sa.Column("day", sa.Date),
        sa.Column("kid", sa.String(64)),
        sa.Column("agent_id", _ID),
        sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("duration_ms", sa.BigInteger),
        sa.Column("manifest_sha256", _SHA256_HEX),
        sa.Column("how", sa.String(16)),
        sa.Column("streams", sa.Text, nullable=False, server_default="[]"),
        sa.Column("has_screen", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("worker", sa.String(64)),
        sa.Column("lease_until_ns", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.CheckConstraint(
            "state IN ('recording', 'captured', 'rendering', 'ready', 'partial', "
            "'failed', 'expired', 'shredded')",
            name="recording_state_known",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "recording_by_workgroup", "recording", ["workgroup_id", "day", "seq"]
    )
    op.create_index("recording_by_day", "recording", ["day", "seq"])
    op.create_index("recording_by_state", "recording", ["state", "attempts", "seq"])


def _key_of_recording() -> sa.Column[str]:
    return sa.Column(
        "recording_id", _ID, sa.ForeignKey("recording.id"), primary_key=True
    )


def _of_recording() -> None:
    op.create_table(
        "envelope",
        _key_of_recording(),
        sa.Column("octets", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "stored_object",
        _key_of_recording(),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", _SHA256_HEX, nullable=False),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
    )
    op.create_table(
        "wanted_format",
        _key_of_recording(),
        sa.Column("media_type", sa.String(64), primary_key=True),
    )
    op.create_table(
        "sealed_row",
        _key_of_recording(),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
    )
    op.create_table(
        "index_token",
        _key_of_recording(),
        sa.Column("field", sa.String(16), primary_key=True),
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("token", sa.LargeBinary, primary_key=True),
    )
    op.create_index("index_token_by_value", "index_token", ["field", "month", "token"])


def _people() -> None:
    workgroup = op.create_table(
        "workgroup",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("name_key", _NAME_KEY, nullable=False, unique=True),
    )
    # A tap without a snapshot must know where a call belongs: a fixed id.
    op.bulk_insert(
        workgroup,
        [{"id": _DEFAULT_WORKGROUP, "name": "default", "name_key": "default"}],
    )
    op.create_table(
        "person",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("name_key", _NAME_KEY, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "person_role",
        sa.Column("user_id", _ID, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("role", sa.String(32), primary_key=True),
        sa.CheckConstraint(
            "role IN ('agent', 'supervisor', 'officer', 'administrator')",
            name="person_role_known",
        ),
    )
    op.create_table(
        "person_workgroup",
        sa.Column("user_id", _ID, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("workgroup_id", _ID, sa.ForeignKey("workgroup.id"), primary_key=True),
    )


def _credentials() -> None:
    op.create_table(
        "session",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("user_id", _ID, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("used_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("session_by_user", "session", ["user_id"])
    op.create_table(
        "token",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("user_id", _ID, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("used_ns", sa.BigInteger),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("token_by_user", "token", ["user_id"])
    op.create_table(
        "device",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("name_key", _NAME_KEY, nullable=False, unique=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("media_advertise", sa.String(64)),
        sa.Column("revoked", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def _grants() -> None:
    op.create_table(
        "media_grant",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("session_id", _ID, nullable=False),
        sa.Column("recording_id", _ID, nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("user_id", _ID, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("access_right", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
        sa.Column("session_ends_ns", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "media_grant_by_use", "media_grant", ["session_id", "recording_id", "part"]
    )
    op.create_index("media_grant_by_user", "media_grant", ["user_id"])
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name_digest", sa.LargeBinary, nullable=False),
        sa.Column("origin_digest", sa.LargeBinary, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "sign_in_attempt_by_name", "sign_in_attempt", ["name_digest", "at_ns"]
    )
    op.create_index(
        "sign_in_attempt_by_origin", "sign_in_attempt", ["origin_digest", "at_ns"]
    )
    op.create_index("sign_in_attempt_by_time", "sign_in_attempt", ["at_ns"])
