"""Times of octets, read from what the worker's own writers make."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest

from vault.playback.timing import Timing
from vault.renditions.flac import FlacWriter
from vault.renditions.m4a import M4aWriter

SECONDS = 30
RATE_HZ = 8000


def made(writer: FlacWriter | M4aWriter) -> bytes:
    random = np.random.default_rng(7)
    # Loud and silent seconds take turns, so that a second has no fixed size.
    for second in range(SECONDS):
        loudness = 9000 if second % 3 else 40
        noise = random.integers(-loudness, loudness, (2, RATE_HZ), np.int16)
        writer.write(noise)
    return writer.finish()


@pytest.fixture(scope="module")
def flac() -> bytes:
    return made(FlacWriter(channels=2))


@pytest.fixture(scope="module")
def m4a() -> bytes:
    return made(M4aWriter(channels=2))


def reads(file: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: file[start:stop]


def times(file: bytes, media_type: str) -> Timing:
    found = Timing.of(reads(file), size=len(file), media_type=media_type)
    assert found is not None
    return found


def packets(file: bytes) -> list[tuple[int, float]]:
    """Return offset and second of each packet, as libavformat reads them."""
    with av.open(io.BytesIO(file)) as container:
        return [
            (packet.pos, float((packet.pts or 0) * packet.time_base))
            for packet in container.demux(audio=0)
            if packet.pos is not None and packet.pts is not None and packet.size
        ]


def test_each_packet_of_flac_lies_where_libavformat_finds_it(flac: bytes) -> None:
    timing = times(flac, "audio/flac")

    for offset, second in packets(flac):
        span = timing.span_ms(offset, offset + 1)
        assert span is not None
        assert abs(span[0] / 1000 - second) < 1


def test_each_packet_of_m4a_lies_where_libavformat_finds_it(m4a: bytes) -> None:
    timing = times(m4a, "audio/mp4")

    for offset, second in packets(m4a):
        span = timing.span_ms(offset, offset + 1)
        assert span is not None
        assert abs(span[0] / 1000 - second) < 1


@pytest.mark.parametrize("kind", ["flac", "m4a"])
def test_all_octets_are_all_of_the_time(kind: str, flac: bytes, m4a: bytes) -> None:
    file, media_type = (flac, "audio/flac") if kind == "flac" else (m4a, "audio/mp4")

    span = times(file, media_type).span_ms(0, len(file))

    assert span is not None
    assert span[0] == 0
    assert abs(span[1] - SECONDS * 1000) < 200


@pytest.mark.parametrize("kind", ["flac", "m4a"])
def test_the_header_is_no_time(kind: str, flac: bytes, m4a: bytes) -> None:
    file, media_type = (flac, "audio/flac") if kind == "flac" else (m4a, "audio/mp4")

    assert times(file, media_type).span_ms(0, 40) is None


@pytest.mark.parametrize("media_type", ["audio/flac", "audio/mp4", "video/webm"])
@pytest.mark.parametrize("file", [b"", b"fLaC", b"x" * 100, bytes(64)])
def test_what_is_no_rendition_has_no_times(media_type: str, file: bytes) -> None:
    found = Timing.of(reads(file), size=len(file), media_type=media_type)

    assert found is None


@pytest.mark.parametrize("kind", ["flac", "m4a"])
def test_a_header_with_any_octet_changed_raises_nothing(
    kind: str, flac: bytes, m4a: bytes
) -> None:
    file, media_type = (flac, "audio/flac") if kind == "flac" else (m4a, "audio/mp4")
    for at in range(0, 700, 3):
        broken = bytearray(file)
        broken[at] ^= 0xFF
        found = Timing.of(reads(bytes(broken)), size=len(file), media_type=media_type)

        if found is not None:
            found.span_ms(0, len(file))
