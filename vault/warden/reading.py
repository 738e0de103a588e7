"""What others read of the trail, since nobody but the warden opens its database.

Guarantees:
    * Reading never delays a leaf: a few threads and connections of its own, which
      can change nothing; what comes beyond them is refused at once.
    * An answer fits into one frame.
    * Nothing that is sealed beside the log is in an answer of this desk
      (`vault.warden.texts` opens it, one entry at a time, after a leaf; in these
      threads, too, since it searches the log).

Left to others: who may ask (`vault.warden.roles`), the leaf that says who reads
(`vault.web`, before it shows anything), judging what is read (`vault.audit`).

Spec: docs/explanation/warden.md
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import BoundedSemaphore
from typing import Final

from vault.audit import tree
from vault.audit.source import LoggedEntry, StoredEntry, TrailSource
from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import UnavailableError
from vault.trust import shapes
from vault.trust import trail_messages as m

_THREADS: Final = 4
_MOST_WAITING: Final = 64


class TrailDesk:
    """Answers requests about the trail."""

    def __init__(self, source: TrailSource) -> None:
        """Read *source*, on connections of its own."""
        self._source = source
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="warden-trail")
        self._slots = BoundedSemaphore(_MOST_WAITING)

    def submit(self, work: Callable[[], None]) -> None:
        """Do *work* in a thread for reading.

        Raises:
            UnavailableError: Too much is waiting already.
        """
        if not self._slots.acquire(blocking=False):
            raise UnavailableError("too many readers of the trail", retry_after_s=1)

        def done() -> None:
            try:
                work()
            finally:
                self._slots.release()

        self._pool.submit(done)

    def close(self) -> None:
        """End the threads when they have answered."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def answer(self, request: m.TrailRequest) -> JsonObject:
        """Read what *request* asks for.

        Raises:
            VaultError: As `TrailSource` says.
        """
        source, answered = self._source, dict[str, JsonValue]()
        match request:
            case m.TrailHeadRequest():
                head = source.head()
                answered = {"size": head.size, "root": shapes.base64_text(head.root)}
            case m.TrailCheckpointRequest():
                answered = {"note": source.checkpoint(request.size or None)}
            case m.TrailPageRequest():
                answered = self._page(request)
            case m.TrailCountRequest():
                answered = {"count": source.count(request.query, size=request.size)}
            case m.TrailBatchRequest():
                answered = self._batch(request)
            case m.TrailMarksRequest():
                answered = self._marks(request)
            case m.TrailGrowthRequest():
                answered = _hashes(
                    source.consistency_proof(request.old_size, request.new_size)
                )
            case m.TrailHashesRequest():
                answered = _hashes(source.hashes(request.tile))
        return answered

    def _page(self, request: m.TrailPageRequest) -> JsonObject:
        page = self._source.page(
            request.query, cursor=request.cursor or None, limit=request.limit
        )
        rows = m.fitting([_stored(one) for one in page.items])
        if len(rows) < len(page.items):
            return m.rows_answer(rows, rows[-1].index)
        return m.rows_answer(rows, int(page.next) if page.next else None)

    def _batch(self, request: m.TrailBatchRequest) -> JsonObject:
        batch = self._source.batch(
            request.start,
            request.stop,
            query=request.query,
            proofs_at=request.proofs_at,
        )
        rows = m.fitting(batch.rows)
        if len(rows) < len(batch.rows):
            return m.rows_answer(rows, rows[-1].index + 1)
        return m.rows_answer(rows, batch.next)

    def _marks(self, request: m.TrailMarksRequest) -> JsonObject:
        marks: Sequence[tuple[int, str]] = tuple(
            islice(
                self._source.marks(
                    request.at_least, spacing=request.spacing, below=request.below
                ),
                m.MAX_MARKS_AT_ONCE,
            )
        )
        return {
            "marks": [{"size": size, "note": note} for size, note in marks],
            "more": len(marks) == m.MAX_MARKS_AT_ONCE,
        }


def _hashes(hashes: Sequence[bytes]) -> JsonObject:
    return {"hashes": shapes.base64_text(b"".join(hashes))}


def _stored(logged: LoggedEntry) -> StoredEntry:
    octets = bytes(logged.entry)
    return StoredEntry(index=logged.index, octets=octets, leaf=tree.leaf_hash(octets))
