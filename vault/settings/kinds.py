"""What kinds of values settings have, and how each is written.

Guarantees: what does not parse is refused with a message that says how to write it.
"""

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer
from pydantic_settings import NoDecode

from vault.access.permissions import Role
from vault.core.endpoints import Endpoint, SipListen, prefixes
from vault.core.errors import InvalidInputError
from vault.core.origins import Origin


def _endpoint(value: object) -> Endpoint:
    return value if isinstance(value, Endpoint) else Endpoint(str(value))


def _sip_listen(value: object) -> SipListen:
    return value if isinstance(value, SipListen) else SipListen(str(value))


Listen = Annotated[Endpoint, BeforeValidator(_endpoint), PlainSerializer(str)]
SipListens = Annotated[SipListen, BeforeValidator(_sip_listen), PlainSerializer(str)]
Prefixes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(prefixes)]


def _origin(value: object) -> Origin:
    if isinstance(value, Origin):
        return value
    try:
        return Origin.parse(str(value))
    except InvalidInputError as exc:
        raise ValueError(str(exc)) from None


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [word for word in value.split(",") if word.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("write words with commas between them")  # noqa: TRY004 - pydantic turns this one into a message
    return tuple(str(word).strip() for word in value)


WebOrigin = Annotated[Origin, BeforeValidator(_origin), PlainSerializer(str)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Roles = Annotated[tuple[Role, ...], NoDecode, BeforeValidator(_words)]
