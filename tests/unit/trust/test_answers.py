import pytest

from vault.core import canonical
from vault.core.errors import InvalidInputError
from vault.core.ids import new_recording_id
from vault.core.secrets import SecretBytes
from vault.trust import answers
from vault.trust.interfaces import IndexToken, SealedRow, WardenHealth
from vault.trust.shapes import Members


def over_the_wire(answer: canonical.JsonObject) -> Members:
    return Members(canonical.parse(canonical.dumps(answer)))


def test_a_key_comes_out_as_it_went_in() -> None:
    key = SecretBytes(bytes(range(32)))

    assert key == answers.parse_key_answer(over_the_wire(answers.key_answer(key)))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_no_key(size: int) -> None:
    answer = over_the_wire(answers.key_answer(SecretBytes(bytes(size))))

    with pytest.raises(InvalidInputError):
        answers.parse_key_answer(answer)


def test_opened_rows_come_out_as_they_went_in() -> None:
    opened = answers.OpenedRows(
        rows={new_recording_id(): b"{}", new_recording_id(): b""},
        rest=(new_recording_id(),),
    )

    assert opened == answers.OpenedRows.parse(over_the_wire(opened.members()))


def test_a_sealed_row_comes_out_as_it_went_in() -> None:
    row = SealedRow(sealed=b"s" * 300, wrapped_key=b"w" * 60, key_id="catalog-2026-11")
    tokens = (IndexToken(field="caller", month="2026-11", token=b"12345678"),)
    answer = over_the_wire(answers.sealed_row_answer(row, tokens))

    assert (row, tokens) == answers.parse_sealed_row_answer(answer)


def test_tokens_come_out_as_they_went_in() -> None:
    tokens = {"2026-10": b"12345678", "2026-11": b"87654321"}
    answer = over_the_wire(answers.tokens_answer(tokens))

    assert tokens == answers.parse_tokens_answer(answer)


def test_health_comes_out_to_the_millisecond() -> None:
    health = WardenHealth(healthy=True, last_append_age_s=0.25, log_size=7, detail="")
    answer = over_the_wire(answers.health_answer(health))

    assert health == answers.parse_health_answer(answer)


def test_an_age_without_end_can_be_spelled() -> None:
    health = WardenHealth(healthy=False, last_append_age_s=float("inf"), log_size=0)
    answer = answers.parse_health_answer(over_the_wire(answers.health_answer(health)))

    assert answer.last_append_age_s == 1e9
