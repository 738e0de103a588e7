"""Devices in SIP: where they may be, what they are known by, and how many calls.

Devices of before have no digest secret: it is made together with the token, which
is not kept (``callvault device renew``).
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add lists, limit and digest secrets; a device of before has none of them."""
    for name in ("addresses", "media_addresses", "certificates"):
        op.add_column(
            "device", sa.Column(name, sa.Text, nullable=False, server_default="")
        )
    op.add_column(
        "device",
        sa.Column("max_calls", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_table(
        "device_digest",
        sa.Column(
            "device_id", sa.String(36), sa.ForeignKey("device.id"), primary_key=True
        ),
        sa.Column("ha1_sha256", sa.String(64), nullable=False),
        sa.Column("ha1_md5", sa.String(32), nullable=False),
    )
