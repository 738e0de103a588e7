"""Devices changed with their leaves: for commands, API and pages alike.

Guarantees: what is taken away is gone before the leaf, and what is given is given after
it: whatever fails in between, a device never may what the trail does not know of.

Left to others: the table (`vault.access.devices`), who may change it (the caller's
room).
"""

from collections.abc import Callable
from dataclasses import dataclass

from vault.access.device_rules import DeviceChange, DeviceListed
from vault.access.devices import DeviceAdded, DeviceChanged, Devices
from vault.audit.entry import Action, Draft
from vault.core import canonical
from vault.core.flow import Caller, Device

Append = Callable[[Draft], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChanges:
    """Changes devices on somebody's behalf."""

    devices: Devices
    append: Append
    "Writes a leaf and returns when it is durable, or raises."
    caller: Caller
    right: str = ""

    def add(
        self, name: str, change: DeviceChange, *, ttl_s: float | None = None
    ) -> DeviceAdded:
        """Make a device; see `Devices.add`.

        Raises:
            AuditUnavailableError: The leaf is not durable: there is no device.
        """
        return self.devices.add(
            name,
            change,
            ttl_s=ttl_s,
            tell=lambda made: self._tell(Action.ACCESS_DEVICE_ADDED, made),
        )

    def set(self, name_or_id: str, change: DeviceChange) -> DeviceChanged:
        """Set what a device is held to; see `Devices.change`.

        Raises:
            AuditUnavailableError: The leaf is not durable: nothing was given.
        """
        asked = self.devices.preview(name_or_id, change)
        wanted = asked.after.device
        if asked.before != asked.after:
            self.devices.change(wanted.id, change, grants=False)
            self._tell_changed(asked)
            self.devices.change(wanted.id, change)
        return asked

    def renew(self, name_or_id: str, *, ttl_s: float | None = None) -> DeviceAdded:
        """Give a device a new token; see `Devices.renew`.

        Raises:
            AuditUnavailableError: The leaf is not durable: the old token goes on.
        """
        before = self.devices.preview(name_or_id, DeviceChange()).before
        self._tell(Action.ACCESS_DEVICE_CHANGED, before.device, fields="token")
        return self.devices.renew(before.device.id, ttl_s=ttl_s)

    def revoke(self, name_or_id: str) -> Device:
        """Let a device send nothing new; see `Devices.revoke`.

        Raises:
            AuditUnavailableError: The leaf is not durable; it is revoked all the same.
        """
        revoked = self.devices.revoke(name_or_id)
        self._tell(Action.ACCESS_DEVICE_REVOKED, revoked)
        return revoked

    def _tell_changed(self, asked: DeviceChanged) -> None:
        was, will = _shown(asked.before), _shown(asked.after)
        changed = [name for name in was if was[name] != will[name]]
        self._tell(
            Action.ACCESS_DEVICE_CHANGED,
            asked.after.device,
            # Addresses tell how a network is made: sealed beside the log, as text is.
            text={
                "before": _text({name: was[name] for name in changed}),
                "after": _text({name: will[name] for name in changed}),
            },
            fields=".".join(changed),
        )

    def _tell(
        self,
        action: Action,
        device: Device,
        *,
        text: dict[str, str] | None = None,
        fields: str = "",
    ) -> None:
        detail: dict[str, str | int] = {
            "device": device.id,
            "allowances": ".".join(sorted(device.allowances)) or "none",
        }
        if fields:
            detail["fields"] = fields
        self.append(
            Draft(
                action=action,
                caller=self.caller,
                right=self.right,
                detail=detail,
                text=text or {},
            )
        )


def taken_away(changed: DeviceChanged) -> list[str]:
    """Return what a device had and has no more: a list replaces the one before."""
    was, will = changed.before.device, changed.after.device
    return sorted(
        {*was.allowances, *was.addresses, *was.media_addresses}
        - {*will.allowances, *will.addresses, *will.media_addresses}
    )


def _shown(listed: DeviceListed) -> canonical.JsonObject:
    own = listed.device
    return {
        "addresses": list(own.addresses),
        "allowances": sorted(own.allowances),
        "certificates": list(listed.certificates),
        "max-calls": own.max_calls,
        "media-addresses": list(own.media_addresses),
        "media-advertise": own.media_advertise,
    }


def _text(members: canonical.JsonObject) -> str:
    return canonical.dumps(members).decode()
