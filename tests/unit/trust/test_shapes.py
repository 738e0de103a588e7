import pytest

from vault.core.errors import InvalidInputError
from vault.core.flow import Purpose
from vault.trust import shapes
from vault.trust.shapes import Members


def test_each_member_is_taken_with_its_shape() -> None:
    members = Members(
        {
            "text": "2026-11",
            "free": "Frau Müller, 030 1234",
            "purpose": "play",
            "count": 7,
            "flag": True,
            "octets": "AAEC",
            "object": {"a": 1},
            "objects": [{"b": 2}],
            "texts": ["x", "y"],
        }
    )

    assert members.text("text", shapes.MONTH) == "2026-11"
    assert members.free_text("free") == "Frau Müller, 030 1234"
    assert members.choice("purpose", Purpose) is Purpose.PLAY
    assert members.count("count") == 7
    assert members.flag("flag") is True
    assert members.octets("octets", most=3) == b"\x00\x01\x02"
    assert members.members("object").count("a") == 1
    assert [each.count("b") for each in members.items("objects", most=1)] == [2]
    assert members.texts("texts", shapes.SLUG, most=2) == ["x", "y"]
    members.done()


def test_a_member_that_nobody_asked_for_is_found() -> None:
    members = Members({"a": 1, "b": 2})
    members.count("a")

    with pytest.raises(InvalidInputError, match="does not belong"):
        members.done()


def test_a_member_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInputError, match="'month' is missing"):
        Members({}).text("month", shapes.MONTH)


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "26-11", "2026-11 ", "2026-11\n", "٢٠٢٦-11", 202611]
)
def test_what_is_no_month_is_refused(month: object) -> None:
    with pytest.raises(InvalidInputError):
        Members({"m": month}).text("m", shapes.MONTH)  # type: ignore[dict-item]


@pytest.mark.parametrize("text", ["AAE", "AA E=", "AAE*", "AAEC\n", None, 5])
def test_base64_is_read_strictly(text: object) -> None:
    with pytest.raises(InvalidInputError):
        Members({"o": text}).octets("o", most=10)  # type: ignore[dict-item]


@pytest.mark.parametrize("size", [0, 33])
def test_octets_have_their_number(size: int) -> None:
    with pytest.raises(InvalidInputError):
        Members({"o": shapes.base64_text(bytes(size))}).octets("o", least=1, most=32)


def test_a_count_is_no_flag_and_not_negative() -> None:
    for value in (True, -1, "1", None):
        with pytest.raises(InvalidInputError):
            Members({"n": value}).count("n")
    with pytest.raises(InvalidInputError):
        Members({"n": 1}).flag("n")


def test_arrays_are_bounded() -> None:
    with pytest.raises(InvalidInputError):
        Members({"a": ["x"] * 3}).texts("a", shapes.SLUG, most=2)
    with pytest.raises(InvalidInputError):
        Members({"a": [{}] * 3}).items("a", most=2)
    with pytest.raises(InvalidInputError):
        Members({"a": ["not an object"]}).items("a", most=2)


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Members({"origin": "+49 30 1234567"}).text("origin", shapes.ORIGIN)

    assert "1234567" not in str(caught.value)
