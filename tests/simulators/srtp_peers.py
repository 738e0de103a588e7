"""SRTP peers that are not ours: libsrtp's sender and receiver, for every suite.

pylibsrtp has no profile for AES_256_CM, but its libsrtp has the cipher: a policy
is written over before the session is made (`srtp_crypto_policy_t` of libsrtp 2:
cipher, octets of key and salt, authentication, octets of its key, of the tag).
Only tests do that; the layout is libsrtp's own business.
"""

import os
from collections.abc import Iterator

from pylibsrtp import ERRORS, Error, Policy, Session
from pylibsrtp._binding import ffi, lib

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.rtp import RtpPacket
from vault.tap.slots import Slots
from vault.tap.srtp_session import STATUS_OK, InboundSession

PROTECTED = tuple(suite for suite in SrtpSuite if not suite.is_plain)
LONG_TAGS = tuple(suite for suite in PROTECTED if not suite.has_short_tag)
SSRC = 0x1234_5678

_PROFILE = {
    SrtpSuite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    SrtpSuite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    SrtpSuite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    SrtpSuite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    SrtpSuite.AES_256_CM_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    SrtpSuite.AES_256_CM_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
_AES_ICM_256 = 5
_STRIDE = 0x7FFF
_ROOM = 4096


def fresh_key(suite: SrtpSuite) -> SecretBytes:
    return SecretBytes(os.urandom(suite.master_size_bytes))


def libsrtp(suite: SrtpSuite, key: SecretBytes, ssrc_type: int) -> Session:
    """Return a session of libsrtp, AES_256_CM included."""
    policy = Policy(key=key.reveal(), ssrc_type=ssrc_type, srtp_profile=_PROFILE[suite])
    policy.window_size = 1024
    if "_256_CM_" in suite:
        for part in (policy._policy.rtp, policy._policy.rtcp):
            words = ffi.cast("uint32_t *", ffi.addressof(part))
            words[0], words[1] = _AES_ICM_256, suite.master_size_bytes
    return Session(policy)


def rtp(index: int, payload: bytes = b"speech", ssrc: int = SSRC) -> bytes:
    return bytes(
        RtpPacket(
            payload_type=0,
            sequence=index & 0xFFFF,
            timestamp=160 * index % 2**32,
            ssrc=ssrc,
            payload=payload,
        )
    )


def report(text: bytes = b"nothing to report", ssrc: int = SSRC) -> bytes:
    body = text.ljust(-(-len(text) // 4) * 4, b"\0")
    return b"\x80\xcc" + (1 + len(body) // 4).to_bytes(2) + ssrc.to_bytes(4) + body


class Sender:
    """libsrtp's sender, which can be anywhere in its number space."""

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self.suite, self.key = suite, key
        self._session = libsrtp(suite, key, Policy.SSRC_ANY_OUTBOUND)
        self._at: dict[int, int] = {}

    def packet(self, index: int, payload: bytes = b"speech", ssrc: int = SSRC) -> bytes:
        """Return packet *index* of an SSRC; indexes must rise."""
        for step in self._steps(index, ssrc):
            self.protected(rtp(step, b"", ssrc))
        self._at[ssrc] = index
        return self.protected(rtp(index, payload, ssrc))

    def protected(self, packet: bytes, *, rtcp: bool = False) -> bytes:
        # The C function: `Session.protect` takes 1356 octets only.
        octets, length = ffi.new("char[]", _ROOM), ffi.new("int *", len(packet))
        ffi.buffer(octets)[: len(packet)] = packet
        protect = lib.srtp_protect_rtcp if rtcp else lib.srtp_protect
        status = protect(self._session._srtp[0], octets, length)
        if status:
            raise ValueError(ERRORS[status])
        return bytes(ffi.buffer(octets)[: length[0]])

    def _steps(self, index: int, ssrc: int) -> Iterator[int]:
        at = self._at.get(ssrc)
        if at is None and index <= 0xFFFF:
            return iter(())
        first = index % _STRIDE if at is None else at + _STRIDE
        return iter(range(first, index, _STRIDE))


class Receiver:
    """libsrtp's receiver, as pylibsrtp offers it."""

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self._session = libsrtp(suite, key, Policy.SSRC_ANY_INBOUND)

    def take(self, packet: bytes, *, rtcp: bool = False) -> tuple[int, bytes]:
        """Return libsrtp's status and the packet as it then is."""
        unprotect = self._session.unprotect_rtcp if rtcp else self._session.unprotect
        try:
            return STATUS_OK, unprotect(packet)
        except Error as exc:
            return ERRORS.index(str(exc)), packet


def taken(
    session: InboundSession, packet: bytes, *, rtcp: bool = False
) -> tuple[int, bytes]:
    """Return the status of *packet* in one of our sessions, and what is left."""
    slots = _SLOTS
    slots.restore(3, packet)
    unprotect = session.unprotect_rtcp if rtcp else session.unprotect
    status = unprotect(slots, 3)
    return status, bytes(slots.packet(3, slots.length(3)))


_SLOTS = Slots(0)
