"""``init`` and ``doctor``: making an installation, and asking how it feels."""

import os
import secrets
from typing import Annotated

import typer

from vault import config
from vault.commands.output import failures, note, say
from vault.core.errors import ConfigurationError
from vault.core.secrets import SecretBytes
from vault.serving.borrowed import borrowed_warden
from vault.serving.inspection import inspect
from vault.wiring import Installation


def init(
    *, yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False
) -> None:
    """Make data folder, keyring and databases; no account."""
    with failures():
        installation = Installation(config.load())
        if not yes and not typer.confirm(
            f"Make an installation in {installation.folder}?"
        ):
            raise typer.Exit(1)
        installation.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        installation.initialise(_passphrase(installation))
        # The first warden writes the log's first entries and signs the roster.
        with borrowed_warden(installation):
            pass
        say(f"Made an installation in {installation.folder}.")
        say(f"Verifier key of its audit trail: {installation.verifier_key()}")


def _passphrase(installation: Installation) -> SecretBytes:
    """Return the passphrase that is configured, or make one and say where it lies."""
    settings = installation.settings
    if settings.passphrase_file:
        return config.read_secret(settings.passphrase_file)
    try:
        return config.passphrase(settings)
    except ConfigurationError:
        pass  # none anywhere: the next lines make one
    file = installation.folder / "passphrase"
    with open(file, "xb", opener=_private) as opened:
        opened.write(secrets.token_urlsafe(24).encode() + b"\n")
    note(
        f"A random passphrase was written to {file}. Whoever has it and the keyring "
        "can open every recording: keep a copy elsewhere, and in production set "
        "CALLVAULT_PASSPHRASE_FILE instead."
    )
    return config.read_secret(file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def doctor() -> None:
    """Check what Callvault needs of this machine; exit 1 if something is wrong."""
    with failures():
        findings = inspect(Installation(config.load()))
    for finding in findings:
        mark = {"ok": "ok  ", "warning": "warn", "error": "FAIL"}[finding.level]
        say(f"{mark}  {finding.text}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)
