"""RFC 6238's own vectors, and the edges of the window."""

import pytest

from vault.access.totp import DIGITS, STEP_S, matching_step
from vault.core.secrets import SecretBytes

# RFC 6238, appendix B: SHA-1, eight digits there, of which six are these.
SECRET = SecretBytes(b"12345678901234567890")
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
NS = 10**9
AT_S = 1111111111
STEP = AT_S // STEP_S
CODE = "050471"


class TestMatchingStep:
    @pytest.mark.parametrize(("at_s", "code"), VECTORS)
    def test_the_vectors_of_the_rfc(self, at_s: int, code: str) -> None:
        found = matching_step(SECRET, code[-DIGITS:], at_s * NS)

        assert at_s // STEP_S == found

    @pytest.mark.parametrize("steps", [-1, 0, 1], ids=lambda n: f"H46-window{n:+d}")
    def test_one_step_before_and_after_is_taken(self, steps: int) -> None:
        assert matching_step(SECRET, CODE, (AT_S + steps * STEP_S) * NS) == STEP

    @pytest.mark.parametrize("steps", [-2, 2, 3], ids=lambda n: f"H46-window{n:+d}")
    def test_two_steps_away_is_not_taken(self, steps: int) -> None:
        assert matching_step(SECRET, CODE, (AT_S + steps * STEP_S) * NS) is None

    def test_the_window_ends_to_the_nanosecond(self) -> None:
        first = (STEP - 1) * STEP_S * NS
        last = (STEP + 2) * STEP_S * NS - 1

        found = [
            matching_step(SECRET, CODE, at_ns)
            for at_ns in (first - 1, first, last, last + 1)
        ]

        assert found == [None, STEP, STEP, None]

    def test_blanks_that_apps_show_do_not_count(self) -> None:
        assert matching_step(SECRET, " 050 471 ", AT_S * NS) == STEP

    @pytest.mark.parametrize(
        "code",
        [
            "",
            "50471",
            "0504710",
            "050472",
            "-50471",
            "\u0660\u0665\u0660\u0664\u0667\u0661",
            "05047\0",
            "\ud800",
            "9" * 10_000,
        ],
    )
    def test_anything_else_is_no_code(self, code: str) -> None:
        assert matching_step(SECRET, code, AT_S * NS) is None

    def test_the_first_seconds_of_the_epoch_have_no_step_before_them(self) -> None:
        assert matching_step(SECRET, "755224", 0) == 0
