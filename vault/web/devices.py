"""Devices for administrators: read, made, held to things, renewed and revoked.

Guarantees: only with the right to change who may do what; a token is shown once.

Left to others: the order of leaf and change (`vault.access.device_changes`), HTTP.
"""

from typing import Final

from vault.access.device_changes import DeviceChanges
from vault.access.device_rules import DeviceChange, DeviceListed
from vault.access.devices import DeviceAdded
from vault.access.permissions import Permission
from vault.core.clock import rfc3339
from vault.core.errors import NotFoundError
from vault.web.identity import Asker, insist
from vault.web.services import Services

RIGHT: Final = Permission.ACCESS_POLICY_EDIT
_FINGERPRINT: Final = "sha256:"


class DeviceDesk:
    """Serves devices to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        """Take who asks.

        Raises:
            AccessDeniedError: The asker is no administrator.
        """
        insist(services, asker, RIGHT)
        self._devices = services.devices
        self._changes = DeviceChanges(
            devices=services.devices,
            append=services.warden.append,
            caller=asker.caller,
            right=RIGHT,
        )

    def every(self) -> tuple[DeviceListed, ...]:
        """Return all devices by name, revoked ones included."""
        return self._devices.list()

    def items(self) -> list[dict[str, object]]:
        """Return the members of all devices."""
        return [device_members(one) for one in self.every()]

    def one(self, device_id: str) -> DeviceListed:
        """Return one device.

        Raises:
            NotFoundError: There is none of that id.
        """
        for listed in self.every():
            if listed.device.id == device_id:
                return listed
        raise NotFoundError("no such device")

    def add(
        self, name: str, change: DeviceChange, *, ttl_s: float | None = None
    ) -> dict[str, object]:
        """Make a device and return its members with the token."""
        return self._made(self._changes.add(name, change, ttl_s=ttl_s))

    def set(self, device_id: str, change: DeviceChange) -> dict[str, object]:
        """Set what a device is held to, and return its members."""
        self.one(device_id)  # by its id alone: a name is no address of the API
        self._changes.set(device_id, change)
        return device_members(self.one(device_id))

    def renew(self, device_id: str, *, ttl_s: float | None = None) -> dict[str, object]:
        """Give a device a new token and return its members with it."""
        self.one(device_id)
        return self._made(self._changes.renew(device_id, ttl_s=ttl_s))

    def revoke(self, device_id: str) -> None:
        """Let a device send nothing new from now on."""
        self.one(device_id)
        self._changes.revoke(device_id)

    def _made(self, added: DeviceAdded) -> dict[str, object]:
        return device_members(self.one(added.device.id)) | {"token": added.token}


def device_members(listed: DeviceListed) -> dict[str, object]:
    """Return one device as the API shows it."""
    own = listed.device
    return {
        "id": own.id,
        "name": own.name,
        "media_advertise": own.media_advertise,
        "addresses": list(own.addresses),
        "media_addresses": list(own.media_addresses),
        "certificates": [_FINGERPRINT + one for one in listed.certificates],
        "max_calls": own.max_calls,
        "allowances": sorted(map(str, own.allowances)),
        "revoked": listed.revoked,
        "expires": _moment(listed.expires_ns),
        "used": _moment(listed.used_ns),
    }


def _moment(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339(time_ns)
