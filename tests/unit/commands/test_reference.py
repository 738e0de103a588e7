"""docs/reference/cli.md and the commands say the same."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer._click import Command, Parameter
from typer.main import get_command

from vault.cli import app

PAGE: Final = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
_SECTIONS: Final = re.split(r"\n(?=##+ )", PAGE)
_EVERYWHERE: Final = {"--help", "-h"}


def commands() -> Iterator[tuple[str, Command]]:
    """Yield every command as people type it."""
    top = get_command(app)
    for name in top.list_commands(None):  # type: ignore[attr-defined]
        command = top.get_command(None, name)  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        # What a group does alone has options, too.
        if not inner or command.invoke_without_command:
            yield name, command
        for second, one in (inner or {}).items():
            yield f"{name} {second}", one


def options(command: Command) -> dict[str, Parameter]:
    """Return the options of *command* by what people type."""
    return {
        flag: parameter
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
        for flag in parameter.opts
        if flag.startswith("--") and flag not in _EVERYWHERE
    }


def default_of(option: Parameter) -> str:
    """Return the default as a person is told it, or nothing."""
    shown = getattr(option, "show_default", None)
    if isinstance(shown, str):
        return shown
    if option.required:
        return "required"
    if option.default is None or option.default == "" or option.default is False:
        return ""
    if isinstance(option.default, float):
        return f"{option.default:g}"
    return str(option.default)


def around(name: str) -> str:
    """Return what the page says about a command."""
    if " " in name:
        start = PAGE.index(f"`{name}")
        return PAGE[start : PAGE.find("\n##", start)]
    # Two things may have one name.
    sections = [one for one in _SECTIONS if f"`{name}`" in one.partition("\n")[0]]
    assert sections
    return "".join(sections)


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=str)
def test_a_command_and_its_options_are_in_the_reference(
    name: str, command: Command
) -> None:
    page = around(name)

    assert set() == {flag for flag in options(command) if flag not in page}


def stated() -> Iterator[tuple[str, str, str]]:
    """Yield the defaults that the page states: command, option and default."""
    for section in _SECTIONS:
        head, _, table = section.partition("| option | default |")
        named = re.match(r"### `(\w+)`", head)
        if not table or named is None:
            continue
        for row in re.findall(r"^\| (`--[^|]+) \|([^|]*)\|", table, re.MULTILINE):
            flags = re.findall(r"`(--[a-z-]+)`", row[0])
            cells = [one.strip(" `\u2013") for one in row[1].split(",")]
            for flag, cell in zip(
                flags, cells * (len(flags) if len(cells) == 1 else 1), strict=True
            ):
                yield named[1], flag, cell


@pytest.mark.parametrize(("name", "flag", "default"), list(stated()))
def test_a_default_that_the_reference_states_is_the_default(
    name: str, flag: str, default: str
) -> None:
    command = dict(commands())[name]

    assert default == default_of(options(command)[flag])


def test_both_tables_of_defaults_are_compared() -> None:
    assert {"simulate", "sessions"} == {name for name, _, _ in stated()}


@pytest.mark.parametrize(
    ("name", "flag", "default"),
    re.findall(r"^\| `(\w+ \w+)[^|]*\[(--[a-z]+) ([a-z0-9]+)\]", PAGE, re.MULTILINE),
)
def test_a_default_in_a_command_line_is_the_default(
    name: str, flag: str, default: str
) -> None:
    command = dict(commands())[name]

    assert default == default_of(options(command)[flag])


def test_nothing_is_denied_twice() -> None:
    wrong = {
        f"{name} {flag}"
        for name, command in commands()
        for parameter in options(command).values()
        for flag in parameter.secondary_opts
        if flag.startswith("--no-no-")
    }

    assert set() == wrong


def test_the_reference_has_no_command_that_is_not_there() -> None:
    known = {name for name, _ in commands()}
    groups = {name.partition(" ")[0] for name in known}
    named = re.findall(rf"`((?:{'|'.join(groups)}) [a-z]+)", PAGE)

    assert set() == set(named) - known - {"tap worker"}
