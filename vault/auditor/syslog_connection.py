"""One connection to a receiver of syslog messages, and the proof that it read them.

Syslog has no acknowledgement.  That a kernel far away has taken octets proves nothing
about the process there.  What does is the end of a connection: whoever answers our
end in order has read everything before it.  So a connection is ended now and then,
and what went over it counts as delivered when all of this holds:

    1. TLS: the receiver answered our close_notify with its own (RFC 5425, 4.4).
    2. TCP: its end came as FIN.  A kernel sends RST when a process goes, or is
       killed, with octets unread.
    3. TCP: every octet of ours was acknowledged when its end came, so that none of
       them arrived behind it.

Guarantees:
    * `confirm` returns only where all of these held; else it raises.
    * Nothing is said over TLS before the certificate was checked, name included.
    * A receiver that does not read holds up one call for `stall_s` seconds at most.

Left to others: what is sent and what is sent again (`vault.auditor.streaming`).

Spec: RFC 5425, sections 4.2, 4.4 and 5; RFC 9325 (BCP 195)
"""

import array
import fcntl
import socket
import ssl
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from vault.auditor.syslog_server import SyslogServer
from vault.core.errors import ConfigurationError, UnavailableError
from vault.core.tls import CIPHERS

UNCONFIRMED: Final = "unconfirmed"
"What is wrong where a receiver did not answer the end of a connection."

_CHUNK_BYTES: Final = 8192
"Sent at once: a receiver that reads 140 octets a second does not look stuck."
_SEND_BUFFER_BYTES: Final = 256 << 10
_MOST_TALK_BYTES: Final = 65_536
"A receiver has nothing to say; what it says all the same is thrown away."
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_NAME: Final = frozenset({62, 64})
"X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTls:
    """Files by which both ends know each other; None: the system's roots, nobody."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a receiver may take, in seconds."""

    connect_s: float = 10.0
    "To be found and reached, and for the handshake, each."
    stall_s: float = 60.0
    "Without taking a single octet."
    confirm_s: float = 60.0
    "To answer the end of a connection."


PATIENCE: Final = Patience()


def client_context(tls: StreamTls) -> ssl.SSLContext:
    """Return what receivers are checked with.

    Raises:
        ConfigurationError: A file cannot be read, or they do not go together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        if tls.ca_file:
            context.load_verify_locations(cafile=tls.ca_file)
        else:
            context.load_default_certs()
        if tls.cert_file and tls.key_file:
            # A key with a passphrase is refused and not asked for on the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"audit_stream: TLS: {exc}") from None
    return context


class SyslogConnection:
    """An open connection; of one thread."""

    __slots__ = ("_patience", "_sock")

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock = sock
        self._patience = patience

    @classmethod
    def open(
        cls,
        server: SyslogServer,
        context: ssl.SSLContext | None,
        *,
        patience: Patience = PATIENCE,
    ) -> Self:
        """Connect, by TLS with *context* where the server has it.

        Raises:
            UnavailableError: It cannot be reached, or is not who it should be; the
                message is a slug.
        """
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection(
                (server.host, server.port), timeout=patience.connect_s
            )
            _tune(sock, patience)
            if server.is_tls:
                if context is None:
                    raise RuntimeError("TLS without a context")
                sock = context.wrap_socket(sock, server_hostname=server.host)
            sock.settimeout(patience.stall_s)
        except (OSError, UnicodeError) as exc:
            if sock is not None:
                sock.close()
            raise UnavailableError(reason_of(exc)) from None
        return cls(sock, patience)

    def send(self, frames: bytes) -> None:
        """Hand *frames* over to the kernel; that proves nothing yet.

        Raises:
            UnavailableError: The connection is broken or stuck; a slug.
        """
        view = memoryview(frames)
        try:
            self._listen()
            while view:
                view = view[self._sock.send(view[:_CHUNK_BYTES]) :]
        except OSError as exc:
            raise UnavailableError(reason_of(exc)) from None

    def check(self) -> None:
        """Look whether the receiver has ended the connection.

        Raises:
            UnavailableError: It has, or the connection is broken; a slug.
        """
        try:
            self._listen()
        except OSError as exc:
            raise UnavailableError(reason_of(exc)) from None

    def confirm(self) -> None:
        """End the connection; return when the receiver has read all of it.

        Raises:
            UnavailableError: Not known whether it has; a slug.
        """
        try:
            self._listen()
            self._end()
        except TimeoutError:
            raise UnavailableError(UNCONFIRMED) from None
        except OSError as exc:
            raise UnavailableError(reason_of(exc)) from None
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection as it is."""
        with suppress(OSError):
            self._sock.close()

    def _end(self) -> None:
        deadline_s = time.monotonic() + self._patience.confirm_s
        self._sock.settimeout(self._patience.confirm_s)
        # 1. What is above TCP ends first: without a FIN of ours the receiver has
        #    to answer (RFC 5425, section 4.4).
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.unwrap()
        # 2. Then TCP.  Its own end must come as FIN; RST raises here.
        self._sock.shutdown(socket.SHUT_WR)
        heard = 0
        while octets := self._sock.recv(_CHUNK_BYTES):
            heard += len(octets)
            if heard > _MOST_TALK_BYTES or time.monotonic() > deadline_s:
                raise TimeoutError
        # 3. Octets of ours behind its end would be answered by RST, or by nothing.
        while _unacknowledged(self._sock):
            if time.monotonic() > deadline_s:
                raise TimeoutError
            time.sleep(_POLL_S)
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise ConnectionResetError

    def _listen(self) -> None:
        """Throw away what the receiver says.

        Raises:
            OSError: It has ended the connection.
        """
        timeout = self._sock.gettimeout()
        self._sock.setblocking(False)
        try:
            for _ in range(_MOST_TALK_BYTES // _CHUNK_BYTES):
                if not self._sock.recv(_CHUNK_BYTES):
                    raise ConnectionAbortedError
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            self._sock.settimeout(timeout)


def reason_of(exc: Exception) -> str:
    """Return why a connection failed: a slug, without names and addresses."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _certificate_reason(exc.verify_code)
    if isinstance(exc, UnicodeError):
        return "dns"
    for kind, slug in _REASONS:
        if isinstance(exc, kind):
            return slug
    return "network"


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (socket.gaierror, "dns"),
    (TimeoutError, "stalled"),
    (ConnectionRefusedError, "refused"),
    (ConnectionAbortedError, "closed"),
    (ssl.SSLZeroReturnError, "closed"),
    (ssl.SSLEOFError, "closed"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (ssl.SSLError, "tls"),
)


def _certificate_reason(code: int) -> str:
    if code in {_EXPIRED, _NOT_YET_VALID}:
        return "certificate-expired"
    return "certificate-name" if code in _NAME else "certificate-untrusted"


def _tune(sock: socket.socket, patience: Patience) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A machine that is gone says nothing: the kernel finds out on an idle line, too.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
    sock.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience.stall_s * 1000)
    )


def _unacknowledged(sock: socket.socket) -> int:
    """Return how many octets of ours no kernel has acknowledged (SIOCOUTQ)."""
    found = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, found)
    return found[0]
