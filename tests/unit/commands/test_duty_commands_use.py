"""What ``right``, ``class``, ``emergency`` and ``hold`` refuse before they do anything."""

import pytest
from typer import Typer
from typer.testing import CliRunner

from vault.commands import holds, people, policy, second_person
from vault.commands.moments import later_ns, seconds
from vault.core.errors import InvalidInputError

NOW_NS = 1_795_000_000_000_000_000


@pytest.mark.parametrize(
    ("app", "words", "status"),
    [
        (second_person.emergency, "open emma", 1),
        (second_person.emergency, "open emma --reason abc", 1),
        (second_person.emergency, "open emma --reason abcd --reason-stdin", 1),
        (holds.hold, "place x", 1),
        (holds.hold, "release x --reason abc", 1),
        (policy.class_, "assign x", 1),
        (policy.class_, "assign x strict --none", 1),
        (people.workgroup, "set x", 1),
        (people.workgroup, "set x --parent y --no-parent", 1),
        (people.workgroup, "set x --class y --no-class", 1),
        (policy.right, "add --to user:ada", 2),
        (policy.right, "revoke", 2),
        (second_person.approval, "approve", 2),
    ],
)
def test_what_could_be_misread_is_refused(app: Typer, words: str, status: int) -> None:
    assert status == CliRunner().invoke(app, words.split(), input="").exit_code


def test_a_time_is_a_moment_or_so_long_from_now() -> None:
    assert (90 * 86_400, 45) == (seconds("90d"), seconds("45s"))
    assert NOW_NS + 7200 * 10**9 == later_ns("2h", now_ns=NOW_NS)
    assert 10**9 == later_ns("1970-01-01T00:00:01Z", now_ns=NOW_NS)
    for wrong in ("soon", "", "2026-11-23", "0h", "1 h", "9999999d"):
        with pytest.raises(InvalidInputError):
            later_ns(wrong, now_ns=NOW_NS)
