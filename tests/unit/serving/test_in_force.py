from pathlib import Path

import pytest

from vault.access.permissions import DualControl, Role
from vault.config import Settings
from vault.serving.in_force import duration, settings_in_force


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (900, "15 minutes"),
        (5400, "1 hour 30 minutes"),
        (90_061, "1 day 1 hour 1 minute 1 second"),
    ],
)
def test_a_duration_is_said_in_words(seconds: float, text: str) -> None:
    assert text == duration(seconds)


def test_what_is_set_is_told_in_words_and_no_secret_is(tmp_path: Path) -> None:
    secret = tmp_path / "the-list"
    settings = Settings(
        data_dir=tmp_path,
        second_factor_roles=(Role.OFFICER, Role.ADMINISTRATOR),
        dual_control=DualControl.ALWAYS,
        password_breach_list=secret,
        sign_in_idle_s=600,
    )
    told = {one.name: one.value for one in settings_in_force(settings)}

    assert "officer, administrator" == told["second_factor_roles"]
    assert "for what opens calls to anybody" == told["dual_control"]
    assert "10 minutes" == told["sign_in_idle_s"]
    assert "local" == told["sign_in_order"]
    assert "yes" == told["password_breach_list"]
    assert set(told) <= set(Settings.model_fields)
    assert str(tmp_path) not in str(told)
