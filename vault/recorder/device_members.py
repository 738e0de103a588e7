"""Devices in the copy that a tap keeps on its disk.

Guarantees: `parse_device` reads what `device_members` wrote; what a copy of an older
version does not say is what lets a device do the least.

Left to others: the rest of the copy, its file and its mode, which is 0600: with the
digest secrets in it one could speak SIP as a device (`vault.recorder.snapshot`).
"""

from vault.access.credentials import DigestSecrets
from vault.access.devices import DeviceListed
from vault.core import canonical
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId


def device_members(listed: DeviceListed) -> canonical.JsonObject:
    """Return the JSON members of *listed*."""
    device, digest = listed.device, listed.digest
    return {
        "id": device.id,
        "name": device.name,
        "media_advertise": device.media_advertise,
        "allowances": sorted(device.allowances),
        "addresses": list(device.addresses),
        "media_addresses": list(device.media_addresses),
        "max_calls": device.max_calls,
        "certificates": list(listed.certificates),
        "ha1_sha256": "" if digest is None else digest.sha256,
        "ha1_md5": "" if digest is None else digest.md5,
        "token_sha256": listed.token_sha256.hex(),
        "revoked": listed.revoked,
        # As text: more digits than every reader of JSON keeps.
        "expires": "" if listed.expires_ns is None else str(listed.expires_ns),
    }


def parse_device(members: object) -> DeviceListed:
    """Read a device.

    Raises:
        InvalidInputError: Not one of ours.
        ValueError: The digest of its token is none, or its end no number.
    """
    if not isinstance(members, dict):
        raise InvalidInputError("not a snapshot of ours")
    advertise = members.get("media_advertise")
    max_calls = members.get("max_calls", 0)
    expires = str(members.get("expires", ""))
    sha256, md5 = members.get("ha1_sha256", ""), members.get("ha1_md5", "")
    if not isinstance(max_calls, int):
        raise InvalidInputError("not a snapshot of ours")
    return DeviceListed(
        device=Device(
            id=DeviceId(str(members.get("id"))),
            name=str(members.get("name")),
            media_advertise=None if advertise is None else str(advertise),
            allowances=Allowance.known_among(_texts(members, "allowances")),
            addresses=_texts(members, "addresses"),
            media_addresses=_texts(members, "media_addresses"),
            max_calls=max_calls,
        ),
        token_sha256=bytes.fromhex(str(members.get("token_sha256"))),
        revoked=members.get("revoked") is not False,
        expires_ns=int(expires) if expires else None,
        certificates=_texts(members, "certificates"),
        digest=DigestSecrets(sha256=str(sha256), md5=str(md5)) if sha256 else None,
    )


def _texts(members: dict[str, canonical.JsonValue], name: str) -> tuple[str, ...]:
    texts = members.get(name, [])
    if not isinstance(texts, list):
        raise InvalidInputError("not a snapshot of ours")
    return tuple(map(str, texts))
