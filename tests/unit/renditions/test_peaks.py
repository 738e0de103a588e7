import base64
import json

import numpy as np

from vault.renditions.peaks import PeaksWriter


def drawn(*blocks: np.ndarray) -> dict:
    writer = PeaksWriter(labels=["agent", "customer"][: len(blocks[0])])
    for block in blocks:
        writer.write(block)
    return json.loads(writer.finish(origin_ns=0))


def values(drawing: dict, channel: int = 0) -> list[int]:
    return list(
        np.frombuffer(base64.b64decode(drawing["channels"][channel]["peaks"]), np.int8)
    )


def test_there_are_twenty_per_second_and_channel() -> None:
    drawing = drawn(np.zeros((2, 8000), np.int16))

    assert (drawing["rate_hz"], drawing["duration_s"]) == (20, 1.0)
    assert [20, 20] == [len(values(drawing, n)) for n in range(2)]
    assert ["agent", "customer"] == [each["label"] for each in drawing["channels"]]


def test_each_is_the_largest_magnitude_of_its_50_ms() -> None:
    block = np.zeros((1, 1200), np.int16)
    block[0, [0, 399, 400, 1199]] = 256, -32768, 32767, -256

    assert [127, 127, 1] == values(drawn(block))


def test_a_last_window_may_be_short() -> None:
    drawing = drawn(np.full((1, 401), 512, np.int16))

    assert [2, 2] == values(drawing)
    assert drawing["duration_s"] == 401 / 8000


def test_silence_is_where_nobody_speaks_for_a_second() -> None:
    block = np.full((2, 8000 * 6), 5000, np.int16)
    block[0, 8000:32000] = 100
    block[1, 16000:48000] = 0
    block[0, 40000:44000] = 0

    assert [[2.0, 4.0]] == drawn(block)["silences"]


def test_a_call_that_is_silent_to_its_end_says_so() -> None:
    assert [[0.0, 1.5]] == drawn(np.zeros((2, 12_000), np.int16))["silences"]


def test_quiet_time_is_counted_per_channel() -> None:
    writer = PeaksWriter(labels=["a", "b"])
    block = np.full((2, 16_000), 9000, np.int16)
    block[1, :4000] = 0
    writer.write(block)

    assert [0, 500] == [writer.quiet_ms(n) for n in range(2)]
