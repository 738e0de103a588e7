"""Random bearer secrets: what a session, a token and a device hold.

A secret is a prefix that scanners can find and 256 random bits, base64url.  The
database keeps its SHA-256 alone: with that much entropy a slow hash adds
nothing, and a look-up by digest leaks no timing of the secret itself.

Guarantees: a secret is shown once, by the call that made it, and never again.

A device that speaks SIP proves that it knows its token by digest authentication, for
which a second form of the token is kept (`DigestSecrets`): no slower to guess, but
enough, by itself, to answer a challenge.

Spec: RFC 7616, section 3.4.2 (``HA1``); RFC 8760.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from vault.core.flow import DIGEST_REALM

_RANDOM_BYTES: Final = 32
_MAX_LENGTH: Final = 128
_CSRF_CONTEXT: Final = b"callvault/v1\0csrf"


@unique
class SecretKind(StrEnum):
    """Whose secret it is; the value is its prefix."""

    SESSION = "cvs_"
    PERSONAL_TOKEN = "cvp_"  # noqa: S105 - a prefix
    DEVICE = "cvd_"
    KNOWN_DEVICE = "cvb_"
    CEREMONY = "cvc_"


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


def csrf_token(secret: str) -> str:
    """Return what unsafe requests by the cookie of a session's *secret* repeat.

    Whoever holds the secret needs no second one to be told; whoever rides on a cookie
    does not hold the secret.
    """
    octets = hmac.digest(
        secret.encode("utf-8", "surrogatepass"), _CSRF_CONTEXT, hashlib.sha256
    )
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestSecrets:
    """``HA1`` of one device in lower-case hexadecimal, by algorithm."""

    sha256: str = field(repr=False)
    md5: str = field(repr=False)


def digest_secrets(name: str, token: str) -> DigestSecrets:
    """Return what the answers of device *name* are checked with.

    Args:
        name: Its user name in SIP, as it is shown.
        token: Its password in SIP.
    """
    octets = f"{name}:{DIGEST_REALM}:{token}".encode()
    return DigestSecrets(
        sha256=hashlib.sha256(octets).hexdigest(),
        md5=hashlib.md5(octets, usedforsecurity=False).hexdigest(),
    )
