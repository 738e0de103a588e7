import io
import os
import sys
from collections.abc import Iterator

import pytest
import typer

from vault.commands.certainty import make_sure
from vault.core.errors import ConflictError

SAID = "this shuts every address out."


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; returns where somebody types."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb+", buffering=0), os.fdopen(theirs, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield ours


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.mark.parametrize("insists", [True, False])
class TestAtATerminal:
    def test_whoever_says_yes_goes_on(
        self, keyboard: int, capsys: pytest.CaptureFixture[str], *, insists: bool
    ) -> None:
        os.write(keyboard, b"y\n")

        make_sure(SAID, yes=False, insists=insists)

        assert f"Warning: {SAID}" in capsys.readouterr().err

    def test_whoever_says_no_or_nothing_has_changed_nothing(
        self, keyboard: int, capsys: pytest.CaptureFixture[str], *, insists: bool
    ) -> None:
        os.write(keyboard, b"\n")

        with pytest.raises(typer.Exit) as ended:
            make_sure(SAID, yes=False, insists=insists)

        assert (1, True) == (
            ended.value.exit_code,
            "Nothing was changed" in capsys.readouterr().err,
        )


@pytest.mark.usefixtures("script")
class TestInAScript:
    def test_what_it_has_to_mean_is_refused_without_a_yes(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ConflictError, match="--yes"):
            make_sure(SAID, yes=False, insists=True)

        assert SAID in capsys.readouterr().err

    @pytest.mark.parametrize(("yes", "insists"), [(True, True), (False, False)])
    def test_everything_else_is_said_and_done(
        self, capsys: pytest.CaptureFixture[str], *, yes: bool, insists: bool
    ) -> None:
        make_sure(SAID, yes=yes, insists=insists)

        assert SAID in capsys.readouterr().err


@pytest.mark.usefixtures("script")
def test_without_a_warning_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    make_sure(yes=False, insists=True)

    assert "" == capsys.readouterr().err
