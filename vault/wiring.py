"""The composition root: settings become engines, stores, keys and clients.

Guarantees: adapters are picked here and nowhere else; nothing is opened before it
is asked for, so a command that reads one thing opens one thing.

Left to others: running processes (`vault.serving`), commands (`vault.commands`).

An installation's folder (all of it private):

    catalog/catalog.sqlite          the two databases, unless they are PostgreSQL;
    audit/audit.sqlite              each in a folder that processes are let into or not
    keys/keyring.json               secrets, under the passphrase (the warden's)
    keys/log-mark.json              the log signer's high-water mark
    keys/log-mark.<n>.json          the last one of a log that was succeeded
    keys/log-anchor                 on a stand-by: the newest published checkpoint
    keys/log.vkey                   the log's verifier key (public)
    keys/roster.json, roster.pub    recipients and signers, and the key that signs it
    keys/signers/{taps,workers}/    public keys of those who sign, one file each
    tap/manifest.key                this tap's signing key
    tap/snapshot.json               what the tap knows while the database is away
    worker/addendum.key             this worker's signing key
    web/factor.key                  seals the secrets of authenticator apps
    run/roster/                     a copy of the roster, for processes without keys/
    run/tap/status.json             how the tap stands, in figures
    auditor/                        what the auditor remembers of the log
    run/auditor/status.json         how the auditor stands
    run/tap/                        where its media workers can be met again, too
    spool/, objects/, run/
"""

import base64
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Engine

from vault.access.factor_key import FactorKey, create_factor_key
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
from vault.database.places import Databases
from vault.objects.open import Stores, open_stores
from vault.recorder.keys import create_manifest_key
from vault.sealing.keyring import ArgonCost, Keyring
from vault.sealing.roster import Roster, RosterSigner, verify_roster
from vault.trust.client import WardenClient
from vault.warden.log_keeping import LogKeeping
from vault.warden.main import WardenLock
from vault.warden.roster import (
    RosterFiles,
    Signers,
    publish_roster,
    refresh_roster,
)
from vault.warden.server import Warden
from vault.warden.service import WardenParts

_FOLDERS: Final = (
    "",
    "keys",
    "keys/signers/taps",
    "keys/signers/workers",
    "tap",
    "worker",
    "web",
    "auditor",
    "objects",
    "run",
    "run/auditor",
    "run/roster",
    "run/tap",
)
WORKER_NAME: Final = "worker-1"
_MONTHS_AT_FIRST: Final = 3


class Installation:
    """One data folder and everything that its settings name."""

    def __init__(self, settings: Settings, *, statement_s: float | None = None) -> None:
        """Know its settings; nothing is opened yet.

        Args:
            settings: What `vault.config` has read and checked.
            statement_s: How long a statement of a database may take, in seconds, in a
                process that answers strangers.
        """
        self.settings = settings
        self.folder = settings.data_dir
        self._statement_s = statement_s

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
    def published_roster(self) -> RosterFiles:
        """What the warden of this folder has copied out of ``keys`` for others."""
        copies = self.folder / "run" / "roster"
        return RosterFiles(
            roster=copies / "roster.json", verifier=copies / "roster.pub"
        )

    @property
    def readable_roster(self) -> RosterFiles:
        """Where a process without secrets reads the roster.

        A tap that runs apart has no warden in its folder, and no secrets in ``keys``.
        """
        published = self.published_roster
        return published if published.roster.is_file() else self.roster_files

    @property
    def tap_status_path(self) -> Path:
        """Where the tap of this folder says how it stands."""
        return self.folder / "run" / "tap" / "status.json"

    @property
    def auditor_folder(self) -> Path:
        """What the auditor remembers of the log, and how far it is."""
        return self.folder / "auditor"

    @property
    def cosigned_folder(self) -> Path:
        """Where the auditor keeps the newest cosigned checkpoint, for web to read."""
        return self.folder / "run" / "auditor"

    @property
    def auditor_status_path(self) -> Path:
        """Where the auditor of this folder says how it stands."""
        return self.folder / "run" / "auditor" / "status.json"

    @property
    def factor_key_path(self) -> Path:
        """Where the key of second factors lies, unless a setting names another."""
        return self.folder / "web" / "factor.key"

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
        return self.databases.open("catalog")

    @cached_property
    def audit(self) -> Engine:
        """The audit database; only the warden writes to it."""
        return self.databases.open("audit")

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

    @cached_property
    def databases(self) -> Databases:
        """Where both databases are, and how they are opened."""
        settings, url = self.settings, self.settings.database_url
        password: SecretBytes | None = None
        if url and settings.database_password_file:
            password = read_secret(settings.database_password_file)
        return Databases(
            url or f"sqlite:///{self.folder}",
            password=password,
            alone=lambda: WardenLock(self.warden_lock),
            statement_s=self._statement_s,
        )

    def roster(self) -> Roster:
        """Return the roster that counts now.

        Raises:
            ConfigurationError: There is none yet.
            SealBrokenError: Not signed with the pinned key.
        """
        files = self.readable_roster
        try:
            pinned = base64.b64decode(files.verifier.read_bytes())
            octets = files.roster.read_bytes()
        except OSError:
            raise ConfigurationError("there is no roster: run callvault init") from None
        return verify_roster(
            octets, pinned=pinned, at_least_version=0, now=system_clock_ns()
        )

    def factor_key(self) -> FactorKey:
        """Return what seals the secrets of authenticator apps.

        An installation that is older than the key, and a web process that runs apart,
        make it when it is first needed; one that is named is somebody else's to make.

        Raises:
            ConfigurationError: It cannot be read, or made.
        """
        named = self.settings.factor_key_file
        if named is None:
            create_factor_key(self.factor_key_path)
        return FactorKey.load(named or self.factor_key_path)

    def warden_client(self, door_fd: int | None) -> WardenClient:
        """Return this process's way to the warden: its door, else the socket."""
        if door_fd is None:
            return WardenClient.at(self.settings.socket_path, proof=self.warden_lock)
        return WardenClient.through(socket.socket(fileno=door_fd))

    def trail_reader(self) -> TrailReader:
        """Return a reader of the trail, on connections that can change nothing."""
        return TrailReader(self.databases.open("audit", read_only=True))

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
        if self.settings.factor_key_file is None:
            create_factor_key(self.factor_key_path)
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
        self.log_keeping(keyring).publish()

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
        return self.log_keeping(keyring).open(self.audit)

    def log_keeping(self, keyring: Keyring) -> LogKeeping:
        """Return what opens the log, and goes on with another one after a restore."""
        return LogKeeping(
            self.folder / "keys",
            origin=self.settings.audit_origin,
            key=keyring.log_signing_key,
        )

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
            publish_roster(self.roster_files, self.published_roster)

        parts = WardenParts(
            keys=keyring,
            envelopes=Envelopes(self.catalog),
            rows=Rows(self.catalog),
            trail=self.trail_reader(),
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
