"""HTTP to the provider of identities that the settings name, and to nobody else.

The addresses that a provider publishes are its word, not ours: whoever controls a
document of it must not make this process knock at doors inside.

Guarantees:
    * Only hosts and ports of the configuration are spoken to, by https (http only on
      loopback, where the configuration says so).
    * A name is resolved once, the address is checked, and that address is connected
      to: no second look-up could name another one.  Link-local addresses (where
      clouds keep credentials) are never spoken to, private ones only where the
      configuration says so.
    * No redirection is followed, no proxy of the environment used, no cookie kept.
    * Five seconds for all of it; a body has a limit and no content coding.

Left to others: what is asked (`vault.access.provider`).

Spec: research H13; RFC 9110, section 15.4
"""

import ipaddress
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from vault.access.jws import refused
from vault.access.resolving import Resolve, Resolving, resolved
from vault.core.errors import (
    ConfigurationError,
    InvalidInputError,
    UnavailableError,
)
from vault.core.origins import Origin

if TYPE_CHECKING:
    import httpcore

WITHIN_S: Final = 5.0
"Seconds that one question may take, from the name server to the last octet."
MAX_BODY_BYTES: Final = 65_536
MAX_KEYS_BYTES: Final = 262_144

_AT_ONCE: Final = 8
_FORM: Final = "application/x-www-form-urlencoded"
_REDIRECTS: Final = range(300, 400)
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500
# Addresses in which another one is written: 6to4, Teredo, NAT64.
_TRANSLATED: Final = tuple(
    map(ipaddress.ip_network, ("2002::/16", "2001::/32", "64:ff9b::/32"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderHttpConfig:
    """Who may be spoken to, and how."""

    origins: frozenset[Origin]
    private_addresses: bool = False
    loopback_http: bool = False
    ca_file: Path | None = None
    within_s: float = WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; never a redirection, never an error of the server's own."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


def is_permitted(address: str, *, private: bool) -> bool:
    """Whether *address* may be connected to.

    Args:
        address: As it was resolved.
        private: Whether addresses that are not public may be.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    ip = getattr(found, "ipv4_mapped", None) or found
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    if any(ip in network for network in _TRANSLATED if network.version == ip.version):
        return False
    return private or ip.is_global


class ProviderHttp:
    """Asks a provider; safe to share between threads."""

    def __init__(
        self, config: ProviderHttpConfig, *, resolve: Resolve = resolved
    ) -> None:
        """Load the roots.

        Raises:
            ConfigurationError: The file of roots can't be read.
        """
        self._config = config
        self._resolving = Resolving(resolve)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        try:
            self._tls = ssl.create_default_context(cafile=config.ca_file)
        except OSError:
            raise ConfigurationError(
                f"oidc_ca_file {config.ca_file} cannot be read as PEM"
            ) from None
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2

    def permits(self, url: str) -> bool:
        """Whether *url* is one that may be asked, or that a browser may be sent to."""
        try:
            origin = Origin.of_url(url)
        except InvalidInputError:
            return False
        plain = self._config.loopback_http and origin.is_loopback
        return origin in self._config.origins and (origin.scheme == "https" or plain)

    def get(
        self, url: str, *, bearer: str = "", max_bytes: int = MAX_BODY_BYTES
    ) -> Answer:
        """Ask for *url*.

        Raises:
            IdentityRefusedError: A URL that is none of the provider's, or an answer
                that is too large, a redirection or coded.
            UnavailableError: It did not answer as a server that works.
        """
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return self._ask("GET", url, headers, None, max_bytes)

    def post(
        self, url: str, fields: Mapping[str, str], *, authorization: str = ""
    ) -> Answer:
        """Post a form to *url*; fails as `get` does."""
        headers = {"Content-Type": _FORM}
        if authorization:
            headers["Authorization"] = authorization
        body = urlencode(fields).encode("ascii")
        return self._ask("POST", url, headers, body, MAX_BODY_BYTES)

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
    ) -> Answer:
        if not self.permits(url):
            raise refused("provider-address")
        deadline = time.monotonic() + self._config.within_s
        if not self._slots.acquire(timeout=self._config.within_s):
            raise UnavailableError("too many sign-ins wait for the provider")
        try:
            return self._exchange(method, url, headers, body, max_bytes, deadline)
        finally:
            self._slots.release()

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        deadline: float,
    ) -> Answer:
        # Loaded where OpenID Connect is configured, and by no other process.
        import httpcore  # noqa: PLC0415 - see above

        from vault.access.pinned import PinnedBackend  # noqa: PLC0415 - loads httpcore

        sent = {
            "Host": Origin.of_url(url).authority,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **headers,
        }
        if body is not None:
            sent["Content-Length"] = str(len(body))
        backend = PinnedBackend(self._addresses_of, deadline)
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._tls, network_backend=backend, max_connections=1
                ) as pool,
                pool.stream(
                    method, url, headers=list(sent.items()), content=body
                ) as it,
            ):
                return _answer(it, max_bytes)
        except (httpcore.TimeoutException, LateError):
            raise UnavailableError("the provider took too long") from None
        except httpcore.ConnectError as exc:
            certificate = isinstance(exc.__context__, ssl.SSLError)
            said = (
                "shows no certificate that holds" if certificate else "is out of reach"
            )
            raise UnavailableError(f"the provider {said}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            raise UnavailableError("the provider does not speak HTTP here") from None

    def _addresses_of(self, host: str, port: int, within_s: float) -> list[str]:
        """Return the addresses of *host* that may be connected to.

        Raises:
            IdentityRefusedError: There are some, and none of them may be.
            OSError: There are none.
        """
        found = self._resolving.addresses(host, port, within_s)
        private = self._config.private_addresses
        permitted = [one for one in found if is_permitted(one, private=private)]
        if found and not permitted:
            raise refused("provider-address")
        return permitted


def _answer(response: "httpcore.Response", max_bytes: int) -> Answer:
    if response.status in _REDIRECTS:
        raise refused("provider-redirect")
    if response.status >= _SERVER_ERRORS or response.status == _TOO_MANY:
        raise UnavailableError("the provider answers with an error of its own")
    headers = {name.lower(): value for name, value in response.headers}
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise refused("provider-answer")
    body = bytearray()
    for piece in response.iter_stream():
        body += piece
        if len(body) > max_bytes:
            raise refused("provider-too-large")
    media_type = headers.get(b"content-type", b"").decode("latin-1")
    return Answer(
        status=response.status,
        media_type=media_type.partition(";")[0].strip().lower(),
        body=bytes(body),
    )
