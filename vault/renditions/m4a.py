"""M4A: AAC-LC at 16 kHz with the index first, for players that take no FLAC.

libavformat can put ``moov`` before ``mdat`` only by opening its output a second
time by name.  That needs a file, or a memfd under /proc, which a process that
made itself undumpable may not open.  So the two boxes are swapped here, and the
chunk offsets in ``stco`` and ``co64`` moved by the size of ``moov``.

Guarantees: nothing touches a disk; the result plays from the first ranged answer.

Left to others: sealing (`vault.renditions.vaulting`).

Spec: ISO/IEC 14496-12, sections 4.2, 8.2.1, 8.7.5; ISO/IEC 14496-14
"""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np

from vault.renditions.g711 import RATE_HZ
from vault.renditions.mixdown import Block, interleaved

MEDIA_TYPE: Final = "audio/mp4"

_OUT_RATE_HZ: Final = 16_000
_BIT_RATE: Final = 48_000
_BOX: Final = struct.Struct(">I4s")
_LARGE: Final = 1
_FULL_BOX: Final = 4
"Version and flags in front of a full box's members."

_PARENTS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_OFFSETS: Final = {b"stco": ">u4", b"co64": ">u8"}


class M4aWriter:
    """Takes blocks of samples and returns an M4A file of one or two channels."""

    def __init__(self, *, channels: int) -> None:
        self._layout = "stereo" if channels > 1 else "mono"
        self._file = io.BytesIO()
        self._container = av.open(self._file, "w", format="mp4")
        stream = self._container.add_stream("aac", rate=_OUT_RATE_HZ)
        stream.layout = self._layout
        stream.bit_rate = _BIT_RATE
        self._stream = stream
        self._resampler = av.AudioResampler(
            format="fltp", layout=self._layout, rate=_OUT_RATE_HZ
        )
        self._written = 0

    def write(self, block: Block) -> None:
        """Append samples of 8 kHz as (channels, samples)."""
        frame = av.AudioFrame.from_ndarray(interleaved(block), "s16", self._layout)
        frame.sample_rate = RATE_HZ
        frame.pts, frame.time_base = self._written, Fraction(1, RATE_HZ)
        self._written += block.shape[1]
        self._mux(frame)

    def finish(self) -> bytes:
        """Return the file."""
        self._mux(None)
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return moov_first(self._file.getvalue())

    def _mux(self, frame: av.AudioFrame | None) -> None:
        for resampled in self._resampler.resample(frame):
            for packet in self._stream.encode(resampled):
                self._container.mux(packet)


def moov_first(file: bytes) -> bytes:
    """Return an MP4 *file* of ours with ``moov`` before ``mdat``."""
    boxes = list(_boxes(file, 0, len(file)))
    index = [(start, stop) for kind, start, stop in boxes if kind == b"moov"]
    media = [start for kind, start, _ in boxes if kind == b"mdat"]
    if len(index) != 1 or not media:
        raise ValueError("not an MP4 file with one index")
    start, stop = index[0]
    if start < media[0]:
        return file
    moov = bytearray(file[start:stop])
    _move_offsets(moov, 0, len(moov), by=len(moov))
    before, between = file[: media[0]], file[media[0] : start]
    return before + bytes(moov) + between + file[stop:]


def _boxes(
    file: bytes | bytearray, at: int, end: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and stop of the boxes that lie behind each other."""
    while at + _BOX.size <= end:
        size, kind = _BOX.unpack_from(file, at)
        if size == _LARGE:
            size = int.from_bytes(file[at + 8 : at + 16], "big")
        if not _BOX.size <= size <= end - at:
            raise ValueError("a box reaches beyond its parent")
        yield kind, at, at + size
        at += size


def _move_offsets(moov: bytearray, at: int, end: int, *, by: int) -> None:
    for kind, start, stop in _boxes(moov, at, end):
        inside = start + _BOX.size
        if kind in _PARENTS:
            _move_offsets(moov, inside, stop, by=by)
        elif kind in _OFFSETS:
            first = inside + _FULL_BOX + 4
            table = np.frombuffer(moov, np.uint8)[first:stop].view(_OFFSETS[kind])
            table += by
