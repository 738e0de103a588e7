"""Which moments of a recording lie in which octets of its rendition.

The trail says what was listened to in minutes and seconds, and HTTP hands out octets.
Both renditions of ours say themselves how one becomes the other: the seek table of
FLAC (a point each second) and the sample table of MP4.

Guarantees:
    * A moment is right within a second; between two points time runs evenly.
    * Octets before the first sound, the header, are no time at all.
    * What cannot be read gives no times and no error: octets are written down anyway.

Left to others: when it is asked, and what is made of it (`vault.playback.ledger`).

Spec: RFC 9639, sections 8.2 and 8.5; ISO/IEC 14496-12, sections 8.6.1.2, 8.7
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, repeat
from typing import Final, Self

Read = Callable[[int, int], bytes]
"Octets of a rendition from the first offset up to the second."

_MS: Final = 1000
_AHEAD_BYTES: Final = 64 * 1024
"Read at once: a header is a dozen small pieces, and each read asks the store."
_MOST_HEADER_BYTES: Final = 32 * 1024 * 1024
"An index that is larger belongs to no recording of a day."
_MOST_BOXES: Final = 64
_MOST_ROWS: Final = 1 << 23

_FLAC: Final = "audio/flac"
_STREAMINFO, _SEEKTABLE = 0, 3
_LAST_BLOCK: Final = 0x80
_STREAMINFO_SIZE: Final = 34
_POINT: Final = struct.Struct(">QQH")
_PLACEHOLDER: Final = 2**64 - 1

_BOX: Final = struct.Struct(">I4s")
_LARGE: Final = 1
_PARENTS: Final = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
_WANTED: Final = (b"mdhd", b"stts", b"stsc", b"stsz")


class _UnreadableError(Exception):
    """No times in this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Points of a rendition: at this octet begins this millisecond."""

    offsets: Sequence[int] = field(repr=False)
    "In octets, growing; the last one is where the media end."
    times_ms: Sequence[int] = field(repr=False)
    "As many, in milliseconds."

    @classmethod
    def of(cls, read: Read, *, size: int, media_type: str) -> Self | None:
        """Read the times that a rendition says itself; None where it says none.

        Args:
            read: Gives plaintext of it.
            size: All octets of it.
            media_type: ``audio/flac``, ``audio/mp4``, ``video/mp4``; others have none.
        """
        points_of = _flac_points if media_type == _FLAC else _mp4_points
        if points_of is _mp4_points and not media_type.endswith("/mp4"):
            return None
        head = read(0, min(size, _AHEAD_BYTES))

        def ahead(start: int, stop: int) -> bytes:
            return head[start:stop] if stop <= len(head) else read(start, stop)

        try:
            return cls._through(points_of(ahead, size))
        except (
            *(_UnreadableError, struct.error, IndexError, ValueError),
            *(ZeroDivisionError, OverflowError),
        ):
            return None

    @classmethod
    def _through(cls, points: Sequence[tuple[int, int]]) -> Self | None:
        ordered = sorted(points)
        if len(ordered) < 2 or any(  # noqa: PLR2004 - a beginning and an end
            later[1] < earlier[1] for earlier, later in pairwise(ordered)
        ):
            return None
        return cls(
            offsets=array("Q", (offset for offset, _ in ordered)),
            times_ms=array("Q", (ms for _, ms in ordered)),
        )

    def span_ms(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return from when to when the octets from *start* up to *stop* are heard.

        None where they hold no media.
        """
        start, stop = max(start, self.offsets[0]), min(stop, self.offsets[-1])
        return (self._ms(start), self._ms(stop)) if start < stop else None

    def _ms(self, offset: int) -> int:
        right = min(bisect_right(self.offsets, offset), len(self.offsets) - 1)
        (at, behind), (ms, later) = (
            self.offsets[right - 1 : right + 1],
            self.times_ms[right - 1 : right + 1],
        )
        if behind == at:
            return ms
        return ms + (later - ms) * (offset - at) // (behind - at)


# -------------------------------------------------------------------------- FLAC


def _flac_points(read: Read, size: int) -> list[tuple[int, int]]:
    if read(0, 4) != b"fLaC":
        raise _UnreadableError
    at, last, streaminfo, table = 4, False, b"", b""
    while not last:
        kind, *length = read(at, at + 4)
        last, stop = bool(kind & _LAST_BLOCK), at + 4 + int.from_bytes(bytes(length))
        if stop > min(size, _MOST_HEADER_BYTES):
            raise _UnreadableError
        if kind & ~_LAST_BLOCK == _STREAMINFO:
            streaminfo = read(at + 4, stop)
        elif kind & ~_LAST_BLOCK == _SEEKTABLE:
            table = read(at + 4, stop)
        at = stop
    if len(streaminfo) != _STREAMINFO_SIZE:
        raise _UnreadableError
    # 20 bits of rate, 3 of channels, 5 of bits per sample, 36 of samples.
    packed = int.from_bytes(streaminfo[10:18])
    rate_hz, samples = packed >> 44, packed & (1 << 36) - 1
    if not rate_hz or not samples:
        raise _UnreadableError
    points = [
        (at + offset, sample * _MS // rate_hz)
        for sample, offset, _ in _POINT.iter_unpack(table)
        if sample != _PLACEHOLDER and at + offset < size
    ]
    return [*points, (size, samples * _MS // rate_hz)]


# --------------------------------------------------------------------------- MP4


def _mp4_points(read: Read, size: int) -> list[tuple[int, int]]:
    at = 0
    for _ in range(_MOST_BOXES):
        length, kind = _BOX.unpack(read(at, at + _BOX.size))
        if length == _LARGE:
            length = int.from_bytes(read(at + 8, at + 16))
        if length < _BOX.size or at + length > size:
            break
        if kind == b"moov" and length <= _MOST_HEADER_BYTES:
            return _track_points(read(at + _BOX.size, at + length))
        at += length
    raise _UnreadableError


def _track_points(moov: bytes) -> list[tuple[int, int]]:
    """Return a point about each second of the first track, and its end."""
    boxes: dict[bytes, bytes] = {}
    for kind, body in _leaves(moov):
        # The first track counts: renditions have one.
        boxes.setdefault(kind, body)
    mdhd, stts, stsc, stsz = (boxes[kind] for kind in _WANTED if kind in boxes)
    scale = int.from_bytes(mdhd[20:24] if mdhd[0] else mdhd[12:16])
    chunks = _rows(boxes, b"stco", "I") or _rows(boxes, b"co64", "Q")
    sizes = _sizes(stsz)
    times = _Times(_numbers(stts, 2))
    each = max(1, len(sizes) * scale // max(1, times.at(len(sizes))))
    points, end, sample = [], 0, 0
    for chunk, count in zip(
        chunks, _counts(_numbers(stsc, 3), len(chunks)), strict=True
    ):
        offset, behind = chunk, min(sample + count, len(sizes))
        for first in range(sample, behind, each):
            points.append((offset, times.at(first) * _MS // scale))
            offset += sum(sizes[first : min(first + each, behind)])
        end, sample = max(end, offset), behind
    return [*points, (end, times.at(sample) * _MS // scale)]


def _leaves(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes below ``moov`` that hold no others."""
    at = 0
    while at + _BOX.size <= len(octets):
        length, kind = _BOX.unpack_from(octets, at)
        if not _BOX.size <= length <= len(octets) - at:
            raise _UnreadableError
        body = octets[at + _BOX.size : at + length]
        if kind in _PARENTS:
            yield from _leaves(body)
        else:
            yield kind, body
        at += length


def _rows(boxes: dict[bytes, bytes], kind: bytes, code: str) -> Sequence[int]:
    """Return the numbers of a table that begins with their count."""
    body = boxes.get(kind, b"")
    if not body:
        return ()
    count = int.from_bytes(body[4:8])
    return struct.unpack_from(f">{count}{code}", body, 8)


def _numbers(body: bytes, columns: int) -> Sequence[Sequence[int]]:
    count = int.from_bytes(body[4:8])
    flat = struct.unpack_from(f">{count * columns}I", body, 8)
    return [flat[at : at + columns] for at in range(0, len(flat), columns)]


def _sizes(stsz: bytes) -> Sequence[int]:
    alike, count = struct.unpack_from(">II", stsz, 4)
    if count > _MOST_ROWS:
        raise _UnreadableError
    return [alike] * count if alike else struct.unpack_from(f">{count}I", stsz, 12)


def _counts(runs: Sequence[Sequence[int]], chunks: int) -> Iterator[int]:
    """Yield how many samples each of so many chunks has."""
    firsts = [first - 1 for first, _, _ in runs] + [chunks]
    return chain.from_iterable(
        repeat(run[1], until - first)
        for run, (first, until) in zip(runs, pairwise(firsts), strict=True)
    )


class _Times:
    """When each sample begins, in units of the track."""

    def __init__(self, runs: Sequence[Sequence[int]]) -> None:
        self._firsts, self._begins, self._deltas = [0], [0], [0]
        sample = time = 0
        for count, delta in runs:
            self._firsts.append(sample)
            self._begins.append(time)
            self._deltas.append(delta)
            sample, time = sample + count, time + count * delta
        if not time:
            raise _UnreadableError

    def at(self, sample: int) -> int:
        run = bisect_right(self._firsts, sample) - 1
        return self._begins[run] + (sample - self._firsts[run]) * self._deltas[run]
