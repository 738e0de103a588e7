import pytest

from vault.siprec.ucid import as_decimal, in_user_to_user

DIGITS = "00025000160955721139"
"Node 0x0019, sequence 0x0010, time 0x38F725B3."


class TestSpellings:
    @pytest.mark.parametrize(
        "text",
        [
            "0019001038F725B3",
            "0019001038f725b3",
            "FA080019001038F725B3",
            "00FA080019001038F725B3",
            "04FA080019001038F725B3",
            "00FA080019001038F725B3;encoding=hex",
            '"00FA080019001038F725B3";encoding=hex;purpose=x',
            "00C8021234FA080019001038F725B3",
            DIGITS,
        ],
    )
    def test_every_spelling_is_one_identifier(self, text: str) -> None:
        assert as_decimal(text) == DIGITS

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            "00FA08",
            "00FA080019001038F725",
            "00FA09001900103800F725B3",
            "001900103",
            "00C8FF1234FA080019001038F725B3",
            "0" * 5_000,
            "\N{ARABIC-INDIC DIGIT ZERO}" * 20,
        ],
    )
    def test_what_is_none_gives_nothing(self, text: str) -> None:
        assert as_decimal(text) == ""


class TestUserToUser:
    def test_what_avaya_writes_is_found(self) -> None:
        value = "00FA080019001038F725B3;encoding=hex"

        assert as_decimal(in_user_to_user(value)) == DIGITS

    @pytest.mark.parametrize(
        "value",
        [
            "0019001038F725B3;encoding=hex",
            "48656c6c6f21212121;encoding=hex",
            "text",
            "",
        ],
    )
    def test_eight_octets_of_somebody_else_are_no_identifier(self, value: str) -> None:
        assert in_user_to_user(value) == ""
