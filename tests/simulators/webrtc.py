"""A WebRTC gateway: connectivity checks, a DTLS client, SRTP; well-behaved or not.

Written from the RFCs and sharing no code with what it tests; the handshake and the
keys are OpenSSL's, the packets libsrtp's.
"""

import datetime as dt
import hashlib
import hmac
import re
import secrets
import socket
import struct
import time
import zlib
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL import SSL
from pylibsrtp import Policy, Session

COOKIE: Final = 0x2112A442
WITHIN_S: Final = 20.0
_PROFILES: Final = {
    b"SRTP_AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    b"SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
ALL_PROFILES: Final = b":".join(_PROFILES)


class Certificate:
    """A key, a self-signed certificate, and its fingerprint."""

    def __init__(self, *, is_rsa: bool = False) -> None:
        self.key = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if is_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
        now = dt.datetime.now(dt.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .sign(self.key, hashes.SHA256())
        )

    def pem(self) -> bytes:
        """Return certificate and key, as files have them."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.certificate.public_bytes(Encoding.PEM) + key

    def digest(self, algorithm: str = "sha-256") -> bytes:
        """Return the digest of the certificate by *algorithm*, as SDP spells it."""
        by = {
            "sha-256": hashes.SHA256(),
            "sha-384": hashes.SHA384(),
            "sha-512": hashes.SHA512(),
        }
        return self.certificate.fingerprint(by[algorithm])

    def fingerprint(self, algorithm: str = "sha-256") -> str:
        """Return the value of ``a=fingerprint``."""
        return f"{algorithm} {self.digest(algorithm).hex(':').upper()}"


class DtlsClient:
    """The client of a handshake, in memory: datagrams in, datagrams out."""

    def __init__(
        self,
        certificate: Certificate | None = None,
        *,
        profiles: bytes = ALL_PROFILES,
        mtu: int = 1200,
    ) -> None:
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        if certificate is not None:
            context.use_certificate(certificate.certificate)
            context.use_privatekey(certificate.key)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        if profiles:
            context.set_tlsext_use_srtp(profiles)
        self.connection = SSL.Connection(context)
        self.connection.set_connect_state()
        self.connection.set_options(SSL.OP_NO_QUERY_MTU)
        self.connection.set_ciphertext_mtu(mtu)
        self.is_done = False
        self.error: SSL.Error | None = None

    def go_on(self) -> list[bytes]:
        """Take a step and return the datagrams to send."""
        if not self.is_done:
            try:
                self.connection.do_handshake()
                self.is_done = True
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self.error = error
        return self.outgoing()

    def take(self, datagram: bytes) -> list[bytes]:
        """Take a datagram of the server and return the datagrams to send."""
        self.connection.bio_write(datagram)
        return self.go_on()

    def repeat(self) -> list[bytes]:
        """Return a flight again, once its timer has run out."""
        self.connection.DTLSv1_handle_timeout()
        return self.outgoing()

    def outgoing(self) -> list[bytes]:
        """Return what is to send, one record per datagram."""
        octets = b""
        while True:
            try:
                octets += self.connection.bio_read(65536)
            except SSL.WantReadError:
                break
        found = []
        while octets:
            size = 13 + int.from_bytes(octets[11:13])
            found.append(octets[:size])
            octets = octets[size:]
        return found

    def server_digest(self) -> bytes:
        """Return the SHA-256 of the server's certificate."""
        certificate = self.connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return certificate.fingerprint(hashes.SHA256())

    def sender(self, ssrc: int = 0x1234) -> Session:
        """Return libsrtp's sender under the client's keys."""
        profile = self.connection.get_selected_srtp_profile()
        number, key, salt = _PROFILES[profile]
        material = self.connection.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (key + salt)
        )
        policy = Policy(
            key=material[:key] + material[2 * key : 2 * key + salt],
            ssrc_type=Policy.SSRC_SPECIFIC,
            ssrc_value=ssrc,
            srtp_profile=number,
        )
        return Session(policy)


@dataclass(kw_only=True)
class Gateway:
    """One peer on one UDP socket, talking to the port of one answered section."""

    certificate: Certificate = field(default_factory=Certificate)
    profiles: bytes = ALL_PROFILES
    ice: bool = True
    address: str = "127.0.0.1"
    fingerprint: str = ""
    "Instead of that of the certificate."
    mtu: int = 1200

    def __post_init__(self) -> None:
        self.ufrag = secrets.token_hex(3)
        self.password = secrets.token_hex(14)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 0))
        self.socket.settimeout(0.2)
        self.client = DtlsClient(self.certificate, profiles=self.profiles, mtu=self.mtu)
        self.sequence = 0
        self.sender: Session | None = None
        self.flights = 0
        "Datagrams of handshakes sent so far, repeated ones among them."

    def restart(self) -> None:
        """Begin a new association, with a new certificate and new credentials."""
        self.certificate = Certificate()
        self.ufrag, self.password = secrets.token_hex(3), secrets.token_hex(14)
        self.client = DtlsClient(self.certificate, profiles=self.profiles, mtu=self.mtu)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    # ------------------------------------------------------------------- SDP

    def section(self, *, label: str = "", mid: str = "0") -> str:
        """Return an ``m=`` section as a browser writes it."""
        lines = [
            "m=audio 9 UDP/TLS/RTP/SAVPF 0",
            f"c=IN IP4 {self.address}",
            "a=rtpmap:0 PCMU/8000",
            f"a=fingerprint:{self.fingerprint or self.certificate.fingerprint()}",
            "a=setup:actpass",
            f"a=mid:{mid}",
            "a=sendonly",
            "a=rtcp-mux",
            "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            "a=candidate:1 1 udp 2113937151 b4d3.local 51820 typ host generation 0",
            *([f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.password}"] * self.ice),
            *([f"a=label:{label}"] if label else []),
        ]
        return "".join(f"{line}\r\n" for line in lines)

    def offer(self, *others: "Gateway") -> str:
        """Return an offer with a section for this one and each of *others*."""
        labels = ["agent", "customer"]
        sections = [
            one.section(mid=str(place), label=labels[place])
            for place, one in enumerate((self, *others))
        ]
        mids = " ".join(str(place) for place in range(len(sections)))
        head = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n"
        return head + "".join(sections)

    def read(self, answer: str, place: int = 0) -> None:
        """Take in the section at *place* of the answer."""
        section = answer.split("m=")[place + 1]
        self.answer = section
        self.port = int(section.split()[1])
        if self.ice:
            self.their_ufrag = found("ice-ufrag", section)
            self.their_password = found("ice-pwd", section)
        algorithm, digits = found("fingerprint", section).split()
        assert algorithm == "sha-256"
        self.their_digest = bytes.fromhex(digits.replace(":", ""))

    # ------------------------------------------------------------------- ICE

    def check(self, *, password: str = "", user: str = "") -> bytes:
        """Return a connectivity check."""
        body = attribute(0x0006, (user or f"{self.their_ufrag}:{self.ufrag}").encode())
        body += attribute(0x0024, struct.pack(">I", 1853824767))
        body += attribute(0x802A, secrets.token_bytes(8)) + attribute(0x0025, b"")
        return signed(body, (password or self.their_password).encode())

    def is_checked(
        self, request: bytes | None = None, *, within_s: float = WITHIN_S
    ) -> bool:
        """Send a check and see whether it is answered rightly."""
        request = request or self.check()
        answer = self._answer_to(request, within_s)
        if answer is None:
            return False
        assert answer[:4] == struct.pack(">HH", 0x0101, len(answer) - 20)
        assert answer[4:20] == request[4:20]
        key = self.their_password.encode()
        # XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT
        assert answer[20:24] == struct.pack(">HH", 0x0020, 8)
        port = struct.unpack(">H", answer[26:28])[0] ^ (COOKIE >> 16)
        assert port == self.socket.getsockname()[1]
        assert answer == signed(
            answer[20:32], key, kind=0x0101, transaction=request[8:20]
        )
        return True

    def _answer_to(self, request: bytes, within_s: float) -> bytes | None:
        self.send(request)
        deadline = time.monotonic() + within_s
        answer = None
        while answer is None and time.monotonic() < deadline:
            # Answers to earlier ones may have waited for a new media worker.
            answer = self.receive(lambda octets: octets[8:20] == request[8:20])
        return answer

    def is_answered(self, request: bytes, *, within_s: float = WITHIN_S) -> bool:
        """Send *request* and see whether there is any answer."""
        return self._answer_to(request, within_s) is not None

    # ------------------------------------------------------------------ DTLS

    def shake(self, *, lose: tuple[int, ...] = (), within_s: float = WITHIN_S) -> bool:
        """Make the handshake; whether it came to its end.

        Datagrams of the server whose number, from 0, is in *lose* are lost.
        """
        deadline = time.monotonic() + within_s
        received = 0
        self._send_flight(self.client.go_on())
        while not self.client.is_done and time.monotonic() < deadline:
            if self.client.error is not None:
                return False
            datagram = self.receive(lambda octets: 20 <= octets[0] <= 63)
            if datagram is None:
                self._send_flight(self.client.repeat())
                continue
            received += 1
            if received - 1 not in lose:
                self._send_flight(self.client.take(datagram))
        if self.client.is_done:
            assert self.client.server_digest() == self.their_digest
        return self.client.is_done

    def _send_flight(self, datagrams: list[bytes]) -> None:
        self.flights += len(datagrams)
        self.send(*datagrams)

    # ----------------------------------------------------------------- media

    def speak(self, packets: int, *, pace_s: float = 0.0) -> None:
        """Send G.711 silence, 20 ms a packet."""
        if self.sender is None:
            self.sender = self.client.sender()
        for _ in range(packets):
            self.sequence += 1
            head = struct.pack(
                ">BBHII", 0x80, 0, self.sequence, 160 * self.sequence, 0x1234
            )
            self.send(self.sender.protect(head + b"\xff" * 160))
            if pace_s:
                time.sleep(pace_s)

    def send(self, *datagrams: bytes) -> None:
        """Send to the answered port."""
        for datagram in datagrams:
            self.socket.sendto(datagram, (self.address, self.port))

    def receive(self, wanted: object = None) -> bytes | None:
        """Return the next wanted datagram, or None if none comes for 0.2 s."""
        while True:
            try:
                octets = self.socket.recv(4096)
            except TimeoutError:
                return None
            if wanted is None or wanted(octets):  # type: ignore[operator] # a predicate
                return octets


def found(name: str, sdp: str) -> str:
    """Return the value of the first ``a=name:`` line."""
    match = re.search(rf"a={name}:(.*?)\r\n", sdp)
    assert match is not None, f"no {name} in {sdp}"
    return match[1]


def attribute(kind: int, value: bytes) -> bytes:
    """Return a STUN attribute, padded."""
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def signed(
    body: bytes, key: bytes, *, kind: int = 0x0001, transaction: bytes = b""
) -> bytes:
    """Return a STUN message with MESSAGE-INTEGRITY and FINGERPRINT."""
    transaction = transaction or secrets.token_bytes(12)

    def head(size: int) -> bytes:
        return struct.pack(">HHI", kind, size, COOKIE) + transaction

    mac = hmac.new(key, head(len(body) + 24) + body, hashlib.sha1).digest()
    body += attribute(0x0008, mac)
    crc = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
    body += attribute(0x8028, struct.pack(">I", crc))
    return head(len(body)) + body
