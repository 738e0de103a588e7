"""People, codes and workgroups by API, on a real application."""

from typing import Any

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, WebVault
from vault.access.activations import CODE_TTL_S
from vault.access.permissions import Role

USERS = "/api/v1/users"
GROUPS = "/api/v1/workgroups"
APPROVALS = "/api/v1/approvals"
ACTIVATIONS = "/api/v1/activations"
CHOSEN = "copper-lantern-orbit-9"


@pytest.fixture
def as_(company: WebVault, signed_in: SignedInAs) -> SignedInAs:
    return lambda name: signed_in(name, company)


def add(client: Client, name: str, *roles: str, **more: Any) -> dict[str, Any]:
    answer = client.post(USERS, json={"name": name, "roles": list(roles)} | more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def sign_in_status(client: Client, name: str, password: str) -> int:
    answer = client.post("/api/v1/sessions", json={"user": name, "password": password})
    client.cookies.clear()
    return answer.status_code


class TestAccounts:
    def test_an_account_is_added_listed_changed_shut_and_opened(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam = as_("adam")
        made = add(adam, "nora", "agent", workgroups=["New Team"])
        one = f"{USERS}/{made['id']}"
        changed = adam.patch(one, json={"roles": ["officer"], "workgroups": []})
        shut = adam.patch(one, json={"disabled": True})
        opened = adam.patch(one, json={"disabled": False})

        assert {
            "id": made["id"],
            "name": "nora",
            "roles": ["agent"],
            "workgroups": ["New Team"],
            "disabled": False,
            "source": "local",
        } == made
        assert opened.json() in adam.get(USERS).json()["items"]
        assert (["officer"], []) == (
            changed.json()["roles"],
            changed.json()["workgroups"],
        )
        assert (True, False) == (shut.json()["disabled"], opened.json()["disabled"])
        assert opened.json() == adam.get(one).json()
        actions = [leaf["action"] for leaf in company.leaves()]
        assert {
            "access.user.added",
            "access.user.changed",
            "access.user.disabled",
            "access.user.enabled",
        } <= set(actions)

    def test_nobody_but_an_administrator_sees_accounts(self, as_: SignedInAs) -> None:
        statuses = {
            name: as_(name).get(USERS).status_code for name in ("ada", "olga", "adam")
        }

        assert {"ada": 403, "olga": 403, "adam": 200} == statuses

    @pytest.mark.parametrize(
        ("members", "status"),
        [
            ({"name": "x y", "roles": []}, 422),
            ({"name": "x", "roles": ["king"]}, 422),
            ({"name": "x", "roles": [], "password": CHOSEN}, 422),
            ({"name": "x", "source": "moon"}, 422),
            ({"name": "x", "source": "oidc"}, 422),
            ({"name": "x", "external_id": "1"}, 422),
            ({"name": "ADAM", "roles": []}, 409),
        ],
    )
    def test_what_is_no_account_is_refused(
        self, as_: SignedInAs, members: dict[str, Any], status: int
    ) -> None:
        assert status == as_("adam").post(USERS, json=members).status_code

    @pytest.mark.parametrize(
        "members", [{}, {"disabled": True, "roles": []}, {"id": "1"}, {"name": "z"}]
    )
    def test_what_is_no_change_is_refused(
        self, company: WebVault, as_: SignedInAs, members: dict[str, Any]
    ) -> None:
        one = f"{USERS}/{company.people.by_name('ada').id}"

        assert as_("adam").patch(one, json=members).status_code == 422

    def test_the_last_administrator_stays(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        own_vault.person("anna", Role.ADMINISTRATOR)
        adam = signed_in("adam", own_vault)
        ids = {name: own_vault.people.by_name(name).id for name in ("adam", "anna")}
        first = adam.patch(f"{USERS}/{ids['anna']}", json={"disabled": True})
        shut = adam.patch(f"{USERS}/{ids['adam']}", json={"disabled": True})
        less = adam.patch(f"{USERS}/{ids['adam']}", json={"roles": []})
        back = adam.patch(f"{USERS}/{ids['anna']}", json={"disabled": False})

        assert (200, 409, 409, 200) == (
            first.status_code,
            shut.status_code,
            less.status_code,
            back.status_code,
        )


class TestSecondPerson:
    def test_a_listening_role_for_oneself_waits_and_another_agrees(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam, anna = as_("adam"), as_("anna")
        one = f"{USERS}/{company.people.by_name('adam').id}"
        asked = adam.patch(
            one,
            json={"roles": ["administrator", "supervisor"], "workgroups": ["sales"]},
        )
        decision = f"{APPROVALS}/{asked.json()['approval']}/decision"
        alone = adam.post(decision, json={"approve": True})
        meanwhile = adam.get(one).json()["roles"]
        agreed = anna.post(decision, json={"approve": True})
        after = adam.get(one).json()["roles"]
        adam.patch(one, json={"roles": ["administrator"], "workgroups": []})

        assert (202, 404, ["administrator"], 200) == (
            asked.status_code,
            alone.status_code,
            meanwhile,
            agreed.status_code,
        )
        assert ["administrator", "supervisor"] == after
        assert "recording:media:play" in asked.json()["gains"]

    def test_joining_a_workgroup_as_a_supervisor_waits_too(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        company.person("max", Role.ADMINISTRATOR, Role.SUPERVISOR)
        one = f"{USERS}/{company.people.by_name('max').id}"

        asked = as_("max").patch(one, json={"workgroups": ["sales"]})
        made = as_("max").patch(one, json={"workgroups": []})

        assert (202, 200) == (asked.status_code, made.status_code)

    def test_an_account_of_ones_own_making_does_not_agree(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        company.person("mara", Role.ADMINISTRATOR)
        mara, puppet = as_("mara"), client_for(company.app())
        made = add(mara, "puppet", "administrator")
        code = mara.post(f"{USERS}/{made['id']}/code").json()["code"]
        body = {"user": "puppet", "code": code, "password": CHOSEN}
        puppet.post(ACTIVATIONS, json=body)
        opened = puppet.post(
            "/api/v1/sessions", json={"user": "puppet", "password": CHOSEN}
        )
        puppet.cookies.clear()
        puppet.headers["Authorization"] = f"Bearer {opened.json()['token']}"
        one = f"{USERS}/{company.people.by_name('mara').id}"
        roles = {"roles": ["administrator", "supervisor"], "workgroups": ["sales"]}
        asked = mara.patch(one, json=roles)
        wanted = f"{APPROVALS}/{asked.json()['approval']}/decision"
        agreed = puppet.post(wanted, json={"approve": True})

        assert (202, 409) == (asked.status_code, agreed.status_code)
        assert ["administrator"] == mara.get(one).json()["roles"]


class TestCodes:
    def test_a_code_lets_its_owner_choose_a_password_once(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam, nobody = as_("adam"), client_for(company.app())
        made = add(adam, "olle", "administrator")
        code = adam.post(f"{USERS}/{made['id']}/code").json()["code"]
        body = {"user": "OLLE", "code": code.lower(), "password": CHOSEN}

        assert sign_in_status(nobody, "olle", "") == 401
        assert nobody.post(ACTIVATIONS, json=body | {"code": "x"}).status_code == 401
        assert (
            nobody.post(ACTIVATIONS, json=body | {"password": "a"}).status_code == 422
        )
        assert nobody.post(ACTIVATIONS, json=body).status_code == 204
        assert nobody.post(ACTIVATIONS, json=body).status_code == 401
        assert sign_in_status(nobody, "olle", CHOSEN) == 201

    @pytest.mark.parametrize(
        ("name", "role", "groups"),
        [("sven", "supervisor", ["sales"]), ("otto", "officer", [])],
    )
    def test_the_code_of_who_reaches_more_comes_in_two_halves(
        self,
        company: WebVault,
        as_: SignedInAs,
        name: str,
        role: str,
        groups: list[str],
    ) -> None:
        adam, anna, nobody = as_("adam"), as_("anna"), client_for(company.app())
        made = add(adam, name, role, workgroups=groups)
        asked = adam.post(f"{USERS}/{made['id']}/code")
        decision = f"{APPROVALS}/{asked.json()['approval']}/decision"
        agreed = anna.post(decision, json={"approve": True}).json()
        first, second = asked.json()["code_half"], agreed["code_half"]

        assert (202, made["id"]) == (asked.status_code, agreed["user"])
        for code in (first, second, f"{second}-{first}", f"{first}-{first}"):
            body = {"user": name, "code": code, "password": CHOSEN}
            assert nobody.post(ACTIVATIONS, json=body).status_code == 401
        body = {"user": name, "code": f"{first}-{second}", "password": CHOSEN}
        assert nobody.post(ACTIVATIONS, json=body).status_code == 204
        assert sign_in_status(nobody, name, CHOSEN) == 201

    def test_a_present_password_goes_on_until_the_code_was_used(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        company.person("pia", Role.AGENT)
        adam, nobody = as_("adam"), client_for(company.app())
        user_id = company.people.by_name("pia").id
        first = adam.post(f"{USERS}/{user_id}/code").json()["code"]
        newest = adam.post(f"{USERS}/{user_id}/code").json()["code"]
        body = {"user": "pia", "password": CHOSEN}

        assert sign_in_status(nobody, "pia", PASSWORD) == 201
        assert nobody.post(ACTIVATIONS, json=body | {"code": first}).status_code == 401
        company.clock.advance(CODE_TTL_S)
        late = nobody.post(ACTIVATIONS, json=body | {"code": newest}).status_code
        company.clock.reset()

        assert late == 401
        assert sign_in_status(nobody, "pia", PASSWORD) == 201

    def test_no_leaf_and_no_listing_shows_a_code(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam = as_("adam")
        made = add(adam, "quentin", "agent")
        code = adam.post(f"{USERS}/{made['id']}/code").json()["code"]
        said = str(company.leaves()) + adam.get(USERS).text + adam.get(APPROVALS).text

        assert not [half for half in code.split("-") if half in said]


class TestWorkgroups:
    def test_a_workgroup_is_added_renamed_moved_and_classed(
        self, as_: SignedInAs
    ) -> None:
        adam = as_("adam")
        adam.put("/api/v1/classes/vip", json={"needs_reason": True})
        made = adam.post(GROUPS, json={"name": "North"}).json()
        below = adam.post(GROUPS, json={"name": "Oslo", "parent": made["id"]}).json()
        one = f"{GROUPS}/{below['id']}"
        classed = adam.patch(one, json={"class": "vip", "name": "Oslo 2"}).json()
        alone = adam.patch(one, json={"parent": None}).json()
        loop = adam.patch(one, json={"parent": below["id"]})

        assert ({"id", "name", "parent", "class"}, None) == (set(made), made["class"])
        assert ("Oslo 2", made["id"], "vip") == (
            classed["name"],
            classed["parent"],
            classed["class"],
        )
        assert (None, "vip", 409) == (alone["parent"], alone["class"], loop.status_code)

    def test_names_are_unique_and_default_keeps_its_own(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam = as_("adam")
        adam.post(GROUPS, json={"name": "Twice"})
        default = company.workgroups.by_name("default").id
        statuses = [
            adam.post(GROUPS, json={"name": "TWICE"}).status_code,
            adam.patch(f"{GROUPS}/{default}", json={"name": "other"}).status_code,
            adam.patch(f"{GROUPS}/{default}", json={"name": "Twice"}).status_code,
        ]

        assert [409, 409, 409] == statuses
