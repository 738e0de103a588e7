"""Packet indexes of SRTP: guessing the one meant, refusing the one seen.

Guarantees: `ReplayWindow.check` changes nothing; `ReplayWindow.add` is called
with authentic indexes only, or not at all.

Left to others: authentication (`vault.tap.srtp_cm`).

Spec: RFC 3711, sections 3.3.1 and 3.3.2, appendix A.
"""

from typing import Final

from vault.tap.srtp_session import STATUS_OK, STATUS_REPLAYED, STATUS_TOO_OLD

_HALF: Final = 0x8000


def guess_index(seq: int, highest: int) -> int:
    """Return the index that *seq* means after *highest*, never below zero.

    To the letter of appendix A, as libsrtp does it: exactly 2**15 ahead is
    behind in the upper half of the number space, and ahead in the lower one.
    """
    roc, low = highest >> 16, highest & 0xFFFF
    if low < _HALF:
        if seq - low > _HALF and roc > 0:
            roc -= 1
    elif low - _HALF > seq:
        roc += 1
    return roc << 16 | seq


class ReplayWindow:
    """The indexes of one SSRC that were received."""

    __slots__ = ("_mask", "_seen", "_size", "highest")

    def __init__(self, size: int, highest: int = -1) -> None:
        """Remember *size* packets up to *highest*, of which that one was received."""
        self._size = size
        self._mask = (1 << size) - 1
        self._seen = 1 if highest >= 0 else 0
        self.highest = highest

    def check(self, index: int) -> int:
        """Return `STATUS_OK` if *index* may still come, else why not."""
        behind = self.highest - index
        if behind < 0:
            return STATUS_OK
        if behind >= self._size:
            return STATUS_TOO_OLD
        return STATUS_REPLAYED if self._seen >> behind & 1 else STATUS_OK

    def add(self, index: int) -> None:
        """Remember an authentic packet that `check` let pass."""
        ahead = index - self.highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
            return
        # Farther than the window, and nothing of it is left.
        self._seen = self._seen << min(ahead, self._size) & self._mask | 1
        self.highest = index
