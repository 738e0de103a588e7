"""docs/reference/cli.md and the commands say the same."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

from vault.cli import app

PAGE: Final = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
_EVERYWHERE: Final = {"--help", "-h"}


def commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every command as people type it, with its options."""
    top = get_command(app)
    for name in top.list_commands(None):  # type: ignore[attr-defined]
        command = top.get_command(None, name)  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner:
            for second, one in inner.items():
                yield f"{name} {second}", options(one)
        else:
            yield name, options(command)


def options(command: object) -> tuple[str, ...]:
    found = {
        flag
        for parameter in command.params  # type: ignore[attr-defined]
        if not getattr(parameter, "hidden", False)
        for flag in parameter.opts
        if flag.startswith("--")
    }
    return tuple(sorted(found - _EVERYWHERE))


@pytest.mark.parametrize(("name", "flags"), list(commands()))
def test_a_command_and_its_options_are_in_the_reference(
    name: str, flags: tuple[str, ...]
) -> None:
    start = PAGE.index(f"`{name}" if " " in name else f"`{name}`")
    around = PAGE[start : PAGE.find("\n##", start)]

    assert set() == {flag for flag in flags if flag not in around}


def test_the_reference_has_no_command_that_is_not_there() -> None:
    known = {name for name, _ in commands()}
    groups = {name.partition(" ")[0] for name in known}
    named = re.findall(rf"`((?:{'|'.join(groups)}) [a-z]+)", PAGE)

    assert set() == set(named) - known - {"tap worker"}
