"""Where anchors lie in the object store, and how the log's checkpoints are read.

    audit/<log>/checkpoint                        the newest note (replaced)
    audit/<log>/cosigned                          the newest with witnesses (replaced)
    audit/<log>/checkpoints/<group>/<size>        notes that are kept
    audit/<log>/timestamps/<group>/<size>.tsr     RFC 3161 responses over them
    audit/<log>/tile/<level>/<index>[.p/<width>]  hashes
    audit/<log>/tile/entries/<index>[.p/<width>]  entries

``<log>`` is the origin where its alphabet is that of object keys, else ``sha256-``
and the first 32 hex digits of its SHA-256.  ``<group>`` is size ÷ 10⁶ in 12 digits,
``<size>`` has 18, so that listing one group after another finds the newest.

Guarantees: two logs never share a place; a name that parsed names one thing.

Left to others: writing there (`vault.auditor.publishing`), checking
(`vault.auditor.anchor_check`).

Spec: https://c2sp.org/tlog-tiles, docs/reference/formats/anchors.md
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.lineage import precedes
from vault.audit.tiles import TileName
from vault.core.errors import TrailBrokenError
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey

_PLAIN: Final = re.compile(
    r"[a-z0-9][a-z0-9-]{0,40}(?:[/.][a-z0-9][a-z0-9-]{0,40}){0,4}"
)
_GROUP: Final = 1_000_000
_KEPT: Final = re.compile(r".*/checkpoints/[0-9]{12}/(?P<size>[0-9]{18})")


@dataclass(frozen=True, slots=True)
class Anchors:
    """The names of everything that is kept of one log."""

    origin: str

    @property
    def prefix(self) -> str:
        """What all of its keys begin with, without the last slash."""
        if _PLAIN.fullmatch(self.origin):
            return f"audit/{self.origin}"
        digest = hashlib.sha256(self.origin.encode()).hexdigest()
        return f"audit/sha256-{digest[:32]}"

    @property
    def newest(self) -> ObjectKey:
        """The newest checkpoint, which is replaced each time."""
        return ObjectKey(f"{self.prefix}/checkpoint")

    @property
    def cosigned(self) -> ObjectKey:
        """The newest checkpoint that witnesses have signed, too."""
        return ObjectKey(f"{self.prefix}/cosigned")

    def kept(self, size: int) -> ObjectKey:
        """The checkpoint of *size* entries, which is put there once."""
        return ObjectKey(f"{self.prefix}/checkpoints/{_place(size)}")

    def time_stamp(self, size: int) -> ObjectKey:
        """The RFC 3161 response over the checkpoint of *size* entries."""
        return ObjectKey(f"{self.prefix}/timestamps/{_place(size)}.tsr")

    def tile(self, name: TileName) -> ObjectKey:
        """A tile or bundle."""
        return ObjectKey(f"{self.prefix}/{name}")

    def kept_sizes(self, store: ObjectStore) -> Iterator[int]:
        """Yield the sizes of all checkpoints that *store* has kept, in order.

        Raises:
            StoreUnavailableError: Safe to retry.
        """
        for key in store.keys(f"{self.prefix}/checkpoints/"):
            if match := _KEPT.fullmatch(str(key)):
                yield int(match["size"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint that lies in the store for good."""

    origin: str
    size: int
    octets: bytes


def opened(verifier: Verifier, note: str) -> Checkpoint:
    """Return the checkpoint in *note*, of the log of *verifier* or one after it.

    A log that a restore has cut goes on under a new name, by the same key; an auditor
    that runs meanwhile goes along.

    Raises:
        TrailBrokenError: Malformed, of another log, or not signed by that key.
    """
    said = Checkpoint.unverified(note).origin
    if said != verifier.name:
        if not precedes(verifier.name, said):
            raise TrailBrokenError("the checkpoint is of another log")
        verifier = Verifier(name=said, public_key=verifier.public_key)
    return verifier.open_checkpoint(note, origin=said)


def _place(size: int) -> str:
    return f"{size // _GROUP:012}/{size:018}"
