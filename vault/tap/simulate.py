"""A simulated PBX: sends a real two-party call, in real time, as SRTP.

It stands where a PBX or SBC stands: it builds the offer, is given the answer,
and sends the packaged conversation to the addresses in it, 20 ms a packet, a
sender report every 5 s.  `callvault simulate` and the demo use it; so do tests.

Guarantees: packets leave on a monotonic schedule, so that a slow machine sends
late and never short.  Keys are fresh for every call.

Left to others: carrying offer and answer (HTTP or SIP).

Spec: RFC 3550, RFC 3551 (PCMU, PCMA), RFC 3711, RFC 4568 (section 6.1: MKI).
"""

import base64
import ipaddress
import lzma
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.rtcp import SenderReport, ntp_time, source_description
from vault.tap.rtp import RtpPacket
from vault.tap.srtp import OutboundSession

RATE_HZ: Final = 8000
PACKET_S: Final = 0.02
SAMPLES_PER_PACKET: Final = 160
LABELS: Final = ("agent", "customer")

_REPORT_EVERY: Final = 250
"Packets between two sender reports: 5 s."
_PAYLOAD_TYPES: Final = {"PCMU": 0, "PCMA": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the answer wants one stream."""

    address: str
    rtp: int
    rtcp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one party sent."""

    label: str
    ssrc: int
    packets: int
    reports: int


class SimulatedCall:
    """One call of two parties, from offer to the last packet."""

    def __init__(
        self,
        *,
        suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
        encodings: tuple[str, str] = ("PCMU", "PCMU"),
        seconds: float | None = None,
        mki_size_bytes: int = 0,
    ) -> None:
        """Prepare a call.

        Args:
            suite: What protects the packets; `SrtpSuite.PLAIN_RTP` for nothing.
            encodings: PCMU or PCMA, of each party.
            seconds: Length; the whole conversation where None.
            mki_size_bytes: Octets of the MKI in each packet, up to 128; 0 for none.

        Raises:
            ValueError: An encoding other than PCMU and PCMA, or plain RTP with an MKI.
        """
        if suite.is_plain and mki_size_bytes:
            raise ValueError("plain RTP names no key")
        mki = (1).to_bytes(mki_size_bytes, "big") if mki_size_bytes else b""
        self._parties = [
            _Party(label, encoding, suite, mki, seconds)
            for label, encoding in zip(LABELS, encodings, strict=True)
        ]

    @property
    def duration_s(self) -> float:
        """How long `send` takes."""
        return max(len(party.payloads) for party in self._parties) * PACKET_S

    def build_offer(self, address: str = "127.0.0.1") -> str:
        """Return the SDP offer; *address* is where the packets come from."""
        return build_offer(
            [party.media_lines() for party in self._parties], address=address
        )

    def send(
        self,
        answer: str,
        progress: Callable[[float, float], None] | None = None,
    ) -> tuple[Sent, ...]:
        """Send the call to where *answer* wants it; blocks for `duration_s`.

        Args:
            answer: SDP answer.
            progress: Called about every 0.2 s with seconds sent and in all.

        Raises:
            MalformedSignallingError: The answer does not say where to send to.
        """
        destinations = read_answer(answer)
        if len(destinations) != len(self._parties):
            raise MalformedSignallingError("the answer refuses a stream")
        for party, destination in zip(self._parties, destinations, strict=True):
            party.connect(destination)
        start_s = time.monotonic()
        total = max(len(party.payloads) for party in self._parties)
        try:
            for number in range(total):
                due_s = start_s + number * PACKET_S
                time.sleep(max(0.0, due_s - time.monotonic()))
                for party in self._parties:
                    party.send_packet(number)
                if progress is not None and number % 10 == 0:
                    progress(number * PACKET_S, self.duration_s)
            # Until the last packet was spoken, too: what comes next comes after it.
            time.sleep(max(0.0, start_s + total * PACKET_S - time.monotonic()))
            return tuple(party.finish() for party in self._parties)
        finally:
            for party in self._parties:
                party.close()


def build_offer(media: Sequence[Sequence[str]], *, address: str) -> str:
    """Return an SDP offer of the given media sections."""
    version = ipaddress.ip_address(address).version
    lines = [
        "v=0",
        f"o=- {secrets.randbits(48)} 1 IN IP{version} {address}",
        "s=call",
        f"c=IN IP{version} {address}",
        "t=0 0",
    ]
    for section in media:
        lines += section
    return "".join(f"{line}\r\n" for line in lines)


def read_answer(answer: str) -> list[Destination]:
    """Return where each m-line of an SDP answer wants its packets.

    Raises:
        MalformedSignallingError: No address, or a port that is no number.
    """
    found: list[Destination] = []
    session = ""
    for number, line in enumerate(answer.splitlines(), start=1):
        fields = line[2:].split()
        try:
            if line.startswith("c="):
                address = fields[2].split("/")[0]
                session, found = _addressed(session, found, address)
            elif line.startswith("m="):
                rtp = int(fields[1])
                found.append(Destination(address=session, rtp=rtp, rtcp=rtp + 1))
            elif line == "a=rtcp-mux" and found:
                last = found.pop()
                found.append(
                    Destination(address=last.address, rtp=last.rtp, rtcp=last.rtp)
                )
        except (IndexError, ValueError):
            raise MalformedSignallingError("not an answer", line=number) from None
    if not found or not all(one.address and one.rtp for one in found):
        raise MalformedSignallingError("the answer names no address and port")
    return found


def _addressed(
    session: str, found: list[Destination], address: str
) -> tuple[str, list[Destination]]:
    if not found:
        return address, found
    last = found[-1]
    return session, [
        *found[:-1],
        Destination(address=address, rtp=last.rtp, rtcp=last.rtcp),
    ]


class _Party:
    """One party: its voice, its key and its sockets."""

    def __init__(
        self,
        label: str,
        encoding: str,
        suite: SrtpSuite,
        mki: bytes,
        seconds: float | None,
    ) -> None:
        if encoding not in _PAYLOAD_TYPES:
            raise ValueError(f"no simulated {encoding}")
        self._label = label
        self._suite = suite
        self._key = SecretBytes(secrets.token_bytes(suite.master_size_bytes))
        self._mki = mki
        self._session = OutboundSession(suite, self._key, mki)
        self._payload_type = _PAYLOAD_TYPES[encoding]
        self._ssrc = secrets.randbits(32)
        # Below 2**15: a first packet lost near a rollover would cost the call
        # (RFC 3711, section 3.3.1).
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)
        self._packets = 0
        self._reports = 0
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        voice = conversation(label)
        if encoding == "PCMA":
            voice = voice.translate(_MU_TO_A)
        size = SAMPLES_PER_PACKET
        self.payloads = [
            voice[at : at + size] for at in range(0, len(voice) - size + 1, size)
        ]
        if seconds is not None:
            count = max(1, round(seconds / PACKET_S))
            repeats = count // len(self.payloads) + 1
            self.payloads = (self.payloads * repeats)[:count]

    def media_lines(self) -> list[str]:
        """Return the m-line of the offer and its attributes."""
        encoding = STATIC_PAYLOADS[self._payload_type].encoding
        profile = "RTP/AVP" if self._suite.is_plain else "RTP/SAVP"
        return [
            # Port 9 (discard): this party only sends and need not be reached.
            f"m=audio 9 {profile} {self._payload_type}",
            f"a=rtpmap:{self._payload_type} {encoding}/{RATE_HZ}",
            "a=ptime:20",
            f"a=label:{self._label}",
            *self._crypto_lines(),
            "a=sendonly",
        ]

    def _crypto_lines(self) -> list[str]:
        if self._suite.is_plain:
            return []
        key = base64.b64encode(self._key.reveal()).decode()
        mki = self._mki
        name = f"|{int.from_bytes(mki, 'big')}:{len(mki)}" if mki else ""
        return [f"a=crypto:1 {self._suite} inline:{key}{name}"]

    def connect(self, destination: Destination) -> None:
        """Open the sockets to one destination."""
        version = ipaddress.ip_address(destination.address).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - the IP version
        rtp = socket.socket(family, socket.SOCK_DGRAM)
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        rtp.connect((destination.address, destination.rtp))
        rtcp.connect((destination.address, destination.rtcp))
        self._sockets = (rtp, rtcp)

    def send_packet(self, number: int) -> None:
        """Send packet *number*, and a report when it is time for one."""
        if number >= len(self.payloads):
            return
        if number % _REPORT_EVERY == 0:
            self._report()
        packet = RtpPacket(
            payload_type=self._payload_type,
            marker=number == 0,
            sequence=(self._sequence + number) & 0xFFFF,
            timestamp=self._time_of(number),
            ssrc=self._ssrc,
            payload=self.payloads[number],
        )
        self._send(0, self._session.protect(bytes(packet)))
        self._packets += 1

    def finish(self) -> Sent:
        """Send the last report; return what was sent."""
        self._report()
        return Sent(
            label=self._label,
            ssrc=self._ssrc,
            packets=self._packets,
            reports=self._reports,
        )

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets or ():
            one.close()

    def _report(self) -> None:
        report = SenderReport(
            ssrc=self._ssrc,
            ntp=ntp_time(time.time_ns()),
            rtp_timestamp=self._time_of(self._packets),
            packets=self._packets,
            octets=self._packets * SAMPLES_PER_PACKET,
        )
        compound = bytes(report) + source_description(self._ssrc, self._label)
        self._send(1, self._session.protect_rtcp(compound))
        self._reports += 1

    def _send(self, which: int, packet: bytes) -> None:
        assert self._sockets is not None
        try:
            self._sockets[which].send(packet)
        except ConnectionRefusedError:
            # Nobody listens there any more: as with a real PBX, the call goes
            # on and the other side's counters tell.
            return

    def _time_of(self, number: int) -> int:
        return (self._timestamp + number * SAMPLES_PER_PACKET) % 2**32


def conversation(label: str) -> bytes:
    """Return one party of the packaged conversation: mu-law octets at 8 kHz."""
    packed = resources.files("vault.tap") / "conversation" / f"{label}.ul.xz"
    return lzma.decompress(packed.read_bytes())


def _mu_to_a() -> bytes:
    return bytes(_a_law(_mu_linear(octet)) for octet in range(256))


def _mu_linear(octet: int) -> int:
    """Decode one mu-law octet to 16 bits (ITU-T G.711, table 2)."""
    octet = ~octet & 0xFF
    magnitude = (((octet & 0x0F) << 3) + 132 << (octet >> 4 & 7)) - 132
    return -magnitude if octet & 0x80 else magnitude


def _a_law(sample: int) -> int:
    """Encode 16 bits as one A-law octet (ITU-T G.711, table 1)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = (sample if sample >= 0 else -sample - 1) >> 3
    segment = max(0, magnitude.bit_length() - 5)
    mantissa = magnitude >> max(segment, 1) & 0x0F
    return (sign | segment << 4 | mantissa) ^ 0x55


_MU_TO_A: Final = _mu_to_a()
