"""The table of extensions by API and by page, behind a real application."""

import re

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import Call, WebVault
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.rights import HolderKind, NewRight, Rights
from vault.core.clock import system_clock_ns
from vault.core.flow import Actor, ActorKind
from vault.sealing.metadata import ParticipantMetadata

API = "/api/v1/extensions"


class TestApi:
    def test_an_entry_is_made_changed_tried_and_removed(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        adam = signed_in("adam")
        made = adam.post(API, json={"pattern": "+49 30 7*", "agent": "ada"})
        changed = adam.post(API, json={"pattern": "+49307*", "workgroup": "Desk"})
        entry = changed.json()
        matched = adam.get(API + "/match", params={"address": "tel:+49-30-77"})
        listed = adam.get(API).json()["items"]
        gone = adam.delete(f"{API}/{entry['id']}")
        again = adam.delete(f"{API}/{entry['id']}")
        nobody = adam.get(API + "/match", params={"address": "+49307"})

        assert (201, 200, 204, 404) == (
            made.status_code,
            changed.status_code,
            gone.status_code,
            again.status_code,
        )
        assert ("+49307*", "", "Desk") == (
            entry["pattern"],
            entry["agent"],
            entry["workgroup"],
        )
        assert {"extension": entry} == matched.json()
        assert entry in listed
        assert {"extension": None} == nobody.json()

    def test_each_change_is_on_the_trail_and_no_number_is(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        adam = signed_in("adam")
        entry = adam.post(API, json={"pattern": "+4930888", "agent": "ada"}).json()
        adam.delete(f"{API}/{entry['id']}")
        leaves = [
            leaf
            for leaf in shared_vault.leaves()
            if leaf.get("detail") == {"extension": entry["id"]}
        ]

        assert ["access.extension.set", "access.extension.removed"] == [
            leaf["action"] for leaf in leaves
        ]
        assert [{"after"}, {"before"}] == [set(leaf["text"]) for leaf in leaves]
        assert "4930888" not in str(leaves)

    @pytest.mark.parametrize(
        "body",
        [
            {"pattern": "a b", "agent": "ada"},
            {"pattern": "1001"},
            {"pattern": "1001", "agent": "not a name"},
            {"pattern": "1001", "agent": "ada", "more": 1},
            {"agent": "ada"},
        ],
    )
    def test_what_is_no_entry_is_refused(
        self, signed_in: SignedInAs, body: dict[str, object]
    ) -> None:
        assert signed_in("adam").post(API, json=body).status_code == 422

    @pytest.mark.parametrize("name", ["ada", "olga", "carl"])
    def test_it_is_for_administrators(self, signed_in: SignedInAs, name: str) -> None:
        client = signed_in(name)
        answers = [
            client.get(API),
            client.get(API + "/match?address=1"),
            client.post(API, json={"pattern": "1", "agent": "ada"}),
            client.delete(API + "/x"),
        ]

        assert {403} == {one.status_code for one in answers}

    def test_who_hears_calls_leads_none_there(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        shared_vault.person(
            "hears", Role.ADMINISTRATOR, Role.QUALITY, workgroups=["sales"]
        )
        shared_vault.person("hears-own", Role.ADMINISTRATOR)
        Rights(shared_vault.catalog).add(
            NewRight(
                holder_kind=HolderKind.USER,
                holder=shared_vault.people.by_name("hears-own").id,
                permission=Permission.RECORDING_MEDIA_PLAY,
                scope_kind=ScopeKind.OWN,
                valid_from_ns=system_clock_ns() + 10**12,
            ),
            granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
        )
        adam, hears = signed_in("adam"), signed_in("hears")
        own = signed_in("hears-own")
        wide = adam.post(API, json={"pattern": "7*", "workgroup": "sales"}).json()
        one = adam.post(API, json={"pattern": "71", "workgroup": "board"}).json()
        statuses = [
            hears.post(API, json={"pattern": "*", "workgroup": "sales"}).status_code,
            hears.post(API, json={"pattern": "71", "workgroup": "sales"}).status_code,
            hears.delete(f"{API}/{one['id']}").status_code,
            hears.post(API, json={"pattern": "7*", "workgroup": "Sales"}).status_code,
            hears.post(API, json={"pattern": "72", "workgroup": "board"}).status_code,
            own.post(API, json={"pattern": "73", "agent": "Hears-Own"}).status_code,
            own.post(API, json={"pattern": "73", "agent": "ada"}).status_code,
        ]
        for entry in adam.get(API).json()["items"]:
            assert adam.delete(f"{API}/{entry['id']}").status_code == 204

        assert [409, 409, 409, 200, 201, 409, 201] == statuses
        assert wide["workgroup"] == "sales"

    def test_without_the_trail_nothing_changes(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        adam = signed_in("adam", own_vault)
        own_vault.stop_warden()
        answer = adam.post(API, json={"pattern": "1001", "agent": "ada"})

        assert (503, ()) == (answer.status_code, own_vault.services().extensions.list())


def token(client: Client, path: str = "/extensions") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found[1]


class TestPage:
    def test_an_administrator_adds_tries_and_removes(
        self, in_browser: SignedInAs
    ) -> None:
        adam = in_browser("adam")
        csrf = token(adam)
        form = {"csrf": csrf, "pattern": "55??", "agent": "", "workgroup": "<b>Desk"}
        added = adam.post("/extensions", data=form)
        page = adam.get("/extensions", params={"address": "sip:5512@pbx"}).text
        (remove,) = re.findall(r'action="(/extensions/[^"]+/remove)"', page)
        removed = adam.post(remove, data={"csrf": csrf})

        assert (303, 303) == (added.status_code, removed.status_code)
        assert "55??" in page
        assert "workgroup &lt;b&gt;Desk" in page
        assert "No extensions yet" in adam.get("/extensions").text

    def test_what_is_refused_is_said_and_stays_in_the_form(
        self, in_browser: SignedInAs
    ) -> None:
        adam = in_browser("adam")
        form = {"csrf": token(adam), "pattern": "a b", "agent": "ada"}
        answer = adam.post("/extensions", data=form)

        assert answer.status_code == 422
        assert 'value="a b"' in answer.text
        assert "A pattern has up to" in answer.text

    def test_a_form_of_another_site_changes_nothing(
        self, in_browser: SignedInAs
    ) -> None:
        adam = in_browser("adam")

        assert 403 == adam.post("/extensions", data={"pattern": "1"}).status_code

    @pytest.mark.parametrize("name", ["ada", "olga", "carl"])
    def test_nobody_else_sees_it(self, in_browser: SignedInAs, name: str) -> None:
        assert 403 == in_browser(name).get("/extensions").status_code


def test_the_recording_page_names_everybody_and_where_they_are_heard(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    anna = ParticipantMetadata(
        id="1", aor="sip:1001@pbx", name="<Anna>", streams=("agent",), agent="ada"
    )
    id = shared_vault.record(Call(participants=(anna,), callee="1001"))
    plain = shared_vault.record()
    page = in_browser("ada").get(f"/recordings/{id}").text

    assert "&lt;Anna&gt;" in page
    assert "sip:1001@pbx" in page
    assert "left channel" in page
    assert 'id="parties"' not in in_browser("ada").get(f"/recordings/{plain}").text
