from vault.core.guesses import Guesses


def test_ten_wrong_answers_are_borne_and_then_a_minute_of_silence() -> None:
    guesses = Guesses()
    for _ in range(9):
        guesses.wrong("pbx here", 0)

    assert not guesses.are_too_many("pbx here", 0)
    guesses.wrong("pbx here", 0)
    assert guesses.are_too_many("pbx here", 59)
    assert not guesses.are_too_many("pbx there", 59)
    assert not guesses.are_too_many("pbx here", 60)


def test_who_goes_on_after_the_silence_has_less() -> None:
    guesses = Guesses()
    for _ in range(10):
        guesses.wrong("pbx", 0)
    for _ in range(2):
        guesses.wrong("pbx", 60)

    assert guesses.are_too_many("pbx", 60)


def test_a_place_bears_as_many_as_it_is_told() -> None:
    guesses = Guesses(times=10)
    for _ in range(90):
        guesses.wrong("here", 0)

    assert not guesses.are_too_many("here", 0)
    guesses.wrong("here", 0)
    assert guesses.are_too_many("here", 0)
