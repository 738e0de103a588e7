"""What an object store must do for us, and what we must not expect of it.

The store is assumed hostile: it may lose, swap, truncate or alter objects.
Everything that matters is caught above it, by seals, manifests and the trail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from vault.core.ranges import ByteRange
from vault.objects.keys import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """What a store says about an object."""

    size: int
    "Octets."


class ObjectStore(Protocol):
    """Where sealed octets rest.  It never holds a data key, so it cannot read them.

    Calls block; an event loop runs them in a thread.  Instances are safe to
    share between threads.  An implementation turns every error of its driver
    into `NotFoundError`, `ConflictError` or `StoreUnavailableError`; no driver
    exception leaves it.
    """

    def put_once(
        self,
        key: ObjectKey,
        body: BinaryIO,
        *,
        size: int,
        sha256: bytes,
        mend: bool = False,
    ) -> None:
        """Store *size* octets of *body* under *key*, at most once and durably.

        Returns only after what the store holds was compared with *sha256*
        (read back where the store's own check cannot be trusted).  Callers MUST
        NOT drop their own copy before it returns.  Putting the same content
        again succeeds and changes nothing.  Implementations MUST NOT rely on
        conditional PUT: some stores answer yes and overwrite.

        Args:
            key: Where.
            body: Seekable, at the first octet to store.
            size: Octets.
            sha256: Digest of those octets (32 octets).
            mend: Put *body* in the place of other content: the caller knows that
                what is there is an upload that went wrong.

        Raises:
            ConflictError: *key* already holds other content, and *mend* is not set.
            IntegrityError: *body* is not what *size* and *sha256* say: the
                caller's own copy is damaged.  Nothing was stored.
            StoreUnavailableError: Nothing, or only part, was stored.  Safe to retry.
        """
        ...

    def replace(self, key: ObjectKey, octets: bytes) -> None:
        """Store small *octets* under *key*, replacing what was there (envelopes)."""
        ...

    def read(self, key: ObjectKey, span: ByteRange | None = None) -> bytes:
        """Return the octets of *span*, or all of them.

        A span that reaches beyond the end returns what there is.

        Raises:
            NotFoundError: No such object.
            StoreUnavailableError: Safe to retry.
        """
        ...

    def stat(self, key: ObjectKey) -> ObjectStat:
        """Return the size.  Raises `NotFoundError`."""
        ...

    def keys(self, prefix: str = "") -> Iterator[ObjectKey]:
        """Yield the keys that start with *prefix*, in order."""
        ...

    def delete(self, key: ObjectKey) -> None:
        """Remove an object; removing a missing one succeeds."""
        ...

    def check(self) -> None:
        """Prove that the store answers.  Raises `StoreUnavailableError`."""
        ...
