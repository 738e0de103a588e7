"""SRTP: the session for an order, whatever its suite.

    session = inbound(order.suite, order.key, order.mkis)
    statuses = session.unprotect_batch(slots, count)

Guarantees: every suite of `SrtpSuite` has a session, or `inbound` raises.

Left to others: each kind of session says itself what it guarantees.

Spec: RFC 3711, RFC 6188, RFC 7714.
"""

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.orders import MkiKey
from vault.tap.srtp_libsrtp import LibsrtpInbound, LibsrtpOutbound
from vault.tap.srtp_mki import MkiInbound
from vault.tap.srtp_session import (
    REPLAY_WINDOW,
    STATUS_OK,
    InboundSession,
    rejection_of,
)

__all__ = (
    "REPLAY_WINDOW",
    "STATUS_OK",
    "InboundSession",
    "OutboundSession",
    "inbound",
    "rejection_of",
)


def inbound(
    suite: SrtpSuite, key: SecretBytes, mkis: tuple[MkiKey, ...] = ()
) -> InboundSession:
    """Return the receiving side of an order.

    Args:
        suite: What protects the packets.
        key: Master key and salt, `SrtpSuite.master_size_bytes` octets.
        mkis: Where packets carry an MKI: every key by its name.

    Raises:
        ValueError: A key of another length than the suite's, or MKIs of several
            lengths.
    """
    if mkis:
        keys = {one.mki: (one.key, inbound(suite, one.key)) for one in mkis}
        return MkiInbound(suite, keys)
    return LibsrtpInbound(suite, key)


class OutboundSession:
    """The sending side, for simulated peers."""

    __slots__ = ("_sender",)

    def __init__(self, suite: SrtpSuite, key: SecretBytes) -> None:
        self._sender = LibsrtpOutbound(suite, key)

    def protect(self, packet: bytes) -> bytes:
        """Return *packet* (RTP, at most 1356 octets) encrypted and tagged."""
        return self._sender.protect(packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the compound *packet* (RTCP) encrypted and tagged."""
        return self._sender.protect_rtcp(packet)
