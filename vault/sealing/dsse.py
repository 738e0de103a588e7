"""DSSE with Ed25519: how manifests, addenda and rosters are signed.

Canonical JSON (RFC 8785) around the payload::

    {"payload":base64,"payloadType":type,"signatures":[{"keyid":name,"sig":base64}]}

The signature covers ``"DSSEv1" SP len(type) SP type SP len(payload) SP payload``,
so a document of one type never passes for another type.

Guarantees: a payload is returned only after exactly one signature, by a key
that the caller trusts under the name it claims, has verified.

Left to others: whose keys are trusted (`vault.sealing.roster`), what a payload
means (`vault.sealing.manifest`).

Spec: https://github.com/secure-systems-lab/dsse, envelope and protocol v1.0
"""

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from vault.core import canonical
from vault.core.errors import SealBrokenError
from vault.sealing.members import Members, to_base64


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what is really signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(
    payload: bytes, *, payload_type: str, key: Ed25519PrivateKey, keyid: str
) -> bytes:
    """Return *payload* in a DSSE envelope, signed once."""
    signature = key.sign(pae(payload_type, payload))
    return canonical.dumps(
        {
            "payload": to_base64(payload),
            "payloadType": payload_type,
            "signatures": [{"keyid": keyid, "sig": to_base64(signature)}],
        }
    )


def verify(
    octets: bytes, *, payload_type: str, keys: Mapping[str, bytes]
) -> tuple[str, bytes]:
    """Check a DSSE envelope against trusted *keys*.

    Args:
        octets: The envelope.
        payload_type: The only type that is accepted.
        keys: Name → raw Ed25519 public key (32 octets) of trusted signers.

    Returns:
        The signer's name and the payload.

    Raises:
        SealBrokenError: Not such an envelope, no trusted signer, or the
            signature does not verify.
    """
    # 1. The envelope is one that we would have written.
    members = Members.parse(octets, of="signed document")
    payload = members.base64_octets("payload")
    found_type = members.text("payloadType")
    signatures = members.each("signatures")
    members.end()
    # 2. It is of the type that was asked for, and signed once.
    if found_type != payload_type or len(signatures) != 1:
        raise SealBrokenError(f"not a signed {payload_type}")
    keyid = signatures[0].text("keyid")
    signature = signatures[0].base64_octets("sig")
    signatures[0].end()
    # 3. The signer is trusted under this name, and has signed these octets.
    if keyid not in keys:
        raise SealBrokenError("the signer is not in the roster")
    try:
        Ed25519PublicKey.from_public_bytes(keys[keyid]).verify(
            signature, pae(payload_type, payload)
        )
    except (InvalidSignature, ValueError):
        raise SealBrokenError("the signature does not verify") from None
    return keyid, payload
