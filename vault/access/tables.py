"""Tables of access: people, what they hold, and where they came from.

Guarantees: no secret is in them that could be used, but for one table.  Passwords
are Argon2id hashes; sessions, tokens and devices are the SHA-256 of 256 random bits.
``device_digest`` is the exception that SIP wants: whoever reads it can answer a SIP
challenge as the device (and cannot use the fork API), so that only taps may.

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
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

METADATA: Final = MetaData()

_ID: Final = String(36)
_NAME: Final = String(64)
_NAME_KEY: Final = String(192)
"Case folding and NFKC may make a name three times as long."
_SLUG: Final = String(32)

WORKGROUP: Final = Table(
    "workgroup",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("name_key", _NAME_KEY, nullable=False, unique=True),
    # No foreign key: SQLite adds none to a table that is there, and nobody removes
    # a workgroup.
    Column("parent_id", _ID),
    # Of recordings that have no class of their own; empty: none.
    Column("class_name", _SLUG, nullable=False, server_default=""),
)

PERSON: Final = Table(
    "person",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("name_key", _NAME_KEY, nullable=False, unique=True),
    # Empty for people whose password is somebody else's to check.
    Column("password_hash", Text, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    # Which authenticator made the account, and what that calls the person.
    Column("source", _NAME, nullable=False, server_default="local"),
    Column("external_id", String(255), nullable=False, server_default=""),
    Column("password_changed_ns", BigInteger, nullable=False, server_default="0"),
    Column("must_change_password", Boolean, nullable=False, server_default=false()),
    # When they last signed in, or were added.
    Column("seen_ns", BigInteger, nullable=False, server_default="0"),
    # How long what their source said of them counts; none: for good.
    Column("vouched_until_ns", BigInteger),
    Index("person_by_source", "source", "external_id"),
)

_OF_PERSON: Final = "person.id"

PASSWORD_HISTORY: Final = Table(
    "password_history",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    Column("at_ns", BigInteger, primary_key=True),
    Column("password_hash", Text, nullable=False),
)

PERSON_ROLE: Final = Table(
    "person_role",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    Column("role", _SLUG, primary_key=True),
    CheckConstraint(
        "role IN ('agent', 'supervisor', 'quality', 'officer', 'administrator', "
        "'custodian')",
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
    # When the person last proved who they are: at sign-in, or at a step-up.
    Column("authenticated_ns", BigInteger, nullable=False, server_default="0"),
    # How, as RFC 8176 names it, a space between: "pwd otp".
    Column("methods", _NAME, nullable=False, server_default="pwd"),
    # A second factor is required and still missing.
    Column("is_restricted", Boolean, nullable=False, server_default=false()),
    # Seen to be idle, or locked by hand: only a proof opens it again.
    Column("is_locked", Boolean, nullable=False, server_default=false()),
    # What the OpenID provider calls the session of its own behind it; else empty.
    Column("provider_session", String(255), nullable=False, server_default=""),
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
    # Names of permissions, a space between; empty: all that the owner has.
    Column("permissions", Text, nullable=False, server_default=""),
    # Address of the peer at the last use.
    Column("used_from", String(64), nullable=False, server_default=""),
    Index("token_by_user", "user_id"),
)

KNOWN_DEVICE: Final = Table(
    "known_device",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("user_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index("known_device_by_user", "user_id"),
)

RECORDING_CLASS: Final = Table(
    "recording_class",
    METADATA,
    Column("name", _SLUG, primary_key=True),
    Column("needs_reason", Boolean, nullable=False),
    Column("needs_approval", Boolean, nullable=False),
)

GRANTED_RIGHT: Final = Table(
    "granted_right",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("holder_kind", _SLUG, nullable=False),
    # Id of a person or workgroup, or the name of a role.
    Column("holder", _NAME, nullable=False),
    Column("permission", _NAME, nullable=False),
    Column("scope_kind", _SLUG, nullable=False),
    # Id of a workgroup (empty: the holder's own) or name of a class; else empty.
    Column("scope_value", _NAME, nullable=False, server_default=""),
    Column("valid_from_ns", BigInteger, nullable=False),
    Column("valid_until_ns", BigInteger),
    Column("created_ns", BigInteger, nullable=False),
    # An actor as the trail spells it.
    Column("granted_by", _NAME, nullable=False),
    Column("is_emergency", Boolean, nullable=False, server_default=false()),
    CheckConstraint(
        "holder_kind IN ('user', 'workgroup', 'role')", name="right_holder_known"
    ),
    CheckConstraint(
        "scope_kind IN ('own', 'workgroup', 'class', 'all')", name="right_scope_known"
    ),
    Index("granted_right_by_holder", "holder_kind", "holder"),
)

APPROVAL: Final = Table(
    "approval",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("kind", _SLUG, nullable=False),
    Column("requester_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("permission", _NAME, nullable=False),
    Column("recording_id", _ID),
    # JSON of ids and slugs: what will be changed once it is approved.
    Column("change", Text, nullable=False, server_default=""),
    Column("state", _SLUG, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("decided_by", _ID),
    Column("decided_ns", BigInteger),
    # What who asks typed, sealed (`vault.access.factor_key`).  Erased by a no, and by
    # the next step of any approval once this one is over.
    Column("sealed_reason", LargeBinary),
    CheckConstraint(
        "state IN ('pending', 'approved', 'refused', 'used')",
        name="approval_state_known",
    ),
    Index("approval_by_requester", "requester_id", "state"),
    Index("approval_by_state", "state", "expires_ns"),
)

TOTP: Final = Table(
    "totp",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    # Under a key that is in no database.
    Column("sealed", LargeBinary, nullable=False),
    # The newest time step that was used: none is taken twice.
    Column("last_step", BigInteger, nullable=False, server_default="0"),
    # The one that counts, and one that is being set up, beside each other.
    Column("is_confirmed", Boolean, primary_key=True, server_default=false()),
    Column("created_ns", BigInteger, nullable=False),
)

PASSKEY: Final = Table(
    "passkey",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("user_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("transports", _NAME, nullable=False, server_default=""),
    Column("created_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger),
    Index("passkey_by_user", "user_id"),
)

RECOVERY_CODE: Final = Table(
    "recovery_code",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    Column("code_sha256", LargeBinary, primary_key=True),
)

ACTIVATION: Final = Table(
    "activation",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    # Of the two halves of a code that two people may have to hand over.
    Column("first_sha256", LargeBinary, nullable=False),
    Column("second_sha256", LargeBinary, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)

SAVED_SEARCH: Final = Table(
    "saved_search",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("user_id", _ID, ForeignKey(_OF_PERSON), nullable=False),
    Column("name", _NAME, nullable=False),
    # In the language of the trail; people and things by id.
    Column("query", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name", name="saved_search_once"),
)

TRAIL_EXPORT: Final = Table(
    "trail_export",
    METADATA,
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    # The signed checkpoint of their last export of the trail.
    Column("note", Text, nullable=False),
    Column("made_ns", BigInteger, nullable=False),
)

KEEPER: Final = Table(
    "keeper",
    METADATA,
    # Whose account, and who else alone had the way into it.
    Column("user_id", _ID, ForeignKey(_OF_PERSON), primary_key=True),
    Column("keeper_id", _ID, primary_key=True),
    # Of the first half of the code, where it was one; else empty.
    Column("code_sha256", LargeBinary, nullable=False),
)

CEREMONY: Final = Table(
    "ceremony",
    METADATA,
    # Of the secret that only the browser of the ceremony has.
    Column("secret_sha256", LargeBinary, primary_key=True),
    Column("kind", _SLUG, nullable=False),
    Column("user_id", _ID),
    # JSON: challenge, state, nonce, verifier.
    Column("content", Text, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index("ceremony_by_end", "expires_ns"),
)

ADDRESS_RULE: Final = Table(
    "address_rule",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("listener", _SLUG, nullable=False),
    Column("verdict", _SLUG, nullable=False),
    Column("prefix", _NAME, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    CheckConstraint(
        "listener IN ('web', 'forks', 'sip')", name="address_rule_listener_known"
    ),
    CheckConstraint("verdict IN ('allow', 'deny')", name="address_rule_verdict_known"),
    UniqueConstraint("listener", "verdict", "prefix", name="address_rule_once"),
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
    # Prefixes, a space between; empty means any.
    Column("addresses", Text, nullable=False, server_default=""),
    Column("media_addresses", Text, nullable=False, server_default=""),
    # SHA-256 of the DER, in hexadecimal, a space between.
    Column("certificates", Text, nullable=False, server_default=""),
    # 0 means no limit of its own.
    Column("max_calls", Integer, nullable=False, server_default="0"),
    # When its token ends; none: never.
    Column("expires_ns", BigInteger),
    # Last use, to the minute.
    Column("used_ns", BigInteger),
)

DEVICE_DIGEST: Final = Table(
    "device_digest",
    METADATA,
    Column("device_id", _ID, ForeignKey("device.id"), primary_key=True),
    # HA1 of RFC 7616 in lower-case hexadecimal, as the digest needs it.
    Column("ha1_sha256", String(64), nullable=False),
    Column("ha1_md5", String(32), nullable=False),
)

EXTENSION: Final = Table(
    "extension",
    METADATA,
    Column("id", _ID, primary_key=True),
    # As `vault.access.extensions.pattern_key` spells it.
    Column("pattern", String(128), nullable=False, unique=True),
    Column("is_wild", Boolean, nullable=False),
    # Names and not ids: an entry may be there before the person or the workgroup.
    Column("agent", _NAME, nullable=False, server_default=""),
    Column("workgroup", _NAME, nullable=False, server_default=""),
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
    Column("has_reason", Boolean, nullable=False, server_default=false()),
    # Erased when the key was released: its leaf carries it.
    Column("sealed_reason", LargeBinary),
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
