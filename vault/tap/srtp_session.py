"""What a receiving SRTP session is, whoever does its cryptography.

A session is one order's worth of keys: one master key, or several that packets
name by MKI.  Packets lie in `Slots` and are unprotected in place; what is left
of a packet is said through its length in the slot.

Guarantees, of every implementation: a status and no exception for any octets;
replay window and rollover counter move only with authentic packets; any SSRC
under the key is accepted, so that a sender may change it; any SRTCP index is
accepted that was not received before.

Left to others: which octets are SRTP at all (`vault.tap.judging`), how many
SSRCs a stream may have (`vault.tap.counting`), which suites are allowed
(`vault.sip.sdes`).

Spec: RFC 3711, RFC 6188, RFC 7714.
"""

from typing import Final, Protocol

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.orders import Rejection
from vault.tap.slots import Slots

REPLAY_WINDOW: Final = 1024
"Packets; libsrtp's own 128 refused a packet that came 900 late."

# Statuses are the integers of libsrtp's srtp_err_status_t.
STATUS_OK: Final = 0
STATUS_UNAUTHENTIC: Final = 7
STATUS_REPLAYED: Final = 9
STATUS_TOO_OLD: Final = 10
STATUS_MALFORMED: Final = 21
STATUS_UNKNOWN_MKI: Final = 25

_TOO_OLD: Final = frozenset({STATUS_TOO_OLD, 26})


_TAG_SIZE_BYTES: Final = 10


def tag_size_bytes(suite: SrtpSuite, *, rtcp: bool = False) -> int:
    """Return the octets of a tag that stands behind the MKI: none for AEAD.

    Only RTP has the 32-bit tags: SRTCP's are of 80 bits in every AES-CM suite.

    Spec: RFC 3711, section 3.1; RFC 4568, section 6.2; RFC 6188, section 4.2.
    """
    if suite.is_aead or suite.is_plain:
        return 0
    return 4 if suite.has_short_tag and not rtcp else _TAG_SIZE_BYTES


def rejection_of(status: int) -> Rejection:
    """Say in our words why an RTP packet was refused."""
    if status == STATUS_REPLAYED:
        return Rejection.REPLAYED
    if status == STATUS_UNKNOWN_MKI:
        return Rejection.UNKNOWN_MKI
    return Rejection.TOO_OLD if status in _TOO_OLD else Rejection.UNAUTHENTICATED


class InboundSession(Protocol):
    """The receiving side of one order's keys."""

    suite: SrtpSuite
    spoils: bool
    """Whether a failed try may have overwritten the packet: who wants it verbatim,
    or a second try, copies it first.  (libsrtp decrypts AEAD before it compares.)"""
    authenticates: bool
    "False for plain RTP: its statuses say only that the headers fit."
    can_trial: bool
    "Whether a guess at a rollover counter proves anything: not under a 32-bit tag."

    def unprotect_batch(self, slots: Slots, count: int) -> list[int]:
        """Unprotect the first *count* packets in place; return their statuses."""
        ...

    def unprotect(self, slots: Slots, i: int) -> int:
        """Unprotect RTP packet *i* in place; return its status."""
        ...

    def unprotect_rtcp(self, slots: Slots, i: int) -> int:
        """Unprotect RTCP packet *i* in place; return its status."""
        ...

    def forget(self, ssrc: int) -> None:
        """Free the state that is kept for *ssrc*, if there is any."""
        ...

    def fast_forward(self, ssrc: int, extended: int) -> bool:
        """Go on with *ssrc* as if *extended* had been its highest packet so far.

        Afterwards packet ``extended + 1`` is accepted, *extended* is a replay
        and what lies less than `REPLAY_WINDOW` behind it may still come.

        Args:
            ssrc: The stream of packets.
            extended: Rollover counter times 2**16 plus sequence number of the
                highest authentic packet; below zero: none was received.

        Returns:
            Whether that was done; False (and nothing changed) where the
            rollover counter is beyond what can be reached.
        """
        ...

    def trial(self, packet: bytes) -> tuple[SecretBytes, bytes] | None:
        """Return the master key for *packet* and the packet without its MKI.

        That is what `vault.tap.rollover.find_rollover` takes.  None where a
        trial proves nothing (`can_trial`) or the packet names no known key.
        """
        ...
