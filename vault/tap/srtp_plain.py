"""Plain RTP, where a device is explicitly allowed it: no SRTP at all.

Guarantees: a packet that passes has headers that fit its size.  Nothing more:
anyone who can send to the port can put media into the recording, repeat it, or
change it on the way.

Left to others: who may send plain RTP (`vault.sip.sdes`), from which address
(`vault.tap.sweep`), saying so in metadata, audit trail and player.

Spec: RFC 3550, sections 5.1 and 6.4.
"""

from vault.core.errors import MalformedPacketError
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.rtcp import parse_compound
from vault.tap.rtp import header_size
from vault.tap.slots import Slots
from vault.tap.srtp_session import STATUS_MALFORMED, STATUS_OK


class PlainInbound:
    """The receiving side of a stream without keys."""

    __slots__ = ("authenticates", "can_trial", "spoils", "suite")

    def __init__(self) -> None:
        self.suite = SrtpSuite.PLAIN_RTP
        self.spoils = False
        self.authenticates = False
        self.can_trial = False

    def unprotect_batch(self, slots: Slots, count: int) -> list[int]:
        """Look at the first *count* packets; return their statuses."""
        return [self.unprotect(slots, i) for i in range(count)]

    def unprotect(self, slots: Slots, i: int) -> int:
        """Return whether the headers of RTP packet *i* fit its size."""
        packet = slots.packet(i, slots.length(i))
        return STATUS_MALFORMED if header_size(packet) is None else STATUS_OK

    def unprotect_rtcp(self, slots: Slots, i: int) -> int:
        """Return whether the packets of compound *i* fit its size."""
        try:
            for _ in parse_compound(bytes(slots.packet(i, slots.length(i)))):
                pass
        except MalformedPacketError:
            return STATUS_MALFORMED
        return STATUS_OK

    def forget(self, ssrc: int) -> None:
        """Nothing is kept for any SSRC."""

    def fast_forward(self, ssrc: int, extended: int) -> bool:  # noqa: ARG002 - of the interface
        """Say that it is done: without SRTP there is no rollover counter."""
        return True

    def trial(self, packet: bytes) -> tuple[SecretBytes, bytes] | None:  # noqa: ARG002 - of the interface
        """Return None: there is nothing to try."""
        return None


class PlainOutbound:
    """The sending side of a stream without keys."""

    __slots__ = ()

    def protect(self, packet: bytes) -> bytes:
        """Return *packet* as it is."""
        return packet

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return *packet* as it is."""
        return packet
