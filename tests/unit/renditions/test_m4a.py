import io

import av
import numpy as np
import pytest

from vault.renditions.m4a import M4aWriter, moov_first


def tones(seconds: float) -> np.ndarray:
    """Return 440 Hz left and 1 kHz right."""
    time = np.arange(int(8000 * seconds)) / 8000
    both = [np.sin(2 * np.pi * hz * time) for hz in (440, 1000)]
    return (np.array(both) * 12_000).astype(np.int16)


def written(block: np.ndarray) -> bytes:
    writer = M4aWriter(channels=len(block))
    for at in range(0, block.shape[1], 16_000):
        writer.write(block[:, at : at + 16_000])
    return writer.finish()


def test_it_is_aac_of_16_khz_with_the_right_length() -> None:
    with av.open(io.BytesIO(written(tones(10)))) as container:
        stream = container.streams.audio[0]
        duration_s = float(container.duration) / 1e6

        assert (stream.codec_context.name, stream.rate) == ("aac", 16_000)
        assert stream.codec_context.profile == "LC"
        assert abs(duration_s - 10) < 0.07


def test_the_index_comes_before_the_media() -> None:
    file = written(tones(30))

    assert file[4:8] == b"ftyp"
    assert 0 < file.find(b"moov") < file.find(b"mdat")


def test_what_was_moved_still_decodes_and_parties_stay_apart() -> None:
    with av.open(io.BytesIO(written(tones(5)))) as container:
        frames = [each.to_ndarray() for each in container.decode(audio=0)]
    samples = np.concatenate(frames, axis=1)[:, 16_000:64_000]
    spectrum = np.abs(np.fft.rfft(samples, axis=1))

    assert [440 * 3, 1000 * 3] == spectrum.argmax(axis=1).tolist()
    assert spectrum[0, 3000] < spectrum[0, 1320] / 1000


def test_one_line_is_mono() -> None:
    with av.open(io.BytesIO(written(tones(1)[:1]))) as container:
        assert container.streams.audio[0].codec_context.channels == 1


def test_an_index_that_is_first_already_is_left_alone() -> None:
    file = written(tones(1))

    assert file == moov_first(file)


@pytest.mark.parametrize(
    "file", [b"", b"RIFF", b"\0\0\0\x08mdat", b"\0\0\0\xffmoov", b"\0\0\0\x04moov"]
)
def test_what_is_no_file_of_ours_is_a_bug(file: bytes) -> None:
    with pytest.raises(ValueError, match=r"MP4|box"):
        moov_first(file)
