"""The envelope: one call's data key, wrapped for everybody who may open it.

Canonical JSON (RFC 8785)::

    {"recipients":[{"alg":"HPKE-XWING","ct":base64,"kid":hex}],
     "recording_id":uuid,"suite":"COBBLESTONE-256","v":1}

``ct`` is HPKE ``enc ‖ ciphertext`` of the 32-octet data key, base mode, with

    info = "callvault/v1" ‖ 00 ‖ "dek" ‖ 00 ‖ recording id (16) ‖ kid (16)

``kid`` is the first 16 octets of SHA-256 over the recipient's public key.  A
change of members takes a new ``v``; a new way to wrap takes a new ``alg``.

Guarantees: wrapping needs public keys only, so a tap can do it and cannot undo
it; an entry copied into the envelope of another recording does not open there.

Does not guarantee who made it: HPKE base mode authenticates nobody.  That is
the manifest's signature and the audit leaf.

Left to others: unwrapping (`vault.sealing.unwrap`), where envelopes rest
(`vault.catalog`, and a copy in `vault.objects`).

Spec: RFC 9180, section 6.1; docs/reference/formats/envelope.md
"""

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from vault.core import canonical
from vault.core.errors import NoRecipientKeyError, SealBrokenError
from vault.core.ids import RecordingId, recording_id_octets
from vault.core.secrets import SecretBytes
from vault.sealing import xwing
from vault.sealing.chunks import LABEL
from vault.sealing.members import Members, to_base64

SUITE: Final = "COBBLESTONE-256"
ALG_XWING: Final = "HPKE-XWING"
DEK_SIZE: Final = 32
KID_SIZE: Final = 16
_VERSION: Final = 1
_MAX_RECIPIENTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody's public key that data keys are wrapped for."""

    alg: str
    kid: str
    "First 16 octets of SHA-256 of the public key, in hexadecimal."
    public_key: bytes
    label: str = ""
    "For people and rosters: the month ``2026-11``, or ``recovery``."


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """One data key, wrapped for one recipient."""

    alg: str
    kid: str
    ct: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """All wrapped copies of one call's data key; ``bytes()`` gives its octets."""

    recording_id: RecordingId
    suite: str
    recipients: tuple[WrappedKey, ...]

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": _VERSION,
                "recording_id": self.recording_id,
                "suite": self.suite,
                "recipients": [
                    {"alg": each.alg, "kid": each.kid, "ct": to_base64(each.ct)}
                    for each in self.recipients
                ],
            }
        )

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read an envelope.

        Raises:
            SealBrokenError: Not an envelope as we write them.
        """
        members = Members.parse(octets, of="envelope")
        members.version(_VERSION)
        envelope = cls(
            recording_id=members.recording_id(),
            suite=members.text("suite"),
            recipients=tuple(_wrapped_key(each) for each in members.each("recipients")),
        )
        members.end()
        if envelope.suite != SUITE:
            raise SealBrokenError("the envelope names an unknown suite")
        if not 0 < len(envelope.recipients) <= _MAX_RECIPIENTS:
            raise SealBrokenError("the envelope has no recipients, or too many")
        return envelope


def new_dek() -> SecretBytes:
    """Return a fresh data key of 32 octets."""
    return SecretBytes(os.urandom(DEK_SIZE))


def kid_of(public_key: bytes) -> str:
    """Return the key id of a public key, in hexadecimal."""
    return hashlib.sha256(public_key).digest()[:KID_SIZE].hex()


def xwing_recipient(public_key: bytes, *, label: str = "") -> Recipient:
    """Return the recipient who holds the private half of an X-Wing *public_key*.

    Raises:
        SealBrokenError: Not an X-Wing public key.
    """
    xwing.public_key(public_key)
    return Recipient(
        alg=ALG_XWING, kid=kid_of(public_key), public_key=public_key, label=label
    )


def wrap_info(recording_id: RecordingId, kid: str) -> bytes:
    """Return what a wrapped key is bound to: this recording and this recipient."""
    bound = recording_id_octets(recording_id) + bytes.fromhex(kid)
    return LABEL + b"\x00dek\x00" + bound


def check_recipients(recipients: Sequence[Recipient]) -> None:
    """Find out whether `wrap` would work, and wrap nothing.

    Raises:
        NoRecipientKeyError: As `wrap` does.
    """
    if not recipients:
        raise NoRecipientKeyError("there is no recipient key")
    for recipient in recipients:
        _usable_key(recipient)


def wrap(
    dek: SecretBytes, recording_id: RecordingId, recipients: Sequence[Recipient]
) -> Envelope:
    """Wrap *dek* for every one of *recipients*.

    Raises:
        NoRecipientKeyError: There is nobody to wrap it for, or somebody's key
            is not one that we can wrap for.  Such a call must be refused.
    """
    if len(dek) != DEK_SIZE:
        raise ValueError("a data key has 32 octets")
    if not recipients:
        raise NoRecipientKeyError("there is no recipient key")
    return Envelope(
        recording_id=recording_id,
        suite=SUITE,
        recipients=tuple(_wrap_one(dek, recording_id, each) for each in recipients),
    )


def _wrap_one(
    dek: SecretBytes, recording_id: RecordingId, recipient: Recipient
) -> WrappedKey:
    key = _usable_key(recipient)
    info = wrap_info(recording_id, recipient.kid)
    try:
        ct = xwing.SUITE.encrypt(dek.reveal(), key, info)
    except ValueError:
        raise NoRecipientKeyError(f"recipient {recipient.kid} cannot be used") from None
    return WrappedKey(alg=ALG_XWING, kid=recipient.kid, ct=ct)


@functools.lru_cache(maxsize=_MAX_RECIPIENTS)
def _usable_key(recipient: Recipient) -> xwing.PublicKey:
    # Remembered by everything in it: each call asks twice, and rosters change rarely.
    # The kid is computed and not believed: a recipient under a false name
    # would make an envelope that nobody finds the key for.
    kid = kid_of(recipient.public_key)
    if recipient.alg != ALG_XWING or recipient.kid != kid:
        raise NoRecipientKeyError(f"recipient {recipient.kid} cannot be used")
    try:
        return xwing.public_key(recipient.public_key)
    except SealBrokenError:
        raise NoRecipientKeyError(f"recipient {kid} cannot be used") from None


def _wrapped_key(members: Members) -> WrappedKey:
    wrapped = WrappedKey(
        alg=members.text("alg"),
        kid=members.hex_octets("kid", size=KID_SIZE).hex(),
        ct=members.base64_octets("ct"),
    )
    members.end()
    return wrapped
