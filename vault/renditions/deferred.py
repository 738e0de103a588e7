"""Deferred decryption: packets that failed authentication, opened by a late key.

The tap keeps such packets verbatim (kind 2) because the key may be known later, or
the rollover counter.  Each is tried under every key of its stream:

    1. by the session of that key and SSRC, which knows where the stream stands;
    2. else by trial of rollover counters (`vault.tap.rollover`), the nearest first;
       one that authenticates sets a fresh session there.

Guarantees:
    * Only what authenticates comes out; a packet that does not changes nothing.
    * Octets of a sender without the key cost a bounded number of trials.

Left to others: order, duplicates and time (`vault.renditions.legs`), where keys
come from (`vault.renditions.late_keys`).

Spec: RFC 3711, sections 3.3 and 3.3.1; docs/explanation/renditions.md
"""

from collections.abc import Iterator, Sequence
from typing import Final

from vault.renditions.late_keys import LateKey
from vault.tap.orders import MkiKey
from vault.tap.rollover import find_rollover
from vault.tap.rtp import FIXED_SIZE
from vault.tap.slots import ROOM, Slots
from vault.tap.srtp import inbound
from vault.tap.srtp_session import STATUS_OK, InboundSession

_MOST_ROLLOVERS: Final = 256
"Counters to try: at 50 packets/s a stream reaches them after 93 hours."

_NEAR: Final = 8
"Rollovers that a stream may have made while nothing of it authenticated."

_PATIENCE: Final = 1000
"Packets in a row that get a full trial though none of them authenticated."

_SAMPLE: Final = 50
"After that, one in so many does: a key may be that of a later stretch."


class DeferredDecryption:
    """Opens the kept packets of one call; ask in the order of their arrival."""

    def __init__(self, keys: Sequence[LateKey]) -> None:
        self._keys = tuple(keys)
        # Room for the packet in hand; a call without late keys needs none.
        self._slots = Slots(0) if keys else None
        self._by_stream: dict[int, tuple[_KeyInUse, ...]] = {}

    def announce(self, stream: int, label: str) -> None:
        """Say what *stream* is called: from here on its keys are known."""
        if self._slots is not None and stream not in self._by_stream:
            self._by_stream[stream] = tuple(
                _KeyInUse(each, self._slots)
                for each in self._keys
                if each.fits(stream, label)
            )

    def open(self, stream: int, packet: bytes) -> bytes | None:
        """Return the RTP packet in *packet*, or None where no key fits."""
        if not FIXED_SIZE <= len(packet) <= ROOM:
            return None
        for key in self._by_stream.get(stream, ()):
            opened = key.open(packet)
            if opened is not None:
                return opened
        return None


class _KeyInUse:
    """One key and where each SSRC under it stands."""

    def __init__(self, key: LateKey, slots: Slots) -> None:
        self._key = key
        self._slots = slots
        self._shared = self._fresh()
        self._sessions: dict[int, InboundSession] = {}
        self._highest: dict[int, int] = {}
        self._misses = 0

    def open(self, packet: bytes) -> bytes | None:
        seq, ssrc = int.from_bytes(packet[2:4]), int.from_bytes(packet[8:12])
        if ssrc not in self._highest and self._key.roc is not None:
            opened = self._open_at(ssrc, seq, self._key.roc, packet)
        else:
            opened = self._try(self._sessions.get(ssrc, self._shared), packet)
            if opened is not None:
                self._seen(ssrc, _nearest(seq, self._highest.get(ssrc, seq)))
        return opened or self._by_trial(ssrc, seq, packet)

    def _by_trial(self, ssrc: int, seq: int, packet: bytes) -> bytes | None:
        """Find the counter under which *packet* authenticates, if there is one.

        Also where a session says "replayed" or "too old": it has not looked at the
        tag then, and a network that sends a packet twice does so in the capture.
        """
        self._misses += 1
        if self._misses > _PATIENCE and self._misses % _SAMPLE:
            return None
        named = self._shared.trial(packet)
        if named is None:
            return None
        key, bare = named
        candidates = self._candidates(ssrc, seq)
        roc = find_rollover(self._key.crypto.suite, key, bare, candidates)
        return None if roc is None else self._open_at(ssrc, seq, roc, packet)

    def _candidates(self, ssrc: int, seq: int) -> Iterator[int]:
        """Yield counters to try, the likely ones first, none twice."""
        known, here = self._highest.get(ssrc), self._key.roc
        if known is not None:
            here = _nearest(seq, known) >> 16
        near: list[int] = []
        if here is not None:
            near = [here, *range(here + 1, here + _NEAR), here - 1]
            near = [each for each in near if each >= 0]
        yield from near
        yield from (each for each in range(_MOST_ROLLOVERS) if each not in near)

    def _open_at(self, ssrc: int, seq: int, roc: int, packet: bytes) -> bytes | None:
        session, index = self._fresh(), (roc << 16) + seq
        if not session.fast_forward(ssrc, index - 1):
            return None
        opened = self._try(session, packet)
        if opened is None:
            return None
        if index >= self._highest.get(ssrc, 0):
            self._sessions[ssrc] = session
        self._seen(ssrc, index)
        return opened

    def _seen(self, ssrc: int, index: int) -> None:
        self._highest[ssrc] = max(index, self._highest.get(ssrc, 0))
        self._misses = 0

    def _try(self, session: InboundSession, packet: bytes) -> bytes | None:
        slots = self._slots
        slots.restore(0, packet)
        if session.unprotect(slots, 0) != STATUS_OK:
            return None
        return bytes(slots.packet(0, slots.length(0)))

    def _fresh(self) -> InboundSession:
        crypto = self._key.crypto
        mkis = tuple(MkiKey(mki=one.mki, key=one.key) for one in crypto.mkis)
        return inbound(crypto.suite, crypto.key, mkis)


def _nearest(seq: int, highest: int) -> int:
    """Return the index with the low 16 bits *seq* that lies nearest to *highest*.

    Spec: RFC 3711, section 3.3.1.
    """
    step = (seq - highest + 0x8000) % 0x10000 - 0x8000
    return max(highest + step, seq)
