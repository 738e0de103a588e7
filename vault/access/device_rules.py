"""What a device is held to: lists, limits and allowances, and changes of them.

Guarantees: what is kept is whole prefixes, whole fingerprints and literal addresses,
each in one spelling and at most `MAX_LISTED` of a kind.

Left to others: keeping it (`vault.access.devices`), holding devices to it
(`vault.siprec`, `vault.sip`, `vault.recorder`).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from vault.access.certificates import parse_fingerprint
from vault.access.credentials import DigestSecrets
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance, Device
from vault.core.prefixes import Prefixes

MAX_LISTED: Final = 20
"Prefixes, and certificates, of one device; before and after fit into one leaf."

MAX_CALLS: Final = 1_000_000

MAX_TOKEN_TTL_S: Final = 3660 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceListed:
    """A device as the list and a tap's snapshot show it."""

    device: Device
    token_sha256: bytes
    "32 octets; `secret_digest` of the token that was shown once."
    revoked: bool
    expires_ns: int | None = None
    """When its token ends; None for never.  What it is known by besides (a certificate,
    an address) does not end with it, nor do calls that run."""
    used_ns: int | None = None
    "When a tap last heard it, to the minute; None for never, and in snapshots."
    certificates: tuple[str, ...] = ()
    "SHA-256 of the DER of each that is pinned, in lower-case hexadecimal."
    digest: DigestSecrets | None = field(default=None, repr=False)
    """What SIP answers are checked with; None in lists that are not for taps, and
    where the token is older than that."""

    def has_token_at(self, now_ns: int) -> bool:
        """Whether its token is worth anything at that time."""
        return not self.revoked and (
            self.expires_ns is None or now_ns < self.expires_ns
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChange:
    """What to set; None leaves a thing as it is."""

    addresses: tuple[str, ...] | None = None
    media_addresses: tuple[str, ...] | None = None
    certificates: tuple[str, ...] | None = None
    max_calls: int | None = None
    allowances: frozenset[Allowance] | None = None
    media_advertise: str | None = None
    "Empty for that of the listener."


def changed(listed: DeviceListed, change: DeviceChange) -> DeviceListed:
    """Return *listed* after *change*, every value checked and in one spelling.

    Raises:
        InvalidInputError: Not a prefix, a fingerprint, an address or a number.
    """
    device = listed.device
    if change.addresses is not None:
        device = replace(device, addresses=_prefixes(change.addresses))
    if change.media_addresses is not None:
        device = replace(device, media_addresses=_prefixes(change.media_addresses))
    if change.max_calls is not None:
        if not 0 <= change.max_calls <= MAX_CALLS:
            raise InvalidInputError(f"calls at a time are 0 to {MAX_CALLS}")
        device = replace(device, max_calls=change.max_calls)
    if change.allowances is not None:
        device = replace(device, allowances=change.allowances)
    if change.media_advertise is not None:
        own = change.media_advertise
        device = replace(device, media_advertise=literal_address(own) if own else None)
    listed = replace(listed, device=device)
    if change.certificates is not None:
        pinned = _few({parse_fingerprint(one) for one in change.certificates})
        listed = replace(listed, certificates=pinned)
    return listed


def narrowed(before: DeviceListed, after: DeviceListed) -> DeviceListed:
    """Return what *before* and *after* both let a device do.

    Where the two have nothing in common that could be said, it is *before*, which
    the trail knows of.
    """
    was, will = before.device, after.device
    limits = [calls for calls in (was.max_calls, will.max_calls) if calls]
    return replace(
        before,
        device=replace(
            was,
            allowances=was.allowances & will.allowances,
            addresses=_both(was.addresses, will.addresses),
            media_addresses=_both(was.media_addresses, will.media_addresses),
            max_calls=min(limits, default=0),
        ),
        # None pinned does not mean that any would do: it lets the token do.
        certificates=tuple(
            one for one in before.certificates if one in after.certificates
        )
        or before.certificates,
    )


def _both(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list that lets in nobody whom one of the two keeps out, if there is one.

    Nothing in common would be an empty list, which lets everybody in.
    """
    if not before or not after:
        return before or after
    return tuple(one for one in before if one in after) or before


def _prefixes(texts: tuple[str, ...]) -> tuple[str, ...]:
    return _few(Prefixes.parse(texts).spelled())


def _few(texts: Iterable[str]) -> tuple[str, ...]:
    found = tuple(sorted(set(texts)))
    if len(found) > MAX_LISTED:
        raise InvalidInputError(f"at most {MAX_LISTED} of them")
    return found


def literal_address(text: str) -> str:
    """Return *text* as the address that it is.

    Raises:
        InvalidInputError: It is none, or has a zone.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidInputError("where media goes is an IP address") from None
    # A zone may hold any text, line ends included, and no peer could use it.
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise InvalidInputError("an address for media has no zone")
    return str(address)
