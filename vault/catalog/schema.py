"""Bring the database ``catalog`` to the newest schema: catalog and access tables.

Guarantees: as `vault.database.migrate.upgrade`; running it again changes nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from vault.database.migrate import upgrade

HEAD: Final = "0005"
"The newest revision in ``migrations/versions``; a test holds it to that."

_FOLDER: Final = Path(__file__).parent / "migrations"


def upgrade_catalog(engine: Engine) -> Sequence[str]:
    """Upgrade the database behind *engine* and return the steps applied.

    Raises:
        ConfigurationError: The database is newer than this program.
        DatabaseUnavailableError: The database failed; nothing was changed.
    """
    return upgrade(engine, folder=_FOLDER, schema="catalog", head=HEAD)
