"""Pauses and holds: the time line keeps its length, and says where they were."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.simulators.calls import MS, RATE, START_NS, Phone, Sent, added, babble
from vault.renditions.mixdown import Timeline, timeline_of
from vault.renditions.packets import CaptureReader
from vault.renditions.pauses import LeftOut, Pauses, listed
from vault.tap.capture import WHOLE_CALL, Event, encode_event

FRAME = RATE // 50
S = 1000 * MS


def event(name: Event, at_s: float, stream: int = WHOLE_CALL) -> tuple[int, bytes]:
    at_ns = START_NS + round(at_s * S)
    return at_ns, encode_event(name, now_ns=at_ns, stream=stream)


def timeline(
    packets: Sequence[Sent], *events: tuple[int, bytes], streams: int = 1
) -> Timeline:
    reader = CaptureReader()
    records = [(one.at_ns, bytes(one)) for one in packets] + list(events)
    for number in range(streams):
        reader.feed(added(number, f"label{number}"))
    reader.feed(b"".join(octets for _, octets in sorted(records, key=lambda r: r[0])))
    found = reader.finish()
    return timeline_of(
        found, until_ns=reader.pauses.silent_until_ns(set(range(streams)))
    )


def jittered(packets: Sequence[Sent], seed: int) -> list[Sent]:
    random = np.random.default_rng(seed)
    return [
        Sent(one.at_ns + int(random.integers(0, 30 * MS)), one.stream, one.octets)
        for one in packets
    ]


class TestAHoldOfAMinute:
    """Two seconds of speech, 60 s that are not captured, two more of speech."""

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("sender", ["sends-on", "stops", "forgets", "starts-anew"])
    def test_lasts_a_minute_to_the_frame(self, sender: str, seed: int) -> None:
        phone = Phone()
        before = phone.say(babble(2))
        if sender == "sends-on":
            # What comes is authenticated, discarded, and in no capture.
            phone.say(babble(60), at_s=2)
        elif sender == "stops":
            phone.pause(60)
        elif sender == "starts-anew":
            phone = Phone(ssrc=0xB2, seq=7, timestamp=99)
        after = phone.say(babble(2, seed=2), at_s=62)

        packets = jittered(before + after, seed)
        found = timeline(packets, event(Event.HOLD, 2, 0), event(Event.UNHOLD, 62, 0))

        assert abs(found.samples - 64 * RATE) <= FRAME

    @pytest.mark.parametrize("length_s", [0.2, 1.0, 7.3, 61.0, 3600.0])
    def test_and_any_other_is_as_long_as_it_was(self, length_s: float) -> None:
        phone = Phone()
        before = phone.say(babble(1))
        phone.pause(length_s)
        after = phone.say(babble(1, seed=2), at_s=1 + length_s)

        found = timeline(
            before + after,
            event(Event.PAUSE, 1),
            event(Event.RESUME, 1 + length_s),
        )

        assert abs(found.samples - round((2 + length_s) * RATE)) <= FRAME

    def test_is_silence_in_between(self) -> None:
        phone = Phone()
        before = phone.say(babble(1))
        phone.pause(2)
        after = phone.say(babble(1), at_s=3)

        (block,) = timeline(
            before + after, event(Event.PAUSE, 1), event(Event.RESUME, 3)
        ).blocks()

        assert not block[:, RATE : 3 * RATE].any()
        assert block[:, :RATE].any()
        assert block[:, 3 * RATE :].any()


class TestAPauseUntilTheEnd:
    def test_belongs_to_the_call(self) -> None:
        found = timeline(
            Phone().say(babble(1)), event(Event.PAUSE, 1), event(Event.END, 11)
        )

        assert abs(found.samples - 11 * RATE) <= FRAME

    @pytest.mark.parametrize(("held", "seconds"), [((0, 1), 11), ((0,), 1)])
    def test_is_one_where_every_voice_is_on_hold(
        self, held: tuple[int, ...], seconds: int
    ) -> None:
        packets = Phone().say(babble(1)) + Phone(stream=1, ssrc=2).say(babble(1))
        found = timeline(
            packets,
            *(event(Event.HOLD, 1, number) for number in held),
            event(Event.END, 11),
            streams=2,
        )

        assert abs(found.samples - seconds * RATE) <= FRAME

    def test_of_a_call_that_was_resumed_adds_nothing(self) -> None:
        found = timeline(
            Phone().say(babble(1)),
            event(Event.PAUSE, 0.2),
            event(Event.RESUME, 0.4),
            event(Event.END, 11),
        )

        assert found.samples == RATE


class TestWhatWasLeftOut:
    def test_is_told_from_its_beginning_to_its_end(self) -> None:
        pauses = Pauses()
        for name, stream, at_ns in (
            ("pause", WHOLE_CALL, 1 * S),
            ("hold", 0, 2 * S),
            ("unhold", 0, 3 * S),
            ("resume", WHOLE_CALL, 4 * S),
            ("hold", 1, 5 * S),
            ("end", WHOLE_CALL, 6 * S),
        ):
            pauses.note(name, stream, at_ns)

        assert [
            {"event": "pause", "stream": None, "start_ms": 0, "length_ms": 3000},
            {"event": "hold", "stream": 0, "start_ms": 1000, "length_ms": 1000},
            {"event": "hold", "stream": 1, "start_ms": 4000, "length_ms": 1000},
        ] == listed(pauses.spans, origin_ns=S)

    def test_goes_on_in_a_part_that_says_so_again(self) -> None:
        pauses = Pauses()
        for name, at_ns in (("pause", 1), ("gap", 5), ("pause", 5), ("resume", 9)):
            pauses.note(name, WHOLE_CALL, at_ns)

        assert [(1, 5), (5, 9)] == [(p.first_ns, p.last_ns) for p in pauses.spans]

    def test_ended_unseen_where_a_new_part_is_silent_about_it(self) -> None:
        pauses = Pauses()
        for name, at_ns in (("pause", 1), ("gap", 5), ("end", 9)):
            pauses.note(name, WHOLE_CALL, at_ns)

        assert [
            LeftOut(what="pause", stream=WHOLE_CALL, first_ns=1, last_ns=5)
        ] == pauses.spans
        assert 0 == pauses.silent_until_ns({0})

    def test_is_nothing_where_ends_come_without_beginnings(self) -> None:
        pauses = Pauses()
        for name in ("resume", "unhold", "end", "something-new"):
            pauses.note(name, WHOLE_CALL, 1)

        assert [] == pauses.spans
