"""Pages to say why, to ask somebody, to decide, and to break the glass."""

import re
from collections.abc import Iterator

import pytest
from httpx import Client
from sqlalchemy import update

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault, running
from vault.access.classes import Demands, RecordingClass, put_class
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.rights import HolderKind, NewRight
from vault.catalog.tables import RECORDING
from vault.core.clock import rfc3339
from vault.core.flow import Actor, ActorKind
from vault.core.ids import RecordingId
from vault.database.engine import transaction
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

WHY = "complaint of Mrs Example"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    config = WebConfig(
        edge=EdgeConfig(requests_per_minute=100_000, spares_loopback=True),
        actor_requests_per_minute=100_000,
    )
    with running(tmp_path_factory.mktemp("office"), config) as vault:
        vault.crew()
        emma = vault.person("emma", Role.AGENT)
        vault.services().duties.rights.add(
            NewRight(
                holder_kind=HolderKind.USER,
                holder=emma,
                permission=Permission.ACCESS_EMERGENCY_USE,
                scope_kind=ScopeKind.ALL,
            ),
            granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
        )
        yield vault


def classified(
    vault: WebVault, name: str, *, reason: bool = False, approval: bool = False
) -> RecordingId:
    made = vault.record()
    demands = Demands(reason=reason, approval=approval)
    with transaction(vault.catalog) as connection:
        put_class(connection, RecordingClass(name=name, demands=demands))
        connection.execute(
            update(RECORDING).where(RECORDING.c.id == made).values(class_name=name)
        )
    return made


def csrf(client: Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/account").text)
    assert found is not None
    return found[1]


def post(client: Client, path: str, **fields: str) -> int:
    return client.post(path, data={"csrf": csrf(client)} | fields).status_code


def test_a_reason_opens_the_player(office: WebVault, in_browser: SignedInAs) -> None:
    recording = classified(office, "strict", reason=True)
    ada, path = in_browser("ada", office), f"/recordings/{recording}"
    asked = ada.get(path).text

    assert "Say why" in asked
    assert "data-audio" not in asked
    assert 303 == post(ada, path + "/reason", reason=WHY)
    opened = ada.get(path).text
    assert "data-audio" in opened
    assert "<dt>Class</dt><dd>strict</dd>" in opened
    assert 200 == ada.get(f"/api/v1{path}/peaks").status_code
    assert "Example" not in str(office.leaves())


def test_somebody_is_asked_and_agrees(office: WebVault, in_browser: SignedInAs) -> None:
    recording = classified(office, "board", approval=True)
    ada, olga = in_browser("ada", office), in_browser("olga", office)
    path = f"/recordings/{recording}"

    assert "Ask a second person" in ada.get(path).text
    assert 303 == post(ada, path + "/approval", reason=WHY)
    assert "nobody has answered yet" in ada.get(path).text
    assert "Asked by you" in ada.get("/approvals").text
    page = olga.get("/approvals").text
    assert recording in page
    assert f"<q>{WHY}</q>" in page
    assert "0:04" in page
    assert {"sales", "board"} <= set(
        re.findall(r'<span class="small">([^<]+)</span>', page)
    )
    (decide,) = re.findall(r'action="(/approvals/[^"]+)"', page)
    assert 422 == post(olga, decide, decision="perhaps")
    assert 303 == post(olga, decide, decision="approve")
    assert "Nothing waits for you" in olga.get("/approvals").text
    assert "data-audio" in ada.get(path).text
    assert 422 == post(olga, decide, decision="refuse")


def test_a_change_that_waits_is_spelled_for_people(
    office: WebVault, in_browser: SignedInAs, signed_in: SignedInAs
) -> None:
    office.person("anna", Role.ADMINISTRATOR)
    right = {
        "to": "user:adam",
        "permission": "recording:media:play",
        "over": "workgroup:sales",
        "until": "2126-01-01T00:00:00Z",
    }
    asked = signed_in("adam", office).post("/api/v1/rights", json=right)
    anna = in_browser("anna", office)
    page = anna.get("/approvals").text
    refused = post(anna, f"/approvals/{asked.json()['approval']}", decision="refuse")

    assert (202, 303) == (asked.status_code, refused)
    assert "<strong>Give a right</strong>" in page
    assert {
        "user adam",
        "workgroup sales",
        "hear recordings",
        "2126-01-01 00:00:00 UTC",
    } <= set(re.findall(r'<span class="small">([^<]+)</span>', page))


def test_a_broken_glass_is_on_every_page_of_who_can_end_it(
    office: WebVault, in_browser: SignedInAs
) -> None:
    emma, adam, ada = (in_browser(one, office) for one in ("emma", "adam", "ada"))

    assert "Break the glass" in emma.get("/approvals").text
    assert "Break the glass" not in ada.get("/approvals").text
    assert 422 == post(emma, "/emergency", reason="abc")
    assert 303 == post(emma, "/emergency", reason=WHY)
    assert 422 == post(emma, "/emergency", reason=WHY)
    assert "The glass is broken" in adam.get("/extensions").text
    assert "You broke the glass" not in adam.get("/extensions").text
    own = emma.get("/account").text
    assert "You broke the glass." in own
    assert "The glass is broken" not in own
    assert "You broke the glass" not in ada.get("/recordings").text
    assert "The glass is broken" not in ada.get("/recordings").text
    page = adam.get("/approvals").text
    assert "<strong>emma</strong>" in page
    (end,) = re.findall(r'action="(/emergency/[^"]+/end)"', page)
    assert 404 == post(ada, end)
    assert 303 == post(adam, end)
    assert "The glass is broken" not in adam.get("/extensions").text
    assert 403 == post(ada, "/emergency", reason=WHY)


def test_who_broke_the_glass_ends_it_from_any_page(
    office: WebVault, in_browser: SignedInAs
) -> None:
    emma = in_browser("emma", office)
    assert 303 == post(emma, "/emergency", reason=WHY)
    page = emma.get("/account").text
    (until,) = re.findall(r'hear everything until <time datetime="([^"]+)"', page)
    (end,) = re.findall(r'action="(/emergency/[^"]+/end)"', page)
    (opened,) = office.services().duties.emergencies.list()

    assert rfc3339(opened.until_ns) == until
    assert 303 == post(emma, end)
    assert "You broke the glass" not in emma.get("/account").text


@pytest.mark.parametrize(
    ("name", "seen"),
    [("ada", True), ("olga", True), ("adam", True), ("emma", True), ("carl", False)],
)
def test_who_decides_finds_the_way(
    office: WebVault, in_browser: SignedInAs, name: str, *, seen: bool
) -> None:
    page = in_browser(name, office).get("/account").text

    assert int(seen) == page.count('href="/approvals"')


def test_the_page_of_somebody_elses_recording_says_nothing(
    office: WebVault, in_browser: SignedInAs
) -> None:
    recording = classified(office, "strict", reason=True)
    bob = in_browser("bob", office)
    path = f"/recordings/{recording}"

    assert 404 == bob.get(path).status_code
    assert {404} == {
        post(bob, f"{path}/{step}", reason=WHY) for step in ("reason", "approval")
    }
