"""The manifest, which makes a recording one, and the addenda that extend it.

A manifest is what the tap saw and stored: objects with size, SHA-256, chunks
and key commitment, how the call ended, and what the hot path counted.  It is
written last, so its presence is the commit point.  An addendum says the same
about one object that a worker made later.  Both are DSSE documents.

Guarantees: octets that `verify_manifest` accepts were signed by the tap that
the manifest names, and reading and writing are inverses.

Left to others: whose keys are trusted (`vault.sealing.roster`), comparing the
objects themselves (`vault.playback`, `vault.renditions`), the leaf that
records the manifest's digest (`vault.warden`).

Spec: docs/reference/formats/manifest.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core import canonical
from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import SealBrokenError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.core.media import PayloadFormat
from vault.sealing import dsse
from vault.sealing.chunks import COMMITMENT_SIZE
from vault.sealing.members import Members

MANIFEST_TYPE: Final = "application/vnd.callvault.manifest.v2+json"
MANIFEST_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {1: "application/vnd.callvault.manifest.v1+json", 2: MANIFEST_TYPE}
)
"By version.  Version 1 has no `StreamCount.stray_drops` and no ``discarded``."
ADDENDUM_TYPE: Final = "application/vnd.callvault.addendum.v1+json"
_VERSION: Final = 2
_ADDENDUM_VERSION: Final = 1
_SHA256_SIZE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestObject:
    """One sealed object as it was stored."""

    name: str
    "Object name with any ``.cut`` or ``.recovered``: ``capture/0001``."
    size: int
    "Sealed octets."
    sha256: bytes
    "Of the sealed octets; 32 octets."
    chunks: int
    "Sealed chunks, the last one included; of a ``.cut`` part, the whole ones."
    commitment: bytes
    "Key commitment out of the header; 32 octets."

    def to_json(self) -> JsonObject:
        """Return the JSON members."""
        return {
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256.hex(),
            "chunks": self.chunks,
            "commitment": self.commitment.hex(),
        }

    @classmethod
    def read(cls, members: Members) -> Self:
        """Read the JSON members; others are refused."""
        found = cls(
            name=members.text("name"),
            size=members.count("size"),
            sha256=members.hex_octets("sha256", size=_SHA256_SIZE),
            chunks=members.count("chunks"),
            commitment=members.hex_octets("commitment", size=COMMITMENT_SIZE),
        )
        members.end()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SsrcCount:
    """What one SSRC sent, in extended sequence numbers (RFC 3550, A.1)."""

    ssrc: int
    first: int
    last: int
    packets: int

    def to_json(self) -> JsonObject:
        """Return the JSON members."""
        return {
            "ssrc": self.ssrc,
            "first": self.first,
            "last": self.last,
            "packets": self.packets,
        }

    @classmethod
    def read(cls, members: Members) -> Self:
        """Read the JSON members; others are refused."""
        found = cls(
            ssrc=members.count("ssrc"),
            first=members.count("first"),
            last=members.count("last"),
            packets=members.count("packets"),
        )
        members.end()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCount:
    """What the hot path counted for one stream, in packets."""

    stream: int
    "Index of the m-line, from 0: the stream octet of capture records."
    label: str
    suite: str
    "As IANA spells it, ``PLAIN_RTP``, or ``DTLS_SRTP`` where no handshake was done."
    media: str
    "``audio`` or ``video``."
    received: int = 0
    authentic: int = 0
    rejected: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    "Reason slug → packets."
    rtcp: int = 0
    undecryptable_kept: int = 0
    kernel_drops: int = 0
    stray_drops: int = 0
    "Datagrams of strangers that the kernel dropped; not among *received*."
    discarded: int = 0
    "Of the authentic: left out on purpose, in a pause or a hold, or as DTMF."
    payloads: Mapping[int, PayloadFormat] = field(
        default_factory=lambda: MappingProxyType({})
    )
    ssrcs: tuple[SsrcCount, ...] = ()

    def to_json(self, version: int = _VERSION) -> JsonObject:
        """Return the JSON members, as they are in *version*."""
        members: JsonObject = {
            "stream": self.stream,
            "label": self.label,
            "suite": self.suite,
            "media": self.media,
            "received": self.received,
            "authentic": self.authentic,
            "rejected": dict(self.rejected),
            "rtcp": self.rtcp,
            "undecryptable_kept": self.undecryptable_kept,
            "kernel_drops": self.kernel_drops,
            "payloads": {
                str(number): _payload_members(each)
                for number, each in self.payloads.items()
            },
            "ssrcs": [each.to_json() for each in self.ssrcs],
        }
        if version > 1:
            members["stray_drops"] = self.stray_drops
            members["discarded"] = self.discarded
        return members

    @classmethod
    def read(cls, members: Members, version: int = _VERSION) -> Self:
        """Read the JSON members of *version*; others are refused."""
        found = cls(
            stream=members.count("stream"),
            label=members.text("label"),
            suite=members.text("suite"),
            media=members.text("media"),
            received=members.count("received"),
            authentic=members.count("authentic"),
            rejected=members.counts("rejected"),
            rtcp=members.count("rtcp"),
            undecryptable_kept=members.count("undecryptable_kept"),
            kernel_drops=members.count("kernel_drops"),
            stray_drops=members.count("stray_drops") if version > 1 else 0,
            discarded=members.count("discarded") if version > 1 else 0,
            payloads=_read_payloads(members),
            ssrcs=tuple(SsrcCount.read(each) for each in members.each("ssrcs")),
        )
        members.end()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the tap says about a finished call; ``bytes()`` gives the payload."""

    recording_id: RecordingId
    tap: str
    "Name of the tap, under which the roster has its public key."
    started: str
    "RFC 3339, UTC."
    ended: str
    how: HowEnded
    objects: tuple[ManifestObject, ...]
    "Capture parts in order, then the rest."
    streams: tuple[StreamCount, ...]
    v: int = _VERSION

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": self.v,
                "recording_id": self.recording_id,
                "tap": self.tap,
                "started": self.started,
                "ended": self.ended,
                "how": str(self.how),
                "objects": [each.to_json() for each in self.objects],
                "streams": [each.to_json(self.v) for each in self.streams],
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a manifest's payload.

        Raises:
            SealBrokenError: Not a manifest as we write them.
        """
        members = Members.parse(payload, of="manifest")
        version = members.count("v")
        if version not in MANIFEST_TYPES:
            raise SealBrokenError("the manifest has an unknown version")
        manifest = cls(
            recording_id=members.recording_id(),
            tap=members.text("tap"),
            started=members.time("started"),
            ended=members.time("ended"),
            how=_how_ended(members.text("how")),
            objects=tuple(ManifestObject.read(e) for e in members.each("objects")),
            streams=tuple(
                StreamCount.read(each, version) for each in members.each("streams")
            ),
            v=version,
        )
        members.end()
        names = [each.name for each in manifest.objects]
        if len(set(names)) != len(names):
            raise SealBrokenError("the manifest names an object twice")
        return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Addendum:
    """What a worker says about one object it made; ``bytes()`` gives the payload."""

    recording_id: RecordingId
    worker: str
    "Name of the worker, under which the roster has its public key."
    made: str
    "RFC 3339, UTC."
    object: ManifestObject
    media_type: str
    sources: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    "Name → SHA-256 (32 octets) of the objects that it was made from."
    v: int = _ADDENDUM_VERSION

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": self.v,
                "recording_id": self.recording_id,
                "worker": self.worker,
                "made": self.made,
                "object": self.object.to_json(),
                "media_type": self.media_type,
                "sources": {name: sha.hex() for name, sha in self.sources.items()},
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read an addendum's payload.

        Raises:
            SealBrokenError: Not an addendum as we write them.
        """
        members = Members.parse(payload, of="addendum")
        members.version(_ADDENDUM_VERSION)
        sources = members.one("sources")
        addendum = cls(
            recording_id=members.recording_id(),
            worker=members.text("worker"),
            made=members.time("made"),
            object=ManifestObject.read(members.one("object")),
            media_type=members.text("media_type"),
            sources={
                name: sources.hex_octets(name, size=_SHA256_SIZE)
                for name in sources.names()
            },
        )
        members.end()
        return addendum


def sign_manifest(manifest: Manifest, key: Ed25519PrivateKey, tap_name: str) -> bytes:
    """Return *manifest* as a DSSE document signed by the tap *tap_name*."""
    if manifest.tap != tap_name:
        raise ValueError("a tap signs its own manifests only")
    kind = MANIFEST_TYPES[manifest.v]
    return dsse.sign(bytes(manifest), payload_type=kind, key=key, keyid=tap_name)


def verify_manifest(octets: bytes, keys: Mapping[str, bytes]) -> Manifest:
    """Return the manifest in *octets*, signed by one of the taps in *keys*.

    Args:
        octets: A DSSE document.
        keys: Tap name → raw Ed25519 public key (32 octets).

    Raises:
        SealBrokenError: The signature does not verify, or its signer is not
            the tap that the manifest names.
    """
    said = Members.parse(octets, of="signed document").text("payloadType")
    kind = said if said in MANIFEST_TYPES.values() else MANIFEST_TYPE
    signer, payload = dsse.verify(octets, payload_type=kind, keys=keys)
    manifest = Manifest.parse(payload)
    if MANIFEST_TYPES[manifest.v] != kind:
        raise SealBrokenError("the manifest is of another version than its type")
    if manifest.tap != signer:
        raise SealBrokenError("the manifest was signed by another tap")
    return manifest


def sign_addendum(
    addendum: Addendum, key: Ed25519PrivateKey, worker_name: str
) -> bytes:
    """Return *addendum* as a DSSE document signed by the worker *worker_name*."""
    if addendum.worker != worker_name:
        raise ValueError("a worker signs its own addenda only")
    return dsse.sign(
        bytes(addendum), payload_type=ADDENDUM_TYPE, key=key, keyid=worker_name
    )


def verify_addendum(octets: bytes, keys: Mapping[str, bytes]) -> Addendum:
    """Return the addendum in *octets*, signed by one of the workers in *keys*.

    Raises:
        SealBrokenError: As `verify_manifest`.
    """
    signer, payload = dsse.verify(octets, payload_type=ADDENDUM_TYPE, keys=keys)
    addendum = Addendum.parse(payload)
    if addendum.worker != signer:
        raise SealBrokenError("the addendum was signed by another worker")
    return addendum


def _how_ended(text: str) -> HowEnded:
    try:
        return HowEnded(text)
    except ValueError:
        raise SealBrokenError("the manifest names an unknown ending") from None


def _payload_members(payload: PayloadFormat) -> dict[str, JsonValue]:
    return {
        "encoding": payload.encoding,
        "clock_rate_hz": payload.clock_rate_hz,
        "channels": payload.channels,
        "fmtp": payload.fmtp,
    }


def _read_payloads(members: Members) -> dict[int, PayloadFormat]:
    found: dict[int, PayloadFormat] = {}
    for text, inner in members.by_name("payloads"):
        if not text.isascii() or not text.isdigit() or str(int(text)) != text:
            raise SealBrokenError("the manifest has a payload type that is no number")
        found[int(text)] = PayloadFormat(
            payload_type=int(text),
            encoding=inner.text("encoding"),
            clock_rate_hz=inner.count("clock_rate_hz"),
            channels=inner.count("channels"),
            fmtp=inner.text("fmtp"),
        )
        inner.end()
    return found
