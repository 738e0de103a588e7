"""JSON bodies that the API takes: closed, typed and short.

Guarantees: a member that is not named here is refused (422), so nobody sets
what they were not asked for; text has a length.

A route takes a body by `JsonBody`, after who is asking: a stranger learns nothing
of its members.  The same line describes it (`vault.web.openapi`).
"""

from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from starlette.exceptions import HTTPException

from vault.audit.language import MAX_TEXT
from vault.core import strict_json
from vault.core.errors import InvalidInputError
from vault.core.openapi import Said
from vault.web.answers import WRONG_MEDIA_TYPE

_JSON: Final = "application/json"


class Body(BaseModel):
    """Every body: unknown members refused, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewSession(Body):
    """``POST /api/v1/sessions``."""

    user: Annotated[str, Field(min_length=1, max_length=256)]
    password: Annotated[SecretStr, Field(max_length=1024)]
    otp: Annotated[SecretStr, Field(max_length=64)] | None = None


class NewToken(Body):
    """``POST /api/v1/tokens``."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    ttl_s: Annotated[int, Field(ge=60, le=366 * 24 * 3600)] | None = None
    permissions: (
        Annotated[
            list[Annotated[str, Field(max_length=64)]],
            Field(min_length=1, max_length=64),
        ]
        | None
    ) = None


class NewSearch(Body):
    """``POST /api/v1/audit/searches``."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    query: Annotated[str, Field(max_length=MAX_TEXT)]


class Proof(Body):
    """``POST /api/v1/sessions/current/step-up`` and ``…/unlock``."""

    password: Annotated[SecretStr, Field(max_length=1024)]
    otp: Annotated[SecretStr, Field(max_length=64)] | None = None


class NewPassword(Body):
    """``POST /api/v1/users/current/password``."""

    current: Annotated[SecretStr, Field(max_length=1024)]
    new: Annotated[SecretStr, Field(max_length=1024)]
    otp: Annotated[SecretStr, Field(max_length=64)] | None = None


class NewGrant(Body):
    """``POST /api/v1/recordings/{id}/grants``; the body may be left out."""

    media: Annotated[str, Field(max_length=16)] = "audio"
    reason: Annotated[str, Field(max_length=500)] = ""


class NewExtension(Body):
    """``POST /api/v1/extensions``."""

    pattern: Annotated[str, Field(min_length=1, max_length=512)]
    agent: Annotated[str, Field(max_length=64)] = ""
    workgroup: Annotated[str, Field(max_length=64)] = ""


class NewAddressRule(Body):
    """``POST /api/v1/address-rules``."""

    listener: Annotated[str, Field(min_length=1, max_length=16)]
    verdict: Annotated[str, Field(min_length=1, max_length=16)]
    prefix: Annotated[str, Field(min_length=1, max_length=64)]


_B = TypeVar("_B", bound=Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBody(Generic[_B]):
    """Reads the JSON body of a request, and says in the document what it is.

    FastAPI's own reading takes duplicate members and bodies of any media type;
    a cross-site form must never be mistaken for JSON.
    """

    shape: type[_B]
    optional: bool = False
    "Whether no body at all is the same as an empty object."

    @property
    def __may_answer__(self) -> Said:
        """What refusals it leads to; see `vault.core.openapi.may_answer`."""
        return Said(failures=(InvalidInputError, WRONG_MEDIA_TYPE))

    async def __call__(self, request: Request) -> _B:
        """Read the body of *request*.

        Raises:
            InvalidInputError: Not JSON, or members twice.
            RequestValidationError: Members unknown, missing or of another shape.
        """
        octets = await request.body()
        if self.optional and not octets:
            return self.shape()
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        if media_type.lower() != _JSON:
            raise HTTPException(WRONG_MEDIA_TYPE.status)
        value = strict_json.parse(octets)
        try:
            return self.shape.model_validate(value)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_input=False)) from None
