"""Which address is which agent's: a table of patterns, empty at first."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add the table of extensions."""
    op.create_table(
        "extension",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("pattern", sa.String(128), nullable=False, unique=True),
        sa.Column("is_wild", sa.Boolean, nullable=False),
        sa.Column("agent", sa.String(64), nullable=False, server_default=""),
        sa.Column("workgroup", sa.String(64), nullable=False, server_default=""),
    )
