"""An authenticator of the test's own: makes and shows passkeys, also wrong ones.

It speaks as a browser's ``toJSON()`` does, after Web Authentication Level 3.  What it
signs is real; what it says about counter, verification, origin and relying party is
what the test wants.  tests/browser uses Chromium's instead.
"""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT: Final = 0x01
VERIFIED: Final = 0x04
MAY_BE_COPIED: Final = 0x08
ATTESTED: Final = 0x40
_ES256: Final = -7


def encoded(octets: bytes) -> str:
    """Return *octets* as base64url."""
    return urlsafe_b64encode(octets).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Return the octets of base64url *text*."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(slots=True, kw_only=True)
class PasskeyDevice:
    """One authenticator with one passkey in it, in one browser."""

    origin: str = "https://vault.example"
    rp_id: str | None = None
    "What it signs for; None for what it is asked for."
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    "What it says next; a device without a counter says 0 for ever."
    steps: int = 1
    cross_origin: bool = False
    fmt: str = "none"
    key: EllipticCurvePrivateKey = field(
        default_factory=lambda: generate_private_key(SECP256R1())
    )
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes | None = None

    def create(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.create``."""
        self.user_handle = decoded(options["user"]["id"])
        point = self.key.public_key().public_numbers()
        public = cbor2.dumps(
            {
                1: 2,
                3: _ES256,
                -1: 1,
                -2: point.x.to_bytes(32),
                -3: point.y.to_bytes(32),
            }
        )
        attested = (
            bytes(16)
            + len(self.credential_id).to_bytes(2)
            + self.credential_id
            + public
        )
        said = self._said(options["rp"]["id"], ATTESTED) + attested
        attestation = {"fmt": self.fmt, "attStmt": {}, "authData": said}
        return self._response(
            clientDataJSON=self._client_data("webauthn.create", options),
            attestationObject=cbor2.dumps(attestation),
            transports=["internal", "hybrid"],
        )

    def get(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.get``."""
        self.counter += self.steps
        said = self._said(options["rpId"], 0)
        client_data = self._client_data("webauthn.get", options)
        signed = said + hashlib.sha256(client_data).digest()
        return self._response(
            clientDataJSON=client_data,
            authenticatorData=said,
            signature=self.key.sign(signed, ECDSA(SHA256())),
            userHandle=self.user_handle,
        )

    def _said(self, rp_id: str, more: int) -> bytes:
        hashed = hashlib.sha256((self.rp_id or rp_id).encode()).digest()
        return hashed + bytes([self.flags | more]) + self.counter.to_bytes(4)

    def _client_data(self, kind: str, options: Mapping[str, Any]) -> bytes:
        said = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        }
        return json.dumps(said).encode()

    def _response(self, **said: object) -> dict[str, Any]:
        return {
            "id": encoded(self.credential_id),
            "rawId": encoded(self.credential_id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                name: encoded(value) if isinstance(value, bytes) else value
                for name, value in said.items()
                if value is not None
            },
        }
