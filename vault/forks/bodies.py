"""What a device may send and what it gets: the JSON of the fork API.

Guarantees: unknown members are refused, every text has a limit, and a message
about a wrong value never repeats the value.

Spec: docs/reference/fork-api.md
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vault.core.errors import InvalidInputError
from vault.core.flow import CallFacts, Direction, SessionStatus

MAX_ATTRIBUTES: Final = 64
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


class ChangeBody(_Strict):
    """``PATCH /api/v1/forks/{id}``."""

    state: Literal["paused", "recording"] | None = None
    call: CallBody | None = None
    attributes: _Attributes | None = None
    "Short for ``call.attributes``."

    def changes(self) -> Mapping[str, object] | None:
        """Return the facts to replace, or None."""
        said = self.call.changes() if self.call else {}
        if self.attributes is not None:
            said["attributes"] = {**_mapping(said.get("attributes")), **self.attributes}
        return said or None


def read_body(model: type[_Body], octets: bytes) -> _Body:
    """Read a request's body.

    Raises:
        InvalidInputError: Bad JSON, an unknown member, or a wrong value: the
            message names the member and never its value.
    """
    try:
        return model.model_validate_json(octets)
    except ValidationError as exc:
        first = exc.errors(
            include_url=False, include_context=False, include_input=False
        )[0]
        # Keys inside "attributes" are the peer's own text: they are not repeated.
        where = ".".join(str(part)[:32] for part in first["loc"][:2])
        if first["type"] == "json_invalid":
            raise InvalidInputError("the body is not JSON") from None
        raise InvalidInputError(f"{where or 'body'}: {first['msg']}") from None


def status_members(status: SessionStatus) -> dict[str, object]:
    """Return the JSON of a session's state."""
    return {
        "id": status.recording_id,
        "state": status.state,
        "reason": status.reason,
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


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
