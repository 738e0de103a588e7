import pytest

from vault.core.flow import Direction, Reason, RecordingState
from vault.web import words
from vault.web.views import clock_text, sentence, utc_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (9.99, "0:09"), (75.3, "1:15"), (3599, "59:59"), (3675, "1:01:15")],
)
def test_a_length_reads_like_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_a_time_is_shown_in_utc_and_what_is_none_is_left() -> None:
    assert utc_text("2026-11-23T06:16:09.123456789Z") == "2026-11-23 06:16:09 UTC"
    assert utc_text("soon") == "soon"


def test_there_are_words_for_every_reason_direction_and_waiting_state() -> None:
    waiting = {
        RecordingState.RECORDING,
        RecordingState.CAPTURED,
        RecordingState.RENDERING,
    }

    assert all(words.reason_text(reason) for reason in Reason)
    assert all(words.direction_text(direction) for direction in Direction)
    assert set(words.PROGRESS) == waiting


def test_a_sentence_keeps_the_letters_of_names() -> None:
    assert "Nobody is called McAdam at IP" == sentence("nobody is called McAdam at IP")
    assert "" == sentence("")
