"""Brings the audit database to the newest revision.  Only its writer calls this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from vault.database.migrate import upgrade

SCHEMA: Final = "audit"
HEAD: Final = "audit_0001"
"The newest revision in ``migrations/versions``; a test holds it to that."

_FOLDER: Final = Path(__file__).parent / "migrations"


def upgrade_audit(engine: Engine) -> Sequence[str]:
    """Create or upgrade the tables of the log.

    Returns:
        The revisions applied, oldest first.

    Raises:
        ConfigurationError: The database is newer than this program.
        DatabaseUnavailableError: The database failed; nothing was changed.
    """
    return upgrade(engine, folder=_FOLDER, schema=SCHEMA, head=HEAD)
