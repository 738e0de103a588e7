"""Devices: the PBXes and SBCs that may send media, each with a token.

Guarantees: a token is shown once and kept as a digest; a revoked device stays in
the list and in every snapshot, so that a tap learns of the revocation.  A device
may send nothing unsafe unless somebody allowed it, by name.

Left to others: keeping a snapshot on a tap (`vault.recorder`), audit leaves.
"""

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, exists, insert, or_, select, update

from vault.access.credentials import SecretKind, new_secret, secret_digest
from vault.access.names import checked_name, is_storable, name_key
from vault.access.tables import DEVICE
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.flow import NOTHING_ALLOWED, Allowance, Device
from vault.core.ids import DeviceId, new_id
from vault.database.engine import reading, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceListed:
    """A device as the list and a tap's snapshot show it."""

    device: Device
    token_sha256: bytes
    "32 octets; `secret_digest` of the token that was shown once."
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAdded:
    """A new device and its token, which is shown this once."""

    device: Device
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAllowed:
    """A device whose allowances were set, and what they were."""

    device: Device
    before: frozenset[Allowance]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSnapshot:
    """Every device there is, for a tap that cannot ask the database."""

    devices: tuple[DeviceListed, ...]

    def by_token(self, token: str) -> Device | None:
        """Return the device that *token* belongs to; None if none may."""
        digest = secret_digest(token)
        for listed in self.devices:
            if listed.token_sha256 == digest and not listed.revoked:
                return listed.device
        return None


class Devices:
    """The devices in the database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        name: str,
        *,
        media_advertise: str | None = None,
        allowances: frozenset[Allowance] = NOTHING_ALLOWED,
    ) -> DeviceAdded:
        """Make a device.

        Args:
            name: 1 to 64 letters, digits and ``. _ - @``.
            media_advertise: Address for ``c=`` in answers to this device.
            allowances: What it may do that is refused to others.

        Raises:
            InvalidInputError: Not a name, or not an address.
            ConflictError: The name is taken, by a revoked device too.
        """
        shown = checked_name(name)
        if media_advertise is not None:
            media_advertise = _address(media_advertise)
        device = Device(
            id=DeviceId(new_id()),
            name=shown,
            media_advertise=media_advertise,
            allowances=allowances,
        )
        token = new_secret(SecretKind.DEVICE)
        with transaction(self._engine) as connection:
            if connection.execute(
                select(exists().where(DEVICE.c.name_key == name_key(shown)))
            ).scalar_one():
                raise ConflictError("a device has that name already")
            connection.execute(
                insert(DEVICE).values(
                    id=device.id,
                    name=device.name,
                    name_key=name_key(device.name),
                    secret_sha256=secret_digest(token),
                    media_advertise=device.media_advertise,
                    allowances=_spelled(allowances),
                )
            )
        return DeviceAdded(device=device, token=token)

    def revoke(self, name_or_id: str) -> Device:
        """Let a device send nothing new from now on; repeating it is fine.

        Raises:
            NotFoundError: No such device.
        """
        named = _named(name_or_id)
        with transaction(self._engine) as connection:
            row = connection.execute(
                update(DEVICE).where(named).values(revoked=True).returning(DEVICE)
            ).first()
        if row is None:
            raise NotFoundError("no such device")
        return _device(row)

    def allow(
        self,
        name_or_id: str,
        allowances: frozenset[Allowance],
        *,
        grants: bool = True,
    ) -> DeviceAllowed:
        """Set what a device may do that is refused to others; its token stays.

        Args:
            name_or_id: Of the device, which may be a revoked one.
            allowances: All of them: what is not named is taken away.
            grants: Whether what is new is given; else things are taken away only.

        Raises:
            NotFoundError: No such device.
        """
        named = _named(name_or_id)
        with transaction(self._engine) as connection:
            row = connection.execute(select(DEVICE).where(named)).first()
            if row is None:
                raise NotFoundError("no such device")
            before = _device(row)
            if not grants:
                allowances &= before.allowances
            connection.execute(
                update(DEVICE)
                .where(DEVICE.c.id == row.id)
                .values(allowances=_spelled(allowances))
            )
        return DeviceAllowed(
            device=replace(before, allowances=allowances), before=before.allowances
        )

    def list(self) -> tuple[DeviceListed, ...]:
        """Return all devices by name, revoked ones included."""
        with reading(self._engine) as connection:
            return tuple(
                DeviceListed(
                    device=_device(row),
                    token_sha256=bytes(row.secret_sha256),
                    revoked=row.revoked,
                )
                for row in connection.execute(select(DEVICE).order_by(DEVICE.c.name))
            )

    def snapshot(self) -> DeviceSnapshot:
        """Return what a tap keeps of the devices."""
        return DeviceSnapshot(devices=self.list())


def _named(name_or_id: str) -> ColumnElement[bool]:
    if not is_storable(name_or_id):
        raise NotFoundError("no such device")
    return or_(DEVICE.c.id == name_or_id, DEVICE.c.name_key == name_key(name_or_id))


def _device(row: Row[*tuple[Any, ...]]) -> Device:
    return Device(
        id=DeviceId(row.id),
        name=row.name,
        media_advertise=row.media_advertise,
        allowances=Allowance.known_among(row.allowances.split()),
    )


def _spelled(allowances: frozenset[Allowance]) -> str:
    return " ".join(sorted(allowances))


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidInputError("media_advertise is an IP address") from None
    # A zone may hold any text, line ends included, and no peer could use it.
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise InvalidInputError("media_advertise is an IP address without a zone")
    return str(address)
