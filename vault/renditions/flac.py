"""FLAC, written without a muxer: frames from libavcodec, blocks from the RFC.

    fLaC | STREAMINFO | SEEKTABLE (a point each second) | frames ...

A seek table lets a player jump inside a long call with one ranged request, and says
which second lies in which octet (`vault.playback.timing`); libavformat writes none, and
needs a seekable file.  Frames are complete as they leave the encoder, so the container
is a header.

Guarantees: nothing touches a disk; the MD5 in STREAMINFO is that of the samples,
so any FLAC tool can check the audio.

Left to others: sealing (`vault.renditions.vaulting`).

Spec: RFC 9639, sections 8.1, 8.2, 8.5
"""

import struct
from fractions import Fraction
from typing import Final

import av

from vault.renditions.g711 import RATE_HZ
from vault.renditions.mixdown import Block, interleaved

MEDIA_TYPE: Final = "audio/flac"

_STREAMINFO: Final = 0
_STREAMINFO_SIZE: Final = 34
_FINAL: Final = "new_extradata"
_SEEKTABLE: Final = 3
_LAST_BLOCK: Final = 0x80
_FRAME_SAMPLES: Final = 2304
"""288 ms: the encoder's own choice at 8 kHz, 576, takes a third longer and makes a
larger file.  Blocks of up to 4608 samples are in the streamable subset (section 7)."""

_POINT: Final = struct.Struct(">QQH")
_POINT_EVERY: Final = RATE_HZ
"18 octets a second: a thousandth of what is heard in it."


class FlacWriter:
    """Takes blocks of samples and returns a FLAC file of one or two channels."""

    def __init__(self, *, channels: int) -> None:
        self._layout = "stereo" if channels > 1 else "mono"
        codec = av.AudioCodecContext.create("flac", "w")
        codec.sample_rate = RATE_HZ
        codec.layout = self._layout
        codec.format = "s16"
        codec.time_base = Fraction(1, RATE_HZ)
        codec.options = {"frame_size": str(_FRAME_SAMPLES)}
        self._codec = codec
        self._frames: list[bytes] = []
        self._points: list[bytes] = []
        self._streaminfo = b""
        self._written = self._size = self._next_point = 0

    def write(self, block: Block) -> None:
        """Append samples as (channels, samples)."""
        frame = av.AudioFrame.from_ndarray(interleaved(block), "s16", self._layout)
        frame.sample_rate = RATE_HZ
        frame.pts, frame.time_base = self._written, Fraction(1, RATE_HZ)
        self._written += block.shape[1]
        self._encode(frame)

    def finish(self) -> bytes:
        """Return the file."""
        self._encode(None)
        streaminfo, table = self._streaminfo, b"".join(self._points)
        if len(streaminfo) != _STREAMINFO_SIZE:
            raise RuntimeError("the encoder gave no STREAMINFO at its end")
        header = (
            b"fLaC"
            + _block_header(_STREAMINFO, streaminfo)
            + streaminfo
            + _block_header(_SEEKTABLE | _LAST_BLOCK, table)
            + table
        )
        return header + b"".join(self._frames)

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for packet in self._codec.encode(frame):
            # The last packet has no frame: it brings the final STREAMINFO.  The
            # codec's own copy is no good then, its MD5 was finished twice.
            if frame is None and packet.has_sidedata(_FINAL):
                self._streaminfo = bytes(packet.get_sidedata(_FINAL))
            octets = bytes(packet)
            if not octets:
                continue
            if packet.pts is not None and packet.pts >= self._next_point:
                samples = packet.duration or self._codec.frame_size
                self._points.append(_POINT.pack(packet.pts, self._size, samples))
                self._next_point += _POINT_EVERY
            self._frames.append(octets)
            self._size += len(octets)


def _block_header(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big")
