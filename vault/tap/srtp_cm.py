"""SRTP with AES in counter mode and HMAC-SHA1, without libsrtp.

pylibsrtp has no profile for AES_256_CM; this has, at some six times the cost
per packet.  It does the 128-bit suites as well, so that tests can hold it
against libsrtp, packet by packet.

    RTP    header, CSRCs, extension | payload, encrypted | tag (80 or 32 bits)
    RTCP   header, SSRC | rest, encrypted | E, index | tag (80 bits)

Guarantees: a packet is compared before anything of it is decrypted or believed,
in constant time; a packet that fails is left as it was.

Left to others: what `vault.tap.srtp_session` leaves to others.

Spec: RFC 3711 sections 3.3, 3.4, 4.1.1 and 4.2; RFC 6188.
"""

import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.replay import ReplayWindow, guess_index
from vault.tap.rtp import header_size
from vault.tap.slots import Slots
from vault.tap.srtp_keys import SessionKeys
from vault.tap.srtp_session import (
    REPLAY_WINDOW,
    STATUS_MALFORMED,
    STATUS_OK,
    STATUS_UNAUTHENTIC,
    tag_size_bytes,
)

SUITES: Final = frozenset(
    {
        SrtpSuite.AES_256_CM_HMAC_SHA1_80,
        SrtpSuite.AES_256_CM_HMAC_SHA1_32,
        SrtpSuite.AES_CM_128_HMAC_SHA1_80,
        SrtpSuite.AES_CM_128_HMAC_SHA1_32,
    }
)

_RTCP_WINDOW: Final = 128
"Reports; libsrtp's window, too."
_RTCP_CLEAR: Final = 8
"Octets of an RTCP packet that are not encrypted: header and SSRC."
_ENCRYPTED: Final = 0x8000_0000
_MOST_RTCP: Final = 0x7FFF_FFFF
_MOST_RTP: Final = 2**48
_SEQ_AND_SSRC: Final = struct.Struct(">2xH4xI")


class CmTransform:
    """Encryption and authentication under the session keys of one master key."""

    __slots__ = ("_cipher", "_mac", "_salt", "tag_size")

    def __init__(self, keys: SessionKeys, *, tag_size: int) -> None:
        self._salt = int.from_bytes(keys.salt, "big") << 16
        # One context each, re-used: making one costs more than a packet.
        self._cipher = Cipher(AES(keys.encryption), CTR(bytes(16))).encryptor()
        self._mac = hmac.new(keys.authentication, digestmod="sha1")
        self.tag_size = tag_size

    @classmethod
    def derive(
        cls, suite: SrtpSuite, key: SecretBytes, *, rtcp: bool = False
    ) -> "CmTransform":
        """Derive the session keys from a master key with its salt.

        Raises:
            ValueError: Not a suite of AES-CM, or a key of another length.
        """
        if suite not in SUITES:
            raise ValueError(f"{suite} is not AES in counter mode")
        keys = SessionKeys.derive(suite, key, rtcp=rtcp)
        return cls(keys, tag_size=tag_size_bytes(suite, rtcp=rtcp))

    def tag(self, *octets: bytes | memoryview) -> bytes:
        """Return the tag over *octets*, one piece after the other."""
        mac = self._mac.copy()
        for piece in octets:
            mac.update(piece)
        return mac.digest()[: self.tag_size]

    def crypt(self, ssrc: int, index: int, octets: bytes | memoryview) -> bytes:
        """Encrypt or decrypt, which is the same.

        Spec: RFC 3711, section 4.1.1.
        """
        start = self._salt ^ ssrc << 64 ^ index << 16
        self._cipher.reset_nonce(start.to_bytes(16, "big"))
        return self._cipher.update(octets)


class CmInbound:
    """The receiving side of one master key."""

    __slots__ = (
        "_key",
        "_reports",
        "_rtcp",
        "_rtp",
        "_windows",
        "authenticates",
        "can_trial",
        "spoils",
        "suite",
    )

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self.suite = suite
        self.spoils = False
        self.authenticates = True
        self.can_trial = not suite.has_short_tag
        self._key = key
        self._rtp = CmTransform.derive(suite, key)
        self._rtcp = CmTransform.derive(suite, key, rtcp=True)
        self._windows: dict[int, ReplayWindow] = {}
        self._reports: dict[int, ReplayWindow] = {}

    def unprotect_batch(self, slots: Slots, count: int) -> list[int]:
        """Unprotect the first *count* packets in place; return their statuses."""
        return [self.unprotect(slots, i) for i in range(count)]

    def unprotect(self, slots: Slots, i: int) -> int:
        """Unprotect RTP packet *i* in place; return its status."""
        packet = slots.packet(i, slots.length(i))
        start, stop = header_size(packet), len(packet) - self._rtp.tag_size
        if start is None:
            return STATUS_MALFORMED
        seq, ssrc = _SEQ_AND_SSRC.unpack_from(packet)
        # 1. Guess the index; an SSRC begins at rollover counter 0.
        window = self._windows.get(ssrc)
        index = seq if window is None else guess_index(seq, window.highest)
        if index >= _MOST_RTP:
            return STATUS_MALFORMED
        # 2. Refuse what was received before.
        if window is not None and (status := window.check(index)) != STATUS_OK:
            return status
        # 3. Compare the tag, which covers the guess.
        if start > stop:
            return STATUS_MALFORMED
        tag = self._rtp.tag(packet[:stop], (index >> 16).to_bytes(4, "big"))
        if not hmac.compare_digest(tag, packet[stop:]):
            return STATUS_UNAUTHENTIC
        # 4. Only now decrypt and remember.
        packet[start:stop] = self._rtp.crypt(ssrc, index, packet[start:stop])
        slots.shorten(i, stop)
        if window is None:
            window = self._windows[ssrc] = ReplayWindow(REPLAY_WINDOW)
        window.add(index)
        return STATUS_OK

    def unprotect_rtcp(self, slots: Slots, i: int) -> int:
        """Unprotect RTCP packet *i* in place; return its status."""
        packet = slots.packet(i, slots.length(i))
        stop = len(packet) - self._rtcp.tag_size
        if stop - 4 < _RTCP_CLEAR:
            return STATUS_MALFORMED
        ssrc = int.from_bytes(packet[4:8], "big")
        word = int.from_bytes(packet[stop - 4 : stop], "big")
        if not word & _ENCRYPTED:
            # Nobody has negotiated UNENCRYPTED_SRTCP; libsrtp refuses it, too.
            return STATUS_MALFORMED
        index = word & _MOST_RTCP
        window = self._reports.get(ssrc)
        if window is not None and (status := window.check(index)) != STATUS_OK:
            return status
        if not hmac.compare_digest(self._rtcp.tag(packet[:stop]), packet[stop:]):
            return STATUS_UNAUTHENTIC
        body = packet[_RTCP_CLEAR : stop - 4]
        body[:] = self._rtcp.crypt(ssrc, index, body)
        slots.shorten(i, stop - 4)
        if window is None:
            window = self._reports[ssrc] = ReplayWindow(_RTCP_WINDOW)
        window.add(index)
        return STATUS_OK

    def forget(self, ssrc: int) -> None:
        """Free the state that is kept for *ssrc*, if there is any."""
        self._windows.pop(ssrc, None)
        self._reports.pop(ssrc, None)

    def fast_forward(self, ssrc: int, extended: int) -> bool:
        """Go on with *ssrc* from *extended*, see `InboundSession.fast_forward`."""
        if extended >= _MOST_RTP:
            return False
        self.forget(ssrc)
        if extended >= 0:
            self._windows[ssrc] = ReplayWindow(REPLAY_WINDOW, extended)
        return True

    def trial(self, packet: bytes) -> tuple[SecretBytes, bytes] | None:
        """Return the key to try on *packet*, see `InboundSession.trial`."""
        return (self._key, packet) if self.can_trial else None


class CmOutbound:
    """The sending side of one master key."""

    __slots__ = ("_highest", "_reports", "_rtcp", "_rtp")

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self._rtp = CmTransform.derive(suite, key)
        self._rtcp = CmTransform.derive(suite, key, rtcp=True)
        self._highest: dict[int, ReplayWindow] = {}
        self._reports: dict[int, int] = {}

    def protect(self, packet: bytes) -> bytes:
        """Return *packet* (RTP) encrypted and tagged.

        Raises:
            ValueError: No RTP packet, or an index that was sent before: its key
                stream would be used twice.
        """
        start = header_size(packet)
        if start is None:
            raise ValueError(f"{len(packet)} octets are no RTP packet")
        seq, ssrc = _SEQ_AND_SSRC.unpack_from(packet)
        sent = self._highest.setdefault(ssrc, ReplayWindow(REPLAY_WINDOW))
        index = guess_index(seq, sent.highest) if sent.highest >= 0 else seq
        if sent.check(index) != STATUS_OK:
            raise ValueError(f"packet {seq} was sent before")
        sent.add(index)
        body = packet[:start] + self._rtp.crypt(ssrc, index, packet[start:])
        return body + self._rtp.tag(body, (index >> 16).to_bytes(4, "big"))

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the compound *packet* (RTCP) encrypted and tagged."""
        ssrc = int.from_bytes(packet[4:8], "big")
        index = self._reports[ssrc] = self._reports.get(ssrc, 0) + 1
        rest = self._rtcp.crypt(ssrc, index, packet[_RTCP_CLEAR:])
        word = (_ENCRYPTED | index).to_bytes(4, "big")
        body = packet[:_RTCP_CLEAR] + rest + word
        return body + self._rtcp.tag(body)
