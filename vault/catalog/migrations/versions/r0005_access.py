"""Who may do what, in full: rights, classes, approvals, factors, address rules.

Sessions of before were opened by a password alone, when they were made.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None

_ID: Final = sa.String(36)
_NAME: Final = sa.String(64)
_SLUG: Final = sa.String(32)
_PERMISSION: Final = sa.String(64)
_OF_PERSON: Final = "person.id"
_ROLES: Final = (
    "role IN ('agent', 'supervisor', 'quality', 'officer', 'administrator', "
    "'custodian')"
)


def upgrade() -> None:
    """Widen what is there, then make what is new."""
    _people()
    _sessions()
    _rights()
    _factors()
    _edges()


def _people() -> None:
    for column in (
        sa.Column("source", sa.String(64), nullable=False, server_default="local"),
        sa.Column("external_id", sa.String(255), nullable=False, server_default=""),
        sa.Column(
            "password_changed_ns", sa.BigInteger, nullable=False, server_default="0"
        ),
        sa.Column(
            "must_change_password",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
        ),
        sa.Column("seen_ns", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("vouched_until_ns", sa.BigInteger),
    ):
        op.add_column("person", column)
    op.create_index("person_by_source", "person", ["source", "external_id"])
    op.create_table(
        "password_history",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("at_ns", sa.BigInteger, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
    )
    _more_roles()
    op.add_column("workgroup", sa.Column("parent_id", _ID))
    op.add_column(
        "workgroup",
        sa.Column("class_name", _SLUG, nullable=False, server_default=""),
    )
    op.add_column("recording", sa.Column("class_name", _SLUG))


def _more_roles() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("person_role_known", "person_role", type_="check")
        op.create_check_constraint("person_role_known", "person_role", sa.text(_ROLES))
        return
    # SQLite changes no constraint; nothing refers to this table.
    op.create_table(
        "person_role_next",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("role", _SLUG, primary_key=True),
        sa.CheckConstraint(_ROLES, name="person_role_known"),
    )
    op.execute(
        "INSERT INTO person_role_next (user_id, role) "
        "SELECT user_id, role FROM person_role"
    )
    op.drop_table("person_role")
    op.rename_table("person_role_next", "person_role")


def _sessions() -> None:
    for column in (
        sa.Column(
            "authenticated_ns", sa.BigInteger, nullable=False, server_default="0"
        ),
        sa.Column("methods", _NAME, nullable=False, server_default="pwd"),
        sa.Column(
            "is_restricted", sa.Boolean, nullable=False, server_default=sa.false()
        ),
        sa.Column("is_locked", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column(
            "provider_session", sa.String(255), nullable=False, server_default=""
        ),
    ):
        op.add_column("session", column)
    op.execute("UPDATE session SET authenticated_ns = created_ns")
    op.add_column(
        "token", sa.Column("permissions", sa.Text, nullable=False, server_default="")
    )
    op.add_column(
        "token",
        sa.Column("used_from", sa.String(64), nullable=False, server_default=""),
    )
    op.create_table(
        "known_device",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("used_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("known_device_by_user", "known_device", ["user_id"])


def _rights() -> None:
    op.add_column("recording", sa.Column("held_since_ns", sa.BigInteger))
    op.add_column("recording", sa.Column("held_by", sa.String(128)))
    op.create_table(
        "recording_class",
        sa.Column("name", _SLUG, primary_key=True),
        sa.Column("needs_reason", sa.Boolean, nullable=False),
        sa.Column("needs_approval", sa.Boolean, nullable=False),
    )
    op.add_column(
        "media_grant",
        sa.Column("has_reason", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.add_column("media_grant", sa.Column("sealed_reason", sa.LargeBinary))
    op.create_table(
        "granted_right",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("holder_kind", _SLUG, nullable=False),
        sa.Column("holder", _NAME, nullable=False),
        sa.Column("permission", _PERMISSION, nullable=False),
        sa.Column("scope_kind", _SLUG, nullable=False),
        sa.Column("scope_value", _NAME, nullable=False, server_default=""),
        sa.Column("valid_from_ns", sa.BigInteger, nullable=False),
        sa.Column("valid_until_ns", sa.BigInteger),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("granted_by", _NAME, nullable=False),
        sa.Column(
            "is_emergency", sa.Boolean, nullable=False, server_default=sa.false()
        ),
        sa.CheckConstraint(
            "holder_kind IN ('user', 'workgroup', 'role')", name="right_holder_known"
        ),
        sa.CheckConstraint(
            "scope_kind IN ('own', 'workgroup', 'class', 'all')",
            name="right_scope_known",
        ),
    )
    op.create_index(
        "granted_right_by_holder", "granted_right", ["holder_kind", "holder"]
    )
    op.create_table(
        "approval",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("kind", _SLUG, nullable=False),
        sa.Column("requester_id", _ID, sa.ForeignKey(_OF_PERSON), nullable=False),
        sa.Column("permission", _PERMISSION, nullable=False),
        sa.Column("recording_id", _ID),
        sa.Column("change", sa.Text, nullable=False, server_default=""),
        sa.Column("state", _SLUG, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
        sa.Column("decided_by", _ID),
        sa.Column("decided_ns", sa.BigInteger),
        sa.Column("sealed_reason", sa.LargeBinary),
        sa.CheckConstraint(
            "state IN ('pending', 'approved', 'refused', 'used')",
            name="approval_state_known",
        ),
    )
    op.create_index("approval_by_requester", "approval", ["requester_id", "state"])
    op.create_index("approval_by_state", "approval", ["state", "expires_ns"])


def _factors() -> None:
    op.create_table(
        "totp",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column(
            "is_confirmed", sa.Boolean, primary_key=True, server_default=sa.false()
        ),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "passkey",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("credential_id", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("transports", _NAME, nullable=False, server_default=""),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("used_ns", sa.BigInteger),
    )
    op.create_index("passkey_by_user", "passkey", ["user_id"])
    op.create_table(
        "recovery_code",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("code_sha256", sa.LargeBinary, primary_key=True),
    )
    op.create_table(
        "activation",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("first_sha256", sa.LargeBinary, nullable=False),
        sa.Column("second_sha256", sa.LargeBinary, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "saved_search",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("user_id", "name", name="saved_search_once"),
    )
    op.create_table(
        "trail_export",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("made_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "keeper",
        sa.Column("user_id", _ID, sa.ForeignKey(_OF_PERSON), primary_key=True),
        sa.Column("keeper_id", _ID, primary_key=True),
        sa.Column("code_sha256", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ceremony",
        sa.Column("secret_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("kind", _SLUG, nullable=False),
        sa.Column("user_id", _ID),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("ceremony_by_end", "ceremony", ["expires_ns"])


def _edges() -> None:
    op.create_table(
        "address_rule",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("listener", _SLUG, nullable=False),
        sa.Column("verdict", _SLUG, nullable=False),
        sa.Column("prefix", _NAME, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "listener IN ('web', 'forks', 'sip')", name="address_rule_listener_known"
        ),
        sa.CheckConstraint(
            "verdict IN ('allow', 'deny')", name="address_rule_verdict_known"
        ),
        sa.UniqueConstraint("listener", "verdict", "prefix", name="address_rule_once"),
    )
    op.add_column("device", sa.Column("expires_ns", sa.BigInteger))
    op.add_column("device", sa.Column("used_ns", sa.BigInteger))
