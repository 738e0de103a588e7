"""Bodies and answers about devices."""

from typing import Annotated, TypeAlias

from pydantic import Field

from vault.core.flow import Allowance
from vault.web.api.bodies import Body
from vault.web.api.shapes import Id, Shape, Time

_Texts: TypeAlias = Annotated[
    list[Annotated[str, Field(max_length=128)]], Field(max_length=64)
]
_Life: TypeAlias = Annotated[int, Field(ge=60, le=10 * 366 * 86_400)]


class DeviceBody(Body):
    """``PATCH /api/v1/devices/{id}``; a list that is given replaces the one before."""

    addresses: _Texts | None = None
    media_addresses: _Texts | None = None
    certificates: _Texts | None = None
    "``sha256:`` and 64 hexadecimal digits."
    max_calls: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    allowances: _Texts | None = None
    media_advertise: Annotated[str, Field(max_length=64)] | None = None
    "Empty: that of the listener."


class NewDeviceBody(DeviceBody):
    """``POST /api/v1/devices``."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    ttl_s: _Life | None = None


class RenewBody(Body):
    """``POST /api/v1/devices/{id}/token``; may be left out."""

    ttl_s: _Life | None = None


class DeviceShape(Shape):
    """A device without its token."""

    id: Id
    name: str
    media_advertise: str | None
    addresses: list[str]
    media_addresses: list[str]
    certificates: list[str]
    max_calls: int
    allowances: list[Allowance]
    revoked: bool
    expires: Time | None
    used: Time | None


class DeviceMade(DeviceShape):
    """The same with its token, this once."""

    token: str


class DevicesShape(Shape):
    """All devices by name."""

    items: list[DeviceShape]
