"""What was kept of a call, compared with what its PBX sent.

The kit holds the keyring of its installation, so it reads the spool as the vault's
worker reads the store: manifest verified, envelope unwrapped, parts opened in order.
Without a warden nothing is shipped, so that everything is still there.
"""

import base64
import dataclasses
import hashlib
import itertools
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

from vault.audit.entry import Action
from vault.core.errors import SealBrokenError, VaultError
from vault.core.ids import RecordingId, parse_recording_id
from vault.core.secrets import SecretBytes
from vault.sealing.chunks import SEALED_CHUNK_SIZE, context
from vault.sealing.envelope import Envelope
from vault.sealing.keyring import Keyring
from vault.sealing.manifest import Manifest, verify_manifest
from vault.sealing.reader import open_sealed
from vault.sealing.roster import verify_roster
from vault.sealing.unfinished import UnfinishedReader
from vault.sealing.unwrap import unwrap
from vault.tap.capture import Kind, parse_records

PACKETS_PER_S = 50
_CUT = ".cut"
_NUMBER = struct.Struct(">12xQ")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What there is of one call."""

    how: str
    parts: int
    legs: tuple[tuple[int, ...], ...]
    "Numbers of the packets of each stream, in the order of the capture."
    counted: tuple[int, ...]
    "Authentic packets of each stream, as the signed manifest says."

    def missing(self, leg: int, sent: int) -> int:
        """Return how many of *sent* packets of a leg are not there."""
        return sent - len(set(self.legs[leg]))

    def gaps(self, leg: int) -> list[int]:
        """Return the lengths of all runs of packets missing inside a leg."""
        numbers = sorted(set(self.legs[leg]))
        return [b - a - 1 for a, b in itertools.pairwise(numbers) if b - a > 1]


class Spool:
    """The spool of an installation, with the key to what lies in it."""

    def __init__(self, folder: Path, passphrase: SecretBytes) -> None:
        self._spool = folder / "spool"
        self._keyring = Keyring.unlock(folder / "keys" / "keyring.json", passphrase)
        self._roster = folder / "keys" / "roster.json"
        pinned = (folder / "keys" / "roster.pub").read_bytes()
        self._pinned = base64.b64decode(pinned.strip(), validate=True)

    def recordings(self) -> set[RecordingId]:
        """Return every recording that has begun and was not freed."""
        return {
            parse_recording_id(path.name)
            for path in self._spool.iterdir()
            if not path.name.startswith(".")
        }

    def ended(self) -> set[RecordingId]:
        """Return every recording with a manifest."""
        return {
            one for one in self.recordings() if self._path(one, "manifest").exists()
        }

    def announced(self) -> set[RecordingId]:
        """Return whose first leaf waits for the warden."""
        found = set()
        for path in (self._spool / ".outbox").iterdir():
            if path.name.isdigit():
                try:
                    leaf = json.loads(path.read_bytes())
                except ValueError:
                    # Empty after a power cut: nobody was told that it is durable,
                    # or its call counts as one without a leaf.
                    continue
                if leaf["action"] == Action.RECORDING_STARTED:
                    found.add(RecordingId(leaf["recording"]))
        return found

    def kept(
        self,
        recording_id: RecordingId,
        *,
        read: Callable[[RecordingId, str], bytes] | None = None,
        streams: int = 2,
    ) -> Kept:
        """Return what there is of a call, here or where *read* reads its objects.

        Raises:
            VaultError: It is not as its manifest says.
        """
        read = read or self._read
        manifest = self.manifest(read(recording_id, "manifest"))
        envelope = Envelope.parse(read(recording_id, "envelope"))
        dek = unwrap(envelope, recording_id, self._keyring)
        legs: list[list[int]] = [[] for _ in range(streams)]
        parts = [one for one in manifest.objects if one.name.startswith("capture/")]
        for part in parts:
            octets = read(recording_id, part.name)
            if hashlib.sha256(octets).digest() != part.sha256:
                raise SealBrokenError(f"{part.name} is not what was signed")
            for record in parse_records(_opened(octets, part.name, recording_id, dek)):
                if record.kind == Kind.RTP:
                    legs[record.stream].append(_NUMBER.unpack_from(record.octets)[0])
        counted = {stream.stream: stream.authentic for stream in manifest.streams}
        return Kept(
            how=str(manifest.how),
            parts=len(parts),
            legs=tuple(tuple(leg) for leg in legs),
            counted=tuple(counted.get(i, 0) for i in range(streams)),
        )

    def manifest(self, octets: bytes) -> Manifest:
        """Return the manifest in *octets*, its signature verified."""
        roster = verify_roster(
            self._roster.read_bytes(),
            pinned=self._pinned,
            at_least_version=0,
            now=time.time_ns(),
        )
        return verify_manifest(octets, roster.tap_keys())

    def _read(self, recording_id: RecordingId, name: str) -> bytes:
        return self._path(recording_id, name).read_bytes()

    def _path(self, recording_id: RecordingId, name: str) -> Path:
        return self._spool / recording_id / name.replace("/", "-")


class Octets:
    """A whole object in memory, for the reader of unfinished ones."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.size = len(octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


def _opened(
    octets: bytes, name: str, recording_id: RecordingId, dek: SecretBytes
) -> bytes:
    bound = context(recording_id, name.removesuffix(_CUT))
    if not name.endswith(_CUT):
        return open_sealed(octets, key=dek, context=bound)
    reader = UnfinishedReader(Octets(octets), key=dek, context=bound)
    found = bytearray()
    for index in range(len(octets) // SEALED_CHUNK_SIZE + 1):
        try:
            found += reader.chunk(index)
        except VaultError:
            break
    return bytes(found)
