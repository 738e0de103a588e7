"""The log as its readers see it, wherever it lies.

Guarantees:
    * Entries that are shown to a person (`newest`, `search`, `entries`) were compared
      with their leaf in the tree; one that contradicts itself raises instead.
    * `stream` does not judge: an export shows what is there, and the verifier
      names what is wrong with it.  Memory stays flat.

Left to others: reading the database (`vault.audit.reading`), asking the warden
(`vault.trust.trail`), who may read, and the leaf that says so (`vault.web`).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vault.audit import tree
from vault.audit.entry import Entry
from vault.audit.query import EVERYTHING, Terms, TrailQuery
from vault.audit.rows import Head
from vault.audit.tiles import TileName, encode_bundle, encode_hashes
from vault.core.errors import NotFoundError, TrailBrokenError

MAX_PAGE: Final = 200
"Entries of one page at most."

MAX_BATCH: Final = 1000
"Entries that one `TrailSource.batch` gives at most."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEntry:
    """One entry with its place in the log."""

    index: int
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPage:
    """Entries, newest first, and where the next page begins."""

    items: tuple[LoggedEntry, ...]
    next: str | None
    "Cursor for the next page; None on the last one."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """What the database holds for one index, believed or not."""

    index: int
    octets: bytes
    leaf: bytes | None
    "The leaf hash as the tree has it; None where the node is missing."
    proof: tuple[bytes, ...] = ()
    "That it is in the log of the size asked for; empty where none was."


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Entries in order, and where the next ones begin; None where there are none."""

    rows: tuple[StoredEntry, ...]
    next: int | None


class TrailSource(ABC):
    """Reads the log: head, pages, checkpoints, entries in bulk, tiles."""

    @abstractmethod
    def head(self) -> Head:
        """Return size and root as of now.

        Raises:
            UnavailableError: The log cannot be read now.
            TrailBrokenError: There is no head: this is not a log.
        """

    @abstractmethod
    def checkpoint(self, size: int | None = None) -> str:
        """Return the signed note of the log at *size* entries, or as of now.

        Raises:
            NotFoundError: No commit ended at that size.
            TrailBrokenError: The log has a head without a checkpoint.
        """

    @abstractmethod
    def page(
        self, query: TrailQuery, *, cursor: str | None = None, limit: int = 50
    ) -> TrailPage:
        """Return a page of the entries that match *query*.

        Args:
            query: Which entries.
            cursor: ``next`` of the page before.
            limit: Entries on the page, 200 at most.

        Raises:
            InvalidInputError: The cursor does not parse.
            TrailBrokenError: An entry found is not what was logged.
        """

    @abstractmethod
    def count(self, query: TrailQuery, *, size: int) -> int:
        """Return how many of the first *size* entries match *query*."""

    @abstractmethod
    def batch(
        self,
        start: int,
        stop: int,
        *,
        query: TrailQuery = EVERYTHING,
        proofs_at: int = 0,
    ) -> Batch:
        """Return the first entries from *start* to *stop* (excluded), unjudged.

        Args:
            start: Index from which on.
            stop: First index that is too far.
            query: Which of them.
            proofs_at: Size of the log to prove each to be in; 0 for no proofs.

        Raises:
            NotFoundError: The log never had that size.
            TrailBrokenError: A node that a proof needs is missing.
        """

    @abstractmethod
    def marks(
        self, at_least: int, *, spacing: int, below: int
    ) -> Iterator[tuple[int, str]]:
        """Give signed sizes and their notes, each *spacing* after the one before.

        The first is the first signed size from *at_least* on; all are under *below*.
        """

    @abstractmethod
    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that the log of *old_size* begins that of *new_size*.

        Raises:
            NotFoundError: The log never had one of the sizes.
            TrailBrokenError: A node that the proof needs is missing.
        """

    @abstractmethod
    def hashes(self, name: TileName) -> list[bytes]:
        """Return the hashes of one tile.

        Raises:
            NotFoundError: The log has not grown that far.
        """

    # ------------------------------------------------- what follows from those

    def search(
        self,
        *,
        actor: str = "",
        action: str = "",
        recording: str = "",
        result: str = "",
        since: str = "",
        until: str = "",
        cursor: str | None = None,
        limit: int = 50,
    ) -> TrailPage:
        """Return a page of the entries that match all that is given; see `page`.

        Args:
            actor: As it is spelled in entries: ``user:<uuid>``.
            action: One `Action`.
            recording: Id of a recording.
            result: ``ok``, ``refused`` or ``failed``.
            since: Earliest time, RFC 3339 in UTC or a beginning of it.
            until: First time that is too late.
            cursor: ``next`` of the page before.
            limit: Entries on the page, 200 at most.
        """
        wanted = Terms(
            actor=(actor,) if actor else (),
            action=(action,) if action else (),
            object=(f"recording:{recording}",) if recording else (),
            result=(result,) if result else (),
        )
        query = TrailQuery(wanted=wanted, since=since, until=until)
        return self.page(query, cursor=cursor, limit=limit)

    def newest(
        self, limit: int = 50, *, before: int | None = None
    ) -> tuple[LoggedEntry, ...]:
        """Return the newest entries, newest first, older than index *before*."""
        cursor = None if before is None else str(before)
        return self.page(EVERYTHING, cursor=cursor, limit=limit).items

    def stream(
        self,
        start: int,
        stop: int,
        *,
        query: TrailQuery = EVERYTHING,
        proofs_at: int = 0,
    ) -> Iterator[StoredEntry]:
        """Give what is stored from *start* to *stop* (excluded); see `batch`."""
        following: int | None = start
        while following is not None and following < stop:
            found = self.batch(following, stop, query=query, proofs_at=proofs_at)
            yield from found.rows
            following = found.next

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the octets of entries *start* to *stop* (excluded), in order.

        Raises:
            TrailBrokenError: One of them is missing, or is not what was hashed.
        """
        found = list(self.stream(start, stop))
        for expected, stored in enumerate(found, start):
            if stored.index != expected:
                raise TrailBrokenError(f"entry {expected} is missing")
            require_leaf(stored)
        if len(found) < stop - start:
            raise TrailBrokenError(f"entry {start + len(found)} is missing")
        return [stored.octets for stored in found]

    def tile(self, name: TileName) -> bytes:
        """Return the octets of one tile or entry bundle.

        Raises:
            NotFoundError: The log has not grown that far.
            TrailBrokenError: An entry of it is not what was logged.
        """
        if name.level is not None:
            return encode_hashes(self.hashes(name))
        if name.span.stop > self.head().size:
            raise NotFoundError(f"no {name}")
        return encode_bundle(self.entries(name.span.start, name.span.stop))


class LogSource(TrailSource):
    """Reads a log where it lies, with what is sealed beside it."""

    @abstractmethod
    def sealed_texts(
        self, indices: Collection[int]
    ) -> Mapping[int, Mapping[str, bytes]]:
        """Return the sealed text kept for entries: index → field → sealed.

        Erased ones are absent.  `vault.audit.texts.open_text` opens them.
        """


def require_leaf(stored: StoredEntry) -> None:
    """Check that an entry is the one that was hashed.

    Raises:
        TrailBrokenError: It is not.
    """
    if stored.leaf != tree.leaf_hash(stored.octets):
        raise TrailBrokenError(f"entry {stored.index} is not what was logged")
