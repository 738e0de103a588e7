"""Ears that we did not write: PyAV's decoders, and where a tone lies."""

import io
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 8000
LATEST: Final = 4000
"Samples by which one party may start after the other where all cores are busy."
Samples = NDArray[np.int16]


def decoded(octets: bytes) -> Samples:
    """Return a media file as 16-bit samples, one row per channel."""
    with av.open(io.BytesIO(octets)) as file:
        stream = file.streams.audio[0]
        assert stream.rate == RATE_HZ
        resampler = av.AudioResampler(format="s16p", layout=stream.layout, rate=RATE_HZ)
        frames = [
            out.to_ndarray()
            for frame in file.decode(stream)
            for out in resampler.resample(frame)
        ]
    return np.concatenate(frames, axis=1)


def mu_law(octets: bytes) -> Samples:
    """Return G.711 mu-law octets as 16-bit samples."""
    codec = av.CodecContext.create("pcm_mulaw", "r")
    codec.sample_rate = RATE_HZ
    codec.layout = "mono"
    frames = codec.decode(av.Packet(octets))
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def aligned(said: Samples, heard: Samples) -> Samples:
    """Return *heard* from where *said* begins in it, cut to the same length.

    Parties do not start in the same sample, and the recording begins with the first
    of them: the other one is up to a few packets late.
    """
    longest = min(len(said), len(heard) - LATEST)
    starts = range(LATEST)
    matches = [
        np.count_nonzero(said[:longest] == heard[at : at + longest]) for at in starts
    ]
    start = int(np.argmax(matches))
    found = heard[start : start + len(said)]
    return np.pad(found, (0, len(said) - len(found)))


def tone_hz(samples: Samples) -> float:
    """Return the strongest frequency."""
    windowed = samples * np.hanning(len(samples))
    return float(np.abs(np.fft.rfft(windowed)).argmax() * RATE_HZ / len(samples))


def likeness(said: Samples, heard: Samples) -> float:
    """Return how well *heard* holds *said*, wherever it begins: 1.0 is the same.

    For what another encoder made of the source: the correlation of the two at the
    place where it is highest.
    """
    one, other = said.astype(np.float64), heard.astype(np.float64)
    size = 1 << (len(one) + len(other)).bit_length()
    across = np.fft.irfft(np.fft.rfft(other, size) * np.fft.rfft(one, size).conj())
    start = int(np.argmax(across[: len(other)]))
    found = other[start : start + len(one)]
    found = np.pad(found, (0, len(one) - len(found)))
    return float(found @ one / (np.linalg.norm(found) * np.linalg.norm(one) or 1.0))
