"""The reference of actions says what the code can write, and nothing else."""

import re
from pathlib import Path

import pytest

from vault.audit.entry import DETAIL_MEMBERS, Action

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/audit-events.md").read_text()
_COLUMNS = 6


def _rows() -> dict[str, list[str]]:
    """Return action → its cells."""
    found: dict[str, list[str]] = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == _COLUMNS and cells[0].startswith("`"):
            for action in _words(cells[0]):
                assert action not in found, f"{action} is there twice"
                found[action] = cells
    return found


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


ROWS = _rows()


def test_every_action_has_a_row_and_every_row_an_action() -> None:
    assert sorted(map(str, Action)) == sorted(ROWS)


@pytest.mark.parametrize("action", sorted(ROWS))
def test_a_row_says_when_who_and_only_details_that_there_are(action: str) -> None:
    _, when, actor, right, detail, sealed = ROWS[action]

    assert all((when, actor, right, detail, sealed))
    assert set(_words(detail)) - set(DETAIL_MEMBERS) == set()


def test_every_detail_that_may_be_written_has_an_action() -> None:
    named = {word for row in ROWS.values() for word in _words(row[4])}

    assert set(DETAIL_MEMBERS) - named == set()


def test_every_action_is_written_somewhere() -> None:
    code = "\n".join(
        path.read_text()
        for path in (ROOT / "vault").rglob("*.py")
        if path != ROOT / "vault/audit/entry.py"
    )

    silent = {one for one in Action if f"Action.{one.name}" not in code}
    assert silent == set()


def test_demands_are_met_by_actions_that_there_are() -> None:
    demands = PAGE.partition("## Which demand")[2]
    named = {word for word in _words(demands) if re.match(r"[a-z]+\.[a-z.]+$", word)}

    assert named - set(map(str, Action)) == set()
    assert len(named) > 20
