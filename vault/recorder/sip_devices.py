"""Who may speak SIP, as one view of the devices says: certificates, addresses, names.

Guarantees: nothing here waits, and a look-up costs the same with a thousand devices;
a revoked device is in none of them; where two devices would fit, none does.

Left to others: reading the devices (`vault.recorder.snapshot`), deciding
(`vault.siprec.admission`).
"""

from dataclasses import dataclass
from typing import Final

from vault.access.devices import DeviceListed
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId
from vault.core.prefixes import Prefixes
from vault.siprec.interfaces import DigestSecret

SHA_256: Final = "SHA-256"
MD5: Final = "MD5"
_MOST_PLACES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What the devices say of one address."""

    device: Device | None
    expected: bool
    algorithms: tuple[str, ...]


class SipDirectory:
    """Answers what `vault.siprec.interfaces.SipDevices` asks; never changes."""

    def __init__(self, devices: tuple[DeviceListed, ...] = ()) -> None:
        self.devices = devices
        self._live = tuple(listed for listed in devices if not listed.revoked)
        self._by_id = {one.device.id: one.device for one in self._live}
        self._by_name = {one.device.name: one for one in self._live}
        self._by_certificate: dict[bytes, Device | None] = {}
        for one in self._live:
            for fingerprint in one.certificates:
                octets = bytes.fromhex(fingerprint)
                shared = octets in self._by_certificate
                self._by_certificate[octets] = None if shared else one.device
        self._places: dict[str, _Place] = {}

    def by_certificate(self, sha256: bytes) -> Device | None:
        """Return the device that has pinned this certificate."""
        return self._by_certificate.get(sha256)

    def by_address(self, address: str) -> Device | None:
        """Return the one device that may be known by *address*."""
        return self._place(address).device

    def expects(self, address: str) -> bool:
        """Whether *address* is in the list of some device."""
        return self._place(address).expected

    def digest_algorithms(self, address: str) -> tuple[str, ...]:
        """Return what a peer at *address* is challenged with, best first."""
        return self._place(address).algorithms

    def digest_secret(
        self, username: str, algorithm: str, *, now_ns: int = 0
    ) -> DigestSecret | None:
        """Return how to check *username*, spelled as the device's name is.

        Args:
            username: A device's name.
            algorithm: ``SHA-256`` or ``MD5``.
            now_ns: The time: a token that has ended answers no challenge.
        """
        listed = self._by_name.get(username)
        if listed is None or listed.digest is None or not listed.has_token_at(now_ns):
            return None
        ha1 = {
            SHA_256: listed.digest.sha256,
            MD5: listed.digest.md5
            if Allowance.MD5_DIGEST in listed.device.allowances
            else None,
        }.get(algorithm)
        if ha1 is None:
            return None
        return DigestSecret(
            device=listed.device,
            ha1=ha1.encode(),
            certificate_required=bool(listed.certificates),
        )

    def limits_of(self, device: Device) -> Device | None:
        """Return *device* as it stands now; None once it was revoked."""
        return self.known(device.id)

    def known(self, device_id: DeviceId) -> Device | None:
        """Return the device with that id; None if it is unknown or revoked."""
        return self._by_id.get(device_id)

    def _place(self, address: str) -> _Place:
        place = self._places.get(address)
        if place is None:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            place = self._places[address] = self._looked_up(address)
        return place

    def _looked_up(self, address: str) -> _Place:
        listing, anywhere = list[Device](), list[Device]()
        for one in self._live:
            if not one.device.addresses:
                anywhere.append(one.device)
            elif address in Prefixes.of(one.device.addresses):
                listing.append(one.device)
        # Without a list of its own a device would be known by any address at all.
        known = [one for one in listing if Allowance.SIP_BY_ADDRESS in one.allowances]
        return _Place(
            device=known[0] if len(known) == 1 else None,
            expected=bool(listing),
            algorithms=_algorithms(listing, anywhere),
        )


def _algorithms(listing: list[Device], anywhere: list[Device]) -> tuple[str, ...]:
    # Old clients look at the first challenge alone (SIPp does) and give up if they do
    # not know its algorithm: where nobody else can be meant, MD5 is all there is.
    if listing and all(Allowance.MD5_DIGEST in one.allowances for one in listing):
        return (MD5,)
    if any(Allowance.MD5_DIGEST in one.allowances for one in (*listing, *anywhere)):
        return (SHA_256, MD5)
    return (SHA_256,)
