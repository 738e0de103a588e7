"""Blocks and channels; where things lie in time is in test_timeline."""

import numpy as np

from tests.simulators.calls import Phone, added, babble, capture, heard
from vault.renditions.mixdown import BLOCK_SAMPLES, interleaved, timeline_of
from vault.renditions.packets import CaptureReader


def test_a_long_call_comes_in_blocks_of_a_minute() -> None:
    octets = babble(130)
    reader = CaptureReader()
    reader.feed(capture(Phone().say(octets), added(0, "agent")))
    blocks = list(timeline_of(reader.finish()).blocks())

    assert [BLOCK_SAMPLES, BLOCK_SAMPLES, 80_000] == [b.shape[1] for b in blocks]
    assert np.array_equal([heard(octets)], np.concatenate(blocks, axis=1))


def test_voices_that_are_too_loud_together_are_clipped_and_do_not_wrap() -> None:
    loud = np.full(8000, 0x80, np.uint8)
    packets = Phone(ssrc=1).say(loud) + Phone(ssrc=2).say(loud)
    reader = CaptureReader()
    reader.feed(capture(packets, added(0, "agent")))
    (block,) = timeline_of(reader.finish()).blocks()

    assert set(block[0].tolist()) == {32767}


def test_interleaving_takes_turns() -> None:
    block = np.array([[1, 2, 3], [4, 5, 6]], np.int16)

    assert interleaved(block).tolist() == [[1, 4, 2, 5, 3, 6]]


def test_video_is_on_no_channel() -> None:
    packets = Phone(stream=1).say(babble(1))
    reader = CaptureReader()
    reader.feed(capture(packets, added(0, "agent"), added(1, "screen", media="video")))
    timeline = timeline_of(reader.finish())

    assert ["agent"] == [each.label for each in timeline.channels]
    assert timeline.samples == 0
