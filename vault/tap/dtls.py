"""DTLS-SRTP handshakes, without I/O: datagrams in, datagrams and keys out.

We are the server.  One handshake is one memory-to-memory OpenSSL connection:

    take(datagram) ─► OpenSSL ─► outgoing() ─► the peer
                        │
                        └─► outcome: `Keys`, or the `Failure` that it was

The order in which a handshake is trusted:

1. (caller's) Its address has proved itself: by a connectivity check, or here by a
   cookie (`Identity.listen`).  Until then nothing is kept for it.
2. The peer shows a certificate and proves that it has the key (OpenSSL).
3. The certificate has a fingerprint of the offer: compared in constant time, in
   the handshake, so that a wrong one ends it before there are keys.
4. Both have an SRTP protection profile (RFC 5764, section 4.1.2).
5. Only then are keys exported: the peer's half, because we never send.

Guarantees:
    * DTLS 1.2 with ECDHE and an AEAD; no renegotiation, no resumption, no tickets.
    * Neither key material nor a secret of the handshake is logged, stored or shown;
      there is no key log.
    * A memory-to-memory connection cannot read or spoil what waits in a socket.
    * No exception from `take`, whatever the octets.

Left to others: sockets, time and who may try (`vault.tap.association`).

Spec: RFC 5764, section 4; RFC 6347, section 4.2; RFC 8122, section 6; ADR 0010.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.stun import Source

MTU: Final = 1200
"Octets of a datagram of ours: fits through every path that media fits through."

_DTLS_1_2: Final = 0xFEFD
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305"
)
_PROFILES: Final = MappingProxyType(
    {
        b"SRTP_AEAD_AES_256_GCM": (SrtpSuite.AEAD_AES_256_GCM, 32),
        b"SRTP_AEAD_AES_128_GCM": (SrtpSuite.AEAD_AES_128_GCM, 16),
        b"SRTP_AES128_CM_SHA1_80": (SrtpSuite.AES_CM_128_HMAC_SHA1_80, 16),
    }
)
"Ours by OpenSSL's names, best first: suite and octets of a master key."
_EXPORTER: Final = b"EXTRACTOR-dtls_srtp"
_HASHES: Final = MappingProxyType(
    {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
)
_LIFE: Final = dt.timedelta(days=3650)
"Of a certificate that ends with its process; nobody looks, and nobody should trip."

_RECORD_HEADER: Final = 13
_CHANGE_CIPHER_SPEC, _HANDSHAKE = 20, 22
_CLIENT_HELLO: Final = 1
_KEY_EXCHANGE: Final = 16
_IN_THE_CLEAR: Final = frozenset({_CLIENT_HELLO, _KEY_EXCHANGE, 11, 15})
"Messages of a client before it encrypts; 11 and 15 are its certificate's."
_HANDSHAKE_HEADER: Final = 12
_READ: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a handshake was for."""

    suite: SrtpSuite
    key: SecretBytes
    "Master key and salt of the peer, as `StreamOrder.key` wants them."


@unique
class Failure(StrEnum):
    """Why there are no keys."""

    NO_CHECK = "no-check"
    NO_HANDSHAKE = "no-handshake"
    WRONG_CERTIFICATE = "wrong-certificate"
    NO_SUITE = "no-suite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPeer:
    """Whose certificate will do: one with any of these digests."""

    algorithm: str
    "``sha-256``, ``sha-384`` or ``sha-512``."
    digests: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.algorithm not in _HASHES or not self.digests:
            raise ValueError(f"no digests by {self.algorithm}")

    def is_shown_by(self, certificate: bytes) -> bool:
        """Whether *certificate*, DER, is one of them; in constant time."""
        shown = hashlib.new(_HASHES[self.algorithm], certificate).digest()
        equal = [hmac.compare_digest(shown, digest) for digest in self.digests]
        return any(equal)


class Handshake:
    """One handshake with one peer; made by `Identity`."""

    def __init__(
        self, context: SSL.Context, expected: ExpectedPeer, source: Source
    ) -> None:
        self.source = source
        "Where the last datagram came from, and answers go."
        self.outcome: Keys | Failure | None = None
        self._expected = expected
        self._wrong_certificate = False
        self._exchanged = False
        "Whether the client has sent its half of the key exchange."
        self._connection = SSL.Connection(context)
        self._connection.set_app_data(self)
        self._connection.set_accept_state()
        self._connection.set_options(SSL.OP_NO_QUERY_MTU)
        self._connection.set_ciphertext_mtu(MTU)

    def take(self, datagram: bytes) -> None:
        """Take in one datagram of the peer."""
        records = [one for one in _records(datagram) if self._may_be_a_clients(one)]
        if records and not isinstance(self.outcome, Failure):
            self._connection.bio_write(b"".join(records))
            self._go_on()

    def outgoing(self) -> list[bytes]:
        """Return the datagrams to send now."""
        octets = b""
        while True:
            try:
                octets += self._connection.bio_read(_READ)
            except SSL.Error:
                return _datagrams(octets)

    def timeout_s(self) -> float | None:
        """Return the seconds until `on_timeout`; None where nothing is waited for."""
        if isinstance(self.outcome, Failure):
            return None
        return self._connection.DTLSv1_get_timeout()

    def on_timeout(self) -> None:
        """Send a lost flight again, if it is time."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self._fail(Failure.NO_HANDSHAKE)

    def listen(self) -> bool:
        """Whether what was written is a ClientHello with our cookie.

        If not, `outgoing` has one for it (HelloVerifyRequest, RFC 6347, 4.2.1).
        """
        try:
            self._connection.DTLSv1_listen()
        except SSL.Error:
            return False
        return True

    def write(self, datagram: bytes) -> None:
        """Hand over a first datagram, for `listen` to look at."""
        self._connection.bio_write(datagram)

    def shows_right(self, certificate: crypto.X509) -> bool:
        """Whether the peer's certificate is the one of the offer."""
        octets = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        right = self._expected.is_shown_by(octets)
        self._wrong_certificate = not right
        return right

    def _may_be_a_clients(self, record: bytes) -> bool:
        """Whether an honest client could have sent *record* now.

        What is encrypted proves itself.  In the clear OpenSSL ends a handshake for
        an alert or for anything unexpected, and that could be anybody's; an honest
        client repeats what came too early.
        """
        if _epoch(record) > 0:
            return True
        if record[0] == _CHANGE_CIPHER_SPEC:
            return self._exchanged
        message = record[_RECORD_HEADER] if len(record) > _RECORD_HEADER else 0
        self._exchanged |= message == _KEY_EXCHANGE
        return record[0] == _HANDSHAKE and message in _IN_THE_CLEAR

    def _go_on(self) -> None:
        if isinstance(self.outcome, Keys):
            self._repeat_last_flight()
            return
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error:
            wrong = self._wrong_certificate
            self._fail(Failure.WRONG_CERTIFICATE if wrong else Failure.NO_HANDSHAKE)
            return
        self._conclude()

    def _conclude(self) -> None:
        """Export the keys: the handshake is done, and nothing has used it yet."""
        certificate = self._connection.get_peer_certificate()
        if certificate is None or not self.shows_right(certificate):
            self._fail(Failure.WRONG_CERTIFICATE)
            return
        profile = self._connection.get_selected_srtp_profile()
        if profile not in _PROFILES:
            self._fail(Failure.NO_SUITE)
            return
        suite, key_size = _PROFILES[profile]
        salt_size = suite.master_size_bytes - key_size
        # client key ‖ server key ‖ client salt ‖ server salt (RFC 5764, 4.2)
        material = self._connection.export_keying_material(
            _EXPORTER, 2 * suite.master_size_bytes
        )
        key, salt = material[:key_size], material[2 * key_size :][:salt_size]
        self.outcome = Keys(suite=suite, key=SecretBytes(key + salt))

    def _repeat_last_flight(self) -> None:
        """Let OpenSSL see whether the peer has missed our last flight."""
        try:
            self._connection.recv(1)
        except SSL.Error:
            # Nothing to read, as it should be, or an end that comes too early.
            return

    def _fail(self, failure: Failure) -> None:
        self.outcome = failure
        try:
            self._connection.shutdown()
        except SSL.Error:
            # It had not come so far; OpenSSL's own alert says why.
            return


class Identity:
    """The certificate of this process, in memory only (ADR 0010)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate) -> None:
        self.sha256 = cert.fingerprint(hashes.SHA256())
        "What ``a=fingerprint:sha-256`` of our answers says."
        self._cookie_key = secrets.token_bytes(32)
        context = SSL.Context(SSL.DTLS_SERVER_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        # In DTLS 1.3 a client may send media before our side is done: the reader
        # of the socket counts on the order of 1.2.
        context.set_max_proto_version(_DTLS_1_2)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate(cert)
        context.use_privatekey(key)
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _judge_certificate
        )
        context.set_tlsext_use_srtp(b":".join(_PROFILES))
        context.set_cookie_generate_callback(self._cookie)
        context.set_cookie_verify_callback(self._is_cookie)
        self._context = context

    @classmethod
    def fresh(cls) -> Self:
        """Return a new one: ECDSA P-256, self-signed, for this process alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        # No name of the host or the product: a peer learns nothing from it.
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "srtp")])
        now = dt.datetime.now(dt.UTC)
        cert = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + _LIFE)
            .sign(key, hashes.SHA256())
        )
        return cls(key, cert)

    def begin(self, expected: ExpectedPeer, source: Source) -> Handshake:
        """Begin with somebody whose address has proved itself already."""
        return Handshake(self._context, expected, source)

    def listen(
        self, datagram: bytes, expected: ExpectedPeer, source: Source
    ) -> tuple[Handshake | None, list[bytes]]:
        """Look at a ClientHello from an address that has proved nothing.

        Returns:
            A handshake that has begun if it brings the cookie that we gave to that
            address; and in any case what to send there.  A ClientHello in
            fragments cannot be looked at without keeping state, and gets silence.
        """
        handshake = Handshake(self._context, expected, source)
        handshake.write(datagram)
        if not handshake.listen():
            return None, handshake.outgoing()
        handshake._go_on()  # noqa: SLF001 - the two are one
        return handshake, handshake.outgoing()

    def _cookie(self, connection: SSL.Connection) -> bytes:
        host, port = _handshake_of(connection).source
        named = f"{host} {port}".encode()
        return hmac.digest(self._cookie_key, named, "sha256")

    def _is_cookie(self, connection: SSL.Connection, cookie: bytes) -> bool:
        return hmac.compare_digest(cookie, self._cookie(connection))


def is_client_hello(datagram: bytes) -> bool:
    """Whether a datagram begins with a ClientHello in the clear."""
    return (
        len(datagram) > _RECORD_HEADER + _HANDSHAKE_HEADER
        and datagram[0] == _HANDSHAKE
        and datagram[1] == 0xFE  # noqa: PLR2004 - DTLS of any version
        and _epoch(datagram) == 0
        and datagram[_RECORD_HEADER] == _CLIENT_HELLO
    )


def _judge_certificate(
    connection: SSL.Connection,
    certificate: crypto.X509,
    _error: int,
    depth: int,
    _ok: int,
) -> bool:
    # Signed by whomever: the fingerprint is what counts (RFC 8122, section 6.2).
    # OpenSSL itself checks that the peer has the private key.
    return depth > 0 or _handshake_of(connection).shows_right(certificate)


def _handshake_of(connection: SSL.Connection) -> Handshake:
    handshake = connection.get_app_data()
    assert isinstance(handshake, Handshake)
    return handshake


def _epoch(record: bytes) -> int:
    return int.from_bytes(record[3:5])


def _records(octets: bytes) -> Iterator[bytes]:
    """Yield the DTLS records of *octets*; what is cut off is none."""
    at = 0
    while at + _RECORD_HEADER <= len(octets):
        stop = at + _RECORD_HEADER + int.from_bytes(octets[at + 11 : at + 13])
        if stop > len(octets):
            return
        yield octets[at:stop]
        at = stop


def _datagrams(octets: bytes) -> list[bytes]:
    """Put records into datagrams again: a memory BIO runs them together."""
    datagrams: list[bytes] = []
    for record in _records(octets):
        if datagrams and len(datagrams[-1]) + len(record) <= MTU:
            datagrams[-1] += record
        else:
            datagrams.append(record)
    return datagrams
