"""SRTP: the session for an order, whatever its suite.

    session = inbound(order.suite, order.key, order.mkis)
    statuses = session.unprotect_batch(slots, count)

Guarantees: every suite of `SrtpSuite` has a session, or `inbound` raises.

Left to others: each kind of session says itself what it guarantees.

Spec: RFC 3711, RFC 6188, RFC 7714.
"""

from typing import Protocol

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap import srtp_libsrtp
from vault.tap.orders import MkiKey
from vault.tap.srtp_cm import CmInbound, CmOutbound
from vault.tap.srtp_libsrtp import LibsrtpInbound, LibsrtpOutbound
from vault.tap.srtp_mki import MkiInbound
from vault.tap.srtp_plain import PlainInbound, PlainOutbound
from vault.tap.srtp_session import (
    REPLAY_WINDOW,
    STATUS_OK,
    InboundSession,
    rejection_of,
    tag_size_bytes,
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
        keys = {one.mki: (one.key, _of_one_key(suite, one.key)) for one in mkis}
        if len(keys) != len(mkis):
            raise ValueError("two keys of a stream have one MKI")
        return MkiInbound(suite, keys)
    return _of_one_key(suite, key)


def _of_one_key(suite: SrtpSuite, key: SecretBytes) -> InboundSession:
    if suite.is_plain:
        return PlainInbound()
    if suite in srtp_libsrtp.SUITES:
        return LibsrtpInbound(suite, key)
    return CmInbound(suite, key)


class _Sender(Protocol):
    def protect(self, packet: bytes) -> bytes: ...

    def protect_rtcp(self, packet: bytes) -> bytes: ...


class OutboundSession:
    """The sending side, for simulated peers."""

    __slots__ = ("_mki", "_sender", "_suite")

    def __init__(self, suite: SrtpSuite, key: SecretBytes, mki: bytes = b"") -> None:
        """Send under *key*; packets carry *mki* unless it is empty.

        Raises:
            ValueError: A key of another length than the suite's.
        """
        self._suite = suite
        self._mki = mki
        self._sender = _sender(suite, key)

    def protect(self, packet: bytes) -> bytes:
        """Return *packet* (RTP, at most 1356 octets) encrypted and tagged."""
        return self._named(self._sender.protect(packet), tag_size_bytes(self._suite))

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the compound *packet* (RTCP) encrypted and tagged."""
        tag = tag_size_bytes(self._suite, rtcp=True)
        return self._named(self._sender.protect_rtcp(packet), tag)

    def _named(self, packet: bytes, tag: int) -> bytes:
        at = len(packet) - tag
        return packet[:at] + self._mki + packet[at:]


def _sender(suite: SrtpSuite, key: SecretBytes) -> _Sender:
    if suite.is_plain:
        return PlainOutbound()
    if suite in srtp_libsrtp.SUITES:
        return LibsrtpOutbound(suite, key)
    return CmOutbound(suite, key)
