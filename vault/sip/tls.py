"""TLS of a SIP connection, without I/O: octets of a stream in, octets of SIP out.

    take(octets) ─► OpenSSL ─► octets of SIP
                      │
                      └─► outgoing(): what goes to the peer

The order in which a client certificate is trusted (ADR 0012):

1. The peer proves that it has the private key (OpenSSL, in the handshake).
2. The certificate is in its time, its key and signatures are strong (level 2).
3. With roots configured it leads to one of them, or it is self-signed.
4. (caller's) Its SHA-256 is the one that a device was registered with.

A peer without a certificate gets in and has proved nothing.  As a client we want
the server's certificate to be good for the name that was asked for, or to be the one
that the same peer showed when it came to us.

Guarantees:
    * TLS 1.2 or 1.3, ECDHE and an AEAD; no compression, no renegotiation, no
      resumption and no tickets: what a certificate proved is proved on each
      connection.
    * Nothing but `TlsFailedError` leaves `take`, whatever the octets.
    * No key log; a passphrase is never asked for on a terminal.

Left to others: sockets and time (`vault.sip.streams`), devices (the application).

Spec: RFC 8446, RFC 5246, RFC 9325; RFC 3261, section 26.2.1; RFC 5922, section 7.
"""

import contextlib
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from OpenSSL import SSL, crypto

from vault.core.errors import ConfigurationError, InvalidInputError
from vault.core.tls import CIPHERS

_OPTIONS: Final = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)
_READ: Final = 65536

# Of OpenSSL's X509_V_ERR_…: what is wrong with who signed, and with nothing else.
_SELF_SIGNED: Final = 18
_UNKNOWN_ISSUER: Final = frozenset({2, 19, 20, 21})
_OTHER_PURPOSE: Final = 26


class TlsFailedError(InvalidInputError):
    """A handshake or a record that is not what it should be."""


class CertificateRefusedError(TlsFailedError):
    """The peer's certificate is not one that we take."""


def server_context(*, cert: Path, key: Path, ca: Path | None) -> SSL.Context:
    """Return what handshakes of clients are done with.

    Args:
        cert: PEM of our certificate, and of those between it and its root.
        key: PEM of its private key, without a passphrase.
        ca: PEM of roots that certificates of clients must lead to.

    Raises:
        ConfigurationError: A file cannot be read, or the key is not the
            certificate's.
    """
    # Roots are not listed to clients: those that see a list that their certificate
    # does not lead to send none, which is every self-signed one.
    return _context(SSL.TLS_SERVER_METHOD, cert=cert, key=key, ca=ca)


def client_context(*, cert: Path, key: Path, ca: Path | None) -> SSL.Context:
    """Return what handshakes with servers are done with; as `server_context`."""
    return _context(SSL.TLS_CLIENT_METHOD, cert=cert, key=key, ca=ca)


class TlsLayer:
    """One connection, from its handshake on."""

    def __init__(
        self,
        context: SSL.Context,
        *,
        is_server: bool,
        needs_root: bool,
        server_name: str = "",
    ) -> None:
        """Begin.

        Args:
            context: As made above, for the same side.
            is_server: Which side we are.
            needs_root: Whether a certificate that is not self-signed must lead to a
                root of the context.
            server_name: Whom a client asks for (SNI), where it is a name.
        """
        self._connection = SSL.Connection(context, None)
        self._needs_root = needs_root
        self._refused = False
        self.is_open = False
        "Whether the handshake is done."
        self.is_ended = False
        "Whether the peer has said that it will say no more."
        self.certificate_sha256: bytes | None = None
        "SHA-256 of the DER of the certificate that the peer proved to hold."
        if is_server:
            self._connection.set_verify(SSL.VERIFY_PEER, self._is_taken)
            self._connection.set_accept_state()
        else:
            # Looked at when the handshake is done (`check_server`).
            self._connection.set_verify(SSL.VERIFY_NONE)
            if server_name.isascii() and not _is_literal(server_name):
                self._connection.set_tlsext_host_name(server_name.encode())
            self._connection.set_connect_state()
            self._shake_hands()

    def take(self, octets: bytes) -> bytes:
        """Take what the peer sent; return what of it is SIP.

        Raises:
            TlsFailedError: The connection is over; `outgoing` has the alert.
        """
        try:
            if octets:
                self._connection.bio_write(octets)
            if not self.is_open:
                self._shake_hands()
            return self._read() if self.is_open else b""
        except SSL.Error as error:
            if self._refused:
                raise CertificateRefusedError("client certificate refused") from error
            raise TlsFailedError("TLS failed") from error

    def put(self, octets: bytes) -> None:
        """Encrypt *octets*; `outgoing` has them.

        Raises:
            RuntimeError: The handshake is not done.
            TlsFailedError: The connection is over.
        """
        if not self.is_open:
            raise RuntimeError("TLS is not open")
        try:
            view = memoryview(octets)
            while view:
                view = view[self._connection.send(view) :]
        except SSL.Error as error:
            raise TlsFailedError("TLS failed") from error

    def outgoing(self) -> bytes:
        """Return what is to be sent, once."""
        parts = []
        while True:
            try:
                parts.append(self._connection.bio_read(_READ))
            except SSL.WantReadError:
                return b"".join(parts)

    def say_goodbye(self) -> None:
        """Tell the peer that this was all; `outgoing` has it."""
        # A handshake that never ended has nothing to close.
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()

    def check_server(
        self, host: str, *, roots: Sequence[x509.Certificate], known: bytes | None
    ) -> None:
        """Accept the server that the handshake was done with.

        Args:
            host: Name or literal that was asked for.
            roots: That its certificate may lead to.
            known: SHA-256 of a certificate that this peer has proved to hold before.

        Raises:
            CertificateRefusedError: It could be anybody.

        Spec: RFC 5922, section 7.
        """
        # 1. Who it was before, it is again.
        if known is not None and self.certificate_sha256 == known:
            return
        # 2. Else its certificate is good for the name.  Without roots none is.
        if not roots:
            raise CertificateRefusedError("no roots to check a server by (tls_ca)")
        try:
            chain = self._connection.get_peer_cert_chain(as_cryptography=True) or []
            subject = (
                x509.IPAddress(ipaddress.ip_address(host))
                if _is_literal(host)
                else x509.DNSName(host)
            )
            verifier = (
                PolicyBuilder().store(Store(list(roots))).build_server_verifier(subject)
            )
            verifier.verify(chain[0], chain[1:])
        except (VerificationError, ValueError, IndexError) as error:
            raise CertificateRefusedError("server certificate refused") from error

    def _shake_hands(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        certificate = self._connection.get_peer_certificate()
        if certificate is not None:
            # By OpenSSL, which has just taken it: a stricter parser could refuse.
            octets = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
            self.certificate_sha256 = hashlib.sha256(octets).digest()
        self.is_open = True

    def _read(self) -> bytes:
        parts = []
        while not self.is_ended:
            try:
                parts.append(self._connection.recv(_READ))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.is_ended = True
        return b"".join(parts)

    def _is_taken(
        self,
        _connection: SSL.Connection,
        _certificate: crypto.X509,
        error: int,
        _depth: int,
        ok: int,
    ) -> bool:
        # It is called in the handshake, once for each certificate and error.  What
        # comes out as True here is identified by its fingerprint and nothing else.
        taken = bool(ok) or error in {_SELF_SIGNED, _OTHER_PURPOSE}
        if error in _UNKNOWN_ISSUER:
            taken = not self._needs_root
        self._refused = self._refused or not taken
        return taken


def read_roots(ca: Path | None) -> tuple[x509.Certificate, ...]:
    """Return the certificates of the PEM file *ca*; none without one.

    Raises:
        ConfigurationError: It cannot be read, or holds none.
    """
    if ca is None:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(ca.read_bytes()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"no certificates can be read from {ca}") from error


def _context(method: int, *, cert: Path, key: Path, ca: Path | None) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS.encode())
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Thousands of connections are silent most of the time.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.use_certificate_chain_file(str(cert))
        # Not by OpenSSL: it would ask for a passphrase on the terminal.
        context.use_privatekey(_private_key(key))
        context.check_privatekey()
        if ca is not None:
            context.load_verify_locations(str(ca))
    except (SSL.Error, OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"TLS of SIP: {cert} and {key} cannot be used together, or {ca} is not PEM"
        ) from error
    return context


def _private_key(
    path: Path,
) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if isinstance(
        key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    ):
        return key
    raise ValueError("not a key for TLS")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
