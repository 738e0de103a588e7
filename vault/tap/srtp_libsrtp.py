"""SRTP through the libsrtp that pylibsrtp bundles.

The C functions are called directly, on packets as they lie in their slots:
nothing is copied, and neither of the two exceptions of `pylibsrtp.Session`
(`Error`, and `ValueError` for a packet beyond 1500 octets) can occur.

Guarantees: one session per master key; a packet that fails under AES-CM is left
as it was.  For the AEAD suites libsrtp overwrites it even when its tag is wrong.

Left to others: what `vault.tap.srtp_session` leaves to others; AES_256_CM,
which this binding lacks (`vault.tap.srtp_cm`).

Spec: RFC 3711, RFC 7714.  Never link a distribution's libsrtp instead: built
on NSS it is three times slower (research: performance, finding 5).
"""

import socket
import struct
from collections.abc import Callable
from itertools import repeat
from types import MappingProxyType
from typing import Any, Final

from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.slots import Slots
from vault.tap.srtp_session import REPLAY_WINDOW

_PROFILE: Final = MappingProxyType(
    {
        SrtpSuite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
        SrtpSuite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        SrtpSuite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
        SrtpSuite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    }
)

SUITES: Final = frozenset(_PROFILE)
"What this libsrtp can do."

# C functions of the binding; their arguments are cffi pointers, which have no
# types that mypy could check.
_unprotect: Final[Callable[[Any, Any, Any], int]] = lib.srtp_unprotect
_unprotect_rtcp: Final[Callable[[Any, Any, Any], int]] = lib.srtp_unprotect_rtcp

_STRIDE: Final = 0x7FFF
"The farthest step whose rollover both sides guess alike (RFC 3711, appendix A)."
_MOST_ROLLOVERS: Final = 8192
"Four months at 50 packets/s: a walk of some 60 ms at the very most."
_WALKER: Final = struct.Struct(">BBHII")


class LibsrtpInbound:
    """The receiving side of one master key."""

    __slots__ = (
        "_key",
        "_pointer",
        "_session",
        "authenticates",
        "can_trial",
        "spoils",
        "suite",
    )

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self.suite = suite
        self.spoils = suite.is_aead
        self.authenticates = True
        self.can_trial = not suite.has_short_tag
        self._key = key
        self._session = Session(_policy(suite, key, Policy.SSRC_ANY_INBOUND))
        self._pointer: Any = self._session._srtp[0]  # noqa: SLF001 - the C session; pylibsrtp has no in-place call
        # 1,500 octets per stream that only pylibsrtp's own calls would use.
        self._session._cdata = self._session._buffer = None  # noqa: SLF001 - as above

    def unprotect_batch(self, slots: Slots, count: int) -> list[int]:
        """Unprotect the first *count* packets in place; return their statuses."""
        # The hot path: one C call per packet and no Python between two of them.
        return list(
            map(_unprotect, repeat(self._pointer, count), slots.packetp, slots.lenp)
        )

    def unprotect(self, slots: Slots, i: int) -> int:
        """Unprotect RTP packet *i* in place; return its status."""
        return _unprotect(self._pointer, slots.packetp[i], slots.lenp[i])

    def unprotect_rtcp(self, slots: Slots, i: int) -> int:
        """Unprotect RTCP packet *i* in place; return its status."""
        return _unprotect_rtcp(self._pointer, slots.packetp[i], slots.lenp[i])

    def forget(self, ssrc: int) -> None:
        """Free the state that libsrtp keeps for *ssrc*, if there is any."""
        lib.srtp_remove_stream(self._pointer, socket.htonl(ssrc))

    def fast_forward(self, ssrc: int, extended: int) -> bool:
        """Go on with *ssrc* from *extended*, see `InboundSession.fast_forward`.

        libsrtp cannot be told a rollover counter, so the session is walked to
        it by packets of a private sender with the same key.  They carry no
        payload; they are made and consumed in one buffer, are wiped, and never
        leave this function: their tags would tell about the live key.
        """
        if extended >> 16 >= _MOST_ROLLOVERS:
            return False
        self.forget(ssrc)
        if extended < 0:
            return True
        sender = Session(_policy(self.suite, self._key, Policy.SSRC_ANY_OUTBOUND))
        pointer = sender._srtp[0]  # noqa: SLF001 - as above
        octets, length = ffi.new("char[64]"), ffi.new("int *")
        buffer = ffi.buffer(octets)
        try:
            # The first step may lie anywhere before the first rollover; the last
            # one is longer than the replay window, so that nothing else in the
            # window counts as received.
            for index in range(_first_step(extended), extended + 1, _STRIDE):
                _WALKER.pack_into(buffer, 0, 0x80, 0, index & 0xFFFF, 0, ssrc)
                length[0] = _WALKER.size
                status = lib.srtp_protect(pointer, octets, length)
                if status or _unprotect(self._pointer, octets, length):
                    raise RuntimeError("libsrtp did not follow its own sender")
        finally:
            buffer[:] = bytes(len(buffer))
        return True

    def trial(self, packet: bytes) -> tuple[SecretBytes, bytes] | None:
        """Return the key to try on *packet*, see `InboundSession.trial`."""
        return (self._key, packet) if self.can_trial else None


class LibsrtpOutbound:
    """The sending side of one master key."""

    __slots__ = ("_session",)

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self._session = Session(_policy(suite, key, Policy.SSRC_ANY_OUTBOUND))

    def protect(self, packet: bytes) -> bytes:
        """Return *packet* (RTP, at most 1356 octets) encrypted and tagged."""
        return bytes(self._session.protect(packet))

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the compound *packet* (RTCP) encrypted and tagged."""
        return bytes(self._session.protect_rtcp(packet))


def _first_step(extended: int) -> int:
    """Return the lowest index a multiple of strides before *extended*."""
    return extended if extended <= 0xFFFF else extended % _STRIDE  # noqa: PLR2004 - before the first rollover


def _policy(suite: SrtpSuite, key: SecretBytes, ssrc_type: int) -> Policy:
    if len(key) != suite.master_size_bytes:
        raise ValueError(f"{len(key)} octets are no master key for {suite}")
    policy = Policy(key=key.reveal(), ssrc_type=ssrc_type, srtp_profile=_PROFILE[suite])
    policy.window_size = REPLAY_WINDOW
    return policy
