"""What a provider's token says of somebody, checked claim by claim.

Guarantees:
    * A token that is not from this issuer, for this client alone, of this sign-in
      and of now is refused, each with a reason of its own for the trail.
    * A claim of another type than the standard gives it is refused, not converted.
    * Nobody is known by a name or an address: the subject is the key.

Left to others: the signature (`vault.access.jws`), where a nonce comes from
(`vault.access.oidc`).

Spec: OpenID Connect Core 1.0, section 3.1.3.7; OpenID Connect Back-Channel Logout
1.0, section 2.6; RFC 8725
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from vault.access.authenticators import MAX_GROUPS
from vault.access.jws import Signed, refused
from vault.access.names import is_storable

SKEW_S: Final = 60
"Seconds that the provider's clock may be off by."
MAX_AGE_S: Final = 600
"Seconds since a token was made, beyond which it is not a new one."

_LATEST_S: Final = 1e11
_MAX_TEXT: Final = 1024
_MAX_SUBJECT: Final = 255
_ID_TOKEN_TYPES: Final = frozenset({"", "jwt"})
_LOGOUT_TYPE: Final = "logout+jwt"
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
# Of the access token's digest, by the algorithm that signed the ID token.
_HASHES: Final = MappingProxyType(
    {"RS256": "sha256", "PS256": "sha256", "ES256": "sha256", "EdDSA": "sha512"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Whose tokens are read, and for whom they must be."""

    issuer: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInExpected:
    """What one sign-in asked for and got beside its ID token."""

    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    authenticated_since_s: int | None = None
    "The person must have proved who they are since then; None: whenever."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """What the provider says has ended: a session of its own, a person, or both."""

    subject: str
    provider_session: str
    token_id: str


def check_id_token(
    signed: Signed, client: Client, expected: SignInExpected, *, now_s: float
) -> "Claims":
    """Return the claims of an ID token that holds.

    Raises:
        IdentityRefusedError: It does not.

    Spec: OpenID Connect Core 1.0, sections 2 and 3.1.3.7
    """
    claims = Claims(signed.claims)
    # 1. Another kind of token, signed with the same key, proves nothing here.
    if signed.typ not in _ID_TOKEN_TYPES:
        raise refused("token-type")
    # 2. From whom and for whom.
    _check_parties(claims, client)
    # 3. Of now, and of this sign-in.
    _check_time(claims, now_s)
    if not hmac.compare_digest(claims.text("nonce").encode(), expected.nonce.encode()):
        raise refused("nonce")
    # 4. It belongs to the access token that came with it.
    _check_access_token(claims, signed.alg, expected.access_token)
    # 5. Somebody was asked, where that was wanted.
    if expected.authenticated_since_s is not None:
        since_s = expected.authenticated_since_s - SKEW_S
        if claims.number("auth_time") < since_s:
            raise refused("auth-time")
    # 6. Who it is.
    _ = claims.subject
    return claims


def check_logout_token(signed: Signed, client: Client, *, now_s: float) -> LoggedOut:
    """Return what a logout token ends.

    Raises:
        IdentityRefusedError: It is none, or not for us.

    Spec: OpenID Connect Back-Channel Logout 1.0, section 2.6
    """
    claims = Claims(signed.claims)
    # 1. An ID token is no logout token, and the other way round.
    if signed.typ != _LOGOUT_TYPE or "nonce" in signed.claims:
        raise refused("token-type")
    events = signed.claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise refused("token-type")
    # 2. From whom, for whom, and of now.
    _check_parties(claims, client)
    _check_time(claims, now_s)
    # 3. What is to end.
    subject = claims.subject if "sub" in signed.claims else ""
    provider_session = claims.text("sid") if "sid" in signed.claims else ""
    if not subject and not provider_session:
        raise refused("subject")
    return LoggedOut(
        subject=subject,
        provider_session=provider_session,
        token_id=claims.text("jti"),
    )


class Claims:
    """Claims by name, each of the type that the caller asks for."""

    def __init__(self, members: Mapping[str, object]) -> None:
        self._members = members

    def __contains__(self, name: object) -> bool:
        return name in self._members

    @property
    def subject(self) -> str:
        """The person, as the issuer tells them apart: 1 to 255 ASCII characters."""
        subject = self.text("sub")
        if not (subject.isascii() and subject.isprintable()):
            raise refused("subject")
        if len(subject) > _MAX_SUBJECT:
            raise refused("subject")
        return subject

    def text(self, name: str) -> str:
        """Return a text that must be there and not be empty."""
        value = self._members.get(name)
        if (
            not isinstance(value, str)
            or not 1 <= len(value) <= _MAX_TEXT
            or not is_storable(value)
        ):
            raise refused("claim-type")
        return value

    def audience(self) -> list[str]:
        """Return for whom it is: a text, or a list of them."""
        value = self._members.get("aud")
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise refused("claim-type")
        texts = [one for one in value if isinstance(one, str)]
        if len(texts) != len(value):
            raise refused("claim-type")
        return texts

    def number(self, name: str) -> float:
        """Return a time that must be there, in seconds since the epoch."""
        value = self._members.get(name)
        # In Python a boolean is an integer; in a token it is not.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refused("claim-type")
        if not 0 <= value <= _LATEST_S:
            raise refused("claim-type")
        return float(value)

    def texts(self, name: str) -> frozenset[str]:
        """Return a list of texts; none of that name is an empty list."""
        if name not in self._members:
            return frozenset()
        value = self._members[name]
        if not isinstance(value, list) or len(value) > MAX_GROUPS:
            raise refused("claim-type")
        texts = [one for one in value if isinstance(one, str) and is_storable(one)]
        if len(texts) != len(value) or any(len(one) > _MAX_TEXT for one in texts):
            raise refused("claim-type")
        return frozenset(texts)


def _check_parties(claims: Claims, client: Client) -> None:
    if claims.text("iss") != client.issuer:
        raise refused("issuer")
    # One audience and no other: we know no client whose tokens are also ours.
    if claims.audience() != [client.client_id]:
        raise refused("audience")
    if "azp" in claims and claims.text("azp") != client.client_id:
        raise refused("authorized-party")


def _check_time(claims: Claims, now_s: float) -> None:
    if now_s >= claims.number("exp") + SKEW_S:
        raise refused("expired")
    made_s = claims.number("iat")
    if made_s > now_s + SKEW_S:
        raise refused("not-yet")
    if made_s < now_s - MAX_AGE_S - SKEW_S:
        raise refused("too-old")
    if "nbf" in claims and claims.number("nbf") > now_s + SKEW_S:
        raise refused("not-yet")


def _check_access_token(claims: Claims, alg: str, access_token: str) -> None:
    if "at_hash" not in claims:
        return
    name = _HASHES.get(alg)
    if name is None:
        # A digest that we can't compute is one that does not match.
        raise refused("at-hash")
    digest = hashlib.new(name, access_token.encode("ascii", "replace")).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not hmac.compare_digest(half, claims.text("at_hash").encode()):
        raise refused("at-hash")
