"""Random bearer secrets: what a session, a token and a device hold.

A secret is a prefix that scanners can find and 256 random bits, base64url.  The
database keeps its SHA-256 alone: with that much entropy a slow hash adds
nothing, and a look-up by digest leaks no timing of the secret itself.

Guarantees: a secret is shown once, by the call that made it, and never again.
"""

import base64
import hashlib
import secrets
from enum import StrEnum, unique
from typing import Final

_RANDOM_BYTES: Final = 32
_MAX_LENGTH: Final = 128


@unique
class SecretKind(StrEnum):
    """Whose secret it is; the value is its prefix."""

    SESSION = "cvs_"
    PERSONAL_TOKEN = "cvp_"  # noqa: S105 - a prefix
    DEVICE = "cvd_"


def new_secret(kind: SecretKind) -> str:
    """Return a fresh secret; the caller shows it once."""
    octets = secrets.token_bytes(_RANDOM_BYTES)
    return kind + base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def secret_digest(secret: str) -> bytes:
    """Return the 32 octets under which *secret* is looked up.

    Anything may be presented, so anything has a digest; nothing that we did not
    make has one that is in the database.
    """
    return hashlib.sha256(
        secret[:_MAX_LENGTH].encode("utf-8", "surrogatepass")
    ).digest()
