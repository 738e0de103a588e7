"""A number, a name and a password in every input: the trail holds none of them.

Routes come from the table that also says who may what, members of queries and bodies
from the API's own document, so that a new one is covered when it is there.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import cycle
from logging import CRITICAL
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
import structlog

from tests.simulators.access_rules import CONFIG, Rule, is_page
from tests.simulators.access_table import RULES
from tests.simulators.access_world import AccessWorld, Place, Thing
from tests.simulators.asgi import AsgiTransport
from tests.simulators.canaries import CANARIES, NAME, NUMBER, PASSWORD, signs_in
from tests.simulators.web_vault import running
from tests.unit.audit.test_events_documented import ROWS
from vault.access.permissions import Role
from vault.access.policy import SessionKind
from vault.audit.entry import Entry
from vault.audit.formats.registry import FORMATS
from vault.audit.reading import TrailReader
from vault.audit.source import LoggedEntry
from vault.web.identity import COOKIE
from vault.web.openapi import web_document

HEADERS = {
    "User-Agent": f"{NAME} {NUMBER}",
    "Referer": f"https://{NAME}.test/{NUMBER}",
    "Accept-Language": NAME,
    "From": f"{NAME}@{PASSWORD}.test",
    "X-Forwarded-For": NUMBER,
    "Forwarded": f"for={NAME}",
    "X-Request-Id": PASSWORD,
    "If-Range": f'"{PASSWORD}"',
}
ALMIGHTY = "almighty"
SAFE = {"GET", "HEAD", "OPTIONS"}


@pytest.fixture(scope="module", autouse=True)
def _quiet(_logs_as_they_come: None) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessWorld]:
    with running(tmp_path_factory.mktemp("smuggled"), CONFIG) as vault:
        world = AccessWorld(vault)
        world.people[ALMIGHTY] = vault.person(ALMIGHTY, *Role, workgroups=["sales"])
        yield world


class Smuggler:
    """Asks as somebody who may do everything, with canaries."""

    def __init__(self, world: AccessWorld, runner: asyncio.Runner) -> None:
        self._world = world
        self._transport = AsgiTransport(world.vault.app(), runner=runner)
        self._canaries = cycle(CANARIES)
        self._secret: tuple[str, str] = ("", "")
        self.sent = 0
        self._ready = world.things[Thing(place=Place.GROUP)]
        self._document = web_document()

    def everywhere(self, name: str, rule: Rule) -> None:
        """Put a canary into each input of a route, one after the other."""
        filled = self._filled(rule)
        body = self._body(name, rule)
        self._ask(name, filled, body, rule.query)
        for key in self._query(name, rule):
            asked = urlencode({key: next(self._canaries)})
            self._ask(name, filled, body, asked)
        for changed in self._changed(body):
            self._ask(name, filled, changed, rule.query)
        named = {key for key in filled if "{" + key + "}" in name}
        if named:
            canary = quote(next(self._canaries), safe="")
            self._ask(name, filled | dict.fromkeys(named, canary), body, rule.query)

    def _filled(self, rule: Rule) -> dict[str, str]:
        ids = {"recording_id": self._ready, "id": self._ready}
        filled = dict(rule.path)
        if rule.fill is not None:
            self._world.people.setdefault("supervisor", self._world.people[ALMIGHTY])
            filled |= dict(rule.fill(self._world, "supervisor"))
        of_world = {
            "user_id": self._world.people["agent"],
            "workgroup_id": self._world.group("sales"),
        }
        return ids | of_world | filled

    def _query(self, name: str, rule: Rule) -> list[str]:
        asked = [pair.partition("=")[0] for pair in rule.query.split("&") if pair]
        operation = self._operation(name)
        described = [
            one["name"]
            for one in operation.get("parameters", [])
            if one.get("in") == "query"
        ]
        return sorted({*asked, *described})

    def _body(self, name: str, rule: Rule) -> dict[str, Any]:
        return self._described(name) | dict(rule.body or {})

    def _described(self, name: str) -> dict[str, Any]:
        """Return the optional members of a body that are text, empty ones."""
        content = self._operation(name).get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            kind = schema["$ref"].rpartition("/")[2]
            schema = self._document["components"]["schemas"][kind]
        return {
            member: None
            for member, said in schema.get("properties", {}).items()
            if '"string"' in json.dumps(said)
        }

    def _operation(self, name: str) -> Mapping[str, Any]:
        method, _, path = name.partition(" ")
        found: Mapping[str, Any] = (
            self._document["paths"].get(path, {}).get(method.lower(), {})
        )
        return found

    def _changed(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        given = {key: value for key, value in body.items() if value is not None}
        for member, value in body.items():
            canary = next(self._canaries)
            yield given | {member: [canary] if isinstance(value, list) else canary}

    def _ask(
        self, name: str, filled: Mapping[str, str], body: Mapping[str, Any], query: str
    ) -> None:
        method, _, path = name.partition(" ")
        for parameter, value in filled.items():
            path = path.replace("{" + parameter + "}", value)
        page = is_page(name)
        if not self._secret[0] or method not in SAFE:
            # Whatever was ended or changed before, this one counts.
            self._world.forget_guesses()
            opened = self._world.sessions.open(
                self._world.people[ALMIGHTY], kind=SessionKind.BROWSER
            )
            self._secret = opened.secret, opened.session.csrf
        secret, csrf = self._secret
        headers = HEADERS | {
            "Cookie": f"{COOKIE}={secret}; {NAME}={PASSWORD}",
            "X-CSRF-Token": csrf,
            "Sec-Fetch-Site": "same-origin",
        }
        given = {key: value for key, value in body.items() if value is not None}
        content = b""
        if page and method not in SAFE:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            form = given | {"csrf": csrf}
            content = urlencode(form, doseq=True).encode()
        elif method not in SAFE:
            headers["Content-Type"] = "application/json"
            content = json.dumps(given).encode()
        url = "https://vault.test" + path + (f"?{query}" if query else "")
        self.sent += 1
        try:
            self._transport.handle_request(
                httpx.Request(method, url, headers=headers, content=content)
            )
        except httpx.RemoteProtocolError:
            self._secret = ("", "")


@pytest.fixture(scope="module")
def entries(world: AccessWorld) -> list[dict[str, Any]]:
    """Everything that came to the trail after every input was tried."""
    with asyncio.Runner() as runner:
        smuggler = Smuggler(world, runner)
        for name, rules in RULES.items():
            # The event stream of new entries ends when its reader goes.
            if name.endswith(("/tail", "/follow", "/events")):
                continue
            smuggler.everywhere(name, rules[0])
    world.services.playback.shutdown()
    return world.vault.leaves()  # type: ignore[return-value] # JSON objects


def test_many_kinds_of_entries_came_of_it(entries: list[dict[str, Any]]) -> None:
    """Where nothing is written, nothing is smuggled either."""
    actions = {one["action"] for one in entries}

    assert len(entries) > 80
    assert {
        *("access.session.refused", "access.user.added", "access.user.changed"),
        *("access.device.added", "access.extension.set", "access.address.added"),
        *("access.class.set", "access.right.given", "access.token.added"),
        *("access.workgroup.added", "recording.searched", "recording.listed"),
        *("recording.metadata.read", "recording.key.released"),
        *("recording.hold.placed", "audit.trail.read", "audit.trail.exported"),
    } <= actions


def test_no_entry_holds_a_number_a_name_or_a_password(
    entries: list[dict[str, Any]],
) -> None:
    for one in entries:
        assert signs_in(json.dumps(one).encode()) == []


def test_no_octet_of_the_log_does(
    world: AccessWorld, entries: list[dict[str, Any]]
) -> None:
    """Rows, what entries are about, journal: text is there, and it is sealed."""
    assert any("text" in one for one in entries)
    folder = Path(str(world.vault.audit.url.database)).parent
    for file in sorted(folder.glob("audit*")):
        assert (file.name, signs_in(file.read_bytes())) == (file.name, [])


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_exported_line_does(
    name: str, world: AccessWorld, entries: list[dict[str, Any]]
) -> None:
    reader = TrailReader(world.vault.audit)
    for index, octets in enumerate(reader.entries(0, len(entries))):
        entry = LoggedEntry(index=index, entry=Entry.parse(bytes(octets)))
        line = FORMATS[name].line(entry, origin="vault.test").encode()

        assert signs_in(line) == []


def test_every_entry_has_only_details_that_the_reference_names(
    entries: list[dict[str, Any]],
) -> None:
    strange = {
        (one["action"], member)
        for one in entries
        for member in one.get("detail", {})
        if f"`{member}`" not in ROWS[one["action"]][4]
    }

    assert strange == set()
