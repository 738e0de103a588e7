"""What a device may send and what it gets: the JSON of the fork API.

Guarantees: unknown members are refused, every text has a limit, and a message
about a wrong value never repeats the value.

Spec: docs/reference/fork-api.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Generic, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vault.core import strict_json
from vault.core.errors import InvalidInputError
from vault.core.flow import CallFacts, Direction, SessionStatus, Wanted
from vault.core.openapi import Said
from vault.forks.edge import TOO_LONG, TOO_SLOW, limited_body

MAX_ATTRIBUTES: Final = 64
MAX_PAUSE_S: Final = 24 * 3600
_Fact = Annotated[str, Field(max_length=256)]
_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Attributes = Annotated[
    dict[_Name, Annotated[str, Field(max_length=1024)]],
    Field(max_length=MAX_ATTRIBUTES),
]
_Label = Annotated[
    str, Field(max_length=64, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`{|}~-]*$")
]
_Labels = Annotated[list[_Label], Field(max_length=16)]
_Direction = Literal["inbound", "outbound", "internal", "unknown"]
_Body = TypeVar("_Body", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class CallBody(_Strict):
    """What the PBX knows of a call; absent and null are the same."""

    id: _Fact | None = None
    caller: _Fact | None = None
    callee: _Fact | None = None
    agent: _Fact | None = None
    workgroup: _Fact | None = None
    direction: _Direction | None = None
    attributes: _Attributes | None = None

    def facts(self) -> CallFacts:
        """Return the facts for a new session."""
        return CallFacts(
            pbx_id=self.id or "",
            caller=self.caller or "",
            callee=self.callee or "",
            agent=self.agent or "",
            workgroup=self.workgroup or "",
            direction=Direction(self.direction or "unknown"),
            attributes=self.attributes or {},
        )

    def changes(self) -> dict[str, object]:
        """Return what was said, by the field names of `CallFacts`."""
        said = self.model_dump(exclude_none=True)
        if "id" in said:
            said["pbx_id"] = said.pop("id")
        return said


class OpenBody(_Strict):
    """``POST /api/v1/forks``."""

    sdp: str
    call: CallBody = CallBody()
    labels: _Labels = []


class RenewBody(_Strict):
    """``PUT /api/v1/forks/{id}``."""

    sdp: str
    labels: _Labels = []


class StateBody(_Strict):
    """Whether a call is recorded now, and for how long not."""

    state: Literal["paused", "recording"] | None = None
    resume_after_s: Annotated[float, Field(gt=0, le=MAX_PAUSE_S)] | None = None

    @property
    def paused(self) -> bool | None:
        """The same as `SessionChange` says it.

        Raises:
            InvalidInputError: A time to resume of what is not to be paused.
        """
        if self.resume_after_s is not None and self.state != "paused":
            raise InvalidInputError('resume_after_s goes with "state": "paused"')
        return None if self.state is None else self.state == "paused"


class MatchedCallBody(_Strict):
    """What tells the calls that are meant from others."""

    id: _Fact | None = None
    agent: _Fact | None = None


class MatchingBody(StateBody):
    """``POST /api/v1/forks/matching``."""

    call: MatchedCallBody

    def wanted(self) -> Wanted:
        """Return which calls are meant.

        Raises:
            InvalidInputError: It does not say so.
        """
        wanted = Wanted(pbx_id=self.call.id or "", agent=self.call.agent or "")
        if wanted == Wanted():
            raise InvalidInputError("call: name its id, its agent or both")
        return wanted


class ChangeBody(StateBody):
    """``PATCH /api/v1/forks/{id}``."""

    call: CallBody | None = None
    attributes: _Attributes | None = None
    "Short for ``call.attributes``."

    def changes(self) -> Mapping[str, object] | None:
        """Return the facts to replace, or None."""
        said = self.call.changes() if self.call else {}
        if self.attributes is not None:
            said["attributes"] = {**_mapping(said.get("attributes")), **self.attributes}
        return said or None


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBody(Generic[_Body]):
    """Reads the body of a request, and says in the document what it is."""

    shape: type[_Body]

    @property
    def __may_answer__(self) -> Said:
        """What refusals it leads to; see `vault.core.openapi.may_answer`."""
        return Said(failures=(InvalidInputError, TOO_LONG, TOO_SLOW))

    async def __call__(self, request: Request) -> _Body:
        """Read the body of *request*.

        Raises:
            RefusedRequestError: It is too long, or comes too slowly.
            InvalidInputError: Bad JSON, an unknown member, or a wrong value: the
                message names the member and never its value.
        """
        octets = await limited_body(request)
        try:
            return self.shape.model_validate(strict_json.parse(octets))
        except ValidationError as exc:
            first = exc.errors(
                include_url=False, include_context=False, include_input=False
            )[0]
            # Keys inside "attributes" are the peer's own text: they are not repeated.
            where = ".".join(str(part)[:32] for part in first["loc"][:2])
            raise InvalidInputError(f"{where or 'body'}: {first['msg']}") from None


def status_members(status: SessionStatus) -> dict[str, object]:
    """Return the JSON of a session's state."""
    return {
        "id": status.recording_id,
        "state": status.state,
        "reason": status.reason,
        **_resumes(status),
        "streams": [
            {
                "label": stream.label,
                "codec": stream.codec,
                "suite": stream.suite,
                "packets_received": stream.packets_received,
                "packets_authentic": stream.packets_authentic,
                "packets_lost": stream.packets_lost,
                "packets_undecryptable": stream.packets_undecryptable,
                "packets_rejected": dict(stream.packets_rejected),
                "rtcp_packets": stream.rtcp_packets,
                "local_port": stream.local_port,
                **({"handshake": stream.handshake} if stream.handshake else {}),
            }
            for stream in status.streams
        ],
    }


def matched_members(status: SessionStatus) -> dict[str, object]:
    """Return the JSON of a session that was looked for."""
    return {
        "id": status.recording_id,
        "state": status.state,
        **_resumes(status),
    }


def _resumes(status: SessionStatus) -> dict[str, object]:
    if status.resumes_in_s is None:
        return {}
    return {"resumes_in_s": status.resumes_in_s}


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
