import io
import json
import sys

import pytest
import typer
from rich.console import Console

from vault.commands import output
from vault.core.errors import ConfigurationError, SpoolFullError


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, without what threads of earlier tests log late."""
    lines = capsys.readouterr().out.splitlines(keepends=True)
    return "".join(line for line in lines if "[warning " not in line)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a person sees on a wide terminal."""
    file = io.StringIO()
    console = Console(file=file, highlight=False, width=200)
    monkeypatch.setattr(output, "_out", console)
    monkeypatch.setattr(output, "ERR", console)
    return file


class TestFailures:
    @pytest.mark.parametrize("error", [ConfigurationError, SpoolFullError])
    def test_what_the_vault_refuses_is_one_line_and_1(
        self, shown: io.StringIO, error: type[Exception]
    ) -> None:
        with pytest.raises(typer.Exit) as ended, output.failures():
            raise error("no [red]room[/] in /data")

        assert ended.value.exit_code == 1
        assert shown.getvalue() == "callvault: no [red]room[/] in /data\n"

    def test_a_bug_is_not_made_to_look_like_a_refusal(self, shown: io.StringIO) -> None:
        with pytest.raises(RuntimeError), output.failures():
            raise RuntimeError("called in the wrong order")

        assert shown.getvalue() == ""

    def test_a_reader_that_went_away_is_no_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stderr", io.StringIO())

        with pytest.raises(typer.Exit) as ended, output.failures():
            raise BrokenPipeError

        assert ended.value.exit_code == 0


class TestTables:
    ROWS = (
        {"id": "1", "name": "[b]sam[/]", "roles": ["a", "b"], "disabled": False},
        {"id": "2", "name": "", "roles": [], "disabled": True},
    )

    def test_people_get_columns_and_words(self, shown: io.StringIO) -> None:
        output.show(self.ROWS, as_json=False, empty="")

        lines = [line.split() for line in shown.getvalue().splitlines()]
        assert ["id", "name", "roles", "disabled"] == lines[0]
        assert [["1", "[b]sam[/]", "a,", "b", "no"], ["2", "-", "-", "yes"]] == lines[
            1:
        ]

    def test_scripts_get_the_values(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.show(self.ROWS, as_json=True, empty="nothing")

        assert list(self.ROWS) == json.loads(printed(capsys))

    def test_nothing_is_said_to_people_and_is_a_list_to_scripts(
        self, shown: io.StringIO, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output.show([], as_json=False, empty="Nobody yet.")
        output.show([], as_json=True, empty="Nobody yet.")

        assert shown.getvalue() == "Nobody yet.\n"
        assert json.loads(printed(capsys)) == []


def test_json_keeps_letters_of_every_language(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_json({"name": "Zoë Łódź"})

    assert printed(capsys) == '{\n  "name": "Zoë Łódź"\n}\n'
