"""SRTP through the libsrtp that pylibsrtp bundles.

Guarantees: one session per master key; a replay window of 1024 packets; any
SSRC under the key is accepted, so that a sender may change it.  Replay and
rollover state move only with authentic packets.

What callers must know: `srtp_unprotect` works in place, and for the AEAD
suites it overwrites a packet *even when its tag is wrong*.  Whoever wants a
second try, or the packet verbatim, copies it first.

Left to others: which octets are SRTP at all (`vault.tap.rtp`), how many SSRCs
a stream may have (`vault.tap.counting`).

Spec: RFC 3711, RFC 7714.  Never link a distribution's libsrtp instead: built
on NSS it is three times slower (research: performance, finding 5).
"""

import socket
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.orders import Rejection

REPLAY_WINDOW: Final = 1024
"Packets; libsrtp's own 128 refused a packet that came 900 late."

STATUS_OK: Final = 0
_REPLAYED: Final = 9
_TOO_OLD: Final = frozenset({10, 26})

_PROFILE: Final = MappingProxyType(
    {
        SrtpSuite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
        SrtpSuite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        SrtpSuite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    }
)

# C functions of the binding; their arguments are cffi pointers, which have no
# types that mypy could check.
unprotect: Final[Callable[[Any, Any, Any], int]] = lib.srtp_unprotect
unprotect_rtcp: Final[Callable[[Any, Any, Any], int]] = lib.srtp_unprotect_rtcp


def void_pointer(address: int) -> Any:
    """Return *address* as the ``void *`` that `unprotect` takes."""
    return ffi.cast("void*", address)


def int_pointer(address: int) -> Any:
    """Return *address* as the ``int *`` that `unprotect` takes."""
    return ffi.cast("int*", address)


def rejection_of(status: int) -> Rejection:
    """Say in our words why libsrtp refused an RTP packet."""
    if status == _REPLAYED:
        return Rejection.REPLAYED
    return Rejection.TOO_OLD if status in _TOO_OLD else Rejection.UNAUTHENTICATED


class InboundSession:
    """The receiving side of one master key."""

    __slots__ = ("_session", "is_aead", "pointer", "suite")

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self.suite = suite
        self.is_aead = suite.is_aead
        self._session = Session(_policy(suite, key, Policy.SSRC_ANY_INBOUND))
        self.pointer: Any = self._session._srtp[0]  # noqa: SLF001 - the C session; pylibsrtp has no in-place call

    def forget(self, ssrc: int) -> None:
        """Free the state that libsrtp keeps for *ssrc*, if there is any."""
        lib.srtp_remove_stream(self.pointer, socket.htonl(ssrc))


class OutboundSession:
    """The sending side, for simulated peers."""

    __slots__ = ("_session",)

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self._session = Session(_policy(suite, key, Policy.SSRC_ANY_OUTBOUND))

    def protect(self, packet: bytes) -> bytes:
        """Return *packet* (RTP, at most 1356 octets) encrypted and tagged."""
        return bytes(self._session.protect(packet))

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the compound *packet* (RTCP) encrypted and tagged."""
        return bytes(self._session.protect_rtcp(packet))


def _policy(suite: SrtpSuite, key: SecretBytes, ssrc_type: int) -> Policy:
    if len(key) != suite.master_size_bytes:
        raise ValueError(f"{len(key)} octets are no master key for {suite}")
    policy = Policy(key=key.reveal(), ssrc_type=ssrc_type, srtp_profile=_PROFILE[suite])
    policy.window_size = REPLAY_WINDOW
    return policy
