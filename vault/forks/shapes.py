"""What the fork API answers with, as its document describes it.

Guarantees: closed: an answer with a member that is not named here fails the tests
that hold every answer against the document.

Left to others: making the answers (`vault.forks.bodies`); these models draw.
"""

from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from vault.core.flow import Reason
from vault.core.openapi import absent_and_never_null

_Id: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
_Count: TypeAlias = Annotated[int, Field(ge=0)]


class Shape(BaseModel):
    """Every answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=absent_and_never_null)


class AnswerShape(Shape):
    """The answer to an offer."""

    id: _Id
    sdp: str


class ForkStream(Shape):
    """One stream of a call."""

    label: str
    codec: str
    suite: str
    packets_received: _Count
    packets_authentic: _Count
    packets_lost: _Count
    packets_undecryptable: _Count
    packets_rejected: dict[str, _Count]
    rtcp_packets: _Count
    local_port: _Count
    handshake: str | None = None


class ForkShape(Shape):
    """Where a call stands."""

    id: _Id
    state: str
    reason: Reason | None
    streams: list[ForkStream]
    resumes_in_s: float | None = None


class FoundShape(Shape):
    """A call that was looked for."""

    id: _Id
    state: str
    resumes_in_s: float | None = None


class MatchedShape(Shape):
    """All calls that were looked for."""

    forks: list[FoundShape]


CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "headers": {
            "Location": {
                "description": "The path of the fork.",
                "required": True,
                "schema": {"type": "string"},
            }
        }
    }
}
