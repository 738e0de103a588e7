"""The log and what is kept of it beside the keys: mark, verifier key, anchor.

    log-mark.json       the signer's high-water mark
    log-mark.<n>.json   the last mark of a log that another one succeeded
    log-anchor          on a stand-by: the newest checkpoint that was published
    log.vkey            the verifier key of the log in force (public)

Guarantees: signer, mark and verifier key are always of one log, also where it is
the successor of another one.

Left to others: what a mark means (`vault.audit.log`, `vault.audit.succession`).
"""

from contextlib import AbstractContextManager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from vault.audit import mark as marks
from vault.audit.checkpoint import Signer
from vault.audit.log import AuditLog
from vault.audit.succession import (
    Succession,
    newest_mark,
    origin_in_force,
    succession,
)
from vault.core.errors import ConfigurationError


class LogKeeping:
    """One log, and the folder of keys beside it."""

    def __init__(self, folder: Path, *, origin: str, key: Ed25519PrivateKey) -> None:
        """Know where things lie; nothing is read yet.

        Args:
            folder: The folder of keys.
            origin: The name that the first log of the line has.
            key: Signs all of them.
        """
        self._folder = folder
        self._origin = origin
        self._key = key

    def open(self, engine: Engine) -> AuditLog:
        """Become the writer of the log in force; see `AuditLog.open`."""
        anchored = self._anchored()
        mark = newest_mark(marks.read(self._mark), anchored)
        origin = origin_in_force(mark, self._origin)
        log = AuditLog(
            engine,
            signer=self._signer(origin),
            origin=origin,
            mark_path=self._mark,
            anchored=anchored,
        ).open()
        self.publish(origin)
        return log

    def succession(
        self, engine: Engine, anchored: str | None
    ) -> AbstractContextManager[Succession]:
        """Find out what a restore has lost; see `vault.audit.succession.succession`.

        Args:
            engine: The audit database.
            anchored: A checkpoint from elsewhere, if there is one.
        """
        return succession(
            engine,
            self._signer,
            mark_path=self._mark,
            anchored=anchored or self._anchored(),
        )

    def publish(self, origin: str | None = None) -> None:
        """Write the verifier key of *origin*, or of the first log of the line."""
        path = self._folder / "log.vkey"
        text = f"{self._signer(origin or self._origin).verifier}\n"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    @property
    def _mark(self) -> Path:
        return self._folder / "log-mark.json"

    def _signer(self, origin: str) -> Signer:
        return Signer(name=origin, key=self._key)

    def _anchored(self) -> str | None:
        try:
            return (self._folder / "log-anchor").read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError("keys/log-anchor cannot be read") from None
