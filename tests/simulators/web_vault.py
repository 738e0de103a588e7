"""A whole vault in one process, for tests of the web room: nothing is faked.

Real SQLite, a real folder store, a real keyring (cheap Argon2), a real warden on
a socket pair, and recordings that were sealed by hand as a worker seals them.
"""

import hashlib
import io
import json
import lzma
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from fastapi import FastAPI
from sqlalchemy import Engine

from vault.access.activations import Activations
from vault.access.address_rules import AddressRules
from vault.access.devices import Devices
from vault.access.duties import Duties, DutiesConfig
from vault.access.extensions import Extensions
from vault.access.factor_key import FactorKey
from vault.access.factor_proofs import FactorProofs
from vault.access.factors import Factors
from vault.access.grants import Grants
from vault.access.kept_passwords import KeptPasswords
from vault.access.known_devices import KnownDevices
from vault.access.local import LocalPeople
from vault.access.password_rules import PasswordRules
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.provisioning import Accounts
from vault.access.saved_searches import SavedSearches
from vault.access.sessions import SessionConfig, Sessions
from vault.access.signin import SignIn, SignInConfig
from vault.access.throttle import Throttle
from vault.access.tokens import Tokens
from vault.access.trail_exports import TrailExports
from vault.access.workgroups import Workgroups
from vault.audit.checkpoint import Signer
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.audit.schema import upgrade_audit
from vault.catalog.envelopes import Envelopes
from vault.catalog.marks import Holds
from vault.catalog.recordings import Recordings
from vault.catalog.rows import Rows
from vault.catalog.schema import upgrade_catalog
from vault.catalog.values import OpenRecording, StoredObject
from vault.core.clock import day_of, month_of, rfc3339, system_clock_ns
from vault.core.flow import (
    Direction,
    HowEnded,
    Reason,
    RecordingState,
    StreamStatus,
)
from vault.core.ids import DeviceId, KeyId, RecordingId, UserId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.edge.config import EdgeConfig
from vault.objects.keys import ObjectKey
from vault.objects.open import Stores, open_stores
from vault.playback.service import Playback
from vault.renditions.flac import FlacWriter
from vault.renditions.g711 import EXPAND, RATE_HZ, Law
from vault.renditions.m4a import M4aWriter
from vault.renditions.peaks import PeaksWriter
from vault.sealing.chunks import context, seal
from vault.sealing.envelope import new_dek, wrap
from vault.sealing.keyring import ArgonCost, Keyring
from vault.sealing.metadata import ParticipantMetadata, SessionMetadata, StreamMetadata
from vault.trust.client import WardenClient
from vault.trust.trail import TrailThroughWarden
from vault.warden.server import Warden
from vault.warden.service import WardenParts
from vault.web.administration import CHANGES
from vault.web.app import create_web_app
from vault.web.config import WebConfig
from vault.web.services import Services
from vault.web.slots import TailPace

PASSWORD: Final = "correct-horse-battery"
ORIGIN: Final = "vault.test/audit"
UNHURRIED: Final = WebConfig(
    edge=EdgeConfig(requests_per_minute=100_000, spares_loopback=True),
    actor_requests_per_minute=100_000,
)
"For a vault that many tests share: nobody has asked too often."
_FACTOR_KEY: Final = FactorKey(SecretBytes(b"k" * 32))
_CHEAP: Final = PasswordConfig(memory_kib=64, iterations=1, lanes=1)
_CONVERSATION: Final = Path(__file__).parents[2] / "vault" / "tap" / "conversation"


@dataclass(slots=True, kw_only=True)
class Call:
    """What a test wants of one recording."""

    workgroup: str = "sales"
    state: RecordingState = RecordingState.READY
    reason: Reason | None = None
    caller: str = "+49 30 901820"
    callee: str = "+44 20 7946 0101"
    agent: str = "ada"
    direction: Direction = Direction.INBOUND
    seconds: float = 4.0
    days_ago: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    participants: tuple[ParticipantMetadata, ...] = ()
    "As SIPREC names them; their streams are ``agent`` and ``customer``."
    pbx_id: str = "4711-0815"
    labels: tuple[str, str] | None = None
    "What the PBX called the two streams, if not ``agent`` and ``customer``."
    codec: str = ""
    device: str = ""
    suite: str = ""
    "What protected the customer's stream, if not what protects it elsewhere."


class ShiftedClock:
    """The system's time, moved by as much as a test wants."""

    def __init__(self) -> None:
        self._shift_ns = 0

    def __call__(self) -> int:
        """Return nanoseconds since the epoch."""
        return system_clock_ns() + self._shift_ns

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number puts the clock back."""
        self._shift_ns += int(seconds * 10**9)

    def reset(self) -> None:
        """Be the system's time again."""
        self._shift_ns = 0


class WebVault:
    """The rooms, a warden, and ways to put things into them."""

    def __init__(self, folder: Path, *, config: WebConfig | None = None) -> None:
        self.folder = folder
        self.clock = ShiftedClock()
        for name, octets in _empty_databases().items():
            if not (folder / name).exists():
                (folder / name).write_bytes(octets)
                (folder / name).chmod(0o600)
        self.catalog = self._engine("catalog")
        self.audit = self._engine("audit")
        self.month = month_of(self.clock())
        months = sorted({month_of(self.clock() - n * _DAY_NS) for n in (0, 31, 62)})
        self.keyring = Keyring.create(
            folder / "keyring.json",
            SecretBytes(b"passphrase"),
            months=months,
            cost=ArgonCost(memory_kib=19 * 1024, iterations=2, lanes=1),
        )
        self.stores: Stores = open_stores(f"file:{folder / 'objects'}")
        self.recordings = Recordings(self.catalog)
        self.people = People(self.catalog)
        self.workgroups = Workgroups(self.catalog)
        self.devices = Devices(self.catalog)
        self.passwords = Passwords(_CHEAP)
        self.session_config = SessionConfig()
        self.duties_config = DutiesConfig()
        # A tail ends at once, with what was there: a test reads whole answers.
        self.tail_pace = TailPace(look_every_s=0.01, life_s=0.05)
        self.origins: tuple[str, ...] = ()
        "Where browsers may show passkeys."
        self.second_factor_roles: frozenset[Role] = frozenset()
        self.config = config or WebConfig()
        self.device = self.devices.add("pbx-berlin").device
        self._app: FastAPI | None = None
        self.start_warden()

    def start_warden(self) -> None:
        """Start a warden with one connection for web and one for the worker."""
        self.signer = Signer(name=ORIGIN, key=self.keyring.log_signing_key)
        self.log = AuditLog(
            self.audit,
            signer=self.signer,
            origin=ORIGIN,
            mark_path=self.folder / "log-mark.json",
        ).open()
        parts = WardenParts(
            keys=self.keyring,
            envelopes=Envelopes(self.catalog),
            rows=Rows(self.catalog),
            trail=TrailReader(self.audit),
        )
        self.warden = Warden(parts, self.log)
        web, web_peer = socket.socketpair()
        worker, worker_peer = socket.socketpair()
        self.warden.start([("web", web_peer), ("worker", worker_peer)])
        self.web_client = WardenClient.over(web)
        self.worker_client = WardenClient.over(worker)

    def stop_warden(self) -> None:
        """Take the warden away: nothing can be logged or released any more."""
        self.web_client.close()
        self.worker_client.close()
        self.warden.stop()
        self.log.close()

    def close(self) -> None:
        """Stop everything."""
        with suppress(Exception):
            self.stop_warden()
        self.catalog.dispose()
        self.audit.dispose()

    def services(self) -> Services:
        """Return the rooms as the web application takes them."""
        sessions = Sessions(self.catalog, self.session_config, clock=self.clock)
        throttle = Throttle(self.catalog, clock=self.clock)
        factors = Factors(
            self.catalog,
            key=_FACTOR_KEY,
            origins=self.origins,
            required_of=self.second_factor_roles,
            clock=self.clock,
        )
        sign_in = SignIn(
            self.catalog,
            authenticators=[LocalPeople(self.catalog, self.passwords)],
            accounts=Accounts(self.catalog, tell=lambda _: None, clock=self.clock),
            throttle=throttle,
            sessions=sessions,
            factors=factors,
            config=SignInConfig(second_factor_roles=self.second_factor_roles),
        )
        return Services(
            people=self.people,
            workgroups=self.workgroups,
            devices=self.devices,
            extensions=Extensions(self.catalog),
            address_rules=AddressRules(self.catalog),
            sign_in=sign_in,
            password_rules=PasswordRules(self.passwords),
            kept_passwords=KeptPasswords(self.catalog, clock=self.clock),
            activations=Activations(self.catalog, clock=self.clock),
            throttle=throttle,
            factors=factors,
            factor_proofs=FactorProofs(factors, throttle=throttle, sign_in=sign_in),
            sessions=sessions,
            known_devices=KnownDevices(self.catalog, clock=self.clock),
            tokens=Tokens(self.catalog, clock=self.clock),
            grants=Grants(self.catalog, reasons=_FACTOR_KEY.reasons, clock=self.clock),
            duties=Duties.over(
                self.catalog,
                CHANGES,
                self.duties_config,
                reasons=_FACTOR_KEY.reasons,
                clock=self.clock,
            ),
            saved_searches=SavedSearches(self.catalog, clock=self.clock),
            trail_exports=TrailExports(self.catalog, clock=self.clock),
            holds=Holds(self.catalog, clock=self.clock),
            recordings=self.recordings,
            playback=self.playback(),
            warden=self.web_client,
            trail=TrailThroughWarden(self.web_client),
            trail_key=self.log.verifier_key,
            stores=(self.stores.media,),
            clock=self.clock,
            tail_pace=self.tail_pace,
        )

    def playback(self) -> Playback:
        """Return playback over the same rooms."""
        return Playback(
            recordings=self.recordings,
            store=self.stores.media,
            keys=self.web_client,
            trail=self.web_client,
        )

    def app(self) -> FastAPI:
        """Return the application; one for as long as the vault lives."""
        if self._app is None:
            self._app = create_web_app(self.services(), self.config)
        return self._app

    def person(self, name: str, *roles: Role, workgroups: Sequence[str] = ()) -> UserId:
        """Make somebody who signs in with `PASSWORD`."""
        added = self.people.add(
            name, roles, list(workgroups), self.passwords.hash(PASSWORD)
        )
        return added.person.id

    def crew(self) -> None:
        """Make one of everybody: ada and bob supervise other groups."""
        self.person("ada", Role.SUPERVISOR, workgroups=["sales"])
        self.person("bob", Role.SUPERVISOR, workgroups=["support"])
        self.person("olga", Role.OFFICER)
        self.person("adam", Role.ADMINISTRATOR)
        self.person("carl", Role.AGENT, workgroups=["sales"])

    def record(self, call: Call | None = None) -> RecordingId:
        """Put one recording into catalog and store, as tap and worker would."""
        call = call or Call()
        recording_id, dek = new_recording_id(), new_dek()
        started_ns = self.clock() - call.days_ago * _DAY_NS - 3600 * 10**9
        workgroup = self.workgroups.add(call.workgroup)[0]
        envelope = wrap(dek, recording_id, self.keyring.recipients(self.month)[:1])
        self.recordings.open(
            OpenRecording(
                id=recording_id,
                device_id=DeviceId(self.device.id),
                workgroup_id=workgroup.id,
                agent_id=None,
                day=day_of(started_ns),
                kid=KeyId(envelope.recipients[0].kid),
                envelope=bytes(envelope),
            )
        )
        if call.state is RecordingState.RECORDING:
            return recording_id
        capture = self._put(recording_id, dek, "capture/0001", b"\0" * 20_000, _OCTETS)
        self.recordings.captured(
            recording_id,
            objects=[capture],
            size_bytes=capture.size,
            manifest_sha256=hashlib.sha256(recording_id.encode()).hexdigest(),
            how=HowEnded.BYE,
            summary=_summary(call),
        )
        if call.state is RecordingState.CAPTURED:
            return recording_id
        self._finish(recording_id, dek, call, started_ns)
        return recording_id

    def finish(self, recording_id: RecordingId, call: Call) -> None:
        """Do a worker's work on a call that was left ``rendering``."""
        started_ns = self.clock() - 3600 * 10**9
        self._store_result(recording_id, self._dek(recording_id), call, started_ns)

    def add_m4a(self, recording_id: RecordingId, seconds: float = 4.0) -> None:
        """Make the M4A that somebody asked for, as a worker would."""
        dek = self._dek(recording_id)
        writer = M4aWriter(channels=2)
        for block in _blocks(seconds):
            writer.write(block)
        made = self._put(
            recording_id, dek, "rendition/0002", writer.finish(), "audio/mp4"
        )
        self.recordings.finish(recording_id, state=RecordingState.READY, objects=[made])

    def damage(self, recording_id: RecordingId, name: str, at: int) -> None:
        """Flip one bit of a stored object."""
        path = next(
            path
            for path in (self.folder / "objects" / "media").rglob("*")
            if path.is_file() and str(path).endswith(f"{recording_id}/{name}")
        )
        path.chmod(0o600)
        octets = bytearray(path.read_bytes())
        octets[at] ^= 1
        path.write_bytes(octets)

    def leaves(self) -> list[dict[str, object]]:
        """Return every entry of the trail, oldest first."""
        reader = TrailReader(self.audit)
        return [json.loads(one) for one in reader.entries(0, reader.head().size)]

    def actions(self) -> list[str]:
        """Return what happened, oldest first, the warden's start left out."""
        quiet = {"audit.log.created", "process.started"}
        found = [str(leaf["action"]) for leaf in self.leaves()]
        return [action for action in found if action not in quiet]

    def audio(self, seconds: float = 4.0) -> bytes:
        """Return the FLAC that a recording of that length holds."""
        return _flac(seconds)

    def _dek(self, recording_id: RecordingId) -> SecretBytes:
        from vault.sealing.envelope import Envelope  # noqa: PLC0415
        from vault.sealing.unwrap import unwrap  # noqa: PLC0415

        octets = Envelopes(self.catalog).read(recording_id)
        return unwrap(Envelope.parse(octets), recording_id, self.keyring)

    def _engine(self, schema: str) -> Engine:
        return open_engine(f"sqlite:///{self.folder}", schema=schema)

    def _put(
        self,
        recording_id: RecordingId,
        dek: SecretBytes,
        name: str,
        plaintext: bytes,
        media_type: str,
    ) -> StoredObject:
        sealed = seal(plaintext, key=dek, context=context(recording_id, name))
        digest = hashlib.sha256(sealed)
        self.stores.media.put_once(
            ObjectKey.of(recording_id, name),
            io.BytesIO(sealed),
            size=len(sealed),
            sha256=digest.digest(),
        )
        return StoredObject(
            name=name,
            size=len(sealed),
            sha256=digest.hexdigest(),
            media_type=media_type,
        )

    def _finish(
        self, recording_id: RecordingId, dek: SecretBytes, call: Call, started_ns: int
    ) -> None:
        claimed = self.recordings.claim_for_rendering("worker-1", 60)
        assert claimed is not None
        if call.state is not RecordingState.RENDERING:
            self._store_result(recording_id, dek, call, started_ns)

    def _store_result(
        self, recording_id: RecordingId, dek: SecretBytes, call: Call, started_ns: int
    ) -> None:
        started = rfc3339(started_ns)
        metadata = SessionMetadata(
            recording_id=recording_id,
            started=started,
            ended=rfc3339(started_ns + int(call.seconds * 10**9)),
            direction=call.direction,
            caller=call.caller,
            callee=call.callee,
            agent=call.agent,
            workgroup=call.workgroup,
            device=call.device or self.device.name,
            device_id=self.device.id,
            pbx_id=call.pbx_id,
            attributes=call.attributes,
            participants=call.participants,
            streams=tuple(
                StreamMetadata(label=label, codec=one.codec, suite=one.suite)
                for label, one in zip(
                    call.labels or ("agent", "customer"), _summary(call), strict=True
                )
            ),
        )
        sealed, tokens = self.worker_client.seal_row(
            recording_id, bytes(metadata), month=started[:7]
        )
        playable = call.state is not RecordingState.FAILED
        objects = []
        if playable:
            objects = [
                self._put(
                    recording_id,
                    dek,
                    "rendition/0001",
                    _flac(call.seconds),
                    "audio/flac",
                ),
                self._put(
                    recording_id,
                    dek,
                    "peaks/0001",
                    _peaks(call.seconds, started_ns),
                    "application/json",
                ),
            ]
        self.recordings.finish(
            recording_id,
            state=call.state,
            reason=call.reason,
            objects=objects,
            metadata=sealed,
            tokens=tokens,
            duration_ms=int(call.seconds * 1000) if playable else None,
            month=started[:7],
        )


@cache
def _empty_databases() -> Mapping[str, bytes]:
    """Return the files of both databases as migrations leave them, made once."""
    with tempfile.TemporaryDirectory() as place:
        for schema, upgrade in (("catalog", upgrade_catalog), ("audit", upgrade_audit)):
            engine = open_engine(f"sqlite:///{place}", schema=schema)
            upgrade(engine)
            engine.dispose()
        return {file.name: file.read_bytes() for file in Path(place).iterdir()}


@contextmanager
def running(folder: Path, config: WebConfig | None = None) -> Iterator[WebVault]:
    """Give a vault, and stop it at the end."""
    vault = WebVault(folder, config=config)
    try:
        yield vault
    finally:
        vault.close()


_DAY_NS: Final = 86_400 * 10**9
_OCTETS: Final = "application/octet-stream"
_SUMMARY: Final = (
    StreamStatus(
        label="agent",
        codec="PCMU",
        suite="AEAD_AES_256_GCM",
        packets_received=1000,
        packets_authentic=1000,
    ),
    StreamStatus(
        label="customer",
        codec="PCMA",
        suite="AES_CM_128_HMAC_SHA1_80",
        packets_received=998,
        packets_authentic=996,
        packets_lost=2,
        packets_undecryptable=2,
    ),
)


def _summary(call: Call) -> tuple[StreamStatus, ...]:
    agent, customer = _SUMMARY
    return replace(agent, codec=call.codec or agent.codec), replace(
        customer, suite=call.suite or customer.suite
    )


def _blocks(seconds: float) -> Iterator[np.ndarray]:
    legs = []
    for label in ("agent", "customer"):
        octets = lzma.decompress((_CONVERSATION / f"{label}.ul.xz").read_bytes())
        samples = EXPAND[Law.PCMU].take(np.frombuffer(octets, np.uint8))
        wanted = int(seconds * RATE_HZ)
        repeats = -(-wanted // len(samples))
        legs.append(np.tile(samples, repeats)[:wanted])
    both = np.stack(legs).astype(np.int16)
    for start in range(0, both.shape[1], RATE_HZ):
        yield both[:, start : start + RATE_HZ]


@lru_cache(maxsize=4)
def _flac(seconds: float) -> bytes:
    writer = FlacWriter(channels=2)
    for block in _blocks(seconds):
        writer.write(block)
    return writer.finish()


def _peaks(seconds: float, started_ns: int) -> bytes:
    writer = PeaksWriter(labels=["agent", "customer"])
    for block in _blocks(seconds):
        writer.write(block)
    return writer.finish(origin_ns=started_ns)
