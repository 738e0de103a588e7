"""Our TLS certificate, as it is on disk now, and the roots of other people's.

Guarantees: a renewed certificate is used from the next connection on, without a
restart; files that cannot be used leave those before in use, and the log says so.

Left to others: handshakes (`vault.sip.tls`).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from OpenSSL import SSL

from vault.core.errors import ConfigurationError
from vault.sip.config import SipConfig
from vault.sip.tls import TlsLayer, client_context, read_roots, server_context

UNREADABLE: Final = "sip.certificate-not-renewed"
_LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger()

_Print = tuple[tuple[int, int, int], ...]


class Credentials:
    """What TLS is done with."""

    def __init__(
        self, config: SipConfig, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read nothing yet."""
        self._config = config
        self._clock = clock
        self._server: SSL.Context | None = None
        self._client: SSL.Context | None = None
        self._roots: tuple[x509.Certificate, ...] = ()
        self._print: _Print = ()
        self._looked_s = 0.0

    def load(self) -> None:
        """Read the files.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        cert, key, ca = self._files()
        print_ = self._print_of((cert, key, ca))
        server = server_context(cert=cert, key=key, ca=ca)
        client = client_context(cert=cert, key=key, ca=ca)
        self._roots = read_roots(ca)
        self._server, self._client, self._print = server, client, print_
        self._looked_s = self._clock()

    def server(self) -> TlsLayer:
        """Return our side of a handshake that a peer begins."""
        self._renew()
        assert self._server is not None
        return TlsLayer(
            self._server, is_server=True, needs_root=self._config.tls_ca is not None
        )

    def client(self, host: str) -> TlsLayer:
        """Return our side of a handshake that we begin with *host*.

        Raises:
            ConfigurationError: There is no TLS here.
        """
        if self._client is None:
            raise ConfigurationError("no TLS certificate is configured for SIP")
        self._renew()
        return TlsLayer(
            self._client, is_server=False, needs_root=False, server_name=host
        )

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """That certificates of servers may lead to."""
        return self._roots

    def _renew(self) -> None:
        now_s = self._clock()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        try:
            if self._print_of(self._files()) != self._print:
                self.load()
        except ConfigurationError as error:
            # A renewal writes two files, one after the other: between them they
            # do not fit.  It is tried again at the next connection.
            log.warning(UNREADABLE, cause=str(error))

    def _files(self) -> tuple[Path, Path, Path | None]:
        config = self._config
        if config.tls_cert is None or config.tls_key is None:
            raise ConfigurationError("SIP over TLS needs a certificate and its key")
        return config.tls_cert, config.tls_key, config.tls_ca

    @staticmethod
    def _print_of(files: tuple[Path | None, ...]) -> _Print:
        found = []
        for path in files:
            if path is not None:
                try:
                    stat = path.stat()
                except OSError as error:
                    raise ConfigurationError(f"{path} cannot be read") from error
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)
