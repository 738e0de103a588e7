"""Second factors by API, as scripts and pages use it; a browser is in tests/browser."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyotp
import pytest
from fastapi.routing import APIRoute
from httpx import Response

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.passkey_device import PasskeyDevice
from tests.simulators.web_vault import PASSWORD, UNHURRIED, WebVault, running
from vault.access.permissions import Role
from vault.audit.entry import Action
from vault.web.app import api_routers
from vault.web.config import WebConfig
from vault.web.identity import any_asker

FACTORS = "/api/v1/factors"
SESSIONS = "/api/v1/sessions"
ORIGIN = "https://vault.test"
STEP_S = 30


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    """A vault whose officers need a second factor; people are made as needed."""
    with running(tmp_path_factory.mktemp("vault"), UNHURRIED) as vault:
        vault.origins = (ORIGIN,)
        vault.second_factor_roles = frozenset({Role.OFFICER})
        vault.crew()
        yield vault


class Somebody:
    """A person with a bearer, and what they hold."""

    def __init__(self, vault: WebVault, name: str, *roles: Role) -> None:
        self.vault = vault
        self.name = name
        self.id = vault.person(name, *roles, workgroups=["sales"])
        self.client = client_for(vault.app())
        self.app: pyotp.TOTP | None = None
        self.device = PasskeyDevice(origin=ORIGIN)

    def sign_in(self, otp: str | None = None, password: str = PASSWORD) -> Response:
        body = {"user": self.name, "password": password}
        answer = self.client.post(SESSIONS, json=body | ({"otp": otp} if otp else {}))
        if answer.status_code == 201:
            self.bear(answer.json()["token"])
        return answer

    def bear(self, token: str) -> None:
        self.client.headers["Authorization"] = f"Bearer {token}"

    def code(self) -> str:
        """Return a code that was not used yet."""
        assert self.app is not None
        self.vault.clock.advance(STEP_S)
        return self.app.at(self.vault.clock() // 10**9)

    def add_app(self) -> Response:
        begun = self.client.post(f"{FACTORS}/totp").json()
        self.app = pyotp.TOTP(begun["secret"])
        otp = self.app.at(self.vault.clock() // 10**9)
        return self.client.post(f"{FACTORS}/totp/confirmation", json={"otp": otp})

    def add_passkey(self, name: str = "key") -> Response:
        begun = self.client.post(f"{FACTORS}/passkeys").json()
        made = self.device.create(begun["options"])
        return self.client.post(
            f"{FACTORS}/passkeys/confirmation", json={"name": name, "credential": made}
        )

    def prove(self, purpose: str) -> Response:
        asked = self.client.post(
            f"{SESSIONS}/current/passkey", json={"purpose": purpose}
        ).json()
        return self.client.post(
            f"{SESSIONS}/current/passkey/confirmation",
            json={"purpose": purpose, "credential": self.device.get(asked["options"])},
        )


NewSomebody = Callable[..., Somebody]


@pytest.fixture
def somebody(vault: WebVault, request: pytest.FixtureRequest) -> NewSomebody:
    """``somebody(Role.OFFICER)``: a person for this test, signed in."""
    made: list[Somebody] = []

    def make(*roles: Role) -> Somebody:
        stem = re.sub(r"[^a-z0-9]", "", request.node.name.lower())[-50:]
        one = Somebody(vault, f"{stem}-{len(made)}", *roles)
        one.sign_in()
        made.append(one)
        return one

    return make


def problem(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


class TestApp:
    def test_a_fresh_person_has_nothing(self, somebody: NewSomebody) -> None:
        found = somebody(Role.SUPERVISOR).client.get(FACTORS).json()

        assert found == {"required": False, "passkeys": [], "recovery_codes": 0}

    def test_the_secret_comes_as_text_uri_and_picture_without_a_style(
        self, somebody: NewSomebody
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        begun = one.client.post(f"{FACTORS}/totp").json()
        app = pyotp.parse_uri(begun["uri"])

        assert (app.secret, app.name) == (begun["secret"], one.name)
        assert begun["svg"].startswith("<svg ")
        assert "style" not in begun["svg"]

    def test_it_counts_and_is_listed_once_confirmed(
        self, somebody: NewSomebody
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        answer = one.add_app()

        assert answer.status_code == 201
        assert answer.json() == one.client.get(FACTORS).json()
        assert answer.json().keys() == {
            "required",
            "passkeys",
            "recovery_codes",
            "totp",
        }

    def test_a_wrong_first_code_is_said(self, somebody: NewSomebody) -> None:
        one = somebody(Role.SUPERVISOR)
        one.client.post(f"{FACTORS}/totp")
        answer = one.client.post(
            f"{FACTORS}/totp/confirmation", json={"otp": "12345678"}
        )

        assert problem(answer) == (422, "/problems/invalid-input")

    def test_password_and_code_come_in_one_request(self, somebody: NewSomebody) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_app()
        bare, right = one.sign_in(), one.sign_in(one.code())

        assert problem(bare) == (401, "/problems/not-authenticated")
        assert right.status_code == 201

    def test_whatever_was_wrong_the_answer_is_the_same(
        self, somebody: NewSomebody
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_app()
        answers = [
            one.sign_in(password="wrong-wrong-wrong"),
            one.sign_in(),
            one.sign_in("000000"),
            one.sign_in(one.code(), "wrong-wrong-wrong"),
        ]

        assert len({answer.content for answer in answers}) == 1
        assert {answer.status_code for answer in answers} == {401}

    def test_it_is_taken_away(self, somebody: NewSomebody) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_app()
        answer = one.client.delete(f"{FACTORS}/totp")

        assert answer.status_code == 204
        assert one.client.delete(f"{FACTORS}/totp").status_code == 404
        assert one.sign_in().status_code == 201


class TestRecoveryCodes:
    def test_each_stands_in_for_a_code_once_and_the_trail_says_how_many_are_left(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_app()
        made = one.client.post(f"{FACTORS}/recovery-codes")
        code = made.json()["codes"][0]
        statuses = [one.sign_in(code).status_code for _ in range(2)]
        leaf = leaf_of(vault, Action.ACCESS_FACTOR_SPENT)

        assert (made.status_code, statuses) == (201, [201, 401])
        assert leaf["detail"] == {"kind": "recovery-codes", "count": 9}
        assert leaf["actor"] == f"user:{one.id}"
        assert one.client.get(FACTORS).json()["recovery_codes"] == 9

    def test_they_stand_in_for_something(self, somebody: NewSomebody) -> None:
        answer = somebody(Role.SUPERVISOR).client.post(f"{FACTORS}/recovery-codes")

        assert problem(answer) == (409, "/problems/conflict")


class TestPasskeys:
    def test_one_signs_in_without_a_password(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        added = one.add_passkey("blue key")
        nobody = client_for(vault.app())
        asked = nobody.post(f"{SESSIONS}/passkey").json()
        answer = nobody.post(
            f"{SESSIONS}/passkey/confirmation",
            json={"credential": one.device.get(asked["options"])},
        )

        assert [two["name"] for two in added.json()["passkeys"]] == ["blue key"]
        assert answer.status_code == 201
        assert answer.json()["user"] == one.name
        leaf = leaf_of(vault, Action.ACCESS_SESSION_OPENED)
        assert leaf["detail"]["how"] == "hwk/user/mfa"

    def test_the_cookie_of_a_challenge_is_host_bound_and_short(
        self, vault: WebVault
    ) -> None:
        cookie = (
            client_for(vault.app()).post(f"{SESSIONS}/passkey").headers["set-cookie"]
        )
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}

        assert cookie.startswith("__Host-callvault-passkey-sign-in=cvc_")
        assert parts == {
            "httponly",
            "max-age=300",
            "path=/",
            "samesite=strict",
            "secure",
        }

    def test_without_its_cookie_a_challenge_is_nobodys(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_passkey()
        nobody = client_for(vault.app())
        asked = nobody.post(f"{SESSIONS}/passkey").json()
        nobody.cookies.clear()
        answer = nobody.post(
            f"{SESSIONS}/passkey/confirmation",
            json={"credential": one.device.get(asked["options"])},
        )

        assert problem(answer) == (401, "/problems/not-authenticated")

    def test_one_unlocks_and_the_old_secret_is_dead(
        self, somebody: NewSomebody
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_passkey()
        one.client.post(f"{SESSIONS}/current/lock")
        locked = one.client.get("/api/v1/recordings")
        answer = one.prove("unlock")
        old = one.client.get("/api/v1/recordings")
        one.bear(answer.json()["token"])

        assert problem(locked) == (401, "/problems/session-locked")
        assert answer.status_code == 200
        assert old.status_code == 401
        assert one.client.get("/api/v1/recordings").status_code == 200

    def test_a_step_up_does_not_unlock(self, somebody: NewSomebody) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_passkey()
        one.client.post(f"{SESSIONS}/current/lock")

        assert problem(one.prove("step-up")) == (401, "/problems/session-locked")

    def test_one_is_a_fresh_proof(self, somebody: NewSomebody, vault: WebVault) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_passkey()
        vault.clock.advance(901)
        stale = one.client.post(f"{FACTORS}/totp")
        one.bear(one.prove("unlock").json()["token"])
        fresh = one.client.post(f"{FACTORS}/totp")

        assert stale.status_code in {401, 403}
        assert fresh.status_code == 200

    def test_another_persons_passkey_proves_nothing(
        self, somebody: NewSomebody
    ) -> None:
        one, other = somebody(Role.SUPERVISOR), somebody(Role.SUPERVISOR)
        one.add_passkey()
        other.add_passkey()
        one.device = other.device

        assert problem(one.prove("step-up")) == (401, "/problems/not-authenticated")

    def test_a_counter_that_went_back_is_on_the_trail(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_passkey()
        one.device.counter = 9
        one.bear(one.prove("step-up").json()["token"])
        one.device.counter = 3
        answer = one.prove("step-up")
        leaf = leaf_of(vault, Action.ACCESS_FACTOR_REFUSED)

        assert answer.status_code == 401
        assert (leaf["reason"], leaf["result"]) == ("counter-back", "refused")
        assert leaf["detail"] == {"user": one.id}

    @pytest.mark.parametrize(
        "credential",
        [
            {},
            {"id": 1},
            {"rawId": "\ud800"},
            {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}},
            {
                "id": "AA",
                "rawId": "AA",
                "type": "public-key",
                "response": {
                    "clientDataJSON": "e30",
                    "authenticatorData": "AA",
                    "signature": "AA",
                    "userHandle": "!",
                },
            },
            {"id": "AA", "rawId": "AA", "type": [], "response": []},
            {"x": {"y": [{"z": None}] * 100}},
        ],
    )
    def test_nonsense_is_refused_like_any_other(
        self, vault: WebVault, credential: dict[str, Any]
    ) -> None:
        nobody = client_for(vault.app(), peer="192.0.2.99")
        nobody.post(f"{SESSIONS}/passkey")
        answer = nobody.post(
            f"{SESSIONS}/passkey/confirmation",
            content=json.dumps({"credential": credential}),
            headers={"Content-Type": "application/json"},
        )

        assert answer.status_code in {401, 422}

    @pytest.mark.parametrize(
        "credential",
        [
            {"attestationObject": "AA"},
            {"attestationObject": "oA"},
            {"attestationObject": "o2NmbXRkbm9uZWdhdHRTdG10AGhhdXRoRGF0YUA"},
            {"attestationObject": "n" * 40_000},
        ],
    )
    def test_nonsense_is_never_kept(
        self, somebody: NewSomebody, credential: dict[str, Any]
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        options = one.client.post(f"{FACTORS}/passkeys").json()["options"]
        made = one.device.create(options)
        made["response"] |= credential
        answer = one.client.post(
            f"{FACTORS}/passkeys/confirmation",
            json={"name": "key", "credential": made},
        )

        assert problem(answer) == (422, "/problems/invalid-input")
        assert one.client.get(FACTORS).json()["passkeys"] == []

    def test_under_another_host_there_are_none(self, vault: WebVault) -> None:
        nobody = client_for(vault.app())
        answer = nobody.post(f"{SESSIONS}/passkey", headers={"Host": "elsewhere.test"})

        assert problem(answer) == (409, "/problems/conflict")
        assert ORIGIN in answer.json()["detail"]


class TestRequired:
    """A half sign-in adds a first factor, or gives the one that is: nothing else."""

    OPEN = frozenset(
        {
            ("GET", FACTORS),
            ("POST", f"{FACTORS}/totp"),
            ("POST", f"{FACTORS}/totp/confirmation"),
            ("POST", f"{FACTORS}/passkeys"),
            ("POST", f"{FACTORS}/passkeys/confirmation"),
            ("POST", f"{FACTORS}/proof"),
            ("GET", f"{SESSIONS}/current"),
            ("DELETE", f"{SESSIONS}/current"),
            ("POST", f"{SESSIONS}/current/lock"),
            ("POST", f"{SESSIONS}/current/unlock"),
            ("POST", f"{SESSIONS}/current/step-up"),
            ("POST", f"{SESSIONS}/current/passkey"),
            ("POST", f"{SESSIONS}/current/passkey/confirmation"),
            # Asks for the password, which is what a half sign-in has.
            ("POST", "/api/v1/users/current/password"),
        }
    )
    "What `Unfinished` and `AnySession` let in; a route that is not here is refused."

    def routes(self) -> list[tuple[str, str]]:
        return [
            (method, route.path)
            for router in api_routers(WebConfig())
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in route.methods
            if any(one.call is any_asker for one in walk(route.dependant))
        ]

    def test_every_other_route_is_closed(self, somebody: NewSomebody) -> None:
        one = somebody(Role.OFFICER)
        answers = {
            (method, path): one.client.request(
                method,
                re.sub(r"\{[^}]*\}", "aaaaaaaa-0000-4000-8000-000000000000", path),
                json={} if method in {"POST", "PUT", "PATCH"} else None,
            )
            for method, path in self.routes()
            if (method, path) not in self.OPEN
        }
        reached = {
            route: answer.status_code
            for route, answer in answers.items()
            if answer.status_code != 403
            or "second-factor-required" not in (answer.text or "second-factor-required")
        }

        assert len(answers) > 30
        assert reached == {}

    def test_every_page_leads_to_the_page_of_factors(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        name = somebody(Role.OFFICER).name
        browser = client_for(vault.app())
        browser.headers.update({"Accept": "text/html", "Sec-Fetch-Site": "same-origin"})
        browser.post("/sign-in", data={"user": name, "password": PASSWORD})
        led = {
            path: browser.get(path).headers.get("location")
            for path in ("/", "/recordings", "/audit", "/health", "/account")
        }
        page = browser.get("/account/factors")

        assert set(led.values()) == {"/account/factors"}
        assert page.status_code == 200
        assert "Your role asks for a second factor" in page.text

    def test_an_app_makes_the_session_whole_and_the_old_secret_is_dead(
        self, somebody: NewSomebody
    ) -> None:
        one = somebody(Role.OFFICER)
        closed = one.client.get("/api/v1/audit/entries")
        answer = one.add_app()
        dead = one.client.get(FACTORS)
        one.bear(answer.json()["session"]["token"])

        assert problem(closed) == (403, "/problems/second-factor-required")
        assert dead.status_code == 401
        assert one.client.get("/api/v1/audit/entries").status_code == 200

    def test_a_passkey_does_so_too(self, somebody: NewSomebody) -> None:
        one = somebody(Role.OFFICER)
        answer = one.add_passkey()
        one.bear(answer.json()["session"]["token"])

        assert one.client.get("/api/v1/audit/entries").status_code == 200

    def test_who_has_a_factor_gives_it_and_adds_none_instead(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        """Somebody who came by a provider whose word for a factor does not count."""
        one = somebody(Role.OFFICER)
        one.add_app()
        half = vault.app().state.services.sessions.open(one.id, is_restricted=True)
        one.bear(half.secret)
        refused = [
            one.client.post(f"{FACTORS}/totp"),
            one.client.post(f"{FACTORS}/passkeys"),
            one.client.post(f"{FACTORS}/recovery-codes"),
            one.client.delete(f"{FACTORS}/totp"),
        ]
        wrong = one.client.post(f"{FACTORS}/proof", json={"otp": "000000"})
        right = one.client.post(f"{FACTORS}/proof", json={"otp": one.code()})
        one.bear(right.json()["token"])

        assert {problem(answer) for answer in refused} == {
            (403, "/problems/second-factor-required")
        }
        assert (wrong.status_code, right.status_code) == (401, 200)
        assert one.client.get("/api/v1/audit/entries").status_code == 200

    def test_the_last_one_stays(self, somebody: NewSomebody) -> None:
        one = somebody(Role.OFFICER)
        one.bear(one.add_app().json()["session"]["token"])

        assert problem(one.client.delete(f"{FACTORS}/totp")) == (
            409,
            "/problems/conflict",
        )

    def test_tokens_manage_no_factors(self, somebody: NewSomebody) -> None:
        one = somebody(Role.SUPERVISOR)
        token = one.client.post("/api/v1/tokens", json={"name": "t"}).json()["token"]
        one.bear(token)

        assert problem(one.client.get(FACTORS)) == (403, "/problems/forbidden")
        assert one.client.post(f"{FACTORS}/totp").status_code == 403


class TestReset:
    def test_an_administrator_resets_and_the_sessions_end(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        one, boss = somebody(Role.SUPERVISOR), somebody(Role.ADMINISTRATOR)
        one.add_app()
        one.add_passkey()
        answer = boss.client.delete(f"/api/v1/users/{one.id}/factors")
        leaf = leaf_of(vault, Action.ACCESS_FACTOR_RESET)

        assert answer.status_code == 204
        assert one.client.get(FACTORS).status_code == 401
        assert one.sign_in().status_code == 201
        assert leaf["detail"] == {"user": one.id, "kind": "all", "count": 2}
        assert leaf["right"] == "access:user:edit"

    def test_others_do_not(self, somebody: NewSomebody) -> None:
        one, other = somebody(Role.SUPERVISOR), somebody(Role.SUPERVISOR)
        answer = other.client.delete(f"/api/v1/users/{one.id}/factors")

        assert problem(answer) == (403, "/problems/forbidden")

    def test_nobody_resets_their_own(self, somebody: NewSomebody) -> None:
        boss = somebody(Role.ADMINISTRATOR)

        assert boss.client.delete(f"/api/v1/users/{boss.id}/factors").status_code == 409

    def test_who_is_not_there_is_not_found(self, somebody: NewSomebody) -> None:
        boss = somebody(Role.ADMINISTRATOR)

        assert boss.client.delete("/api/v1/users/nobody/factors").status_code == 404


class TestTrail:
    def test_without_it_nothing_changes(
        self, signed_in: SignedInAs, own_vault: WebVault
    ) -> None:
        client = signed_in("ada", own_vault)
        begun = client.post(f"{FACTORS}/totp").json()
        own_vault.stop_warden()
        otp = pyotp.TOTP(begun["secret"]).at(own_vault.clock() // 10**9)
        answer = client.post(f"{FACTORS}/totp/confirmation", json={"otp": otp})

        assert answer.status_code == 503
        assert "totp" not in client.get(FACTORS).json()

    def test_it_knows_what_changed_and_no_secret(
        self, somebody: NewSomebody, vault: WebVault
    ) -> None:
        one = somebody(Role.SUPERVISOR)
        one.add_app()
        one.add_passkey("unsayable name")
        passkey = one.client.get(FACTORS).json()["passkeys"][0]["id"]
        codes = one.client.post(f"{FACTORS}/recovery-codes").json()["codes"]
        one.client.delete(f"{FACTORS}/passkeys/{passkey}")
        mine = [leaf for leaf in vault.leaves() if leaf["actor"] == f"user:{one.id}"]
        changes = [
            (leaf["action"], leaf["detail"]["kind"])  # type: ignore[index] # JSON
            for leaf in mine
            if str(leaf["action"]).startswith("access.factor.")
        ]
        written = json.dumps(mine)

        assert changes == [
            ("access.factor.added", "totp"),
            ("access.factor.added", "passkey"),
            ("access.factor.added", "recovery-codes"),
            ("access.factor.removed", "passkey"),
        ]
        assert one.app is not None
        assert not [
            secret
            for secret in (one.app.secret, "unsayable", *codes)
            if secret in written
        ]


def leaf_of(vault: WebVault, action: Action) -> dict[str, Any]:
    return [leaf for leaf in vault.leaves() if leaf["action"] == action][-1]


def walk(dependant: Any) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one
        yield from walk(one)
