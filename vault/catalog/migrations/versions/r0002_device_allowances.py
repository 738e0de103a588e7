"""What a device may do that is refused to others: nothing, for all there are."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add the allowances of a device, empty for every device there is."""
    op.add_column(
        "device",
        sa.Column("allowances", sa.String(128), nullable=False, server_default=""),
    )
