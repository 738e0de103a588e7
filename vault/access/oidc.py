"""Signing in by OpenID Connect: the authorization code flow, step by step.

    browser                    here                         provider
       │── begin ──────────────>│ state, nonce, verifier       │
       │<── cookie, redirection ┤ kept as a ceremony           │
       │── signs in ───────────────────────────────────────────>│
       │<── code, state, iss ──────────────────────────────────┤
       │── callback, cookie ───>│── code, verifier ───────────>│
       │                        │<── ID token, access token ───┤
       │<── session ────────────┤ checked; account by iss|sub  │

Guarantees:
    * A code counts in the browser that asked for it, once, within ten minutes: state,
      nonce and PKCE verifier are of that one ceremony, which is used up first.
    * An answer that names another issuer, or none where ours names itself, is refused
      before its code goes anywhere.
    * The person is the issuer and the subject; names and addresses prove nothing.
    * What the provider says of a second factor counts only where the settings name it.
    * The target after signing in is what was remembered here, never what came back.

Left to others: accounts and roles (`vault.access.provisioning`), cookies and leaves
(`vault.web.provider_entrance`), the provider's words (`vault.access.provider`).

Spec: OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9207; RFC 9700; OpenID
Connect Back-Channel Logout 1.0; OpenID Connect RP-Initiated Logout 1.0
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from vault.access.authenticators import Verified
from vault.access.ceremonies import Ceremonies, CeremonyKind
from vault.access.id_tokens import (
    Claims,
    LoggedOut,
    SignInExpected,
    check_id_token,
    check_logout_token,
)
from vault.access.jws import open_signed, refused
from vault.access.people import MAX_EXTERNAL_ID
from vault.access.provider import Provider
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import NotAuthenticatedError

SOURCE: Final = "oidc"
"Source of accounts that come this way, and how their sessions were proved."
PROVED_TWICE: Final = "mfa"
"Method (RFC 8176) where the provider's word for a second factor counts."
CEREMONY_S: Final = 600

_RANDOM_BYTES: Final = 32
_MAX_CODE: Final = 8192
_MAX_PARAMETERS: Final = 16
_MAX_SESSION: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcConfig:
    """What is asked of the provider, and what of its answers is looked at."""

    label: str
    "What the button calls the provider."
    redirect_uri: str
    home_uri: str
    "Where the provider leads back to after signing out there."
    scopes: str = "openid profile"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    second_factor: frozenset[str] = frozenset()
    "Values of ``amr`` or ``acr`` that stand for one."
    session_max_s: float = 4 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that is under way."""

    location: str = field(repr=False)
    "Where the browser goes."
    secret: str = field(repr=False)
    "For its cookie."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Somebody for whom the provider vouches, in the browser that asked."""

    verified: Verified
    authenticated_s: float
    "When they proved it to the provider, in seconds since the epoch; 0: not told."
    provider_session: str
    "What the provider calls its session; empty where it does not."
    target: str
    "The path of ours that was wanted."
    replaces: str
    "Session of that browser that was there before; empty for none."


class OpenIdConnect:
    """Signs people in at one provider; safe to share between threads."""

    def __init__(
        self,
        config: OidcConfig,
        provider: Provider,
        ceremonies: Ceremonies,
        *,
        clock: Clock = system_clock_ns,
    ) -> None:
        self.config = config
        self.provider = provider
        self._ceremonies = ceremonies
        self._clock = clock

    def begin(self, target: str, *, replaces: str = "", again: bool = False) -> Begun:
        """Begin a sign-in.

        Args:
            target: Path of ours to go on to.
            replaces: Session that this browser has, to be ended by the new one.
            again: Whether the provider must ask the person anew, whoever it knows.

        Raises:
            IdentityRefusedError: What the provider publishes does not hold.
            UnavailableError: It can't be asked now.
            ThrottledError: Too many sign-ins are under way.

        Spec: OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636, section 4
        """
        endpoint = self.provider.metadata().authorization_endpoint
        state, nonce, verifier = (
            secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3)
        )
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        parameters = {
            "response_type": "code",
            "response_mode": "query",
            "client_id": self.provider.client.client_id,
            "redirect_uri": self.config.redirect_uri,
            "scope": self.config.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        if again:
            parameters |= {"prompt": "login", "max_age": "0"}
        secret = self._ceremonies.begin(
            CeremonyKind.OIDC_SIGN_IN,
            {
                "state": state,
                "nonce": nonce,
                "verifier": verifier,
                "target": target,
                "replaces": replaces,
                "again_since_s": str(self._clock() // NS_PER_S) if again else "",
            },
            ttl_s=CEREMONY_S,
        )
        return Begun(location=_with_query(endpoint, parameters), secret=secret)

    def finish(self, secret: str, parameters: Sequence[tuple[str, str]]) -> Recognised:
        """Finish a sign-in with what the browser brought back.

        Args:
            secret: From its cookie.
            parameters: Of the query, as they came.

        Raises:
            IdentityRefusedError: Anything about it is wrong; it can't be tried again.
            UnavailableError: The provider can't be asked now.

        Spec: OpenID Connect Core 1.0, section 3.1.3; RFC 9207, section 2.4
        """
        # 1. This browser began it, just now, and nobody has finished it yet.
        try:
            ceremony = self._ceremonies.finish(secret, CeremonyKind.OIDC_SIGN_IN)
        except NotAuthenticatedError:
            raise refused("ceremony") from None
        kept = ceremony.content
        # 2. It is the answer to what was asked, and from whom it was asked.
        given = _once_each(parameters)
        if not _is_same(given.get("state", ""), kept["state"]):
            raise refused("state")
        self._check_issuer(given)
        # 3. The person, or the provider, has said no.
        if "error" in given:
            raise refused("provider-refused")
        code = given.get("code", "")
        if not 1 <= len(code) <= _MAX_CODE:
            raise refused("code")
        # 4. The code, by whoever began: the verifier is in no browser.
        tokens = self.provider.exchange(
            code, verifier=kept["verifier"], redirect_uri=self.config.redirect_uri
        )
        # 5. Signature and claims.
        since = kept["again_since_s"]
        claims = check_id_token(
            open_signed(tokens.id_token, self.provider),
            self.provider.client,
            SignInExpected(
                nonce=kept["nonce"],
                access_token=tokens.access_token,
                authenticated_since_s=int(since) if since else None,
            ),
            now_s=self._now_s(),
        )
        # 6. Who that is here.
        return Recognised(
            verified=self._verified(claims, tokens.access_token),
            authenticated_s=claims.number("auth_time") if "auth_time" in claims else 0,
            provider_session=_provider_session(claims),
            target=kept["target"],
            replaces=kept["replaces"],
        )

    def logged_out(self, token: str) -> LoggedOut:
        """Return what a logout token ends; each counts once.

        Raises:
            IdentityRefusedError: It is none, or came before.
            UnavailableError: The provider's keys can't be had now.

        Spec: OpenID Connect Back-Channel Logout 1.0, section 2.6
        """
        signed = open_signed(token, self.provider)
        return check_logout_token(signed, self.provider.client, now_s=self._now_s())

    def external_id(self, subject: str) -> str:
        """Return the key of the account of *subject*.

        Raises:
            IdentityRefusedError: It is too long to be one.
        """
        key = f"{self.provider.client.issuer}|{subject}"
        if len(key) > MAX_EXTERNAL_ID:
            raise refused("subject")
        return key

    def leaving(self) -> str:
        """Return where a browser signs out at the provider, too; empty for nowhere.

        Raises:
            IdentityRefusedError: What the provider publishes does not hold.
            UnavailableError: It can't be asked now.

        Spec: OpenID Connect RP-Initiated Logout 1.0, section 2
        """
        endpoint = self.provider.metadata().end_session_endpoint
        if not endpoint:
            return ""
        # Without the ID token as a hint: nothing of it is kept here.
        parameters = {
            "client_id": self.provider.client.client_id,
            "post_logout_redirect_uri": self.config.home_uri,
        }
        return _with_query(endpoint, parameters)

    def _check_issuer(self, given: Mapping[str, str]) -> None:
        named = given.get("iss")
        if named is None and not self.provider.metadata().names_issuer:
            return
        if named != self.provider.client.issuer:
            raise refused("mix-up")

    def _verified(self, claims: Claims, access_token: str) -> Verified:
        names = {self.config.name_claim, self.config.groups_claim}
        more = claims
        if any(name not in claims for name in names):
            more = self._userinfo(claims, access_token)
        # The ID token's own word comes first: it is signed.
        name_of, groups_of = (
            claims if name in claims else more
            for name in (self.config.name_claim, self.config.groups_claim)
        )
        return Verified(
            source=SOURCE,
            external_id=self.external_id(claims.subject),
            name=name_of.text(self.config.name_claim),
            groups=groups_of.texts(self.config.groups_claim),
            methods=self._methods(claims),
        )

    def _userinfo(self, claims: Claims, access_token: str) -> Claims:
        more = self.provider.userinfo(access_token)
        if more is None:
            return claims
        # Of the same person: an access token may be another's.
        if more.subject != claims.subject:
            raise refused("userinfo-subject")
        return more

    def _methods(self, claims: Claims) -> tuple[str, ...]:
        said = set(claims.texts("amr"))
        if "acr" in claims:
            said.add(claims.text("acr"))
        # What the provider calls ``otp`` is not our own one-time code.
        return (SOURCE, PROVED_TWICE) if said & self.config.second_factor else (SOURCE,)

    def _now_s(self) -> float:
        return self._clock() / NS_PER_S


def _once_each(parameters: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Return the parameters by name; one that stands twice could mean two things."""
    found = dict(parameters)
    if len(found) != len(parameters) or len(found) > _MAX_PARAMETERS:
        raise refused("parameters")
    return MappingProxyType(found)


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8")
    )


def _provider_session(claims: Claims) -> str:
    if "sid" not in claims:
        return ""
    session = claims.text("sid")
    if len(session) > _MAX_SESSION:
        raise refused("claim-type")
    return session


def _with_query(url: str, parameters: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
