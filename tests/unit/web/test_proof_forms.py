"""No form of ours ends in a proof of who it is unprepared: its words would be lost.

Which routes ask for one stands in the table of access, which is held to the application
by tests/integration/test_access_matrix_http.py; a route without a rule fails there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.access_table import RULES
from tests.simulators.access_world import STEP_UP

TEMPLATES = Path(__file__).parents[3] / "vault" / "web" / "templates"
FORM = re.compile(r"<form\b(?P<tag>[^>]*)>(?P<inside>.*?)</form>", re.DOTALL)
ACTION = re.compile(r'action="([^"]+)"')
BACK = re.compile(r'name="back" value="([^"]+)"')
HOLE = re.compile(r"{{.*?}}|{[^{}]+}")


def steps(path: str) -> list[str]:
    return HOLE.sub("*", path).split("/")


def fits(action: str, route: str) -> bool:
    ours, theirs = steps(action), steps(route)
    return len(ours) == len(theirs) and all(
        other in (one, "*") for one, other in zip(ours, theirs, strict=True)
    )


def routes_of(method: str, action: str) -> list[str]:
    found = [one.partition(" ") for one in RULES]
    return [
        f"{verb} {path}"
        for verb, _, path in found
        if verb == method and not path.startswith("/api/") and fits(action, path)
    ]


def asks_for_proof(route: str) -> bool:
    return any(
        rule.proof or rule.right in STEP_UP or rule.over in STEP_UP
        for rule in RULES[route]
    )


def forms() -> Iterator[tuple[str, str, str]]:
    for template in sorted(TEMPLATES.glob("*.html")):
        for found in FORM.finditer(template.read_text()):
            action = ACTION.search(found["tag"])
            if action and 'method="post"' in found["tag"]:
                yield f"{template.name} {action[1]}", found["tag"], found["inside"]


FORMS = [pytest.param(*one, id=one[0]) for one in forms()]


@pytest.mark.parametrize(("name", "tag", "inside"), FORMS)
def test_a_form_waits_for_the_proof_that_its_route_asks_for(
    name: str, tag: str, inside: str
) -> None:
    routes = routes_of("POST", name.partition(" ")[2])
    asked = any(map(asks_for_proof, routes))

    assert routes, "no rule in the table of access"
    assert asked == bool(re.search(r"\bdata-proof(?![-\w])", tag))
    back = BACK.search(inside)
    if asked:
        assert back, "where to do it again without a script"
        assert back[1] == "{{ back }}" or routes_of("GET", back[1])


def test_there_are_such_forms() -> None:
    found = {name for name, tag, _ in forms() if "data-proof " in tag + " "}

    assert {
        "account.html /account/tokens",
        "approvals.html /emergency",
        "_marks.html /recordings/{{ marks.id }}/release",
        "person.html /people/{{ person.id }}/factors/reset",
    } <= found
