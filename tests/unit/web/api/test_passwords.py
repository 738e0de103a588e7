"""One's own password: by the API and by the page, by choice and because one must."""

import re

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, WebVault
from vault.access.kept_passwords import KeptPasswords
from vault.access.permissions import Role

CHANGE = "/api/v1/users/current/password"
PAGE = "/account/password"
NEW = "something else entirely"
BROWSER = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


def bearer(vault: WebVault, name: str, password: str = PASSWORD) -> Client:
    client = client_for(vault.app())
    answer = client.post("/api/v1/sessions", json={"user": name, "password": password})
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


def browser(vault: WebVault, name: str) -> Client:
    client = client_for(vault.app())
    client.headers.update(BROWSER)
    answer = client.post("/sign-in", data={"user": name, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return client


def must_change(vault: WebVault, name: str) -> None:
    kept = KeptPasswords(vault.catalog)
    user_id = vault.people.by_name(name).id
    (stored, *_) = kept.hashes(user_id, history=0)
    kept.keep(user_id, stored, history=0, must_change=True)


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


class TestByChoice:
    def test_a_new_password_ends_every_other_session(self, own_vault: WebVault) -> None:
        mine, other = bearer(own_vault, "ada"), bearer(own_vault, "ada")
        answer = mine.post(CHANGE, json={"current": PASSWORD, "new": NEW})

        assert (204, b"") == (answer.status_code, answer.content)
        assert 200 == mine.get("/api/v1/recordings").status_code
        assert 401 == other.get("/api/v1/recordings").status_code
        assert bearer(own_vault, "ada", NEW)
        leaf = next(
            one for one in own_vault.leaves() if one["action"] == "access.user.changed"
        )
        ada = own_vault.people.by_name("ada").id
        assert {"user": ada, "part": "password"} == leaf["detail"]
        assert f"user:{ada}" == leaf["actor"]

    @pytest.mark.parametrize(
        ("new", "said"),
        [
            ("short", "at least 12"),
            ("adaadaadaada", "guess"),
            (PASSWORD, "before"),
            ("NUL \0 inside of it", "NUL"),
        ],
    )
    def test_a_rule_that_is_broken_is_named_and_nothing_changes(
        self, own_vault: WebVault, new: str, said: str
    ) -> None:
        answer = bearer(own_vault, "ada").post(
            CHANGE, json={"current": PASSWORD, "new": new}
        )

        assert 422 == answer.status_code
        assert said in answer.json()["detail"]
        assert bearer(own_vault, "ada")

    def test_an_old_one_is_refused_until_others_have_taken_its_place(
        self, own_vault: WebVault
    ) -> None:
        client, now = bearer(own_vault, "ada"), PASSWORD
        for number in range(5):
            new = f"quite another phrase {number}"
            answer = client.post(CHANGE, json={"current": now, "new": new})
            assert 204 == answer.status_code, answer.text
            back = client.post(CHANGE, json={"current": new, "new": PASSWORD})
            assert (422 if number < 4 else 204) == back.status_code
            now = new

    def test_guesses_at_the_present_one_are_counted(self, own_vault: WebVault) -> None:
        client = bearer(own_vault, "ada")
        wrong = {"current": "wrong-wrong-wrong", "new": NEW}
        statuses = [client.post(CHANGE, json=wrong).status_code for _ in range(11)]

        assert [401] * 10 + [429] == statuses
        assert "access.session.refused" in own_vault.actions()

    def test_without_a_trail_nothing_changes(self, own_vault: WebVault) -> None:
        client = bearer(own_vault, "ada")
        own_vault.stop_warden()
        answer = client.post(CHANGE, json={"current": PASSWORD, "new": NEW})

        assert 503 == answer.status_code
        own_vault.start_warden()
        own_vault._app = None
        assert bearer(own_vault, "ada")

    def test_a_token_knows_no_password(self, own_vault: WebVault) -> None:
        client = bearer(own_vault, "ada")
        token = client.post("/api/v1/tokens", json={"name": "x"}).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"

        answer = client.post(CHANGE, json={"current": PASSWORD, "new": NEW})
        assert 404 == answer.status_code

    def test_the_password_of_another_source_is_not_here(
        self, own_vault: WebVault
    ) -> None:
        added = own_vault.people.add("ann", [Role.OFFICER], [], "", source="ldap")
        opened = own_vault.services().sessions.open(added.person.id)
        client = client_for(own_vault.app())
        client.headers["Authorization"] = f"Bearer {opened.secret}"

        answer = client.post(CHANGE, json={"current": PASSWORD, "new": NEW})
        assert 409 == answer.status_code


class TestBecauseOneMust:
    def test_nothing_else_works_before(self, own_vault: WebVault) -> None:
        must_change(own_vault, "ada")
        client = bearer(own_vault, "ada")
        refused = client.get("/api/v1/recordings")

        assert (403, "/problems/password-change-required") == (
            refused.status_code,
            refused.json()["type"],
        )
        assert 403 == client.post("/api/v1/tokens", json={"name": "x"}).status_code
        changed = client.post(CHANGE, json={"current": PASSWORD, "new": NEW})
        assert 204 == changed.status_code
        assert 200 == client.get("/api/v1/recordings").status_code

    def test_every_page_leads_to_the_form(self, own_vault: WebVault) -> None:
        must_change(own_vault, "ada")
        client = browser(own_vault, "ada")
        for page in ("/", "/recordings", "/account"):
            answer = client.get(page)
            assert (303, PAGE) == (answer.status_code, answer.headers["location"])

        shown = client.get(PAGE)
        assert 200 == shown.status_code
        assert "before you go on" in shown.text
        assert "/recordings" not in shown.text

    def test_the_form_changes_it_and_leads_on(self, own_vault: WebVault) -> None:
        must_change(own_vault, "ada")
        client = browser(own_vault, "ada")
        csrf = csrf_of(client.get(PAGE).text)
        form = {"csrf": csrf, "current": PASSWORD, "new": NEW, "again": NEW}
        for changed, status, said in (
            ({"again": "not the same"}, 422, "not the same"),
            ({"current": "wrong"}, 401, "is wrong"),
            ({"new": "short", "again": "short"}, 422, "at least 12"),
            ({"csrf": "x"}, 403, ""),
        ):
            answer = client.post(PAGE, data=form | changed)
            assert status == answer.status_code
            assert said in answer.text
            assert NEW not in answer.text
        answer = client.post(PAGE, data=form)
        assert (303, "/") == (answer.status_code, answer.headers["location"])

        assert 200 == client.get("/recordings").status_code


def test_nobody_is_asked_to_sign_in_first(nobody: Client) -> None:
    assert 401 == nobody.post(CHANGE, json={}).status_code
    page = nobody.get(PAGE, headers={"Accept": "text/html"})
    assert 303 == page.status_code


def test_the_body_is_closed(signed_in: SignedInAs) -> None:
    client = signed_in("bob")
    for body in (
        {"current": "x"},
        {"new": "x"},
        {"current": "x", "new": "x", "user": "ada"},
        {"current": 1, "new": "x"},
        {"current": "x", "new": "x" * 1025},
    ):
        assert 422 == client.post(CHANGE, json=body).status_code
