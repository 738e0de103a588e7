"""What the API answers with, as its document describes it.

Guarantees: closed like the bodies: an answer with a member that is not named here
fails the tests that hold every answer against the document.  A member that is not
required is absent where it is not known, and never null.

Left to others: making the answers (`vault.web.items`, `vault.web.trail` and their
neighbours); these models draw, they are never filled.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from vault.access.address_rules import Listener, Verdict
from vault.access.permissions import Permission, Role
from vault.access.policy import SessionKind
from vault.core.flow import HowEnded, MediaPart, Reason, RecordingState
from vault.core.media import Protection
from vault.core.openapi import absent_and_never_null

_UUID: Final[dict[str, Any]] = {"format": "uuid"}
IdInPath: TypeAlias = Annotated[str, Path(json_schema_extra=_UUID)]
"An id; what is none is not found, like one that never was."
PartInPath: TypeAlias = Annotated[
    str, Path(json_schema_extra={"enum": [str(one) for one in MediaPart]})
]

Id: TypeAlias = Annotated[str, Field(json_schema_extra=_UUID)]
Time: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_Day: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date"})]
_Count: TypeAlias = Annotated[int, Field(ge=0)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0)]


class Shape(BaseModel):
    """Every answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=absent_and_never_null)


class AliveShape(Shape):
    """``/healthz``."""

    status: Literal["ok"]


class ReadyShape(Shape):
    """``/readyz``."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str]


class SessionShape(Shape):
    """A session that was opened; ``token`` only for scripts."""

    user: str
    roles: list[str]
    csrf: str
    expires: Time
    token: str | None = None


class CurrentShape(Shape):
    """Whose the credential of this very request is; locked, it tells no rights."""

    session: Id
    user: str
    user_id: Id
    kind: SessionKind
    locked: bool
    restricted: bool
    expires: Time
    methods: list[str]
    csrf: str | None = None
    roles: list[Role] | None = None
    permissions: list[Permission] | None = None
    proved: Time | None = None
    fresh: bool | None = None


class SessionListedShape(Shape):
    """A session without its secret."""

    id: Id
    user: str
    kind: SessionKind
    origin: str
    methods: list[str]
    opened: Time
    used: Time
    expires: Time
    locked: bool
    current: bool


class SessionsShape(Shape):
    """Sessions that live, newest first."""

    items: list[SessionListedShape]


class TokenShape(Shape):
    """A personal access token without its secret."""

    id: Id
    user: str
    name: str
    permissions: list[Permission] | None
    created: Time
    expires: Time
    used: Time | None
    used_from: str | None


class TokenMade(TokenShape):
    """The same with its secret, this once."""

    token: str


class TokensShape(Shape):
    """The tokens of one person."""

    items: list[TokenShape]


class ExtensionShape(Shape):
    """One entry of the table of extensions."""

    id: Id
    pattern: str
    agent: str
    workgroup: str


class ExtensionsShape(Shape):
    """All entries."""

    items: list[ExtensionShape]


class AddressRuleShape(Shape):
    """One rule about addresses."""

    id: Id
    listener: Listener
    verdict: Verdict
    prefix: str
    created: Time


class AddressRulesShape(Shape):
    """All rules."""

    items: list[AddressRuleShape]


class ExtensionFound(Shape):
    """Whose an address is."""

    extension: ExtensionShape | None


class PartyShape(Shape):
    """Somebody who took part."""

    role: Literal["caller", "callee", "participant"]
    number: str | None = None
    name: str | None = None
    aor: str | None = None
    agent: str | None = None
    streams: list[str] | None = None
    channel: Literal["left", "right"] | None = None
    joined: Time | None = None
    left: Time | None = None


class RecordingBrief(Shape):
    """A recording in a list."""

    id: Id
    state: RecordingState
    reason: Reason | None
    held: bool
    day: _Day
    has_screen: bool
    started: Time | None = None
    ended: Time | None = None
    duration_s: _Seconds | None = None
    workgroup: str | None = None
    class_name: Annotated[str | None, Field(alias="class")] = None
    agent: str | None = None
    direction: Literal["inbound", "outbound", "internal"] | None = None
    parties: list[PartyShape] | None = None
    protection: Protection | None = None


class StreamShape(Shape):
    """One stream of a recording."""

    label: str
    media: Literal["audio", "video"]
    codec: str
    suite: str
    packets_received: _Count
    packets_authentic: _Count
    packets_lost: _Count
    packets_undecryptable: _Count
    packets_rejected: dict[str, _Count]
    rtcp_packets: _Count
    protection: Protection | None = None


class RecordingFull(RecordingBrief):
    """A recording by itself."""

    size_bytes: _Count
    streams: list[StreamShape]
    how: HowEnded | None = None
    pbx_id: str | None = None
    device: str | None = None
    attributes: dict[str, str] | None = None
    workgroup_known: Literal[False] | None = None


class RecordingsPage(Shape):
    """One page of a list."""

    items: list[RecordingBrief]
    next: str | None


class GrantShape(Shape):
    """A grant that was opened: a reference, not a credential."""

    grant: Id
    expires: Time


class TrailEntry(Shape):
    """One entry, and where it stands in the log."""

    index: _Count
    entry: dict[str, Any]
    "See the format of entries (docs/reference/formats/audit-log.md)."


class TrailPageShape(Shape):
    """One page of the trail."""

    items: list[TrailEntry]
    next: str | None


class HintShape(Shape):
    """Something in the trail that is worth a second look."""

    kind: Literal["plays", "hours", "workgroup", "refusals", "emergency", "exports"]
    actor: str
    about: str | None
    "``workgroup:<id>``, where it is about one."
    since: Time
    until: Time
    count: int
    query: str
    "The search that shows the entries."


class ReportShape(Shape):
    """What was counted in the trail."""

    since: Time
    until: Time
    entries: int
    "How many were looked at."
    is_whole: bool
    "False where there were more than one report looks at."
    plays: int
    plays_out_of_hours: int
    hints: list[HintShape]
    "Newest first."


class SearchShape(Shape):
    """A search of the trail that somebody keeps."""

    id: Id
    name: str
    query: str
    "With ids in place of names."


class SearchesShape(Shape):
    """The searches of one person, by name."""

    items: list[SearchShape]


class EntryTextShape(Shape):
    """What people typed beside one entry."""

    index: int
    texts: dict[str, str]
    "By field: ``reason``, ``before``, ``after``."


def _media_answer(description: str, *headers: str) -> dict[str, Any]:
    media_types = (
        "audio/flac",
        "audio/mp4",
        "application/json",
        "application/vnd.callvault.capture",
    )
    return {
        "description": description,
        "content": {one: {} for one in media_types},
        "headers": {
            one: {"required": True, "schema": {"type": "string"}}
            for one in ("Accept-Ranges", "Content-Length", "ETag", *headers)
        },
    }


MEDIA: Final[dict[int | str, dict[str, Any]]] = {
    200: _media_answer("All of it"),
    206: _media_answer("The range that was asked for", "Content-Range"),
}
"Answers with media, for every part alike."
