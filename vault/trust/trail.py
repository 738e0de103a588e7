"""The trail, read by way of the warden: the same as its database, without the database.

Guarantees: thread-safe; every call returns or raises within 20 s; memory stays
flat, and an export that goes on for minutes asks batch by batch.

Left to others: the leaf that says who reads (`vault.web`), dialling
(`vault.trust.client`).

Spec: docs/reference/formats/warden-protocol.md
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from vault.audit.entry import Entry
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.rows import Head
from vault.audit.source import (
    MAX_PAGE,
    Batch,
    LoggedEntry,
    StoredEntry,
    TrailPage,
    TrailSource,
    require_leaf,
)
from vault.audit.tiles import TileName
from vault.audit.tree import HASH_SIZE
from vault.core.errors import InvalidInputError, NotFoundError, UnavailableError
from vault.trust import trail_messages as m
from vault.trust.client import WardenClient
from vault.trust.shapes import Members

_TIMEOUT_S: Final = 20.0
"A search that no index helps reads the whole log."

_MAX_HASHES: Final = 256 * HASH_SIZE
_T = TypeVar("_T")


class TrailThroughWarden(TrailSource):
    """Implements `TrailSource` over a `WardenClient`."""

    def __init__(self, client: WardenClient) -> None:
        """Ask through *client*, which stays its owner's to close."""
        self._client = client

    def head(self) -> Head:
        """See `TrailSource`."""
        return self._ask(
            m.TrailHeadRequest(),
            lambda answer: Head(
                size=answer.count("size"),
                root=answer.octets("root", least=HASH_SIZE, most=HASH_SIZE),
            ),
        )

    def checkpoint(self, size: int | None = None) -> str:
        """See `TrailSource`."""
        if size == 0:
            raise NotFoundError("no checkpoint of size 0")
        request = m.TrailCheckpointRequest(size=size or 0)
        return self._ask(request, lambda answer: answer.free_text("note"))

    def page(
        self, query: TrailQuery, *, cursor: str | None = None, limit: int = 50
    ) -> TrailPage:
        """See `TrailSource`; what does not fit one frame is asked for again."""
        found: list[LoggedEntry] = []
        limit = max(1, min(limit, MAX_PAGE))
        if cursor is not None and not cursor.isdecimal():
            raise InvalidInputError("not a cursor")
        following = cursor or ""
        while True:
            request = m.TrailPageRequest(
                query=query, cursor=following, limit=limit - len(found)
            )
            rows, after = self._ask(request, m.parse_rows_answer)
            found += [_logged(row) for row in rows]
            if after is None:
                return TrailPage(items=tuple(found), next=None)
            if not rows or len(found) >= limit:
                return TrailPage(items=tuple(found), next=str(after))
            following = str(after)

    def count(self, query: TrailQuery, *, size: int) -> int:
        """See `TrailSource`."""
        request = m.TrailCountRequest(query=query, size=size)
        return self._ask(request, lambda answer: answer.count("count"))

    def batch(
        self,
        start: int,
        stop: int,
        *,
        query: TrailQuery = EVERYTHING,
        proofs_at: int = 0,
    ) -> Batch:
        """See `TrailSource`."""
        request = m.TrailBatchRequest(
            start=start, stop=stop, query=query, proofs_at=proofs_at
        )
        rows, following = self._ask(request, m.parse_rows_answer)
        if following is not None and following <= start:
            raise UnavailableError("the warden's answer leads nowhere")
        return Batch(rows=rows, next=following)

    def marks(
        self, at_least: int, *, spacing: int, below: int
    ) -> Iterator[tuple[int, str]]:
        """See `TrailSource`."""
        more = True
        while more:
            request = m.TrailMarksRequest(
                at_least=at_least, spacing=spacing, below=below
            )
            found, more = self._ask(request, _parse_marks)
            yield from found
            more = more and bool(found)
            if found:
                at_least = found[-1][0] + spacing

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """See `TrailSource`."""
        request = m.TrailGrowthRequest(old_size=old_size, new_size=new_size)
        return self._ask(request, _parse_hashes)

    def hashes(self, name: TileName) -> list[bytes]:
        """See `TrailSource`."""
        return self._ask(m.TrailHashesRequest(tile=name), _parse_hashes)

    def _ask(self, request: m.TrailRequest, parse: Callable[[Members], _T]) -> _T:
        return self._client.ask(request, parse, timeout_s=_TIMEOUT_S)


def _logged(row: StoredEntry) -> LoggedEntry:
    require_leaf(row)
    return LoggedEntry(index=row.index, entry=Entry.parse(row.octets))


def _parse_marks(answer: Members) -> tuple[list[tuple[int, str]], bool]:
    found: list[tuple[int, str]] = []
    for item in answer.items("marks", most=m.MAX_MARKS_AT_ONCE):
        found.append((item.count("size"), item.free_text("note")))
        item.done()
    return found, answer.flag("more")


def _parse_hashes(answer: Members) -> list[bytes]:
    octets = answer.octets("hashes", most=_MAX_HASHES)
    return [octets[at : at + HASH_SIZE] for at in range(0, len(octets), HASH_SIZE)]
