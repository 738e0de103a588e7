from collections.abc import Collection

import pytest

from vault.core.media import SrtpSuite
from vault.recorder.hearing import WHOLE_CALL, Alarm, Hearing, Patience
from vault.tap.orders import StreamCounters

PATIENCE = Patience(silent_s=10, one_way_s=30)
SILENT = (Alarm.SILENT, WHOLE_CALL)


class Call:
    """A call whose seconds pass as a test says."""

    def __init__(self, *media: str, patience: Patience = PATIENCE) -> None:
        self.media = media or ("audio", "audio")
        self.packets = [0] * len(self.media)
        self.patience = patience
        self.hearing = Hearing()
        self.now_s = 1000.0
        self.told: list[tuple[int, Alarm, int, bool]] = []

    def passes(
        self,
        seconds: int,
        speaking: Collection[int] = (),
        *,
        waiting: Collection[int] = (),
    ) -> "Call":
        """Let time pass: *speaking* send, *waiting* are on hold."""
        for _ in range(seconds):
            self.now_s += 1
            for index in speaking:
                self.packets[index] += 50
            counters = [
                StreamCounters(
                    index=index,
                    label=f"stream{index}",
                    media=media,
                    suite=SrtpSuite.AEAD_AES_128_GCM,
                    authentic=self.packets[index],
                )
                for index, media in enumerate(self.media)
            ]
            expected = set(range(len(self.media))) - set(waiting)
            turns = self.hearing.look(
                counters, expected, self.patience, now_s=self.now_s
            )
            self.told += [
                (round(self.now_s - 1000), each.alarm, each.stream, each.begins)
                for each in turns
            ]
        return self


def test_a_call_in_which_both_speak_is_no_alarm() -> None:
    call = Call().passes(600, {0, 1})

    assert [] == call.told


def test_a_call_that_never_sends_is_told_once() -> None:
    call = Call().passes(600)

    assert [(11, *SILENT, True)] == call.told
    assert {SILENT} == call.hearing.alarms


def test_a_call_that_falls_silent_in_the_middle_is_told_and_so_is_its_return() -> None:
    call = Call().passes(100, {0, 1}).passes(40).passes(5, {0, 1}).passes(20)

    assert [
        (110, *SILENT, True),
        (141, *SILENT, False),
        (155, *SILENT, True),
    ] == call.told


def test_a_party_that_is_not_heard_while_the_other_is_is_told() -> None:
    call = Call().passes(10, {0, 1}).passes(60, {1}).passes(10, {0, 1})

    assert [
        (40, Alarm.ONE_WAY, 0, True),
        (71, Alarm.ONE_WAY, 0, False),
    ] == call.told


def test_a_party_that_was_never_heard_is_told_too() -> None:
    call = Call().passes(60, {1})

    assert [(31, Alarm.ONE_WAY, 0, True)] == call.told


def test_both_silent_is_one_alarm_and_not_two() -> None:
    call = Call().passes(10, {0, 1}).passes(40, {1}).passes(30)

    assert [
        (40, Alarm.ONE_WAY, 0, True),
        (60, Alarm.ONE_WAY, 0, False),
        (60, Alarm.SILENT, WHOLE_CALL, True),
    ] == call.told


@pytest.mark.parametrize("waiting", [{0}, {0, 1}])
def test_who_is_on_hold_need_not_speak(waiting: set[int]) -> None:
    speaking = {0, 1} - waiting
    call = Call().passes(5, {0, 1}).passes(600, speaking, waiting=waiting)

    assert [] == call.told


def test_patience_begins_anew_after_a_hold() -> None:
    call = Call().passes(5, {0, 1}).passes(600, waiting={0, 1}).passes(9)

    assert [] == call.told
    assert [(615, *SILENT, True)] == call.passes(5).told


def test_a_screen_that_stands_still_is_no_party() -> None:
    call = Call("audio", "video").passes(100, {0})

    assert [] == call.told


def test_a_call_with_one_line_knows_no_one_way() -> None:
    call = Call("audio").passes(5, {0}).passes(5).passes(5, {0})

    assert [] == call.told


def test_an_alarm_that_is_switched_off_is_never_told() -> None:
    call = Call(patience=Patience(silent_s=0, one_way_s=0)).passes(600, {1})

    assert [] == call.told
