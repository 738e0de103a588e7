"""DTMF in the audio: tones of every key, and voices that are none."""

import wave
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.calls import RATE, Phone, added, babble, capture, companded, heard
from vault.renditions.mixdown import BLOCK_SAMPLES, Timeline, timeline_of
from vault.renditions.packets import CaptureReader
from vault.renditions.tones import ToneMuter, tone_spans

LOW = (697, 770, 852, 941)
HIGH = (1209, 1336, 1477, 1633)
KEYS = [(low, high) for low in LOW for high in HIGH]


def tone(
    low: float,
    high: float,
    seconds: float = 0.1,
    *,
    level: float = 4000,
    twist_db: float = 0.0,
) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    gain = 10 ** (twist_db / 20)
    waves = np.sin(2 * np.pi * low * at) + gain * np.sin(2 * np.pi * high * at)
    return (level * waves).astype(np.int16)


def around(sound: np.ndarray, seconds: float = 0.5) -> np.ndarray:
    quiet = np.zeros(round(seconds * RATE), np.int16)
    return np.concatenate([quiet, sound, quiet])


def through_g711(samples: np.ndarray) -> np.ndarray:
    return heard(companded(samples))


class TestATone:
    @pytest.mark.parametrize(("low", "high"), KEYS)
    def test_of_every_key_is_found_whole(self, low: int, high: int) -> None:
        start, length = RATE // 2, RATE // 10
        samples = through_g711(around(tone(low, high)))

        ((first, last),) = tone_spans(samples)

        assert start - 0.05 * RATE <= first <= start
        assert start + length <= last <= start + length + 0.05 * RATE

    @pytest.mark.parametrize("off", [-0.015, -0.01, 0.01, 0.015])
    @pytest.mark.parametrize("twist_db", [-8, 0, 4])
    def test_of_a_poor_sender_is_found(self, off: float, twist_db: float) -> None:
        for low, high in KEYS:
            sound = tone(low * (1 + off), high * (1 + off), twist_db=twist_db)

            assert len(tone_spans(through_g711(around(sound)))) == 1

    @pytest.mark.parametrize("shift", range(0, 160, 20))
    def test_of_forty_milliseconds_is_found_wherever_it_begins(
        self, shift: int
    ) -> None:
        samples = np.concatenate(
            [np.zeros(shift, np.int16), around(tone(852, 1336, 0.04))]
        )

        assert len(tone_spans(samples)) == 1

    def test_that_is_weak_or_over_noise_is_found(self) -> None:
        noise = np.random.default_rng(1).normal(0, 100, 9600).astype(np.int16)

        assert len(tone_spans(around(tone(697, 1209, level=150)))) == 1
        assert len(tone_spans(around(tone(697, 1209, level=2000)) + noise[:8800])) == 1

    def test_after_tone_are_told_apart_or_silenced_together(self) -> None:
        number = [tone(697, 1209, 0.1), np.zeros(800, np.int16)] * 16
        samples = around(np.concatenate(number))

        silent = np.zeros(len(samples), bool)
        for first, last in tone_spans(samples):
            silent[first:last] = True
        loud = samples != 0

        assert not (loud & ~silent).any()


class TestWhatIsNoTone:
    @pytest.mark.parametrize("hz", [*LOW, *HIGH, 440, 1000])
    def test_one_sine_alone(self, hz: int) -> None:
        at = np.arange(RATE) / RATE
        sine = (8000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)

        assert tone_spans(sine) == []

    def test_silence_noise_and_babble(self) -> None:
        noise = np.random.default_rng(2).normal(0, 3000, 10 * RATE)

        assert tone_spans(np.zeros(RATE, np.int16)) == []
        assert tone_spans(noise.clip(-32000, 32000).astype(np.int16)) == []
        assert tone_spans(heard(babble(30))) == []
        assert tone_spans(np.zeros(10, np.int16)) == []

    def test_dial_ringing_and_busy_tones(self) -> None:
        for low, high in ((350, 440), (440, 480), (480, 620), (425, 425), (1400, 2060)):
            assert tone_spans(tone(low, high, 2.0)) == []

    @pytest.mark.parametrize("voice", ["agent", "customer"])
    def test_people_who_talk(self, shared: Path, voice: str) -> None:
        with wave.open(str(shared / "media" / f"{voice}.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)

        muted = sum(last - first for first, last in tone_spans(through_g711(samples)))

        assert muted < RATE // 4


class TestAMutedCall:
    @staticmethod
    def timeline(samples: np.ndarray) -> Timeline:
        reader = CaptureReader()
        reader.feed(capture(Phone().say(companded(samples)), added(0, "agent")))
        return timeline_of(reader.finish())

    @pytest.mark.parametrize("at", [1.0, 59.93, 59.95, 59.98, 60.0, 60.02])
    def test_has_no_tone_left_wherever_blocks_are_cut(self, at: float) -> None:
        first = round(at * RATE) // 160 * 160
        samples = heard(babble(62)).astype(np.int16)
        samples[first : first + 800] = tone(770, 1477)
        timeline, muter = self.timeline(samples), ToneMuter(1)

        found = np.concatenate(list(timeline.blocks(muter)), axis=1)[0]

        assert len(samples) == len(found) > BLOCK_SAMPLES
        assert not found[first : first + 800].any()
        assert (found[: first - 400] == through_g711(samples)[: first - 400]).all()
        assert (found[first + 1200 :] == through_g711(samples)[first + 1200 :]).all()
        assert 100 <= muter.muted_ms(0) <= 200

    def test_without_tones_is_as_it_was(self) -> None:
        samples = heard(babble(3)).astype(np.int16)
        timeline, muter = self.timeline(samples), ToneMuter(1)

        (muted,), (plain,) = timeline.blocks(muter), timeline.blocks()

        assert (muted == plain).all()
        assert muter.muted_ms(0) == 0
