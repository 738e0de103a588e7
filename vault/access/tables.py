"""Tables of access: people, what they hold, and where they came from.

Guarantees: no secret is in them that could be used.  Passwords are Argon2id
hashes; sessions, tokens and devices are the SHA-256 of 256 random bits.

Left to others: making and changing the schema (`vault.catalog.migrations`: both
rooms share the database ``catalog``).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

METADATA: Final = MetaData()

_ID: Final = String(36)
_NAME: Final = String(64)
_NAME_KEY: Final = String(192)
"Case folding and NFKC may make a name three times as long."

WORKGROUP: Final = Table(
    "workgroup",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("name_key", _NAME_KEY, nullable=False, unique=True),
)

PERSON: Final = Table(
    "person",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("name_key", _NAME_KEY, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
)

_OF_PERSON: Final = "person.id"

PERSON_ROLE: Final = Table(
    "person_role",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    Column("role", String(32), primary_key=True),
    CheckConstraint(
        "role IN ('agent', 'supervisor', 'officer', 'administrator')",
        name="person_role_known",
    ),
)

PERSON_WORKGROUP: Final = Table(
    "person_workgroup",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    Column("workgroup_id", _ID, ForeignKey("workgroup.id"), primary_key=True),
)

SESSION: Final = Table(
    "session",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("user_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index("session_by_user", "user_id"),
)

TOKEN: Final = Table(
    "token",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("user_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("name", _NAME, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger),
    Column("expires_ns", BigInteger, nullable=False),
    Index("token_by_user", "user_id"),
)

DEVICE: Final = Table(
    "device",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("name_key", _NAME_KEY, nullable=False, unique=True),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("media_advertise", String(64)),
    Column("revoked", Boolean, nullable=False, server_default=false()),
    # Names of `vault.core.flow.Allowance` in alphabetical order, a space between.
    Column("allowances", String(128), nullable=False, server_default=""),
)

MEDIA_GRANT: Final = Table(
    "media_grant",
    METADATA,
    Column("id", _ID, primary_key=True),
    # A session's id or a token's id: both are random and never meet.
    Column("session_id", _ID, nullable=False),
    Column("recording_id", _ID, nullable=False),
    Column("part", String(16), nullable=False),
    Column("user_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("access_right", String(64), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("session_ends_ns", BigInteger, nullable=False),
    Index("media_grant_by_use", "session_id", "recording_id", "part"),
    Index("media_grant_by_user", "user_id"),
)

SIGN_IN_ATTEMPT: Final = Table(
    "sign_in_attempt",
    METADATA,
    Column("id", _ID, primary_key=True),
    # Digests: what is typed as a name is often a password.
    Column("name_digest", LargeBinary, nullable=False),
    Column("origin_digest", LargeBinary, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Index("sign_in_attempt_by_name", "name_digest", "at_ns"),
    Index("sign_in_attempt_by_origin", "origin_digest", "at_ns"),
    Index("sign_in_attempt_by_time", "at_ns"),
)
