"""Devices: list, add, set, renew, revoke, for administrators and their scripts."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from vault.access.device_rules import DeviceChange
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from vault.core.flow import Allowance
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody
from vault.web.api.device_bodies import (
    DeviceBody,
    DeviceMade,
    DeviceShape,
    DevicesShape,
    NewDeviceBody,
    RenewBody,
)
from vault.web.api.shapes import IdInPath
from vault.web.devices import DeviceDesk
from vault.web.identity import Rooms, SignedIn

router = APIRouter(prefix="/api/v1/devices")


@router.get("", response_model=DevicesShape)
@may_answer(AccessDeniedError)
def list_devices(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List all devices by name, revoked ones included; never a token."""
    return JSONResponse({"items": DeviceDesk(services, asker).items()})


@router.post("", status_code=201, response_model=DeviceMade)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, InvalidInputError)
def add_device(
    asker: SignedIn,
    body: Annotated[NewDeviceBody, Depends(JsonBody(shape=NewDeviceBody))],
    services: Rooms,
) -> JSONResponse:
    """Add a device; its token is shown this once."""
    made = DeviceDesk(services, asker).add(body.name, _change(body), ttl_s=body.ttl_s)
    return JSONResponse(made, status_code=201)


@router.patch("/{device_id}", response_model=DeviceShape)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
def set_device(
    device_id: IdInPath,
    asker: SignedIn,
    body: Annotated[DeviceBody, Depends(JsonBody(shape=DeviceBody))],
    services: Rooms,
) -> JSONResponse:
    """Set what a device is held to; what is left out stays, and so does its token."""
    return JSONResponse(DeviceDesk(services, asker).set(device_id, _change(body)))


@router.post("/{device_id}/token", status_code=201, response_model=DeviceMade)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
def renew_device(
    device_id: IdInPath,
    asker: SignedIn,
    body: Annotated[RenewBody, Depends(JsonBody(shape=RenewBody, optional=True))],
    services: Rooms,
) -> JSONResponse:
    """Give a device a new token, shown this once; the old one is gone."""
    made = DeviceDesk(services, asker).renew(device_id, ttl_s=body.ttl_s)
    return JSONResponse(made, status_code=201)


@router.delete("/{device_id}", status_code=204, response_class=Response)
@may_answer(AccessDeniedError, AuditUnavailableError, NotFoundError)
def revoke_device(device_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """Let a device send nothing new from now on; its recordings stay."""
    DeviceDesk(services, asker).revoke(device_id)
    return Response(status_code=204)


def _change(body: DeviceBody) -> DeviceChange:
    return DeviceChange(
        addresses=_some(body.addresses),
        media_addresses=_some(body.media_addresses),
        certificates=_some(body.certificates),
        max_calls=body.max_calls,
        allowances=None if body.allowances is None else _allowances(body.allowances),
        media_advertise=body.media_advertise,
    )


def _some(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _allowances(names: list[str]) -> frozenset[Allowance]:
    try:
        return frozenset(map(Allowance, names))
    except ValueError:
        raise InvalidInputError("allowances: " + ", ".join(Allowance)) from None
