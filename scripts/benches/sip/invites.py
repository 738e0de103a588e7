"""Messages of a bench's recording clients: whole calls as text, quickly made.

An INVITE is what a session border controller sends: SDP with two SRTP streams under
keys of its own, and metadata that names two parties.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field

from vault.siprec.simulated_bodies import Speaker, metadata_of, multipart

SUITE = "AES_CM_128_HMAC_SHA1_80"
_MASTER_BYTES = 30
_SPEAKERS = (
    Speaker(label="1", aor="sip:ada@example.net", name="Ada Lovelace"),
    Speaker(label="2", aor="sip:+442079460123@example.net", name="Charles Babbage"),
)
_END = "\r\n"


def offer(keys: list[bytes], address: str) -> str:
    """Return SDP with one G.711 stream for each of *keys*."""
    lines = ["v=0", f"o=src 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}"]
    lines.append("t=0 0")
    for label, key in enumerate(keys, 1):
        inline = base64.b64encode(key).decode()
        lines += [
            "m=audio 4000 RTP/SAVP 0",
            "a=rtpmap:0 PCMU/8000",
            f"a=crypto:1 {SUITE} inline:{inline}",
            f"a=label:{label}",
            "a=sendonly",
        ]
    return _END.join(lines) + _END


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One call as its client sees it."""

    transport: str
    here: tuple[str, int]
    there: tuple[str, int]
    call_id: str = field(default_factory=lambda: secrets.token_hex(12))
    tag: str = field(default_factory=lambda: secrets.token_hex(6))
    keys: list[bytes] = field(
        default_factory=lambda: [secrets.token_bytes(_MASTER_BYTES) for _ in range(2)]
    )
    to: str = ""
    "The To of the 2xx, with the recorder's tag."
    target: str = ""
    "The Contact of the 2xx."

    def invite(self, authorization: str = "") -> bytes:
        """Offer the call."""
        address = self.here[0]
        sdp = offer(self.keys, address)
        body, kind = multipart(sdp, metadata_of(_SPEAKERS, session=self.call_id))
        rows = [
            f"Contact: <sip:src@{address}:{self.here[1]}>;+sip.src",
            "Require: siprec",
            "Accept: application/sdp",
            "Supported: timer",
            f"Content-Type: {kind}",
        ]
        if authorization:
            rows.append(f"Authorization: {authorization}")
        return self._request("INVITE", 1, rows, body)

    def ack(self) -> bytes:
        """Acknowledge the 2xx."""
        return self._request("ACK", 1, [], b"")

    def bye(self) -> bytes:
        """Hang up."""
        return self._request("BYE", 2, [], b"")

    def learn(self, answer: str) -> None:
        """Take the recorder's tag and address from its 2xx."""
        self.to = value(answer, "To")
        contact = value(answer, "Contact")
        self.target = contact[contact.index("<") + 1 : contact.index(">")]

    @property
    def uri(self) -> str:
        """What requests are for."""
        return self.target or f"sip:srs@{self.there[0]}:{self.there[1]}"

    def _request(self, method: str, number: int, rows: list[str], body: bytes) -> bytes:
        host, port = self.here
        to = self.to or f"<sip:srs@{self.there[0]}:{self.there[1]}>"
        by, branch = self.transport.upper(), f"z9hG4bK{secrets.token_hex(8)}"
        lines = [
            f"{method} {self.uri} SIP/2.0",
            f"Via: SIP/2.0/{by} {host}:{port};rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:src@{host}>;tag={self.tag}",
            f"To: {to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            *rows,
            f"Content-Length: {len(body)}",
        ]
        return (_END.join(lines) + 2 * _END).encode() + body


@dataclass(slots=True, kw_only=True)
class Credentials:
    """A device's digest, one nonce used again and again (RFC 7616, ``nc``)."""

    name: str
    token: str
    realm: str
    nonce: str
    uses: int = 0

    @classmethod
    def of(cls, name: str, token: str, answer: str) -> "Credentials":
        """Take the SHA-256 challenge of a 401."""
        challenge = next(
            line
            for line in answer.split(_END)
            if line.startswith("WWW-Authenticate") and "SHA-256" in line
        )
        said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        return cls(name=name, token=token, realm=said["realm"], nonce=said["nonce"])

    def of_invite(self, uri: str) -> str:
        """Return the next ``Authorization`` of an INVITE for *uri*."""
        self.uses += 1
        count, mark = f"{self.uses:08x}", secrets.token_hex(4)
        first = _sha256(f"{self.name}:{self.realm}:{self.token}")
        second = _sha256(f"INVITE:{uri}")
        proof = _sha256(f"{first}:{self.nonce}:{count}:{mark}:auth:{second}")
        return (
            f'Digest username="{self.name}", realm="{self.realm}", '
            f'nonce="{self.nonce}", uri="{uri}", response="{proof}", '
            f'algorithm=SHA-256, cnonce="{mark}", qop=auth, nc={count}'
        )


def value(message: str, name: str) -> str:
    """Return the first header *name* of a message, empty if it has none."""
    found = message.find(f"\r\n{name}: ")
    if found < 0:
        return ""
    at = found + len(name) + 4
    return message[at : message.index(_END, at)]


def status(message: str) -> int:
    """Return the status of an answer; 0 for a request."""
    return int(message[8:11]) if message.startswith("SIP/2.0 ") else 0


def media_ports(answer: str) -> list[int]:
    """Return the RTP ports of the SDP in an answer."""
    lines = answer.split(_END)
    return [int(line.split()[1]) for line in lines if line.startswith("m=")]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
