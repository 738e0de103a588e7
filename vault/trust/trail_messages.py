"""Messages that read the trail: no leaf of their own, and nothing that is sealed.

Guarantees: as in `vault.trust.messages`; an answer fits into one frame, because
whoever writes it stops before (`fitting`), and says where to go on.

Left to others: who may ask (`vault.warden.roles`), the leaf that says who read or
exported the trail, which the asker appends before it shows anything (`vault.web`).

Spec: docs/reference/formats/warden-protocol.md
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final, Self, TypeAlias

from vault.audit.query import TrailQuery
from vault.audit.source import MAX_BATCH, MAX_PAGE, StoredEntry
from vault.audit.tiles import TileName
from vault.audit.tree import HASH_SIZE
from vault.core import canonical
from vault.trust import shapes
from vault.trust.shapes import Members

MAX_MARKS_AT_ONCE: Final = 200
_MOST_PROOF: Final = 64
_BUDGET_BYTES: Final = 900_000
"Octets of base64 that an answer may hold: below a frame's 1 MiB."
_ROW_BYTES: Final = 160
"What a row costs apart from its entry and proof."


def _no_query() -> TrailQuery:
    return TrailQuery()


@dataclass(frozen=True, slots=True, kw_only=True)
class BareRequest:
    """A request that says nothing but what it is."""

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments: none."""
        return {}

    @classmethod
    def parse(cls, args: Members) -> Self:  # noqa: ARG003 - one signature for all
        """Read the JSON arguments: none."""
        return cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailHeadRequest(BareRequest):
    """Ask for size and root."""

    call: ClassVar[str] = "trail_head"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailCheckpointRequest:
    """Ask for a signed checkpoint."""

    call: ClassVar[str] = "trail_checkpoint"
    size: int = 0
    "0: as of now."

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {"size": self.size}

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(size=args.count("size"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPageRequest:
    """Ask for a page, newest first."""

    call: ClassVar[str] = "trail_page"
    query: TrailQuery = field(default_factory=_no_query)
    cursor: str = ""
    limit: int = 50

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "query": self.query.members(),
            "cursor": self.cursor,
            "limit": self.limit,
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            query=TrailQuery.parse(args.mapping("query")),
            cursor=args.text("cursor", shapes.ID),
            limit=min(args.count("limit"), MAX_PAGE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailCountRequest:
    """Ask how many entries match."""

    call: ClassVar[str] = "trail_count"
    query: TrailQuery = field(default_factory=_no_query)
    size: int

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {"query": self.query.members(), "size": self.size}

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            query=TrailQuery.parse(args.mapping("query")), size=args.count("size")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailBatchRequest:
    """Ask for entries in bulk, as they are stored."""

    call: ClassVar[str] = "trail_batch"
    start: int
    stop: int
    query: TrailQuery = field(default_factory=_no_query)
    proofs_at: int = 0

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "start": self.start,
            "stop": self.stop,
            "query": self.query.members(),
            "proofs_at": self.proofs_at,
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            start=args.count("start"),
            stop=args.count("stop"),
            query=TrailQuery.parse(args.mapping("query")),
            proofs_at=args.count("proofs_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailMarksRequest:
    """Ask for signed sizes, *spacing* apart."""

    call: ClassVar[str] = "trail_marks"
    at_least: int
    spacing: int
    below: int

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "at_least": self.at_least,
            "spacing": self.spacing,
            "below": self.below,
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            at_least=args.count("at_least"),
            spacing=max(1, args.count("spacing")),
            below=args.count("below"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailGrowthRequest:
    """Ask for the proof that the log only grew."""

    call: ClassVar[str] = "trail_growth"
    old_size: int
    new_size: int

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {"old_size": self.old_size, "new_size": self.new_size}

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(old_size=args.count("old_size"), new_size=args.count("new_size"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailHashesRequest:
    """Ask for the hashes of a tile."""

    call: ClassVar[str] = "trail_hashes"
    tile: TileName

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {"tile": str(self.tile)}

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(tile=TileName.parse(args.text("tile", shapes.SLUG)))


TrailRequest: TypeAlias = (
    TrailHeadRequest
    | TrailCheckpointRequest
    | TrailPageRequest
    | TrailCountRequest
    | TrailBatchRequest
    | TrailMarksRequest
    | TrailGrowthRequest
    | TrailHashesRequest
)

TRAIL_PARSERS: Final[Mapping[str, Callable[[Members], TrailRequest]]] = (
    MappingProxyType(
        {
            TrailHeadRequest.call: TrailHeadRequest.parse,
            TrailCheckpointRequest.call: TrailCheckpointRequest.parse,
            TrailPageRequest.call: TrailPageRequest.parse,
            TrailCountRequest.call: TrailCountRequest.parse,
            TrailBatchRequest.call: TrailBatchRequest.parse,
            TrailMarksRequest.call: TrailMarksRequest.parse,
            TrailGrowthRequest.call: TrailGrowthRequest.parse,
            TrailHashesRequest.call: TrailHashesRequest.parse,
        }
    )
)
TRAIL_CALLS: Final = frozenset(TRAIL_PARSERS)


def fitting(rows: Sequence[StoredEntry]) -> Sequence[StoredEntry]:
    """Return as many of *rows* as one answer carries; at least one."""
    size = 0
    for place, row in enumerate(rows):
        size += (len(row.octets) + HASH_SIZE * len(row.proof)) * 4 // 3 + _ROW_BYTES
        if size > _BUDGET_BYTES and place:
            return rows[:place]
    return rows


def rows_answer(
    rows: Sequence[StoredEntry], following: int | None
) -> dict[str, canonical.JsonValue]:
    """Return the answer that carries entries, and where the next ones begin."""
    return {
        "rows": [
            {
                "index": row.index,
                "octets": shapes.base64_text(row.octets),
                "leaf": shapes.base64_text(row.leaf or b""),
                "proof": shapes.base64_text(b"".join(row.proof)),
            }
            for row in rows
        ],
        "more": following is not None,
        "next": following or 0,
    }


def parse_rows_answer(answer: Members) -> tuple[tuple[StoredEntry, ...], int | None]:
    """Read the answer to `TrailPageRequest` and `TrailBatchRequest`."""
    found: list[StoredEntry] = []
    for item in answer.items("rows", most=MAX_BATCH):
        proof = item.octets("proof", most=_MOST_PROOF * HASH_SIZE)
        found.append(
            StoredEntry(
                index=item.count("index"),
                octets=item.octets("octets", most=_BUDGET_BYTES),
                leaf=item.octets("leaf", most=_BUDGET_BYTES) or None,
                proof=tuple(
                    proof[at : at + HASH_SIZE] for at in range(0, len(proof), HASH_SIZE)
                ),
            )
        )
        item.done()
    more, following = answer.flag("more"), answer.count("next")
    return tuple(found), following if more else None
