"""A number, a name and a password in every command: the trail holds none of them.

Every command gets them for whatever it has to be given, those of `MEANT` so that they
work.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.canaries import CANARIES, NAME, NUMBER, PASSWORD, signs_in
from tests.simulators.inside import many_commands
from tests.simulators.installation import Installation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-commands")]

NOTHING_OF_THEIRS = frozenset(
    {
        *("init", "serve", "tap", "web", "auditor", "worker", "warden"),
        *("simulate", "audit witness", "openapi", "doctor"),
    }
)
"Commands that are a process, or make another place, or write no entry at all."
MEANT = (
    (("workgroup", "add", NAME), ""),
    (("workgroup", "add", f"{NAME}-2"), ""),
    (("workgroup", "set", f"{NAME}-2", "--parent", NAME), ""),
    (
        (
            *("user", "add", NAME, "--role", "agent", "--workgroup", NAME),
            "--password-stdin",
        ),
        PASSWORD,
    ),
    (("user", "set", NAME, "--role", "supervisor", "--yes"), ""),
    (("user", "passwd", NAME, "--password-stdin"), f"{PASSWORD}2"),
    (("user", "code", NAME), ""),
    (("user", "factors", "reset", NAME), ""),
    (("device", "add", NAME, "--max-calls", "3"), ""),
    (("device", "set", NAME, "--address", "192.0.2.0/24"), ""),
    (("device", "renew", NAME), ""),
    (("extension", "add", NUMBER, "--agent", NAME, "--workgroup", NAME), ""),
    (("extension", "test", NUMBER), ""),
    (("class", "set", "careful", "--needs-reason"), ""),
    (("workgroup", "set", NAME, "--class", "careful"), ""),
    (
        (
            *("right", "add", "--to", f"user:{NAME}", "--over", f"workgroup:{NAME}"),
            *("--permission", "recording:media:play"),
        ),
        "",
    ),
    (
        (
            *("token", "add", NAME, "--name", PASSWORD),
            *("--permission", "recording:media:play"),
        ),
        "",
    ),
    (("emergency", "open", NAME, "--reason", f"{NAME} {NUMBER} {PASSWORD}"), ""),
    (("emergency", "end", NAME), ""),
    (("audit", "export", "--query", f"actor:user:{NAME}", "--output", NAME), ""),
    (("extension", "remove", NUMBER), ""),
    (("device", "revoke", NAME), ""),
    (("user", "disable", NAME, "--yes"), ""),
    (("user", "enable", NAME), ""),
)
"Commands that work, with what they are given to do."


@pytest.fixture(scope="module")
def vault() -> Iterator[Installation]:
    vault = Installation({})
    try:
        vault.said("init", "--yes")
        with vault.running("warden"):
            yield vault
    finally:
        vault.close()


def inside(vault: Installation, given: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", many_commands.__name__],
        env=vault.env | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=vault.place,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def everywhere(tree: dict[str, list[str]]) -> list[tuple[list[str], str]]:
    """Give every command canaries for all that it has to be given."""
    canaries = cycle(CANARIES)
    asked = []
    for command, required in tree.items():
        if command in NOTHING_OF_THEIRS:
            continue
        words = command.split()
        for one in required:
            words += [one] if one.startswith("-") else []
            words.append(next(canaries))
        asked.append((words, ""))
    return asked


@pytest.fixture(scope="module")
def trail(vault: Installation) -> list[bytes]:
    """Everything on the trail after every command was given all of them."""
    tree, _ = inside(vault, "")
    assert tree.keys() >= NOTHING_OF_THEIRS
    codes, said = inside(vault, json.dumps([*MEANT, *everywhere(tree)]))
    worked = list(zip(MEANT, codes, strict=False))
    refused = [words for (words, _), code in worked if code]
    assert [] == refused, said[:2000]
    return vault.entries()


def test_no_entry_holds_what_a_command_was_given(trail: list[bytes]) -> None:
    assert [] == [octets for octets in trail if signs_in(octets)]


def test_many_kinds_of_entries_came_of_it(trail: list[bytes]) -> None:
    actions = {json.loads(octets)["action"] for octets in trail}

    assert {
        *("access.user.added", "access.user.changed", "access.workgroup.added"),
        *("access.device.added", "access.device.changed", "access.extension.set"),
        *("access.class.set", "access.right.given", "access.token.added"),
        "audit.trail.exported",
    } <= actions


def test_no_octet_of_the_log_does(vault: Installation, trail: list[bytes]) -> None:
    assert any(b'"text"' in octets for octets in trail)
    for file in sorted((vault.folder / "audit").glob("*")):
        assert [] == signs_in(file.read_bytes()), file.name
