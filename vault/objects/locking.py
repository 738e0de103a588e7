"""Locking: what a store promises about objects that nobody may change or delete.

A store that says it locks is not believed: `prove_lock` puts a probe object under a
short lock and then tries to do what must not work.  Only a refusal, with the object
unchanged behind it, counts.

Guarantees: a `LockProof` that says yes was seen; everything else says why not.

Left to others: how long, and what is locked (`vault.auditor.publishing`).

Spec: Amazon S3 Object Lock, COMPLIANCE mode; docs/howto/anchor-the-trail.md
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Final, Protocol

from vault.objects.directory import DirectoryStore
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey

PROBES: Final = "lock-probe/"
"Where probe objects lie until their lock ends."


@dataclass(frozen=True, slots=True, kw_only=True)
class LockProof:
    """Whether a store really locks, as it was seen."""

    locks: bool
    reason: str = ""
    "Why it does not count as locking; empty when it does."


class LockingStore(ObjectStore, Protocol):
    """A store that may be able to lock what it holds."""

    def prove_lock(self) -> LockProof:
        """Find out whether this store refuses to change what is locked.

        Raises:
            StoreUnavailableError: It could not be found out now.
        """
        ...

    def put_locked(self, key: ObjectKey, octets: bytes, *, until_s: int) -> None:
        """Store *octets* under *key* at most once, locked until *until_s*.

        Putting the same content again succeeds; a lock is prolonged, never shortened.

        Args:
            key: Where.
            octets: Small: a tile, a checkpoint, a time stamp.
            until_s: Seconds since the epoch before which nobody may delete it.

        Raises:
            ConflictError: *key* holds other content.
            StoreUnavailableError: Not stored, or not locked.  Safe to retry.
        """
        ...


class FolderThatNeverLocks(DirectoryStore):
    """A folder: whoever may write to it may change and delete what is in it."""

    def prove_lock(self) -> LockProof:
        """See `LockingStore`."""
        return LockProof(locks=False, reason="a folder never locks what is in it")

    def put_locked(self, key: ObjectKey, octets: bytes, *, until_s: int) -> None:
        """See `LockingStore`; nothing is locked here."""
        del until_s
        put_small(self, key, octets)


def put_small(store: ObjectStore, key: ObjectKey, octets: bytes) -> None:
    """Store small *octets* under *key* at most once; see `ObjectStore.put_once`."""
    store.put_once(
        key,
        io.BytesIO(octets),
        size=len(octets),
        sha256=hashlib.sha256(octets).digest(),
    )
