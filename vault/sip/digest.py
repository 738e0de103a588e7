"""Digest authentication of those who call us: challenges made, answers checked.

A nonce is ours by its own text: a keyed MAC over the time it was made and random
bits, so that a challenge costs no memory.  What is remembered is the highest
``nc`` of every nonce that was answered rightly.

    octet 0            6           16          32      as base64url in the nonce
          | ms (48 b) | random    | HMAC      |

Guarantees:
    * An answer counts once: ``nc`` grows strictly under each nonce, and a nonce
      whose ``nc`` was forgotten for want of room is not taken any more.
    * ``stale=true`` only where the answer was right: it helps who knows the
      secret, and tells a guesser nothing.
    * Without ``qop``, with another realm, for another URI or method, or with an
      algorithm that the user has no secret for, no answer is right.
    * A user who does not exist costs the same time as one who does; comparisons
      take constant time; no secret is in an error.

Left to others: who the users are, how often somebody may guess, and writing the
401 (`vault.siprec.admission`).  Whoever holds the HA1 of a user can answer as that
user: it is guarded like a password.

Spec: RFC 7616; RFC 8760; RFC 3261, section 22.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.core.errors import NotAuthenticatedError
from vault.core.flow import DIGEST_REALM
from vault.core.secrets import SecretBytes
from vault.sip.messages import Request

SHA_256: Final = "SHA-256"
MD5: Final = "MD5"

SecretOf = Callable[[str, str], bytes | None]
"""From user name and algorithm to HA1 in lower-case hexadecimal; None for nobody."""

_MAX_HEADER: Final = 4_096
_MAX_PARAMETERS: Final = 24
_MAX_HEADERS: Final = 8
_MAX_NONCES: Final = 10_000
_TIME_BYTES: Final = 6
_SEED_BYTES: Final = 16
_MAC_BYTES: Final = 16
_QOPS: Final = frozenset({"auth", "auth-int"})
_SCHEME: Final = re.compile(r"[Dd][Ii][Gg][Ee][Ss][Tt][ \t]+(.*)", re.DOTALL)
_PARAMETER: Final = re.compile(
    r"[ \t]*([A-Za-z0-9!#$%&'*+.^_`|~-]{1,32})[ \t]*=[ \t]*"
    r"(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",]+))[ \t]*(?:,|$)",
    re.DOTALL,
)
_NC: Final = re.compile(r"[0-9A-Fa-f]{8}")
_RESPONSE: Final = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64}")


@unique
class Flaw(StrEnum):
    """Why an answer does not count; a slug for counters, never for the peer."""

    ABSENT = "absent"
    "No answer to a challenge of ours."
    MALFORMED = "malformed"
    "Not what RFC 7616 lets an answer be; also one without ``qop``."
    OTHER_URI = "other-uri"
    WRONG = "wrong"
    "A guess, a typing error, an unknown user, or MD5 from one who may not."
    STALE = "stale"
    "Right, but under a nonce that is too old or another process's."
    REPLAYED = "replayed"
    "Right, but this ``nc`` of this nonce has counted before."


class DigestRefusedError(NotAuthenticatedError):
    """The request proves nothing about who sent it."""

    def __init__(
        self, message: str, *, flaw: Flaw = Flaw.WRONG, username: str = ""
    ) -> None:
        """Say why; *username* only where the answer was right."""
        super().__init__(message)
        self.flaw = flaw
        self.username = username

    @property
    def stale(self) -> bool:
        """Whether the same secret under a fresh nonce will do."""
        return self.flaw in {Flaw.STALE, Flaw.REPLAYED}


def hashed(algorithm: str, octets: bytes) -> bytes:
    """Return ``H(octets)`` in lower-case hexadecimal.

    Raises:
        ValueError: Neither ``SHA-256`` nor ``MD5``.
    """
    return _HASHES[algorithm](octets)


def _sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).hexdigest().encode()


def _md5(octets: bytes) -> bytes:
    # Only where the device is allowed it: some PBXes speak nothing else.
    return hashlib.md5(octets, usedforsecurity=False).hexdigest().encode()


_HASHES: Final = MappingProxyType({SHA_256: _sha256, MD5: _md5})


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestAnswer:
    """One ``Authorization: Digest``, read."""

    username: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str
    cnonce: str
    qop: str
    nc: str

    def expected(self, ha1: bytes, method: str, body: bytes) -> bytes:
        """Return what *response* is if its sender knows the secret of *ha1*.

        Spec: RFC 7616, section 3.4.1.
        """
        h = _HASHES[self.algorithm]
        a2 = [method, self.uri]
        if self.qop == "auth-int":
            a2.append(h(body).decode())
        words = f"{self.nonce}:{self.nc}:{self.cnonce}:{self.qop}"
        return h(b":".join((ha1, _octets(words), h(_octets(":".join(a2))))))


class Challenger:
    """Makes challenges and checks answers; one for all listeners of a process."""

    def __init__(
        self,
        key: SecretBytes,
        realm: str = DIGEST_REALM,
        *,
        lifetime_s: float = 300.0,
        most_nonces: int = _MAX_NONCES,
    ) -> None:
        """Take the key of nonces; who restarts with another makes them all stale.

        Args:
            key: At least 32 random octets, for this purpose alone.
            realm: What the secrets were made with.
            lifetime_s: How long a nonce is taken.
            most_nonces: How many are remembered at a time.
        """
        self._key = key
        self._realm = realm
        self._lifetime_ms = int(lifetime_s * 1000)
        self._most = most_nonces
        self._counts: dict[bytes, int] = {}
        self._floor_ms = -1

    def challenge(
        self,
        now_s: float,
        algorithms: Iterable[str] = (SHA_256,),
        *,
        stale: bool = False,
    ) -> tuple[str, ...]:
        """Return a value of ``WWW-Authenticate`` for each of *algorithms*.

        Args:
            now_s: Monotonic.
            algorithms: In order of preference (RFC 8760, section 2.4).
            stale: The answer that came was right, under a nonce of before.
        """
        return tuple(
            f'Digest realm="{self._realm}", nonce="{self._nonce(now_s)}", '
            f'algorithm={algorithm}, qop="auth,auth-int"'
            + (", stale=true" if stale else "")
            for algorithm in algorithms
        )

    def check(self, request: Request, secret_of: SecretOf, now_s: float) -> str:
        """Return the user name whose secret the sender of *request* knows.

        Args:
            request: With its body as it came: ``auth-int`` covers it.
            secret_of: Asked once, and only for an answer that may be right.
            now_s: Monotonic, the same clock as for `challenge`.

        Raises:
            DigestRefusedError: Nobody's; ``flaw`` says why, ``stale`` whether a
                fresh nonce will help.
        """
        # 1. Exactly one answer in our realm, with all that RFC 7616 wants.
        answer = self._answer(request)
        # 2. To this request and no other (RFC 7616, section 3.4.6).
        if not _same_uri(answer.uri, request.uri):
            raise DigestRefusedError("for another URI", flaw=Flaw.OTHER_URI)
        # 3. By somebody who has a secret for this algorithm.  Nobody's secret is
        #    random, and compared all the same: the time says nothing.
        known = secret_of(answer.username, answer.algorithm)
        ha1 = secrets.token_hex(32).encode() if known is None else known
        expected = answer.expected(ha1, request.method, request.body)
        right = hmac.compare_digest(expected, answer.response.lower().encode())
        if known is None or not right:
            raise DigestRefusedError("the answer is wrong", flaw=Flaw.WRONG)
        # 4. From here on the sender knows the secret, and may be told what is
        #    wrong: the nonce is ours and young, and this count of it is new.
        self._count(answer, now_s)
        return answer.username

    def _answer(self, request: Request) -> DigestAnswer:
        ours: list[dict[str, str]] = []
        values = request.headers.all("Authorization")
        if len(values) > _MAX_HEADERS:
            raise DigestRefusedError("too many answers", flaw=Flaw.MALFORMED)
        for value in values:
            read = _parameters(value)
            if read is not None and read.get("realm") == self._realm:
                ours.append(read)
        if not ours:
            raise DigestRefusedError("no answer", flaw=Flaw.ABSENT)
        if len(ours) > 1:
            raise DigestRefusedError("two answers", flaw=Flaw.MALFORMED)
        return _read(ours[0])

    def _nonce(self, now_s: float) -> str:
        seed = int(now_s * 1000).to_bytes(_TIME_BYTES) + secrets.token_bytes(
            _SEED_BYTES - _TIME_BYTES
        )
        return base64.urlsafe_b64encode(seed + self._mac(seed)).decode().rstrip("=")

    def _mac(self, seed: bytes) -> bytes:
        return hmac.digest(self._key.reveal(), seed, "sha256")[:_MAC_BYTES]

    def _count(self, answer: DigestAnswer, now_s: float) -> None:
        now_ms = int(now_s * 1000)
        # 1. Ours, and made by this process.
        seed = self._seed(answer.nonce)
        made_ms = -1 if seed is None else int.from_bytes(seed[:_TIME_BYTES])
        # 2. Young, and younger than all that had to be forgotten.
        if seed is None or not (
            max(now_ms - self._lifetime_ms, self._floor_ms + 1) <= made_ms <= now_ms
        ):
            raise DigestRefusedError(
                "the nonce is stale", flaw=Flaw.STALE, username=answer.username
            )
        # 3. Not counted yet (RFC 7616, section 3.4: nc).
        count = int(answer.nc, 16)
        if count <= self._counts.get(seed, 0):
            raise DigestRefusedError(
                "the answer has counted before",
                flaw=Flaw.REPLAYED,
                username=answer.username,
            )
        self._remember(seed, count)

    def _seed(self, nonce: str) -> bytes | None:
        """Return what a nonce of ours was made of; None if it is not."""
        try:
            padded = nonce + "=" * (-len(nonce) % 4)
            octets = base64.b64decode(padded, altchars=b"-_", validate=True)
        except ValueError:
            return None
        seed, mac = octets[:_SEED_BYTES], octets[_SEED_BYTES:]
        return seed if hmac.compare_digest(mac, self._mac(seed)) else None

    def _remember(self, seed: bytes, count: int) -> None:
        if seed not in self._counts and len(self._counts) >= self._most:
            oldest = next(iter(self._counts))
            del self._counts[oldest]
            # What is forgotten, and whatever is as old, is refused from now on:
            # else it could be replayed.
            self._floor_ms = max(self._floor_ms, int.from_bytes(oldest[:_TIME_BYTES]))
        self._counts[seed] = count


def _parameters(value: str) -> dict[str, str] | None:
    """Read the parameters of a ``Digest``; None for another scheme or nonsense."""
    match = _SCHEME.fullmatch(value.strip())
    if match is None or len(value) > _MAX_HEADER:
        return None
    text, at, found = match[1], 0, dict[str, str]()
    while at < len(text):
        one = _PARAMETER.match(text, at)
        # Twice the same name is two opinions: neither counts (B5).
        if one is None or one[1].lower() in found or len(found) >= _MAX_PARAMETERS:
            return None
        found[one[1].lower()] = one[2] if one[2] is not None else one[3]
        at = one.end()
    return found


def _read(found: dict[str, str]) -> DigestAnswer:
    # Absent means MD5 (RFC 7616, section 3.3); the "-sess" ones were not offered.
    algorithm = found.get("algorithm", MD5).upper()
    whole = (
        algorithm in _HASHES
        and found.get("qop") in _QOPS
        and _NC.fullmatch(found.get("nc", ""))
        and _RESPONSE.fullmatch(found.get("response", ""))
        and all(found.get(name) for name in ("username", "nonce", "uri", "cnonce"))
    )
    if not whole:
        raise DigestRefusedError("not an answer we take", flaw=Flaw.MALFORMED)
    return DigestAnswer(
        username=_text(found["username"]),
        nonce=found["nonce"],
        uri=found["uri"],
        response=found["response"],
        algorithm=algorithm,
        cnonce=found["cnonce"],
        qop=found["qop"],
        nc=found["nc"],
    )


def _same_uri(one: str, other: str) -> bool:
    """Whether two URIs name the same user at the same host and port.

    Parameters may differ: proxies add and remove ``transport`` and ``lr`` on the
    way (RFC 3261, section 22.4 lets a server be so lenient), and nothing here
    depends on them.
    """
    return one == other or _bare(one) == _bare(other)


def _bare(uri: str) -> tuple[str, str, str]:
    scheme, _, rest = uri.partition(":")
    user, at, host = rest.rpartition("@")
    return scheme.lower(), user + at, re.split(r"[;?]", host, maxsplit=1)[0].lower()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: str) -> str:
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
