"""The pages of people and workgroups, and the one for choosing a password."""

import re

import pytest
from httpx import Client
from sqlalchemy import insert

from tests.simulators.asgi import client_for, send_form
from tests.simulators.web_vault import PASSWORD, WebVault
from vault.access.permissions import Role
from vault.access.tables import PASSKEY, TOTP
from vault.database.engine import transaction

CHOSEN = "copper-lantern-orbit-9"


def browser(vault: WebVault, name: str = "adam") -> Client:
    client = client_for(vault.app())
    client.headers["Sec-Fetch-Site"] = "same-origin"
    client.post("/sign-in", data={"user": name, "password": PASSWORD})
    return client


def person_path(vault: WebVault, name: str) -> str:
    return f"/people/{vault.people.by_name(name).id}"


class TestPeople:
    def test_somebody_is_added_changed_shut_and_opened(self, company: WebVault) -> None:
        adam = browser(company)
        added = send_form(
            adam,
            "/people",
            name="nora",
            workgroups="North, Sales",
            make="on",
            **{"role:agent": "on"},
        )
        page = adam.get(added.headers["location"]).text
        changed = send_form(
            adam,
            person_path(company, "nora"),
            workgroups="North",
            **{"role:quality": "on"},
        )
        shut = send_form(adam, person_path(company, "nora") + "/shut")
        opened = send_form(adam, person_path(company, "nora") + "/open")

        assert (303, 200, 200, 200) == (
            added.status_code,
            changed.status_code,
            shut.status_code,
            opened.status_code,
        )
        assert 'name="role:agent" checked' in page
        assert 'value="North"' in changed.text
        assert "nora has an account." in page
        assert ("disabled", "not activated yet") == (
            badge(shut.text),
            badge(opened.text),
        )
        assert "The account is disabled" in shut.text
        assert "The account is enabled." in opened.text

    def test_what_is_refused_is_said_and_what_was_typed_stays(
        self, company: WebVault
    ) -> None:
        answer = send_form(
            browser(company), "/people", name="ada", workgroups="North", make="on",
            **{"role:agent": "on"},
        )  # fmt: skip

        assert answer.status_code == 422
        assert "Somebody has that name already." in answer.text
        assert 'name="role:agent" checked' in answer.text
        assert 'value="North"' in answer.text

    def test_a_workgroup_that_is_missing_is_not_made_by_mistake(
        self, company: WebVault
    ) -> None:
        adam = browser(company)
        ada = person_path(company, "ada")
        mistyped = send_form(
            adam, ada, workgroups="salse, support", **{"role:agent": "on"}
        )
        unlike = send_form(adam, "/people", name="petra", workgroups="zzz")

        assert (422, 422) == (mistyped.status_code, unlike.status_code)
        assert "There is no workgroup salse: do you mean sales?<" in mistyped.text
        assert 'value="salse, support"' in mistyped.text
        assert 'name="role:agent" checked' in mistyped.text
        assert "There is no workgroup zzz." in unlike.text
        assert {"salse", "zzz"}.isdisjoint(company.workgroups.names().values())
        assert {Role.SUPERVISOR} == company.people.by_name("ada").roles

    def test_who_can_do_nothing_yet_is_said_to(self, company: WebVault) -> None:
        adam = browser(company)
        made = send_form(adam, "/people", name="quentin")
        page = adam.get(made.headers["location"]).text
        given = send_form(adam, made.headers["location"], **{"role:agent": "on"}).text

        assert 303 == made.status_code
        assert "quentin can do nothing here until" in page
        assert "can do nothing here" not in given

    def test_the_list_says_who_came_in_yet_and_with_which_factors(
        self, company: WebVault
    ) -> None:
        for name in ("rosa", "sven", "tess"):
            company.person(name, Role.AGENT)
        rosa, sven = (company.people.by_name(one).id for one in ("rosa", "sven"))
        with transaction(company.catalog) as connection:
            for number, owner in enumerate((rosa, rosa, sven)):
                connection.execute(
                    insert(PASSKEY).values(
                        id=str(number),
                        credential_id=b"%d" % number,
                        user_id=owner,
                        public_key=b"",
                        sign_count=0,
                        name="key",
                        created_ns=0,
                    )
                )
            for confirmed, owner in ((True, rosa), (False, sven)):
                connection.execute(
                    insert(TOTP).values(
                        user_id=owner, sealed=b"", is_confirmed=confirmed, created_ns=0
                    )
                )
        adam = browser(company)
        send_form(adam, "/people", name="ute", **{"role:agent": "on"})
        rows = {
            cells[0]: cells[4:]
            for row in re.findall(
                r"<tr>(.*?)</tr>", adam.get("/people").text, re.DOTALL
            )
            if (cells := [text_of(one) for one in re.findall(r"<td.*?</td>", row)])
        }

        assert {
            "rosa": ["authenticator app, 2 passkeys", "active"],
            "sven": ["1 passkey", "active"],
            "tess": ["none", "active"],
            "ute": ["none", "not activated yet"],
        } == {name: rows[name] for name in ("rosa", "sven", "tess", "ute")}

    def test_a_code_is_shown_once_and_chooses_a_password(
        self, company: WebVault
    ) -> None:
        company.person("olle", Role.ADMINISTRATOR)
        adam = browser(company)
        shown = send_form(adam, person_path(company, "olle") + "/code").text
        code = re.search(r"<pre[^>]*>([A-Z2-7-]+)</pre>", shown)
        assert code is not None
        nobody = client_for(company.app())
        fields = {"user": "olle", "code": code[1], "password": CHOSEN, "again": CHOSEN}
        differing = nobody.post("/activate", data=fields | {"again": "x"})
        wrong = nobody.post("/activate", data=fields | {"code": "x"})
        chosen = nobody.post("/activate", data=fields)
        again = nobody.post("/activate", data=fields)

        assert (422, 401, 303, 401) == (
            differing.status_code,
            wrong.status_code,
            chosen.status_code,
            again.status_code,
        )
        assert code[1] not in adam.get(person_path(company, "olle")).text

    def test_what_would_open_calls_to_oneself_waits(self, company: WebVault) -> None:
        answer = send_form(
            browser(company), person_path(company, "adam"), workgroups="sales",
            **{"role:administrator": "on", "role:supervisor": "on"},
        )  # fmt: skip

        assert "It waits for another person" in answer.text
        assert {Role.ADMINISTRATOR} == company.people.by_name("adam").roles

    @pytest.mark.parametrize("path", ["/people", "/workgroups"])
    def test_whoever_administers_nothing_is_refused(
        self, company: WebVault, path: str
    ) -> None:
        ada = browser(company, "ada")

        assert (403, 403) == (
            ada.get(path).status_code,
            send_form(ada, path, name="x").status_code,
        )


class TestWorkgroups:
    def test_a_workgroup_is_added_below_another_and_moved(
        self, company: WebVault
    ) -> None:
        adam = browser(company)
        send_form(adam, "/workgroups", name="Top")
        top = company.workgroups.by_name("Top")
        added = send_form(adam, "/workgroups", name="Below", parent=top.id)
        below = company.workgroups.by_name("Below")
        moved = send_form(adam, f"/workgroups/{below.id}", name="Beside", parent="")
        loop = send_form(adam, f"/workgroups/{top.id}", name="Top", parent=top.id)

        assert (200, 200, 422) == (
            added.status_code,
            moved.status_code,
            loop.status_code,
        )
        assert (top.id, None) == (
            below.parent_id,
            company.workgroups.by_name("beside").parent_id,
        )


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        (
            "/addresses",
            {"listener": "sip", "verdict": "deny", "prefix": "198.51.100.0/24"},
            "The rule counts within seconds.",
        ),
        (
            "/extensions",
            {"pattern": "4711", "workgroup": "sales"},
            "4711 is in the table.",
        ),
    ],
)
def test_what_was_done_is_said_once_and_to_who_did_it(
    company: WebVault, path: str, fields: dict[str, str], said: str
) -> None:
    app = company.app()
    adam, anna = client_for(app), client_for(app)
    for client, name in ((adam, "adam"), (anna, "anna")):
        client.headers["Sec-Fetch-Site"] = "same-origin"
        client.post("/sign-in", data={"user": name, "password": PASSWORD})
    done = send_form(adam, path, **fields)
    pages = [client.get(path).text for client in (anna, adam, adam)]

    assert (303, path) == (done.status_code, done.headers["location"])
    assert [False, True, False] == [said in page for page in pages]


def text_of(cell: str) -> str:
    return re.sub(r"<[^>]+>", "", cell).strip()


def badge(page: str) -> str:
    found = re.search(r'class="badge (?:failed|ok|partial)">([\w ]+)<', page)
    assert found is not None
    return found[1]
