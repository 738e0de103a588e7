"""Several master keys in one stream, each packet naming its own by an MKI.

    AES-CM  RTP   header | payload | MKI | tag         RTCP ... | E, index | MKI | tag
    AEAD    RTP   header | payload, tag | MKI          RTCP ... | E, index | MKI

An MKI may be 128 octets long and no binding of ours knows it, so it is taken
out here: the tag moves over it, and back if the packet fails.

One SSRC has one rollover counter, whichever key its packets are under (RFC
3711, section 3.2.3).  Each key has a session of its own, so one that takes over
an SSRC is first led to where the other left it.

Guarantees: no packet is tried under a key that it does not name.

Left to others: the cryptography (the sessions inside).

Spec: RFC 3711 sections 3.1, 3.2 and 3.4; RFC 7714 sections 8 and 17.
"""

from typing import Final

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.rtp import FIXED_SIZE, extended_sequence
from vault.tap.slots import Slots
from vault.tap.srtp_session import (
    REPLAY_WINDOW,
    STATUS_MALFORMED,
    STATUS_OK,
    STATUS_UNKNOWN_MKI,
    InboundSession,
    tag_size_bytes,
)

_LEAD: Final = 0x4000
"Packets that a session may lag behind: it would still guess the counter right."


class MkiInbound:
    """The receiving side of several master keys with names of one length."""

    __slots__ = (
        "_highest",
        "_keys",
        "_led",
        "_size",
        "authenticates",
        "can_trial",
        "spoils",
        "suite",
    )

    def __init__(
        self,
        suite: SrtpSuite,
        keys: dict[bytes, tuple[SecretBytes, InboundSession]],
    ) -> None:
        """Receive under *keys*, by their MKI.

        Raises:
            ValueError: MKIs of several lengths, or of none.
        """
        sizes = {len(mki) for mki in keys}
        if len(sizes) != 1 or not 1 <= min(sizes) <= 128:  # noqa: PLR2004 - RFC 4568, section 6.1
            raise ValueError("the MKIs of a stream have one length of 1 to 128 octets")
        self.suite = suite
        self.spoils = any(session.spoils for _, session in keys.values())
        self.authenticates = True
        self.can_trial = not suite.has_short_tag
        self._size = sizes.pop()
        self._keys = keys
        self._highest: dict[int, int] = {}
        "Extended sequence number of each SSRC, under whatever key."
        self._led: dict[tuple[bytes, int], int] = {}
        "The same, when a key's session last knew it."

    def unprotect_batch(self, slots: Slots, count: int) -> list[int]:
        """Unprotect the first *count* packets in place; return their statuses."""
        return [self.unprotect(slots, i) for i in range(count)]

    def unprotect(self, slots: Slots, i: int) -> int:
        """Unprotect RTP packet *i* in place; return its status."""
        packet = slots.packet(i, slots.length(i))
        tag = tag_size_bytes(self.suite)
        if len(packet) < FIXED_SIZE + self._size + tag:
            return STATUS_MALFORMED
        mki = self._mki(packet, tag)
        if mki not in self._keys:
            return STATUS_UNKNOWN_MKI
        seq = int.from_bytes(packet[2:4], "big")
        ssrc = int.from_bytes(packet[8:12], "big")
        session = self._keys[mki][1]
        self._lead(session, mki, ssrc)
        self._take_out(slots, i, packet, tag)
        status = session.unprotect(slots, i)
        if status != STATUS_OK:
            self._put_back(slots, i, packet, tag, mki)
            return status
        highest = self._highest.get(ssrc, seq)
        highest = max(highest, extended_sequence(seq=seq, highest=highest))
        self._highest[ssrc] = self._led[mki, ssrc] = highest
        return STATUS_OK

    def unprotect_rtcp(self, slots: Slots, i: int) -> int:
        """Unprotect RTCP packet *i* in place; return its status."""
        packet = slots.packet(i, slots.length(i))
        tag = tag_size_bytes(self.suite, rtcp=True)
        if len(packet) < self._size + tag:
            return STATUS_MALFORMED
        mki = self._mki(packet, tag)
        if mki not in self._keys:
            return STATUS_UNKNOWN_MKI
        self._take_out(slots, i, packet, tag)
        status = self._keys[mki][1].unprotect_rtcp(slots, i)
        if status != STATUS_OK:
            self._put_back(slots, i, packet, tag, mki)
        return status

    def forget(self, ssrc: int) -> None:
        """Free the state that is kept for *ssrc*, if there is any."""
        self._highest.pop(ssrc, None)
        for mki, (_, session) in self._keys.items():
            self._led.pop((mki, ssrc), None)
            session.forget(ssrc)

    def fast_forward(self, ssrc: int, extended: int) -> bool:
        """Go on with *ssrc* from *extended*, see `InboundSession.fast_forward`."""
        done = [s.fast_forward(ssrc, extended) for _, s in self._keys.values()]
        if not all(done):
            return False
        if extended < 0:
            self.forget(ssrc)
            return True
        self._highest[ssrc] = extended
        for mki in self._keys:
            self._led[mki, ssrc] = extended
        return True

    def trial(self, packet: bytes) -> tuple[SecretBytes, bytes] | None:
        """Return the key to try on *packet*, see `InboundSession.trial`."""
        tag = tag_size_bytes(self.suite)
        if not self.can_trial or len(packet) < FIXED_SIZE + self._size + tag:
            return None
        at = len(packet) - tag - self._size
        named = self._keys.get(packet[at : at + self._size])
        if named is None:
            return None
        return named[0], packet[:at] + packet[at + self._size :]

    def _lead(self, session: InboundSession, mki: bytes, ssrc: int) -> None:
        """Bring a session up to date about an SSRC that another key carried.

        A forged packet can cause this, at most once per `_LEAD` authentic ones;
        where it leads to is known from authentic packets alone.
        """
        highest = self._highest.get(ssrc)
        if highest is None or highest - self._led.get((mki, ssrc), -_LEAD) < _LEAD:
            return
        self._led[mki, ssrc] = highest
        # A window short of it: what the other key had not brought yet may
        # still come under this one.
        session.fast_forward(ssrc, highest - REPLAY_WINDOW)

    def _mki(self, packet: memoryview, tag: int) -> bytes:
        at = len(packet) - tag - self._size
        return bytes(packet[at : at + self._size])

    def _take_out(self, slots: Slots, i: int, packet: memoryview, tag: int) -> None:
        stop = len(packet) - self._size
        packet[stop - tag : stop] = bytes(packet[len(packet) - tag :])
        slots.shorten(i, stop)

    def _put_back(
        self, slots: Slots, i: int, packet: memoryview, tag: int, mki: bytes
    ) -> None:
        at = len(packet) - self._size - tag
        packet[at:] = mki + bytes(packet[at : at + tag])
        slots.shorten(i, len(packet))
