"""The composition root: settings become engines, stores, keys and clients.

Guarantees: adapters are picked here and nowhere else; nothing is opened before it
is asked for, so a command that reads one thing opens one thing.

Left to others: running processes (`vault.serving`), commands (`vault.commands`).

An installation's folder (all of it private):

    catalog.sqlite audit.sqlite     the two databases, unless they are PostgreSQL
    keys/keyring.json               secrets, under the passphrase (the warden's)
    keys/log-mark.json              the log signer's high-water mark
    keys/log.vkey                   the log's verifier key (public)
    keys/roster.json, roster.pub    recipients and signers, and the key that signs it
    keys/signers/{taps,workers}/    public keys of those who sign, one file each
    tap/manifest.key                this tap's signing key
    tap/snapshot.json               what the tap knows while the database is away
    worker/addendum.key             this worker's signing key
    run/tap-status.json             how the tap stands, in figures
    run/tap/                        where its media workers can be met again
    spool/, objects/, run/
"""

import base64
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from sqlalchemy import Engine

from vault.audit.checkpoint import Signer
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.audit.schema import upgrade_audit
from vault.catalog.envelopes import Envelopes
from vault.catalog.rows import Rows
from vault.catalog.schema import upgrade_catalog
from vault.config import Settings, read_secret
from vault.core.clock import month_of, system_clock_ns
from vault.core.errors import ConfigurationError
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.objects.open import Stores, open_stores
from vault.recorder.keys import create_manifest_key
from vault.sealing.keyring import ArgonCost, Keyring
from vault.sealing.roster import Roster, RosterSigner, verify_roster
from vault.trust.client import WardenClient
from vault.warden.roster import RosterFiles, Signers, refresh_roster
from vault.warden.server import Warden
from vault.warden.service import WardenParts

_FOLDERS: Final = (
    "",
    "keys",
    "keys/signers/taps",
    "keys/signers/workers",
    "tap",
    "worker",
    "objects",
    "run",
)
WORKER_NAME: Final = "worker-1"
_MONTHS_AT_FIRST: Final = 3


class Installation:
    """One data folder and everything that its settings name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.data_dir

    # ------------------------------------------------------------ where it lies

    @property
    def keyring_path(self) -> Path:
        """The file of all secrets."""
        return self.folder / "keys" / "keyring.json"

    @property
    def warden_lock(self) -> Path:
        """What one warden at a time has locked."""
        return self.folder / "keys" / "warden.lock"

    @property
    def roster_files(self) -> RosterFiles:
        """The signed roster and the key that it is pinned to."""
        keys = self.folder / "keys"
        return RosterFiles(roster=keys / "roster.json", verifier=keys / "roster.pub")

    @property
    def tap_status_path(self) -> Path:
        """Where the tap of this folder says how it stands."""
        return self.folder / "run" / "tap-status.json"

    @property
    def log_key_path(self) -> Path:
        """The log's verifier key, for officers."""
        return self.folder / "keys" / "log.vkey"

    def require_initialised(self) -> None:
        """Refuse to go on in a folder that ``callvault init`` has not made.

        Raises:
            ConfigurationError: With the way out.
        """
        if not self.keyring_path.is_file():
            raise ConfigurationError(
                f"{self.folder} holds no installation: run callvault init"
            )

    def require(self, *names: str) -> None:
        """Refuse to go on where files of this folder are missing.

        A process that runs apart from the warden has its own part of an
        installation and no more: a tap's folder never holds a keyring.

        Args:
            names: Paths below the folder.

        Raises:
            ConfigurationError: One is missing; with the way out.
        """
        for name in names:
            if not (self.folder / name).is_file():
                raise ConfigurationError(
                    f"{self.folder} has no {name}: run callvault init, or copy it "
                    "from where that was run"
                )

    # ---------------------------------------------------------- what it opens

    @cached_property
    def catalog(self) -> Engine:
        """The catalog database, upgraded."""
        upgrade_catalog(self.catalog_as_it_is)
        return self.catalog_as_it_is

    @cached_property
    def catalog_as_it_is(self) -> Engine:
        """The catalog database, untouched: a tap starts while it is down."""
        return open_engine(self._database_url, schema="catalog")

    @cached_property
    def audit(self) -> Engine:
        """The audit database; only the warden writes to it."""
        return open_engine(self._database_url, schema="audit")

    @cached_property
    def stores(self) -> Stores:
        """The three object stores."""
        settings = self.settings
        return open_stores(
            settings.objects_url or "file:" + quote(str(self.folder / "objects")),
            access_key=_secret(settings.objects_access_key_file),
            secret_key=_secret(settings.objects_secret_key_file),
            bytes_per_s=settings.ship_bytes_per_s,
        )

    @property
    def _database_url(self) -> str:
        settings = self.settings
        if not settings.database_url:
            return f"sqlite:///{self.folder}"
        parts = urlsplit(settings.database_url)
        if settings.database_password_file is None or parts.password:
            return settings.database_url
        secret = read_secret(settings.database_password_file).reveal().decode()
        user, host = parts.username or "", parts.netloc.rpartition("@")[2]
        netloc = f"{quote(user)}:{quote(secret, safe='')}@{host}"
        return parts._replace(netloc=netloc).geturl()

    def roster(self) -> Roster:
        """Return the roster that counts now.

        Raises:
            ConfigurationError: There is none yet.
            SealBrokenError: Not signed with the pinned key.
        """
        files = self.roster_files
        try:
            pinned = base64.b64decode(files.verifier.read_bytes())
            octets = files.roster.read_bytes()
        except OSError:
            raise ConfigurationError("there is no roster: run callvault init") from None
        return verify_roster(
            octets, pinned=pinned, at_least_version=0, now=system_clock_ns()
        )

    def warden_client(self, door_fd: int | None) -> WardenClient:
        """Return this process's way to the warden: its door, else the socket."""
        if door_fd is None:
            return WardenClient.at(self.settings.socket_path)
        return WardenClient.through(socket.socket(fileno=door_fd))

    def trail_reader(self) -> TrailReader:
        """Return a reader of the trail."""
        return TrailReader(self.audit)

    def verifier_key(self) -> str:
        """Return the log's verifier key.

        Raises:
            ConfigurationError: ``init`` has not run.
        """
        try:
            return self.log_key_path.read_text().strip()
        except OSError:
            raise ConfigurationError(
                "there is no log yet: run callvault init"
            ) from None

    # ------------------------------------------------------------- how it begins

    def initialise(self, passphrase: SecretBytes) -> None:
        """Make folders, keyring, databases and signing keys; no account.

        Raises:
            ConfigurationError: There is an installation already.
        """
        # 1. Nothing of an older installation is ever written over.
        if self.keyring_path.exists():
            raise ConfigurationError(f"{self.folder} already holds an installation")
        for name in _FOLDERS:
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # 2. The signing keys, and their public halves for the roster.
        self._make_signer("tap/manifest.key", "taps", self.settings.tap_name)
        self._make_signer("worker/addendum.key", "workers", WORKER_NAME)
        # 3. Databases and stores: a wrong URL shows now and not at the first call.
        upgrade_audit(self.audit)
        _ = self.catalog, self.stores
        self.stores.media.check()
        # 4. The keyring, last: it marks the installation as made.
        cost = ArgonCost(memory_kib=self.settings.keyring_memory_mib * 1024)
        month = month_of(system_clock_ns())
        keyring = Keyring.create(
            self.keyring_path, passphrase, months=[month], cost=cost
        )
        signer = Signer(name=self.settings.audit_origin, key=keyring.log_signing_key)
        self.log_key_path.write_text(f"{signer.verifier}\n")

    def _make_signer(self, file: str, kind: str, name: str) -> None:
        path = self.folder / file
        path.unlink(missing_ok=True)
        public = create_manifest_key(path, name=name).private.public_key()
        shown = base64.b64encode(public.public_bytes_raw()).decode()
        (self.folder / "keys" / "signers" / kind / f"{name}.pub").write_text(
            shown + "\n"
        )

    # ----------------------------------------------------------------- the warden

    def unlock(self, passphrase: SecretBytes) -> Keyring:
        """Open the keyring.

        Raises:
            ConfigurationError: Wrong passphrase, or no keyring.
        """
        self.require_initialised()
        return Keyring.unlock(self.keyring_path, passphrase)

    def open_log(self, keyring: Keyring) -> AuditLog:
        """Become the log's writer; see `AuditLog.open` for what is refused."""
        origin = self.settings.audit_origin
        return AuditLog(
            self.audit,
            signer=Signer(name=origin, key=keyring.log_signing_key),
            origin=origin,
            mark_path=self.folder / "keys" / "log-mark.json",
        ).open()

    def warden(self, keyring: Keyring, log: AuditLog) -> Warden:
        """Put the warden together; its roster is renewed at start and each hour."""

        def upkeep(warden: Warden) -> None:
            refresh_roster(
                keyring,
                self.roster_files,
                Signers(taps=self._signers("taps"), workers=self._signers("workers")),
                append=warden.append,
                now_ns=system_clock_ns(),
            )

        parts = WardenParts(
            keys=keyring, envelopes=Envelopes(self.catalog), rows=Rows(self.catalog)
        )
        return Warden(parts, log, upkeep=upkeep)

    def _signers(self, kind: str) -> Sequence[RosterSigner]:
        folder = self.folder / "keys" / "signers" / kind
        return [
            RosterSigner(name=file.stem, public_key=base64.b64decode(file.read_bytes()))
            for file in sorted(folder.glob("*.pub"))
        ]


def _secret(file: Path | None) -> SecretBytes | None:
    return read_secret(file) if file else None
