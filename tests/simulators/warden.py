"""A warden's parts for tests: real keyring, real log, a catalog in memory.

Run as a program it is a warden process of its own::

    python -m tests.simulators.warden FOLDER

which serves ``FOLDER/warden.sock`` to its own uid in the role that the file
``FOLDER/role`` names, for recordings whose envelopes lie in ``FOLDER/envelopes``.
"""

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from vault.audit.checkpoint import Signer
from vault.audit.entry import Entry
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.core.canonical import JsonObject
from vault.core.clock import month_of, system_clock_ns
from vault.core.errors import NotFoundError
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.process import harden
from vault.sealing.envelope import new_dek, wrap
from vault.sealing.keyring import ArgonCost, Keyring
from vault.trust.interfaces import SealedRow
from vault.warden.main import WardenLock, listen, run
from vault.warden.server import Warden
from vault.warden.service import WardenParts

MONTH: Final = month_of(system_clock_ns())
PASSPHRASE: Final = SecretBytes(b"correct horse battery staple")
CHEAP: Final = ArgonCost(memory_kib=19 * 1024, iterations=2, lanes=1)
ORIGIN: Final = "vault.example/audit"
USER: Final = Caller(
    actor=Actor(kind=ActorKind.USER, id="u1"), session="s1", origin="192.0.2.7"
)
WORKER: Final = Caller(actor=Actor(kind=ActorKind.PROCESS, id="worker"))


@dataclass(slots=True, kw_only=True)
class CatalogInMemory:
    """Envelopes and rows, as `vault.catalog` hands them to the warden."""

    envelopes: dict[RecordingId, bytes] = field(default_factory=dict)
    rows: dict[RecordingId, SealedRow] = field(default_factory=dict)
    failure: Exception | None = None
    "Raised by every read, while it is set."

    def read(self, recording_id: RecordingId) -> bytes:
        """Return an envelope's octets."""
        if self.failure is not None:
            raise self.failure
        if recording_id not in self.envelopes:
            raise NotFoundError("no envelope for that recording")
        return self.envelopes[recording_id]

    def sealed(self, ids: Collection[RecordingId]) -> Mapping[RecordingId, SealedRow]:
        """Return the sealed rows that there are."""
        if self.failure is not None:
            raise self.failure
        return {id: self.rows[id] for id in ids if id in self.rows}

    def add(self, keyring: Keyring, dek: SecretBytes | None = None) -> RecordingId:
        """Add a recording with an envelope for *dek*, and return its id."""
        id = new_recording_id()
        self.envelopes[id] = bytes(
            wrap(dek or new_dek(), id, keyring.recipients(MONTH)[:1])
        )
        return id


@dataclass(frozen=True, slots=True)
class EnvelopesInAFolder:
    """Envelopes as files, for a warden in a process of its own."""

    folder: Path

    def read(self, recording_id: RecordingId) -> bytes:
        """Return an envelope's octets."""
        try:
            return (self.folder / recording_id).read_bytes()
        except FileNotFoundError:
            raise NotFoundError("no envelope for that recording") from None


@dataclass(frozen=True, slots=True)
class Trail:
    """What the log says."""

    engine: Engine

    def entries(self) -> list[JsonObject]:
        """Return all entries, oldest first."""
        reader = TrailReader(self.engine)
        octets = reader.entries(0, reader.head().size)
        return [Entry.parse(each).members for each in octets]

    def of(self, action: str) -> list[JsonObject]:
        """Return the entries of one kind."""
        return [each for each in self.entries() if each["action"] == action]


def audit_engine(folder: Path) -> Engine:
    """Open the audit database in *folder*."""
    return open_engine(f"sqlite:///{folder}", schema="audit")


def audit_log(folder: Path, keyring: Keyring, engine: Engine) -> AuditLog:
    """Return the log in *folder*, not opened yet."""
    return AuditLog(
        engine,
        signer=Signer(name=ORIGIN, key=keyring.log_signing_key),
        origin=ORIGIN,
        mark_path=folder / "log-mark.json",
    )


def main(folder: Path) -> None:
    """Be a warden process until SIGTERM."""
    harden()
    with WardenLock(folder / "warden.lock"):
        keyring = Keyring.unlock(folder / "keyring.json", PASSPHRASE)
        with audit_log(folder, keyring, audit_engine(folder)).open() as log:
            parts = WardenParts(
                keys=keyring,
                envelopes=EnvelopesInAFolder(folder / "envelopes"),
                rows=CatalogInMemory(),
                trail=TrailReader(audit_engine(folder)),
            )
            run(
                Warden(parts, log),
                listener=listen(folder / "warden.sock"),
                uid_roles={os.geteuid(): (folder / "role").read_text().strip()},
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
