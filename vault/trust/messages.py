"""Messages between the warden and every other process: values in, octets out.

A request is ``{"args":{…},"call":"release","id":7,"v":1}``; its answer is
``{"id":7,"ok":{…},"v":1}`` or ``{"error":{"class":…,"message":…},"id":7,"v":1}``.
All of it is canonical JSON (RFC 8785); octets are base64 with padding;
integers beyond 2**53 are decimal strings.

Guarantees:
    * Reading and writing are inverses for every request and answer.
    * A member that is missing, unknown or of another shape is
      `InvalidInputError`; nothing is guessed and nothing is ignored.
    * What goes into a leaf has a closed alphabet before it reaches the warden's
      logic: ids, addresses and slugs; free text only where `Draft.text` holds it.

Left to others: framing (`vault.trust.frames`), errors (`vault.trust.refusals`),
drafts (`vault.trust.drafts`), who may call what (`vault.warden.roles`).

Spec: docs/reference/formats/warden-protocol.md
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final, Self, TypeAlias

from vault.audit.entry import Draft
from vault.core import canonical
from vault.core.errors import InvalidInputError, VaultError
from vault.core.flow import Caller, Purpose
from vault.core.ids import GrantId, RecordingId, parse_recording_id
from vault.trust import shapes
from vault.trust.drafts import (
    MAX_DRAFTS,
    caller_members,
    draft_members,
    parse_caller,
    parse_draft,
)
from vault.trust.interfaces import (
    MAX_MONTHS,
    MAX_ROWS,
)
from vault.trust.refusals import refusal, refusal_members
from vault.trust.shapes import Members
from vault.trust.trail_messages import TRAIL_PARSERS, BareRequest, TrailRequest

VERSION: Final = 1
TIMEOUT_S: Final = 2.0
"Seconds from the call to its answer, on both sides; later is refused."

MAX_METADATA_BYTES: Final = 512 * 1024
"Octets of one recording's metadata: its base64 must fit one frame."


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRequest:
    """Write leaves, in order."""

    call: ClassVar[str] = "append"
    drafts: tuple[Draft, ...]

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {"drafts": [draft_members(draft) for draft in self.drafts]}

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        items = args.items("drafts", most=MAX_DRAFTS)
        if not items:
            raise InvalidInputError("nothing to append")
        return cls(drafts=tuple(parse_draft(item) for item in items))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """Hand out one data key."""

    call: ClassVar[str] = "release"
    recording_id: RecordingId
    caller: Caller
    purpose: Purpose
    grant: GrantId | None = None
    right: str = ""
    reason: str = field(default="", repr=False)
    "What the person typed."

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "recording": self.recording_id,
            "caller": caller_members(self.caller),
            "purpose": str(self.purpose),
            "grant": self.grant or "",
            "right": self.right,
            "reason": self.reason,
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            recording_id=parse_recording_id(args.text("recording", shapes.ID)),
            caller=parse_caller(args.members("caller")),
            purpose=args.choice("purpose", Purpose),
            grant=GrantId(grant) if (grant := args.text("grant", shapes.ID)) else None,
            right=args.text("right", shapes.SLUG),
            reason=args.free_text("reason"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRowsRequest:
    """Open the metadata of some recordings."""

    call: ClassVar[str] = "open_rows"
    caller: Caller
    recordings: tuple[RecordingId, ...]

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "caller": caller_members(self.caller),
            "recordings": list(self.recordings),
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        ids = args.texts("recordings", shapes.ID, most=MAX_ROWS)
        return cls(
            caller=parse_caller(args.members("caller")),
            recordings=tuple(dict.fromkeys(parse_recording_id(text) for text in ids)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRowRequest:
    """Seal the metadata of one recording."""

    call: ClassVar[str] = "seal_row"
    recording_id: RecordingId
    metadata: bytes
    month: str

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "recording": self.recording_id,
            "metadata": shapes.base64_text(self.metadata),
            "month": self.month,
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            recording_id=parse_recording_id(args.text("recording", shapes.ID)),
            metadata=args.octets("metadata", most=MAX_METADATA_BYTES),
            month=args.text("month", shapes.MONTH),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensRequest:
    """Make blind-index tokens for a search."""

    call: ClassVar[str] = "tokens"
    caller: Caller
    field: str
    value: str
    months: tuple[str, ...]

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "caller": caller_members(self.caller),
            "field": self.field,
            "value": self.value,
            "months": list(self.months),
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        months = args.texts("months", shapes.MONTH, most=MAX_MONTHS)
        return cls(
            caller=parse_caller(args.members("caller")),
            field=args.text("field", shapes.SLUG),
            value=args.free_text("value"),
            months=tuple(dict.fromkeys(months)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsRequest:
    """Open what people typed beside one entry of the trail."""

    call: ClassVar[str] = "texts"
    caller: Caller
    index: int
    right: str = ""

    def members(self) -> canonical.JsonObject:
        """Return the JSON arguments."""
        return {
            "caller": caller_members(self.caller),
            "index": self.index,
            "right": self.right,
        }

    @classmethod
    def parse(cls, args: Members) -> Self:
        """Read the JSON arguments."""
        return cls(
            caller=parse_caller(args.members("caller")),
            index=args.count("index"),
            right=args.text("right", shapes.SLUG),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRequest(BareRequest):
    """Ask how the warden feels."""

    call: ClassVar[str] = "health"


Request: TypeAlias = (
    AppendRequest
    | ReleaseRequest
    | OpenRowsRequest
    | SealRowRequest
    | TokensRequest
    | TextsRequest
    | HealthRequest
    | TrailRequest
)

_PARSERS: Final[Mapping[str, Callable[[Members], Request]]] = MappingProxyType(
    {
        AppendRequest.call: AppendRequest.parse,
        ReleaseRequest.call: ReleaseRequest.parse,
        OpenRowsRequest.call: OpenRowsRequest.parse,
        SealRowRequest.call: SealRowRequest.parse,
        TokensRequest.call: TokensRequest.parse,
        TextsRequest.call: TextsRequest.parse,
        HealthRequest.call: HealthRequest.parse,
        **TRAIL_PARSERS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The outside of a request: enough to answer it, whatever is inside."""

    id: int
    call: str
    args: Members

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read the outside of a request.

        Raises:
            InvalidInputError: Not a request at all: close the connection.
        """
        members = Members(canonical.parse(octets))
        if members.count("v") != VERSION:
            raise InvalidInputError("another version of the protocol")
        envelope = cls(
            id=members.count("id"),
            call=members.text("call", shapes.NAME),
            args=members.members("args"),
        )
        members.done()
        return envelope

    def request(self) -> Request:
        """Read the inside.

        Raises:
            InvalidInputError: An unknown call, or arguments that are not its own.
        """
        parse = _PARSERS.get(self.call)
        if parse is None:
            raise InvalidInputError("an unknown call")
        request = parse(self.args)
        self.args.done()
        return request


def encode_request(id: int, request: Request) -> bytes:
    """Return the JSON of *request* under the number *id*.

    Raises:
        InvalidInputError: It holds text that JSON cannot spell.
    """
    try:
        return canonical.dumps(
            {
                "v": VERSION,
                "id": id,
                "call": request.call,
                "args": request.members(),
            }
        )
    except ValueError:
        raise InvalidInputError("text that no message can carry") from None


def encode_answer(id: int, answer: canonical.JsonObject) -> bytes:
    """Return the JSON of a good answer to request *id*."""
    return canonical.dumps({"v": VERSION, "id": id, "ok": answer})


def encode_refusal(id: int, error: VaultError) -> bytes:
    """Return the JSON of a refusal of request *id*."""
    return canonical.dumps({"v": VERSION, "id": id, "error": refusal_members(error)})


def parse_reply(octets: bytes) -> tuple[int, Members | VaultError]:
    """Read what the warden sent: the request's number, and answer or refusal.

    Raises:
        InvalidInputError: Not a reply: the connection is of no use any more.
    """
    members = canonical.parse(octets)
    reply = Members(members)
    if reply.count("v") != VERSION or ("ok" in members) == ("error" in members):
        raise InvalidInputError("not a reply of the warden")
    id = reply.count("id")
    if "error" in members:
        return id, refusal(members["error"])
    return id, reply.members("ok")
