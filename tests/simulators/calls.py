"""Calls without a network: captures made by hand, stored as the tap stores them.

`Phone` sends RTP with any fault a network can have; `Vault` is a store, a catalog
and a trail in a folder, with a warden that keeps its keys in a dictionary.  Everything
that seals, signs or stores is the real part.
"""

import hashlib
import io
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.audit.entry import Draft, compose
from vault.catalog.recordings import Recordings
from vault.catalog.schema import upgrade_catalog
from vault.catalog.values import OpenRecording, StoredObject
from vault.core.clock import day_of, rfc3339
from vault.core.errors import AuditUnavailableError, NotFoundError
from vault.core.flow import (
    Actor,
    ActorKind,
    Caller,
    Document,
    Grant,
    HowEnded,
    MediaPart,
    Purpose,
    StreamStatus,
)
from vault.core.ids import (
    DeviceId,
    GrantId,
    KeyId,
    RecordingId,
    WorkgroupId,
    new_id,
    new_recording_id,
)
from vault.core.media import PayloadFormat
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.objects.directory import DirectoryStore
from vault.objects.keys import ObjectKey
from vault.playback.service import Playback
from vault.renditions.config import WorkerConfig
from vault.renditions.deposit import AddendumKey
from vault.renditions.g711 import EXPAND, Law
from vault.renditions.worker import RenderWorker
from vault.sealing.chunks import (
    HEADER_SIZE,
    chunk_count,
    commitment_of,
    context,
    encryptor,
    seal,
    whole_chunks,
)
from vault.sealing.manifest import (
    Manifest,
    ManifestObject,
    StreamCount,
    sign_manifest,
)
from vault.sealing.metadata import SessionMetadata
from vault.sealing.padding import pad
from vault.sealing.signalling import Signalling
from vault.tap.capture import HEADER, Event, Kind, encode_event
from vault.trust.interfaces import IndexToken, SealedRow

START_NS: Final = 1_795_414_569_000_000_000
MS: Final = 1_000_000
RATE: Final = 8000
PCMU: Final = PayloadFormat(payload_type=0, encoding="PCMU", clock_rate_hz=RATE)
PCMA: Final = PayloadFormat(payload_type=8, encoding="PCMA", clock_rate_hz=RATE)
OPUS: Final = PayloadFormat(
    payload_type=96, encoding="opus", clock_rate_hz=48000, channels=2
)
EVENTS: Final = PayloadFormat(
    payload_type=101, encoding="telephone-event", clock_rate_hz=RATE
)
WORKGROUP: Final = WorkgroupId("aaaaaaaa-0000-4000-8000-000000000000")

_NEAREST: Final = {
    law: np.abs(
        table.astype(np.int32)[None, :]
        - np.arange(-32768, 32768, 8, dtype=np.int32)[:, None]
    )
    .argmin(axis=1)
    .astype(np.uint8)
    for law, table in EXPAND.items()
}


def companded(samples: np.ndarray, law: Law = Law.PCMU) -> np.ndarray:
    """Return 16-bit *samples* as G.711 octets, to the nearest table value."""
    return _NEAREST[law][(samples.astype(np.int32) + 32768) // 8]


def babble(seconds: float, *, seed: int = 1) -> np.ndarray:
    """Return G.711 octets of something that never repeats and is never silent."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    tone = np.sin(2 * np.pi * (200 + 90 * np.sin(time * seed)) * time)
    samples = 9000 * tone + random.normal(0, 900, count)
    return companded(samples.clip(-30000, 30000).astype(np.int16))


def heard(octets: np.ndarray, law: Law = Law.PCMU) -> np.ndarray:
    """Return the samples that *octets* stand for."""
    return EXPAND[law].take(octets)


def record(kind: int, stream: int, octets: bytes, *, at_ns: int) -> bytes:
    """Return one record of a capture."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return HEADER.pack(seconds, rest, stream, kind, len(octets)) + octets


def added(
    stream: int,
    label: str,
    *,
    payloads: Sequence[PayloadFormat] = (PCMU,),
    media: str = "audio",
    at_ns: int = START_NS,
    event: Event = Event.STREAM_ADDED,
    remote: tuple[str, int] | None = None,
    local: tuple[str, int] | None = None,
) -> bytes:
    """Return the event that announces a stream."""
    address, port = local or ("127.0.0.1", 40000 + 2 * stream)
    members = {
        "label": label,
        "media": media,
        "suite": "AES_CM_128_HMAC_SHA1_80",
        "rtcp_mux": False,
        "local": [address, port],
        "local_rtcp": [address, port + 1],
        "payloads": {
            str(p.payload_type): {
                "encoding": p.encoding,
                "clock_rate_hz": p.clock_rate_hz,
                "channels": p.channels,
                "fmtp": p.fmtp,
            }
            for p in payloads
        },
    }
    if remote:
        members["remote"] = list(remote)
    return encode_event(event, now_ns=at_ns, stream=stream, members=members)


def rtp(
    seq: int,
    timestamp: int,
    payload: bytes,
    *,
    ssrc: int = 0xA1,
    payload_type: int = 0,
) -> bytes:
    """Return one RTP packet with a plain header."""
    return (
        struct.pack(">BBHII", 0x80, payload_type, seq % 2**16, timestamp % 2**32, ssrc)
        + payload
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """One packet as it would arrive: records sort by time."""

    at_ns: int
    stream: int
    octets: bytes
    kind: int = Kind.RTP

    def __bytes__(self) -> bytes:
        return record(self.kind, self.stream, self.octets, at_ns=self.at_ns)


@dataclass(slots=True, kw_only=True)
class Phone:
    """Sends G.711 octets of one stream, packet by packet."""

    stream: int = 0
    ssrc: int = 0xA1
    payload_type: int = 0
    ptime_ms: int = 20
    seq: int = 65_500
    timestamp: int = 2**32 - 4_000
    delay_ns: int = 3 * MS

    def say(self, octets: np.ndarray, *, at_s: float = 0.0) -> list[Sent]:
        """Return the packets of *octets*, spoken from *at_s* on."""
        size = RATE * self.ptime_ms // 1000
        sent = []
        for first in range(0, len(octets) - size + 1, size):
            spoken_ns = START_NS + round(at_s * 1e9) + (first + size) * 125_000
            packet = rtp(
                self.seq,
                self.timestamp,
                octets[first : first + size].tobytes(),
                ssrc=self.ssrc,
                payload_type=self.payload_type,
            )
            sent.append(Sent(spoken_ns + self.delay_ns, self.stream, packet))
            self.seq += 1
            self.timestamp += size
        return sent

    def pause(self, seconds: float) -> None:
        """Let the RTP clock run on without sending."""
        self.timestamp += round(seconds * RATE)


def capture(packets: Sequence[Sent], *events: bytes) -> bytes:
    """Return a part: *events*, then *packets* in order of arrival."""
    inorder = sorted(packets, key=lambda each: each.at_ns)
    return b"".join(events) + b"".join(bytes(each) for each in inorder)


@dataclass
class Warden:
    """The three interfaces of trust, with keys and leaves in memory."""

    keys: dict[RecordingId, SecretBytes] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    releases: list[tuple[RecordingId, Purpose]] = field(default_factory=list)
    rows: dict[RecordingId, bytes] = field(default_factory=dict)
    down: bool = False

    def append(self, *drafts: Draft) -> None:
        self._up()
        for draft in drafts:
            # The allow-list of the real trail decides here, too.
            compose(draft, id=new_id(), time="now", via="test", text_hmacs={})
        self.drafts.extend(drafts)

    def release(
        self,
        recording_id: RecordingId,
        *,
        caller: Caller,
        purpose: Purpose,
        grant: GrantId | None = None,
        right: str = "",
        reason: str = "",
    ) -> SecretBytes:
        self._up()
        if recording_id not in self.keys:
            raise NotFoundError("no envelope")
        self.releases.append((recording_id, purpose))
        return self.keys[recording_id]

    def open_rows(
        self, caller: Caller, recordings: Sequence[RecordingId]
    ) -> Mapping[RecordingId, bytes]:
        return {each: self.rows[each] for each in recordings if each in self.rows}

    def seal_row(
        self, recording_id: RecordingId, metadata: bytes, *, month: str
    ) -> tuple[SealedRow, Sequence[IndexToken]]:
        self._up()
        self.rows[recording_id] = metadata
        row = SealedRow(
            sealed=b"sealed", wrapped_key=b"wrapped", key_id=f"catalog-{month}"
        )
        return row, (IndexToken(field="caller", month=month, token=b"8 octets"),)

    def tokens(
        self, caller: Caller, *, field: str, value: str, months: Collection[str]
    ) -> Mapping[str, bytes]:
        return {}

    def actions(self) -> list[str]:
        """Return what was written, by name."""
        return [str(draft.action) for draft in self.drafts]

    def _up(self) -> None:
        if self.down:
            raise AuditUnavailableError("the warden is down")


@cache
def _empty_catalog() -> bytes:
    """Return an empty, migrated catalog: migrating one takes longer than a test."""
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}", schema="catalog")
        upgrade_catalog(engine)
        engine.dispose()
        return (Path(folder) / "catalog.sqlite").read_bytes()


@dataclass
class Vault:
    """One installation in a folder, without its processes."""

    folder: Path
    warden: Warden = field(default_factory=Warden)
    wrapped: Callable[[SecretBytes, RecordingId], bytes] = lambda _key, _id: b"{}"
    "Makes the envelope of a call; a real one where a real warden opens it."

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "catalog.sqlite").write_bytes(_empty_catalog())
        self.engine = open_engine(f"sqlite:///{self.folder}", schema="catalog")
        self.recordings = Recordings(self.engine)
        self.store = DirectoryStore(self.folder / "objects")
        self.tap_key = Ed25519PrivateKey.generate()
        self.worker_key = Ed25519PrivateKey.generate()

    def close(self) -> None:
        self.engine.dispose()

    def worker(self, **changes: object) -> RenderWorker:
        """Return a render worker of this installation."""
        parts = {
            "catalog": self.recordings,
            "store": self.store,
            "keys": self.warden,
            "rows": self.warden,
            "trail": self.warden,
            "signer": AddendumKey(name="worker-1", private=self.worker_key),
            "tap_keys": lambda: {"tap-1": self.tap_key.public_key().public_bytes_raw()},
            "config": WorkerConfig(name="worker-1", idle_s=0.01),
        }
        return RenderWorker(**(parts | changes))

    def playback(self, **changes: object) -> Playback:
        """Return the playback service of this installation."""
        parts = {
            "recordings": self.recordings,
            "store": self.store,
            "keys": self.warden,
            "trail": self.warden,
        }
        return Playback(**(parts | changes))

    def put(self, recording_id: RecordingId, name: str, octets: bytes) -> StoredObject:
        """Store *octets* and return how the catalog would name them."""
        digest = hashlib.sha256(octets)
        self.store.put_once(
            ObjectKey.of(recording_id, name),
            io.BytesIO(octets),
            size=len(octets),
            sha256=digest.digest(),
        )
        return StoredObject(
            name=name,
            size=len(octets),
            sha256=digest.hexdigest(),
            media_type="application/octet-stream",
        )

    def damage(
        self, recording_id: RecordingId, name: str, *, at: int = -20, cut: int = 0
    ) -> None:
        """Flip a bit of a stored object, or cut octets off its end."""
        key = ObjectKey.of(recording_id, name)
        octets = bytearray(self.store.read(key))
        octets[at] ^= 1
        if cut:
            octets = octets[:-cut]
            octets[at] ^= 1
        self.store.delete(key)
        self.put(recording_id, name, bytes(octets))

    def captured(
        self,
        *parts: bytes,
        cut: Collection[int] = (),
        streams: Sequence[StreamCount] = (),
        how: HowEnded = HowEnded.BYE,
        metadata: SessionMetadata | None = None,
        recording_id: RecordingId | None = None,
        documents: Sequence[Document] = (),
    ) -> RecordingId:
        """Store a call as the tap's shipper leaves it, and return its id.

        Parts whose number (from 1) is in *cut* lack their last chunk.
        """
        id = recording_id or new_recording_id()
        key = SecretBytes(hashlib.sha256(b"dek" + id.encode()).digest())
        self.warden.keys[id] = key
        said = metadata or SessionMetadata(
            recording_id=id, started=rfc3339(START_NS), caller="+4989123"
        )
        said = replace(said, recording_id=id)
        sealed = {}
        for number, plaintext in enumerate(parts, start=1):
            name = f"capture/{number:04d}"
            if number in cut:
                unfinished = encryptor(key, context(id, name))
                sealed[name + ".cut"] = unfinished.update(plaintext)
            else:
                sealed[name] = seal(plaintext, key=key, context=context(id, name))
        sealed["session/0001"] = seal(
            pad(bytes(said)), key=key, context=context(id, "session/0001")
        )
        if documents:
            kept = Signalling(
                recording_id=id, received=rfc3339(START_NS), documents=tuple(documents)
            )
            name = "signalling/0001"
            sealed[name] = seal(pad(bytes(kept)), key=key, context=context(id, name))
        manifest = Manifest(
            recording_id=id,
            tap="tap-1",
            started=rfc3339(START_NS),
            ended=rfc3339(START_NS + 60_000 * MS),
            how=how,
            objects=tuple(_described(name, each) for name, each in sealed.items()),
            streams=tuple(streams),
        )
        sealed["manifest"] = sign_manifest(manifest, self.tap_key, "tap-1")
        stored = [self.put(id, name, octets) for name, octets in sealed.items()]
        self._row(id, stored, how, self.wrapped(key, id))
        return id

    def _row(
        self,
        id: RecordingId,
        stored: Sequence[StoredObject],
        how: HowEnded,
        envelope: bytes,
    ) -> None:
        self.recordings.open(
            OpenRecording(
                id=id,
                device_id=DeviceId(new_id()),
                workgroup_id=WORKGROUP,
                agent_id=None,
                day=day_of(START_NS),
                kid=KeyId("00" * 16),
                envelope=envelope,
            )
        )
        parts = [each.size for each in stored if each.kind == "capture"]
        self.recordings.captured(
            id,
            objects=stored,
            size_bytes=sum(parts),
            manifest_sha256=stored[-1].sha256,
            how=how,
            summary=(StreamStatus(label="agent", codec="PCMU", suite="none"),),
        )

    def grant(
        self,
        recording_id: RecordingId,
        part: MediaPart = MediaPart.AUDIO,
        *,
        expires_ns: int = 2**62,
    ) -> Grant:
        """Return what the policy would give a supervisor."""
        return Grant(
            id=GrantId(new_id()),
            recording_id=recording_id,
            part=part,
            caller=Caller(actor=Actor(kind=ActorKind.USER, id=new_id()), session="s1"),
            right="recording:media:play",
            expires_ns=expires_ns,
        )


def _described(name: str, sealed: bytes) -> ManifestObject:
    count = whole_chunks if name.endswith(".cut") else chunk_count
    return ManifestObject(
        name=name,
        size=len(sealed),
        sha256=hashlib.sha256(sealed).digest(),
        chunks=count(len(sealed)),
        commitment=commitment_of(sealed[:HEADER_SIZE]),
    )


def counted(
    stream: int = 0,
    label: str = "agent",
    *,
    received: int = 0,
    authentic: int = 0,
    kept: int = 0,
) -> StreamCount:
    """Return counters of a stream as a manifest has them."""
    rejected = received - authentic
    return StreamCount(
        stream=stream,
        label=label,
        suite="AES_CM_128_HMAC_SHA1_80",
        media="audio",
        received=received,
        authentic=authentic,
        undecryptable_kept=kept,
        rejected={"unauthenticated": rejected} if rejected else {},
        payloads={0: PCMU},
    )
