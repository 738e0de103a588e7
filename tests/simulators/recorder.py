"""A whole tap in a folder: real media workers, real spool, real stores.

Outages are parameters: `Flaky` stands before a store, `SimulatedTrail` before a
warden.  The one part that is missing in a real tap and here is the private key.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.access.extensions import Extension, ExtensionTable
from vault.audit.entry import Draft, compose
from vault.catalog.recordings import Recordings
from vault.catalog.schema import upgrade_catalog
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    NoRecipientKeyError,
    StoreUnavailableError,
)
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId, RecordingId, UserId, WorkgroupId, new_id
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.objects.directory import DirectoryStore
from vault.objects.keys import ObjectKey
from vault.recorder.config import RecorderConfig
from vault.recorder.keys import ManifestKey
from vault.recorder.rows import RecordingRows
from vault.recorder.service import RecorderService, Surroundings
from vault.sealing import xwing
from vault.sealing.envelope import Envelope, Recipient, WrappedKey, xwing_recipient
from vault.sealing.manifest import Manifest, verify_manifest
from vault.sealing.unwrap import unwrap
from vault.spool.config import SpoolConfig
from vault.spool.spool import Spool
from vault.tap.config import SyncConfig, TapConfig
from vault.tap.pool import MediaPool
from vault.tap.syncer import Syncer

SEED: Final = SecretBytes(bytes(range(32)))
KEY: Final = ManifestKey(
    name="tap", private=Ed25519PrivateKey.from_private_bytes(bytes(32))
)
SALES: Final = WorkgroupId("11111111-1111-4111-8111-111111111111")
DEFAULT: Final = WorkgroupId("00000000-0000-4000-8000-000000000001")
PBX: Final = Device(id=DeviceId("22222222-2222-4222-8222-222222222222"), name="pbx")
OTHER: Final = Device(id=DeviceId("33333333-3333-4333-8333-333333333333"), name="other")
LEGACY: Final = Device(
    id=DeviceId("44444444-4444-4444-8444-444444444444"),
    name="legacy",
    allowances=frozenset(Allowance),
)
"A device that is allowed everything unsafe."
TOKEN: Final = "cvd_" + "t" * 43
OTHER_TOKEN: Final = "cvd_" + "o" * 43
LEGACY_TOKEN: Final = "cvd_" + "l" * 43


AGENTS: Final = {"anna": UserId("0a99a111-0000-4000-8000-000000000001")}
"Whom the directory knows."


class Directory:
    """Devices, people and recipients of the simulated world."""

    def __init__(self) -> None:
        self.has_keys = True
        self.extensions = ExtensionTable()
        "Which addresses are whose."
        self.legacy = LEGACY
        "What the device of `LEGACY_TOKEN` may do now."

    def identify(self, token_sha256: bytes) -> Device | None:
        known = {TOKEN: PBX, OTHER_TOKEN: OTHER, LEGACY_TOKEN: self.legacy}
        for token, device in known.items():
            if hashlib.sha256(token.encode()).digest() == token_sha256:
                return device
        return None

    def workgroup(self, name: str) -> tuple[WorkgroupId, bool]:
        if not name:
            return DEFAULT, True
        return (SALES, True) if name == "sales" else (DEFAULT, False)

    def agent(self, name: str) -> UserId | None:
        return AGENTS.get(name)

    def extension(self, address: str) -> Extension | None:
        return self.extensions.match(address)

    def recipients(self, month: str) -> list[Recipient]:
        if not self.has_keys:
            raise NoRecipientKeyError("nobody")
        return [xwing_recipient(xwing.public_octets(SEED), label=month)]


class PrivateKeys:
    """The warden's half: opens what the tap can only wrap."""

    def open(self, wrapped: WrappedKey, info: bytes) -> SecretBytes:
        key = xwing.private_key(SEED)
        return SecretBytes(xwing.SUITE.decrypt(wrapped.ct, key, info))


class SimulatedTrail:
    """A warden that keeps drafts in memory, and may be down or lose answers."""

    def __init__(self) -> None:
        self.down = False
        self.answers_lost = 0
        self.drafts: list[Draft] = []
        self._lock = threading.Lock()

    def append(self, *drafts: Draft) -> None:
        with self._lock:
            if self.down:
                raise AuditUnavailableError("down")
            seen = {(one.source, one.source_seq) for one in self.drafts}
            if any((one.source, one.source_seq) in seen for one in drafts):
                raise ConflictError("seen before")
            for draft in drafts:
                # What the real warden would refuse is refused here.
                compose(draft, id=new_id(), time="t", via="tap", text_hmacs={})
            self.drafts += drafts
            if self.answers_lost:
                self.answers_lost -= 1
                raise AuditUnavailableError("the answer was lost")

    def actions(self, recording_id: str) -> list[str]:
        return [draft.action.value for draft in self.of(recording_id)]

    def of(self, recording_id: str) -> list[Draft]:
        """Return what was written about one recording, oldest first."""
        with self._lock:
            return [d for d in self.drafts if d.recording == recording_id]


class Flaky:
    """A store that fails the next *failures* calls, before or after it stored."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self.failures = 0
        self.after = False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def maybe(*given: Any, **named: Any) -> Any:
            if self.failures and not self.after:
                self.failures -= 1
                raise StoreUnavailableError("down")
            result = call(*given, **named)
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError("the answer was lost")
            return result

        return maybe


@dataclass
class World:
    """Everything around one spool; `tap()` runs a tap in it."""

    folder: Path
    ports: tuple[int, int] = (40_000, 49_999)
    config: RecorderConfig = field(default_factory=RecorderConfig)
    quota_bytes: int = 1 << 30
    reserve_bytes: int = 0
    directory: Directory = field(default_factory=Directory)
    trail: SimulatedTrail = field(default_factory=SimulatedTrail)

    def __post_init__(self) -> None:
        self.media = Flaky(DirectoryStore(self.folder / "media"))
        self.envelopes = Flaky(DirectoryStore(self.folder / "envelopes"))
        self.engine = open_engine(f"sqlite:///{self.folder}", schema="catalog")
        upgrade_catalog(self.engine)
        self.recordings = Recordings(self.engine)

    @property
    def spool(self) -> SpoolConfig:
        return SpoolConfig(
            directory=self.folder / "spool",
            quota_bytes=self.quota_bytes,
            reserve_bytes=self.reserve_bytes,
            reserve_inodes=0,
        )

    def service(self) -> RecorderService:
        self.spool.directory.mkdir(mode=0o700, exist_ok=True)
        return RecorderService(
            Surroundings(
                media=MediaPool(
                    TapConfig(
                        ports=self.ports, workers=1, run_folder=str(self.folder / "run")
                    )
                ),
                disk=Syncer(SyncConfig(folder=self.spool.directory, alarm_s=30)),
                media_store=self.media,
                envelope_store=self.envelopes,
                catalog=RecordingRows(self.recordings),
                trail=self.trail,
                keys=self.directory,
                people=self.directory,
                manifest_key=KEY,
            ),
            config=self.config,
            spool=self.spool,
        )

    def spooled(self) -> list[RecordingId]:
        """Return whose folders are in the spool."""
        return Spool(self.spool).recordings()

    @contextlib.asynccontextmanager
    async def tap(self) -> AsyncIterator[RecorderService]:
        service = self.service()
        await service.start()
        try:
            yield service
        finally:
            await service.stop()

    def manifest(self, recording_id: RecordingId) -> Manifest:
        octets = self.media.read(ObjectKey.of(recording_id, "manifest"))
        return verify_manifest(octets, {KEY.name: KEY.public})

    def dek(self, recording_id: RecordingId) -> SecretBytes:
        octets = self.envelopes.read(ObjectKey.of(recording_id, "envelope"))
        return unwrap(Envelope.parse(octets), recording_id, PrivateKeys())

    def sealed(self, recording_id: RecordingId, name: str) -> bytes:
        return self.media.read(ObjectKey.of(recording_id, name))


def short_folder() -> Path:
    """Return a private folder with a short name, for sockets in it."""
    return Path(tempfile.mkdtemp(prefix=f"cv{os.getpid()}-"))
