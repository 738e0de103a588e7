"""JSON bodies that the API takes: closed, typed and short.

Guarantees: a member that is not named here is refused (422), so nobody sets
what they were not asked for; text has a length.
"""

import json
from typing import Annotated, Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from starlette.exceptions import HTTPException

from vault.core.errors import InvalidInputError

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


class NewGrant(Body):
    """``POST /api/v1/recordings/{id}/grants``; the body may be left out."""

    media: Annotated[str, Field(max_length=16)] = "audio"
    reason: Annotated[str, Field(max_length=500)] = ""


_B = TypeVar("_B", bound=Body)


async def read_body(request: Request, shape: type[_B], *, optional: bool = False) -> _B:
    """Read the JSON body of *request*.

    FastAPI's own reading takes duplicate members and bodies of any media type;
    a cross-site form must never be mistaken for JSON.

    Raises:
        InvalidInputError: Not JSON, or members twice.
        RequestValidationError: Members unknown, missing or of another shape.
    """
    octets = await request.body()
    if optional and not octets:
        return shape()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type.lower() != _JSON:
        raise HTTPException(415)
    try:
        value = json.loads(octets, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidInputError("the body is not JSON") from None
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False)) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found
