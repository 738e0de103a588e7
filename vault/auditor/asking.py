"""HTTP to services that the settings name: one request, bounded in time and size.

Guarantees:
    * Plain HTTP goes to loopback alone; beyond it the certificate has to hold.
    * No redirection is followed, no proxy of the environment used, no cookie kept.
    * A limit for all of it, from the name server to the last octet, and one for the
      body of the answer.

Left to others: what is asked, and whether the answer is true.
"""

import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpcore

from vault.access.pinned import PinnedBackend
from vault.access.resolving import Resolve, Resolving, resolved
from vault.auditor.places import require_service
from vault.core.errors import ConfigurationError, UnavailableError

WITHIN_S: Final = 10.0
MAX_BODY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


class Asking:
    """Asks services; safe to share between threads."""

    def __init__(
        self,
        *,
        ca_file: Path | None,
        within_s: float = WITHIN_S,
        resolve: Resolve = resolved,
    ) -> None:
        """Load the roots.

        Args:
            ca_file: Roots in PEM; None: those of this machine.
            within_s: Seconds that one request may take.
            resolve: Returns the addresses of a host.

        Raises:
            ConfigurationError: The file of roots can't be read.
        """
        self._within_s = within_s
        self._resolving = Resolving(resolve)
        try:
            self._tls = ssl.create_default_context(cafile=ca_file)
        except OSError:
            raise ConfigurationError(f"{ca_file} cannot be read as PEM") from None
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2

    def post(self, url: str, body: bytes, *, media_type: str) -> Answer:
        """Post *body* to *url*.

        Raises:
            InvalidInputError: A URL that may not be asked.
            UnavailableError: No answer in time, or none that is HTTP or short enough.
        """
        headers = {
            "Host": require_service(url).authority,
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Type": media_type,
            "Content-Length": str(len(body)),
        }
        backend = PinnedBackend(
            self._resolving.addresses, time.monotonic() + self._within_s
        )
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._tls, network_backend=backend, max_connections=1
                ) as pool,
                pool.stream(
                    "POST", url, headers=list(headers.items()), content=body
                ) as response,
            ):
                return _answer(response)
        except httpcore.TimeoutException:
            raise UnavailableError("it took too long") from None
        except httpcore.ConnectError as exc:
            is_tls = isinstance(exc.__context__, ssl.SSLError)
            said = "shows no certificate that holds" if is_tls else "is out of reach"
            raise UnavailableError(f"it {said}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            raise UnavailableError("it does not speak HTTP") from None


def _answer(response: httpcore.Response) -> Answer:
    body = bytearray()
    for piece in response.iter_stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise UnavailableError("its answer is too large")
    headers = {name.lower(): value for name, value in response.headers}
    media_type = headers.get(b"content-type", b"").decode("latin-1")
    return Answer(
        status=response.status,
        media_type=media_type.partition(";")[0].strip().lower(),
        body=bytes(body),
    )
