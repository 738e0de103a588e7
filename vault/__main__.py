"""``python -m vault`` is the ``callvault`` command."""

from vault.cli import app

app()
