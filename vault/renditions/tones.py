"""DTMF tones inside the audio: found, and silenced in what is made to be played.

A key sounds as two sines at once, one of a low group and one of a high group.  Windows
of 20 ms, one each 10 ms, in which nearly all the energy lies at one frequency of each
group are tone; where two windows follow each other with the same pair, both sines
are silenced from before the first window until after the last one.

Guarantees:
    * A span is found alike wherever blocks are cut: each is looked at with what
      lies around it.
    * Nothing but samples of tones, and 20 ms around them, becomes silence; no
      sample moves.

Left to others: whether it is wanted (`vault.renditions.config`); digits that are
packets of their own are never captured (`vault.tap.digits`).

Spec: ITU-T Q.23 (frequencies), Q.24 (lengths: 40 ms are a digit, 23 ms are not)
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.renditions.g711 import RATE_HZ

Samples = NDArray[np.int16]
Render = Callable[[int, int], Samples]
"Gives the samples from one position to another."

_LOW_HZ: Final = (697.0, 770.0, 852.0, 941.0)
_HIGH_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)
_OFF: Final = (0.988, 1.0, 1.012)
"What a sender's frequencies may be off: 1.5 % is to be taken (Q.24)."

_WINDOW: Final = RATE_HZ // 50
_HOP: Final = RATE_HZ // 100
_AROUND: Final = RATE_HZ // 50
"Samples before the first and after the last window of a tone that are silenced, too."
_CONTEXT: Final = 8 * _HOP
"Samples around a block that are looked at."
_SHARE: Final = 0.75
"Of the energy of a window that lies in the two sines."
_TWIST: Final = 16.0
"How much stronger one sine may be: 12 dB."
_LEAST: Final = 30.0**2
"Mean square of what is heard at all: about -57 dBFS."
_IN_A_ROW: Final = 2


def _basis() -> NDArray[np.float32]:
    at = np.arange(_WINDOW) / RATE_HZ
    waves = [
        wave(2 * np.pi * hz * off * at)
        for hz in (*_LOW_HZ, *_HIGH_HZ)
        for off in _OFF
        for wave in (np.cos, np.sin)
    ]
    return np.array(waves, np.float32).T


_BASIS: Final = _basis()
_GROUP: Final = len(_LOW_HZ)


class ToneMuter:
    """Silences tones channel by channel, and counts what it silences."""

    def __init__(self, channels: int) -> None:
        self._muted = [0] * channels

    def muted_ms(self, channel: int) -> int:
        """Return how much of a channel was silenced, in milliseconds."""
        return self._muted[channel] * 1000 // RATE_HZ

    def mute(self, channel: int, render: Render, start: int, stop: int) -> Samples:
        """Return the samples of *render* from *start* to *stop* without tones.

        Args:
            channel: Whose.
            render: Gives samples of the channel; those outside the call are silent.
            start: A whole number of hops (10 ms).
            stop: Exclusive.
        """
        before = min(start, _CONTEXT)
        heard = render(start - before, stop + _CONTEXT)
        silent = tone_spans(heard)
        samples = heard[before : before + stop - start].copy()
        for first, last in silent:
            first, last = max(first - before, 0), min(last - before, stop - start)  # noqa: PLW2901 - the same span, in samples of the block
            if first < last:
                samples[first:last] = 0
                self._muted[channel] += last - first
        return samples


def tone_spans(samples: Samples) -> list[tuple[int, int]]:
    """Return the stretches of *samples* that are DTMF, apart and in order."""
    keys = _keys(samples)
    same = np.flatnonzero((keys[1:] == keys[:-1]) & (keys[1:] >= 0))
    spans: list[tuple[int, int]] = []
    for window in same.tolist():
        first = max(0, window * _HOP - _AROUND)
        last = (window + _IN_A_ROW - 1) * _HOP + _WINDOW + _AROUND
        last = min(last, len(samples))
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], last
        else:
            spans.append((first, last))
    return spans


def _keys(samples: Samples) -> NDArray[np.int64]:
    """Return the key that sounds in each window, from 0 to 15; -1 for none."""
    if len(samples) < _WINDOW:
        return np.empty(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    windows = windows.astype(np.float32)
    energy = np.einsum("ij,ij->i", windows, windows)
    waves = (windows @ _BASIS).reshape(len(windows), 2 * _GROUP, len(_OFF), 2)
    # |X|² of a sine of amplitude A is (A·N/2)², its energy A²·N/2.
    power = (waves**2).sum(axis=3).max(axis=2) * (2 / _WINDOW)
    low, high = power[:, :_GROUP], power[:, _GROUP:]
    lowest, highest = low.max(axis=1), high.max(axis=1)
    is_tone = (
        (energy > _LEAST * _WINDOW)
        & (lowest + highest > _SHARE * energy)
        & (lowest < _TWIST * highest)
        & (highest < _TWIST * lowest)
    )
    key = low.argmax(axis=1) * _GROUP + high.argmax(axis=1)
    return np.where(is_tone, key, -1)
