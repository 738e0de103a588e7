"""Peaks and silences: what a player draws and skips before it has any audio.

Guarantees: 20 peaks per second and channel, each the largest magnitude of its
50 ms scaled to 0..127; silences are spans of at least 1 s in which no channel
rises above -42 dBFS.

Left to others: who may see them: peaks are content, with the right of the audio.

Spec: docs/reference/formats/peaks.md
"""

import base64
import json
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.core.clock import rfc3339
from vault.renditions.g711 import RATE_HZ
from vault.renditions.mixdown import Block

MEDIA_TYPE: Final = "application/json"

PEAKS_HZ: Final = 20
_WINDOW: Final = RATE_HZ // PEAKS_HZ
_WINDOW_MS: Final = 1000 // PEAKS_HZ
_QUIET: Final = 260
"Samples below this are silence: -42 dBFS, above the noise of a G.711 line."

_SILENCE_WINDOWS: Final = PEAKS_HZ


class PeaksWriter:
    """Takes blocks of samples whose length is a multiple of 50 ms, but the last."""

    def __init__(self, *, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._peaks: list[NDArray[np.int32]] = []
        self._samples = 0

    def write(self, block: Block) -> None:
        """Append samples as (channels, samples)."""
        starts = np.arange(0, block.shape[1], _WINDOW)
        # -32768 has no positive counterpart in 16 bits, so extremes are widened
        # before they are turned round; contiguous rows keep reduceat fast.
        rows = [np.ascontiguousarray(row) for row in block]
        highest = [np.maximum.reduceat(row, starts).astype(np.int32) for row in rows]
        lowest = [np.minimum.reduceat(row, starts).astype(np.int32) for row in rows]
        self._peaks.append(np.maximum(highest, np.negative(lowest)))
        self._samples += block.shape[1]

    def quiet_ms(self, channel: int) -> int:
        """Return for how long a channel was silent, in milliseconds."""
        quiet = np.count_nonzero(self._all()[channel] < _QUIET)
        return min(int(quiet) * _WINDOW_MS, self._samples * 1000 // RATE_HZ)

    def finish(self, *, origin_ns: int) -> bytes:
        """Return the JSON document."""
        peaks = self._all()
        return json.dumps(
            {
                "v": 1,
                "origin": rfc3339(origin_ns),
                "duration_s": self._samples / RATE_HZ,
                "rate_hz": PEAKS_HZ,
                "channels": [
                    {"label": label, "peaks": _int8(row)}
                    for label, row in zip(self._labels, peaks, strict=True)
                ],
                "silences": self._silences(peaks),
            },
            separators=(",", ":"),
        ).encode()

    def _all(self) -> NDArray[np.int32]:
        if not self._peaks:
            return np.zeros((len(self._labels), 0), np.int32)
        return np.concatenate(self._peaks, axis=1)

    def _silences(self, peaks: NDArray[np.int32]) -> list[list[float]]:
        quiet = (peaks < _QUIET).all(axis=0).astype(np.int8)
        edges = np.flatnonzero(np.diff(quiet, prepend=0, append=0))
        end_s = self._samples / RATE_HZ
        return [
            [first / PEAKS_HZ, min(last / PEAKS_HZ, end_s)]
            for first, last in edges.reshape(-1, 2).tolist()
            if last - first >= _SILENCE_WINDOWS
        ]


def _int8(row: NDArray[np.int32]) -> str:
    return base64.b64encode(np.minimum(row >> 8, 127).astype(np.int8)).decode()
