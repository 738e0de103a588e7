"""Tokens that a provider has signed: opened with its published keys, or refused.

What a token says of itself chooses nothing but one of the keys that the provider
has published.  The checks of the header are ours; one function of the library is
asked whether a signature is right (research: the library may be wrong about the rest).

Guarantees:
    * The algorithm is one of `ALGORITHMS`, all asymmetric, and fits the key; ``none``,
      HMAC and what the key was not published for are refused.
    * No key, certificate or address of one is taken from the token, and a header that
      asks for something to be understood (``crit``) is refused.
    * A key identifier is compared and never looked up in a file, a URL or SQL.
    * Nothing of the claims is looked at before the signature was.

Left to others: what the claims mean (`vault.access.id_tokens`), where keys come from
(`vault.access.provider`).

Spec: RFC 7515; RFC 7517; RFC 7518; RFC 8037; RFC 8725 (JWT best current practices)
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, Self

from vault.core import strict_json
from vault.core.errors import IdentityRefusedError, InvalidInputError

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
MAX_TOKEN: Final = 16_384
"Characters."

_MAX_KEYS: Final = 64
_MAX_KID: Final = 256
_MODULUS_BYTES: Final = range(256, 1025)
_PARTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
# Of each algorithm: the type of its keys and, where there are several, the curve.
_FITS: Final = MappingProxyType(
    {
        "RS256": ("RSA", None),
        "PS256": ("RSA", None),
        "ES256": ("EC", "P-256"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
_PUBLIC: Final = MappingProxyType(
    {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
)
# What would bring a key along, change what is signed, or must be understood.
_REFUSED_MEMBERS: Final = frozenset(
    {"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"}
)


def refused(reason: str) -> IdentityRefusedError:
    """Return the error for what does not hold; *reason* is for the trail."""
    return IdentityRefusedError("the provider's word does not hold", reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """One public key, and what it was published for."""

    kid: str | None
    alg: str | None
    kty: str
    crv: str | None
    material: Mapping[str, str] = field(repr=False)

    def fits(self, alg: str, kid: str | None) -> bool:
        """Whether it may have made a signature by *alg* that names *kid*."""
        kty, crv = _FITS[alg]
        return (
            self.kty == kty
            and (crv is None or self.crv == crv)
            and self.alg in {None, alg}
            and (kid is None or self.kid == kid)
        )


class KeySet:
    """The keys that a provider has published, those that are of use here."""

    def __init__(self, keys: tuple[PublishedKey, ...]) -> None:
        self._keys = keys

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a JWK set; keys of other kinds are left out.

        Raises:
            IdentityRefusedError: Not a JWK set.

        Spec: RFC 7517, section 5.
        """
        try:
            document = strict_json.parse(octets)
        except InvalidInputError:
            raise refused("provider-keys") from None
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
            raise refused("provider-keys")
        return cls(tuple(key for one in listed if (key := _key(one)) is not None))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, alg: str, kid: str | None) -> PublishedKey | None:
        """Return the one key that fits; None where there is none or more than one."""
        found = [key for key in self._keys if key.fits(alg, kid)]
        return found[0] if len(found) == 1 else None


class Keys(Protocol):
    """Where the keys of a provider come from."""

    def keys(self) -> KeySet:
        """Return them as they are known."""
        ...

    def renewed_keys(self) -> KeySet:
        """Return them fetched again, unless that was done a moment ago."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What one of the provider's keys has signed."""

    alg: str
    typ: str
    "In lower case, without ``application/``; empty where none is named."
    claims: Mapping[str, object] = field(repr=False)


def open_signed(token: str, keys: Keys) -> Signed:
    """Check the signature of a compact JWS and return its claims.

    Raises:
        IdentityRefusedError: Anything about it is wrong.
        UnavailableError: The provider's keys can't be had now.

    Spec: RFC 7515, section 5.2; RFC 8725, section 3.
    """
    # 1. Three parts, small, one spelling.
    parts = _PARTS.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if parts is None:
        raise refused("token-malformed")
    # 2. The header: one of our algorithms, nothing that brings a key along.
    header = _object(parts[1])
    alg, kid = _algorithm(header), _kid(header)
    # 3. A published key; an unknown one may have been published since.
    key = keys.keys().find(alg, kid) or keys.renewed_keys().find(alg, kid)
    if key is None:
        raise refused("key-unknown")
    # 4. Its signature over the octets that came, not over what we made of them.
    signature = _octets(parts[3])
    if not _is_signed(alg, key, f"{parts[1]}.{parts[2]}".encode(), signature):
        raise refused("signature")
    # 5. Only now is the payload read.
    return Signed(alg=alg, typ=_typ(header), claims=_object(parts[2]))


def _algorithm(header: Mapping[str, object]) -> str:
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise refused("algorithm")
    if _REFUSED_MEMBERS & header.keys():
        raise refused("header")
    return alg


def _kid(header: Mapping[str, object]) -> str | None:
    kid = header.get("kid")
    if kid is None and "kid" not in header:
        return None
    if not isinstance(kid, str) or len(kid) > _MAX_KID:
        raise refused("header")
    return kid


def _typ(header: Mapping[str, object]) -> str:
    typ = header.get("typ", "")
    if not isinstance(typ, str):
        raise refused("header")
    return typ.lower().removeprefix("application/")


def _object(part: str) -> dict[str, object]:
    try:
        value = strict_json.parse(_octets(part))
    except InvalidInputError:
        raise refused("token-malformed") from None
    if not isinstance(value, dict):
        raise refused("token-malformed")
    return value


def _octets(part: str) -> bytes:
    try:
        octets = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise refused("token-malformed") from None
    # Of two spellings of the same octets only the canonical one was signed.
    if base64.urlsafe_b64encode(octets).decode().rstrip("=") != part:
        raise refused("token-malformed")
    return octets


def _key(value: object) -> PublishedKey | None:
    """Return a key of the set, or None where it is no use for signatures here."""
    if not isinstance(value, dict) or value.get("use", "sig") != "sig":
        return None
    kty, operations = value.get("kty"), value.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if not isinstance(kty, str) or kty not in _PUBLIC:
        return None
    # The public members alone: whatever else is there is nobody's business.
    material = {name: value.get(name) for name in _PUBLIC[kty]}
    texts = {name: text for name, text in material.items() if isinstance(text, str)}
    labels = [value.get("kid"), value.get("alg")]
    if len(texts) != len(material) or not _is_sound(kty, texts):
        return None
    if not all(label is None or isinstance(label, str) for label in labels):
        return None
    return PublishedKey(
        kid=value.get("kid"),
        alg=value.get("alg"),
        kty=kty,
        crv=texts.get("crv"),
        material=MappingProxyType({"kty": kty, **texts}),
    )


def _is_sound(kty: str, texts: Mapping[str, str]) -> bool:
    if kty != "RSA":
        return True
    # 2048 to 8192 bits, and an exponent that costs no time to speak of.
    if not all(_BASE64URL.fullmatch(texts[name]) for name in ("n", "e")):
        return False
    modulus, exponent = (
        base64.urlsafe_b64decode(texts[name] + "==") for name in ("n", "e")
    )
    return len(modulus.lstrip(b"\0")) in _MODULUS_BYTES and len(exponent) <= 4  # noqa: PLR2004 - 65537 has three


def _is_signed(alg: str, key: PublishedKey, octets: bytes, signature: bytes) -> bool:
    # Loaded where OpenID Connect is configured, and by no other process.
    from joserfc.errors import JoseError  # noqa: PLC0415 - see above
    from joserfc.jwk import ECKey, OKPKey, RSAKey  # noqa: PLC0415 - see above
    from joserfc.jws import JWSRegistry  # noqa: PLC0415 - see above

    kinds: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {
        "RSA": RSAKey,
        "EC": ECKey,
        "OKP": OKPKey,
    }
    try:
        material = kinds[key.kty].import_key(dict(key.material))
        # The bare algorithm: the library's own reading of headers is not asked for.
        return JWSRegistry.algorithms[alg].verify(octets, signature, material)
    except (JoseError, ValueError, TypeError):
        # Points that are on no curve, exponents that are none: no key, no signature.
        return False
