"""The roster: whose keys count, as one signed and versioned document.

It names the recipients that calls are wrapped for, by month, and the keys of
the taps and workers that sign.  Canonical JSON in DSSE, signed with a key of
its own; each version carries the digest of the one before.

Guarantees: a roster that `verify_roster` returns was signed with the pinned
key and is not older than the caller's; so nobody without that key adds a
recipient, and nobody puts an old one back.

Left to others: keeping the newest version (`vault.recorder`), making one and
its leaf (`vault.warden`).

Spec: docs/reference/formats/roster.md
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.clock import NS_PER_S, utc
from vault.core.errors import NoRecipientKeyError, SealBrokenError
from vault.sealing import dsse
from vault.sealing.envelope import Recipient, kid_of
from vault.sealing.members import Members, to_base64

ROSTER_TYPE: Final = "application/vnd.callvault.roster.v1+json"
SIGNER: Final = "roster"
_VERSION: Final = 1
VALID_NS: Final = 35 * 24 * 3600 * NS_PER_S
"From its signature to its ``not_after``."
_PUBLIC_KEY_SIZE: Final = 32
_DIGEST: Final = re.compile(r"(?:[0-9a-f]{64})?")
_MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterSigner:
    """A process that signs, and its raw Ed25519 public key (32 octets)."""

    name: str
    public_key: bytes

    def to_json(self) -> JsonObject:
        """Return the JSON members."""
        return {"name": self.name, "public_key": to_base64(self.public_key)}

    @classmethod
    def read(cls, members: Members) -> Self:
        """Read the JSON members; others are refused."""
        found = cls(
            name=members.text("name"), public_key=members.base64_octets("public_key")
        )
        members.end()
        if len(found.public_key) != _PUBLIC_KEY_SIZE:
            raise SealBrokenError("the roster has a key that is none")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRecipient:
    """A recipient and the month in which calls are wrapped for it."""

    month: str
    "UTC, ``2026-11``."
    recipient: Recipient

    def to_json(self) -> JsonObject:
        """Return the JSON members."""
        return {
            "month": self.month,
            "alg": self.recipient.alg,
            "kid": self.recipient.kid,
            "public_key": to_base64(self.recipient.public_key),
            "label": self.recipient.label,
        }

    @classmethod
    def read(cls, members: Members) -> Self:
        """Read the JSON members; others are refused."""
        found = cls(
            month=members.text("month"),
            recipient=Recipient(
                alg=members.text("alg"),
                kid=members.text("kid"),
                public_key=members.base64_octets("public_key"),
                label=members.text("label"),
            ),
        )
        members.end()
        if not _MONTH.fullmatch(found.month):
            raise SealBrokenError("the roster has a month that is none")
        if found.recipient.kid != kid_of(found.recipient.public_key):
            raise SealBrokenError("the roster has a key under a false name")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """One version of the roster; ``bytes()`` gives the payload that is signed."""

    version: int
    "Counts from 1."
    previous: str
    "SHA-256 of the signed octets of the version before, hexadecimal, or empty."
    not_after: str
    "RFC 3339, UTC: when a newer one should long have come."
    recipients: tuple[RosterRecipient, ...]
    taps: tuple[RosterSigner, ...] = ()
    workers: tuple[RosterSigner, ...] = ()
    expired: bool = False
    "Set by `verify_roster`, never written: ``not_after`` has passed."

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": _VERSION,
                "version": self.version,
                "previous": self.previous,
                "not_after": self.not_after,
                "recipients": [each.to_json() for each in self.recipients],
                "taps": [each.to_json() for each in self.taps],
                "workers": [each.to_json() for each in self.workers],
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a roster's payload.

        Raises:
            SealBrokenError: Not a roster as we write them.
        """
        members = Members.parse(payload, of="roster")
        members.version(_VERSION)
        recipients = members.each("recipients")
        roster = cls(
            version=members.count("version"),
            previous=members.text("previous"),
            not_after=members.time("not_after"),
            recipients=tuple(RosterRecipient.read(each) for each in recipients),
            taps=tuple(RosterSigner.read(each) for each in members.each("taps")),
            workers=tuple(RosterSigner.read(each) for each in members.each("workers")),
        )
        members.end()
        if not _DIGEST.fullmatch(roster.previous):
            raise SealBrokenError("the roster's link to the one before is none")
        for signers in (roster.taps, roster.workers):
            if len({each.name for each in signers}) != len(signers):
                raise SealBrokenError("the roster names a signer twice")
        return roster

    @property
    def signed_ns(self) -> int:
        """When it was signed, by the warden's clock, in nanoseconds; 0 if unknown."""
        try:
            until_s = datetime.fromisoformat(self.not_after).timestamp()
        except ValueError:
            return 0
        return max(0, round(until_s) * NS_PER_S - VALID_NS)

    def tap_keys(self) -> Mapping[str, bytes]:
        """Return tap name → public key, for `verify_manifest`."""
        return {each.name: each.public_key for each in self.taps}

    def worker_keys(self) -> Mapping[str, bytes]:
        """Return worker name → public key, for `verify_addendum`."""
        return {each.name: each.public_key for each in self.workers}


def sign_roster(roster: Roster, key: Ed25519PrivateKey) -> bytes:
    """Return *roster* as a DSSE document."""
    return dsse.sign(bytes(roster), payload_type=ROSTER_TYPE, key=key, keyid=SIGNER)


def roster_digest(octets: bytes) -> str:
    """Return what the next version says in ``previous`` about these signed octets."""
    return hashlib.sha256(octets).hexdigest()


def verify_roster(
    octets: bytes, *, pinned: bytes, at_least_version: int, now: int
) -> Roster:
    """Return the roster in *octets*.

    A roster past its ``not_after`` is returned, flagged `Roster.expired`: calls
    go on being recorded for the newest keys known, and somebody is alarmed.

    Args:
        octets: A DSSE document.
        pinned: Raw Ed25519 public key (32 octets), pinned at enrolment.
        at_least_version: The newest version that the caller has seen, or 0.
        now: Nanoseconds since the epoch.

    Raises:
        SealBrokenError: Not signed with the pinned key, not a roster, or older
            than one that the caller has seen.
    """
    _, payload = dsse.verify(octets, payload_type=ROSTER_TYPE, keys={SIGNER: pinned})
    roster = Roster.parse(payload)
    if roster.version < at_least_version:
        raise SealBrokenError(
            f"roster {roster.version} is older than {at_least_version}, seen before"
        )
    try:
        not_after = datetime.fromisoformat(roster.not_after)
    except ValueError:
        raise SealBrokenError("the roster's not_after is no time") from None
    return replace(roster, expired=not_after < utc(now))


def recipients_for(roster: Roster, month: str) -> list[Recipient]:
    """Return everybody whom a call of *month* is wrapped for.

    Past the last month of the roster these are the newest keys, and before the
    first one the oldest: a stale roster or a wrong clock must not stop calls
    from being recorded.  `keys_are_late` tells, and so does each label.

    Raises:
        NoRecipientKeyError: The roster has no recipients.
    """
    chosen = _month_for(roster, month)
    return [each.recipient for each in roster.recipients if each.month == chosen]


def keys_are_late(roster: Roster, month: str) -> bool:
    """Return whether *month* has no keys of its own: renew the roster."""
    return _month_for(roster, month) != month


def _month_for(roster: Roster, month: str) -> str:
    months = sorted({each.month for each in roster.recipients})
    if not months:
        raise NoRecipientKeyError("the roster has no recipients")
    return max((each for each in months if each <= month), default=months[0])
