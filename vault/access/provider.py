"""The provider of identities: what it publishes of itself, and its answers.

Guarantees:
    * What is published counts only if it names exactly the issuer of the settings,
      and every address in it is one that may be spoken to.
    * Keys are kept for a few minutes; one that is missing is looked for again, but
      no more often than every half minute, whoever sends tokens.
    * While a provider is down it is asked again every few seconds, not by everyone.
    * A provider that is down is `UnavailableError`; one whose word does not hold is
      `IdentityRefusedError`.  Codes, tokens and secrets are in neither.

Left to others: connections (`vault.access.provider_http`), signatures
(`vault.access.jws`), the flow (`vault.access.oidc`).

Spec: OpenID Connect Discovery 1.0, sections 3 and 4; RFC 8414; RFC 6749, section 4.1;
RFC 7523, section 3 (``private_key_jwt``)
"""

import base64
import functools
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import quote_plus

from vault.access.id_tokens import Claims, Client
from vault.access.jws import ALGORITHMS, KeySet, refused
from vault.access.provider_http import MAX_KEYS_BYTES, Answer, ProviderHttp
from vault.core import strict_json
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import (
    ConfigurationError,
    InvalidInputError,
    UnavailableError,
    VaultError,
)
from vault.core.secrets import SecretBytes

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_S: Final = 60
_JSON: Final = frozenset({"application/json", "application/jwk-set+json"})
_OK, _UNAUTHORIZED = 200, 401
_MAX_TOKEN: Final = 16_384

_METADATA_S: Final = 3600
_KEYS_S: Final = 300
_RENEW_S: Final = 30
_DOWN_S: Final = 5
_WAIT_S: Final = 10.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProof:
    """How the client proves that it is the one that was registered."""

    secret: SecretBytes | None = None
    key: SecretBytes | None = None
    "Private key in PEM, for ``private_key_jwt``."


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a provider publishes of itself, as far as it is of use here."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    "Empty where there is none; so is the next one."
    end_session_endpoint: str
    names_issuer: bool
    "Whether its authorization responses name it (RFC 9207)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a code was exchanged for."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


class Provider:
    """One provider; safe to share between threads."""

    def __init__(
        self,
        client: Client,
        proof: ClientProof,
        http: ProviderHttp,
        *,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Take the client, and read its key.

        Raises:
            ConfigurationError: The key is none that signs here.
        """
        self.client = client
        self._proof = proof
        self._http = http
        self._clock = clock
        self._signing = _signing_key(proof.key) if proof.key else None
        self._metadata = _Kept(self._fetch_metadata, _METADATA_S, clock)
        self._keys = _Kept(self._fetch_keys, _KEYS_S, clock)

    def metadata(self) -> Metadata:
        """Return what the provider publishes of itself.

        Raises:
            IdentityRefusedError: It is somebody else's, or leads elsewhere.
            UnavailableError: It can't be had now.
        """
        return self._metadata.value()

    def keys(self) -> KeySet:
        """Return the provider's keys; fails as `metadata` does."""
        return self._keys.value()

    def renewed_keys(self) -> KeySet:
        """Return them fetched again, unless that was done half a minute ago."""
        return self._keys.value(at_most_s=_RENEW_S)

    @property
    def proves_by(self) -> str:
        """How the client proves that it is the one that was registered."""
        if self._proof.secret is not None:
            return "client_secret_basic"
        return "none" if self._signing is None else "private_key_jwt"

    def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> Tokens:
        """Exchange a code for tokens.

        Raises:
            IdentityRefusedError: The provider does not take the code, or the client.
            UnavailableError: It can't be asked now.

        Spec: RFC 6749, section 4.1.3; RFC 7636, section 4.5
        """
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        authorization = self._prove(fields)
        endpoint = self.metadata().token_endpoint
        answer = self._http.post(endpoint, fields, authorization=authorization)
        members = _members(answer, "provider-answer")
        if answer.status != _OK:
            refusal = answer.status == _UNAUTHORIZED
            is_client = refusal or members.get("error") == "invalid_client"
            raise refused("client-refused" if is_client else "code-refused")
        id_token, access_token = members.get("id_token"), members.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise refused("provider-answer")
        if str(members.get("token_type", "")).lower() != "bearer":
            raise refused("provider-answer")
        if not access_token.isascii() or len(access_token) > _MAX_TOKEN:
            raise refused("provider-answer")
        return Tokens(id_token=id_token, access_token=access_token)

    def userinfo(self, access_token: str) -> Claims | None:
        """Return what else the provider says of the person; None: it has no such door.

        The caller MUST compare the subject with the ID token's.

        Raises:
            IdentityRefusedError: It refuses, or answers with something else.
            UnavailableError: It can't be asked now.

        Spec: OpenID Connect Core 1.0, section 5.3
        """
        endpoint = self.metadata().userinfo_endpoint
        if not endpoint:
            return None
        answer = self._http.get(endpoint, bearer=access_token)
        if answer.status != _OK:
            raise refused("userinfo")
        return Claims(_members(answer, "userinfo"))

    def _prove(self, fields: dict[str, str]) -> str:
        """Add to *fields* who the client is; return the header that proves it."""
        client_id = self.client.client_id
        if self._proof.secret is not None:
            words = (client_id, self._proof.secret.reveal().decode("utf-8"))
            pair = ":".join(map(quote_plus, words))
            return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        fields["client_id"] = client_id
        if self._signing is not None:
            fields["client_assertion_type"] = _ASSERTION
            fields["client_assertion"] = self._signing(self._assertion())
        return ""

    def _assertion(self) -> dict[str, str | int]:
        now_s = self._clock() // NS_PER_S
        # For the issuer and not for an address that somebody else may publish
        # (the audience injection of 2025).
        return {
            "iss": self.client.client_id,
            "sub": self.client.client_id,
            "aud": self.client.issuer,
            "jti": secrets.token_urlsafe(24),
            "iat": now_s,
            "exp": now_s + _ASSERTION_S,
        }

    def _fetch_metadata(self) -> Metadata:
        url = self.client.issuer.removesuffix("/") + _WELL_KNOWN
        answer = self._http.get(url, max_bytes=MAX_KEYS_BYTES)
        if answer.status != _OK:
            raise refused("provider-metadata")
        members = _members(answer, "provider-metadata")
        # Exactly, character by character: nobody speaks for another issuer.
        if members.get("issuer") != self.client.issuer:
            raise refused("provider-issuer")
        _check_abilities(members)
        return Metadata(
            authorization_endpoint=self._endpoint(members, "authorization_endpoint"),
            token_endpoint=self._endpoint(members, "token_endpoint"),
            jwks_uri=self._endpoint(members, "jwks_uri"),
            userinfo_endpoint=self._endpoint(
                members, "userinfo_endpoint", needed=False
            ),
            end_session_endpoint=self._endpoint(
                members, "end_session_endpoint", needed=False
            ),
            names_issuer=members.get("authorization_response_iss_parameter_supported")
            is True,
        )

    def _endpoint(
        self, members: Mapping[str, object], name: str, *, needed: bool = True
    ) -> str:
        if name not in members and not needed:
            return ""
        url = members.get(name)
        if not isinstance(url, str):
            raise refused("provider-metadata")
        if not self._http.permits(url):
            raise refused("provider-address")
        return url

    def _fetch_keys(self) -> KeySet:
        answer = self._http.get(self.metadata().jwks_uri, max_bytes=MAX_KEYS_BYTES)
        if answer.status != _OK or answer.media_type not in _JSON:
            raise refused("provider-keys")
        return KeySet.parse(answer.body)


class _Kept(Generic[_T]):
    """Something that is fetched by one thread at a time, and kept for a while."""

    def __init__(self, fetch: Callable[[], _T], keep_s: int, clock: Clock) -> None:
        self._fetch = fetch
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._value: _T | None = None
        self._fetched_ns: int | None = None
        self._failed_ns: int | None = None

    def value(self, *, at_most_s: int | None = None) -> _T:
        """Return it, not older than *at_most_s* or as long as it is kept."""
        if not self._lock.acquire(timeout=_WAIT_S):
            raise UnavailableError("the provider took too long")
        try:
            keep_s = self._keep_s if at_most_s is None else at_most_s
            if self._value is not None and self._is_within(self._fetched_ns, keep_s):
                return self._value
            if self._is_within(self._failed_ns, _DOWN_S):
                raise UnavailableError("the provider could not be asked a moment ago")
            try:
                self._value = self._fetch()
            except VaultError:
                self._failed_ns = self._clock()
                raise
            self._fetched_ns = self._clock()
            return self._value
        finally:
            self._lock.release()

    def _is_within(self, since_ns: int | None, seconds: int) -> bool:
        # A clock that was put back makes nothing last longer.
        return (
            since_ns is not None and 0 <= self._clock() - since_ns < seconds * NS_PER_S
        )


def _members(answer: Answer, reason: str) -> dict[str, object]:
    """Return the JSON object of *answer*."""
    if answer.media_type != "application/json":
        raise refused(reason)
    try:
        value = strict_json.parse(answer.body)
    except InvalidInputError:
        raise refused(reason) from None
    if not isinstance(value, dict):
        raise refused(reason)
    return value


def _check_abilities(members: Mapping[str, object]) -> None:
    """Refuse a provider that says itself that it can't do what is asked of it."""
    # Who does not say whether PKCE is known (some do not) ignores it at worst.
    asked = (
        ("code_challenge_methods_supported", {"S256"}),
        ("response_types_supported", {"code"}),
        ("id_token_signing_alg_values_supported", set(ALGORITHMS)),
    )
    for name, wanted in asked:
        offered = members.get(name)
        if name in members and not (
            isinstance(offered, list) and wanted & {*map(str, offered)}
        ):
            raise refused("provider-metadata")


def _signing_key(pem: SecretBytes) -> Callable[[dict[str, str | int]], str]:
    """Return what signs the client's assertions.

    Raises:
        ConfigurationError: Not a private key of a kind that is taken here.
    """
    # Loaded where OpenID Connect is configured, and by no other process.
    from joserfc import jwt  # noqa: PLC0415 - see above
    from joserfc.errors import JoseError  # noqa: PLC0415 - see above
    from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415 - see above

    kinds: tuple[tuple[str, type[RSAKey | ECKey]], ...] = (
        ("PS256", RSAKey),
        ("ES256", ECKey),
    )
    for alg, kind in kinds:
        try:
            key = kind.import_key(pem.reveal())
            # The identifier is the thumbprint (RFC 7638), as most register it.
            header = {"alg": alg, "typ": "JWT", "kid": key.thumbprint()}
            jwt.encode(header, {}, key, algorithms=[alg])
        except (JoseError, ValueError, TypeError):
            continue
        return functools.partial(jwt.encode, header, key=key, algorithms=[alg])
    raise ConfigurationError(
        "oidc_client_key_file is no private key in PEM of P-256 or RSA"
    )
