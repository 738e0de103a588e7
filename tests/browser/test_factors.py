"""Second factors in real Chromium, with its virtual authenticator (CDP)."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyotp
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    Page,
    Response,
    expect,
)

from tests.simulators.passkey_device import PasskeyDevice
from tests.simulators.ports import free_port
from tests.simulators.web_server import serving
from tests.simulators.web_vault import PASSWORD, WebVault, running
from vault.access.permissions import Role
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

pytestmark = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.xdist_group("browser"),
]

STEP_S = 30
PAGE = "/account/factors"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A vault, and under which of its names it is visited."""

    vault: WebVault
    port: int

    @property
    def address(self) -> str:
        """Where passkeys work."""
        return f"http://localhost:{self.port}"

    @property
    def elsewhere(self) -> str:
        """The same machine under a name that the installation does not have."""
        return f"http://other.localhost:{self.port}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A vault whose officers need a second factor."""
    web = WebConfig(
        edge=EdgeConfig(requests_per_minute=100_000),
        actor_requests_per_minute=100_000,
    )
    with running(tmp_path_factory.mktemp("vault"), web) as vault:
        place = Place(vault, free_port())
        vault.origins = (place.address,)
        vault.second_factor_roles = frozenset({Role.OFFICER})
        with serving(vault.app(), port=place.port):
            yield place


class Person:
    """Somebody at a browser with an authenticator in it."""

    def __init__(self, page: Page, cdp: CDPSession, place: Place) -> None:
        self.page = page
        self.place = place
        self.cdp = cdp
        self.complaints: list[str] = []
        self.posted: list[tuple[str, dict[str, Any]]] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)
        page.on("request", self._request)
        self.authenticator = ""

    def get_authenticator(self, **options: object) -> None:
        """Have an authenticator; the one of before is gone."""
        if self.authenticator:
            self.cdp.send(
                "WebAuthn.removeVirtualAuthenticator",
                {"authenticatorId": self.authenticator},
            )
        added = self.cdp.send(
            "WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR | options}
        )
        self.authenticator = added["authenticatorId"]

    def send(self, command: str, **members: object) -> dict[str, Any]:
        """Do something to the authenticator."""
        answer: dict[str, Any] = self.cdp.send(
            f"WebAuthn.{command}", {"authenticatorId": self.authenticator} | members
        )
        return answer

    def sign_in(self, name: str, otp: str = "") -> None:
        """Fill in the form."""
        self.page.goto(self.place.address + "/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_label("Code, if").fill(otp)
        self.page.get_by_role("button", name="Sign in", exact=True).click()

    def begin_app(self) -> str:
        """Ask for the picture on the page of factors; return the key below it."""
        self.page.get_by_role("button", name="Set up").click()
        expect(self.page.locator(".picture svg")).to_be_visible()
        shown = self.page.locator("[data-app-key]").text_content()
        return (shown or "").replace(" ", "")

    def add_passkey(self, name: str) -> None:
        """Add one on the page of factors."""
        self.page.goto(self.place.address + PAGE)
        self.page.get_by_label("Name of the new one").fill(name)
        self.page.get_by_role("button", name="Add a passkey").click()
        expect(self.page.get_by_role("cell", name=name, exact=True)).to_be_visible()

    def fetch(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        """Ask the API from within the page."""
        found: list[Any] = self.page.evaluate(
            """async ([path, body]) => {
                 const csrf = document.querySelector('input[name=csrf]')?.value ?? '';
                 const answer = await fetch(path, {
                   method: 'POST', body: JSON.stringify(body),
                   headers: {'Content-Type': 'application/json', 'X-CSRF-Token': csrf}});
                 return [answer.status, await answer.json()]; }""",
            [path, body],
        )
        return found[0], found[1]

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"} and (
            "Failed to load resource" not in message.text
        ):
            self.complaints.append(message.text)

    def _request(self, request: Any) -> None:
        if request.method == "POST" and "/api/" in request.url and request.post_data:
            path = request.url.partition("/api/v1/")[2]
            self.posted.append((path, json.loads(request.post_data)))


@pytest.fixture
def visit(chromium: Browser, place: Place) -> Iterator[Callable[[], Person]]:
    """``visit()``: a fresh browser with an authenticator."""
    contexts: list[BrowserContext] = []
    people: list[Person] = []

    def come() -> Person:
        context = chromium.new_context(viewport={"width": 1240, "height": 860})
        contexts.append(context)
        page = context.new_page()
        cdp = context.new_cdp_session(page)
        cdp.send("WebAuthn.enable")
        person = Person(page, cdp, place)
        person.get_authenticator()
        people.append(person)
        return person

    yield come
    for context in contexts:
        context.close()
    assert [one.complaints for one in people if one.complaints] == []


@pytest.fixture
def person(visit: Callable[[], Person]) -> Person:
    """One of them."""
    return visit()


def code_for(secret: str, place: Place) -> str:
    return pyotp.TOTP(secret).at(place.vault.clock() // 10**9)


def unused(place: Place, name: str, *roles: Role) -> str:
    """Make somebody for one test, and return their name."""
    place.vault.person(name, *roles, workgroups=["sales"])
    return name


def passkey_of(place: Place, name: str) -> dict[str, Any]:
    """Make somebody with a passkey; return it as Chromium's authenticator takes it."""
    user_id = place.vault.person(name, Role.SUPERVISOR, workgroups=["sales"])
    passkeys = place.vault.app().state.services.factors.passkeys
    device = PasskeyDevice(origin=place.address)
    begun = passkeys.begin_adding(user_id, name, place.address.partition("://")[2])
    passkeys.finish_adding(
        user_id, begun.secret, device.create(begun.options), "key", tell=lambda _: None
    )
    key = device.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "credentialId": b64encode(device.credential_id).decode(),
        "isResidentCredential": True,
        "rpId": "localhost",
        "privateKey": b64encode(key).decode(),
        "userHandle": b64encode(device.user_handle or b"").decode(),
        "signCount": 0,
    }


def actions_of(place: Place, action: str) -> list[dict[str, Any]]:
    return [leaf for leaf in place.vault.leaves() if leaf["action"] == action]  # type: ignore[misc] # JSON


class TestAuthenticatorApp:
    def test_it_is_set_up_by_its_first_code_and_then_signed_in_with(
        self, person: Person, place: Place
    ) -> None:
        name = unused(place, "tina", Role.SUPERVISOR)
        person.sign_in(name)
        page = person.page
        page.goto(place.address + PAGE)
        secret = person.begin_app()
        page.get_by_label("Code that the app shows").fill(code_for(secret, place))
        page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_role("button", name="Move to another app")).to_be_visible()
        page.get_by_role("button", name="Make recovery codes").click()
        expect(page.locator("[data-codes-list] li")).to_have_count(10)
        codes = page.locator("[data-codes-list] li").all_text_contents()
        page.get_by_role("button", name="Sign out").click()
        place.vault.clock.advance(STEP_S)

        person.sign_in(name)
        expect(page.get_by_role("alert").first).to_have_text(
            "The name, the password or the code is wrong."
        )
        person.sign_in(name, code_for(secret, place))
        expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        person.sign_in(name, codes[3].lower())
        expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
        page.goto(place.address + PAGE)
        expect(page.get_by_text("9 unused.")).to_be_visible()

    def test_who_must_have_one_gets_nowhere_else_and_is_whole_with_it(
        self, person: Person, place: Place
    ) -> None:
        name = unused(place, "otto", Role.OFFICER)
        person.sign_in(name)
        page = person.page
        expect(page.get_by_text("Your role asks for a second factor.")).to_be_visible()
        page.goto(place.address + "/audit")
        expect(page).to_have_url(place.address + PAGE)
        secret = person.begin_app()
        page.get_by_label("Code that the app shows").fill(code_for(secret, place))
        page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()

        page.goto(place.address + "/audit")
        expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
        page.goto(place.address + PAGE)
        page.get_by_role("button", name="Remove").click()
        page.locator("dialog[open]").get_by_role("button", name="Remove").click()
        expect(page.get_by_role("alert").first).to_contain_text("add another first")


class TestPasskeys:
    def test_one_is_made_and_signs_in_without_a_password(
        self, person: Person, place: Place
    ) -> None:
        name = unused(place, "petra", Role.OFFICER)
        person.sign_in(name)
        person.add_passkey("this laptop")
        page = person.page
        page.get_by_role("button", name="Sign out").click()
        made = person.send("getCredentials")["credentials"]
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
        current = page.request.get(place.address + "/api/v1/sessions/current").json()

        assert [(one["isResidentCredential"], one["rpId"]) for one in made] == [
            (True, "localhost")
        ]
        assert current["methods"] == ["hwk", "user", "mfa"]
        assert current["restricted"] is False

    def test_the_browser_offers_it_beside_the_name(
        self, person: Person, place: Place
    ) -> None:
        name = unused(place, "cora", Role.SUPERVISOR)
        person.sign_in(name)
        person.add_passkey("key")
        person.page.get_by_role("button", name="Sign out").click()

        # The virtual authenticator picks what a person would: the page asked for it
        # by itself, and nobody pressed a button.
        expect(person.page.get_by_role("heading", name="Recordings")).to_be_visible()

    def test_the_last_use_is_shown_and_it_can_be_removed(
        self, person: Person, place: Place
    ) -> None:
        person.sign_in(unused(place, "rita", Role.SUPERVISOR))
        person.add_passkey("blue key")
        page = person.page
        expect(page.get_by_text("never")).to_be_visible()
        page.get_by_role("button", name="Remove blue key").click()
        page.locator("dialog[open]").get_by_role("button", name="Remove").click()

        expect(page.get_by_role("button", name="Remove blue key")).to_have_count(0)

    def test_it_unlocks_a_locked_session(self, person: Person, place: Place) -> None:
        person.sign_in(unused(place, "ulla", Role.SUPERVISOR))
        person.add_passkey("key")
        page = person.page
        page.request.post(
            place.address + "/api/v1/sessions/current/lock",
            headers={"X-CSRF-Token": page.locator("body").get_attribute("data-csrf")},
        )
        page.goto(place.address + "/recordings")
        expect(page.get_by_role("heading", name="Locked")).to_be_visible()
        page.get_by_role("button", name="Use a passkey").click()

        expect(page.get_by_role("heading", name="Recordings")).to_be_visible()

    def test_it_is_a_fresh_proof(self, person: Person, place: Place) -> None:
        person.sign_in(unused(place, "stella", Role.SUPERVISOR))
        person.add_passkey("key")
        page = person.page
        for _ in range(3):  # awake, and not proved anew
            place.vault.clock.advance(400)
            page.goto(place.address + "/recordings")
        page.goto(place.address + PAGE)
        expect(page.get_by_role("heading", name="Is it you?").first).to_be_visible()
        page.locator("main").get_by_role("button", name="Use a passkey").click()

        expect(page.get_by_role("heading", name="Passkeys")).to_be_visible()

    def test_it_opens_the_cover_and_the_question_of_a_page_that_stays(
        self, person: Person, place: Place
    ) -> None:
        person.sign_in(unused(place, "lena", Role.SUPERVISOR))
        person.add_passkey("key")
        page = person.page
        page.get_by_label("Name of the new one").fill("half typed")
        page.get_by_role("button", name="Lock").click()
        cover = page.locator("dialog.lock")
        cover.get_by_role("button", name="Use a passkey").click()
        expect(cover).to_have_count(0)
        expect(page.get_by_label("Name of the new one")).to_have_value("half typed")
        place.vault.clock.advance(800)
        page.evaluate("fetch('/api/v1/sessions')")  # somebody is there
        place.vault.clock.advance(200)
        page.get_by_role("button", name="Set up").click()
        question = page.locator("dialog.proof[open]")
        question.get_by_role("button", name="Use a passkey").click()

        expect(page.locator(".picture svg")).to_be_visible()


class TestRefusals:
    """H46: what real Chromium makes is refused where it is not for this."""

    @pytest.fixture
    def signed(self, person: Person, place: Place, request: Any) -> Person:
        """Somebody with a passkey in their browser, at the form to sign in."""
        name = "v" + re.sub(r"[^a-z0-9]", "", request.node.name)[-40:]
        person.send("addCredential", credential=passkey_of(place, name))
        # By button only: nothing is to be asked for by itself.
        person.page.add_init_script(
            "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
        )
        person.page.goto(place.address + "/sign-in")
        return person

    def refused(self, person: Person) -> None:
        person.page.get_by_role("button", name="Use a passkey").click()
        expect(person.page.locator("[data-passkey-trouble]")).to_contain_text(
            "The passkey was not accepted."
        )

    def accepted(self, person: Person) -> None:
        person.page.get_by_role("button", name="Use a passkey").click()
        expect(person.page.get_by_role("heading", name="Recordings")).to_be_visible()

    def test_a_counter_that_went_back(self, signed: Person, place: Place) -> None:
        """H46-counter-back: the authenticator is copied as it was earlier."""
        early = signed.send("getCredentials")["credentials"][0]
        self.accepted(signed)
        signed.page.get_by_role("button", name="Sign out").click()
        signed.get_authenticator()
        signed.send("addCredential", credential=early | {"signCount": 0})
        self.refused(signed)

        leaf = actions_of(place, "access.factor.refused")[-1]
        assert leaf["reason"] == "counter-back"
        assert leaf["result"] == "refused"

    def test_an_authenticator_that_did_not_verify_its_user(
        self, signed: Person, place: Place
    ) -> None:
        """H46-not-verified: the page of an attacker asks for less."""
        key = signed.send("getCredentials")["credentials"][0]
        signed.get_authenticator(isUserVerified=False)
        signed.send("addCredential", credential=key)
        signed.page.evaluate(
            """() => { const real = PublicKeyCredential.parseRequestOptionsFromJSON;
                 PublicKeyCredential.parseRequestOptionsFromJSON = (options) =>
                   real.call(PublicKeyCredential,
                     {...options, userVerification: 'discouraged'}); }"""
        )
        self.refused(signed)

        assert actions_of(place, "access.factor.refused")[-1]["reason"] == (
            "not-verified"
        )

    def test_a_response_that_was_used(self, signed: Person) -> None:
        """H46-challenge-replay: the same octets, also with a new cookie."""
        self.accepted(signed)
        used = next(
            body
            for path, body in signed.posted
            if path == "sessions/passkey/confirmation"
        )
        answers = [signed.fetch("/api/v1/sessions/passkey/confirmation", used)[0]]
        signed.page.evaluate("fetch('/api/v1/sessions/passkey', {method: 'POST'})")
        answers.append(signed.fetch("/api/v1/sessions/passkey/confirmation", used)[0])

        assert answers == [401, 401]

    def test_the_challenge_of_another_browser(
        self, signed: Person, visit: Callable[[], Person], place: Place
    ) -> None:
        """H46-other-person: their challenge, my passkey, my cookie."""
        other = visit()
        other.page.goto(place.address + "/sign-in")
        theirs = other.page.evaluate(
            "fetch('/api/v1/sessions/passkey', {method: 'POST'}).then((a) => a.json())"
        )
        signed.page.evaluate(
            """(challenge) => { const real = PublicKeyCredential.parseRequestOptionsFromJSON;
                 PublicKeyCredential.parseRequestOptionsFromJSON = (options) =>
                   real.call(PublicKeyCredential, {...options, challenge}); }""",
            theirs["options"]["challenge"],
        )

        self.refused(signed)

    def test_under_another_name_nothing_is_asked_for(
        self, signed: Person, place: Place
    ) -> None:
        """H46-other-rp-id, H46-other-origin: the installation knows its names."""
        signed.page.goto(place.elsewhere + "/sign-in")
        expect(signed.page.get_by_role("heading", name="Sign in")).to_be_visible()
        offered = signed.page.locator("[data-passkey]").count()
        status = signed.page.evaluate(
            "fetch('/api/v1/sessions/passkey', {method: 'POST'}).then((a) => a.status)"
        )

        assert (offered, status) == (0, 409)

    def test_a_response_made_for_another_origin(
        self, signed: Person, place: Place
    ) -> None:
        """H46-other-origin: real octets of Chromium, made under another name."""
        asked: dict[str, Any] = signed.page.evaluate(
            "fetch('/api/v1/sessions/passkey', {method: 'POST'}).then((a) => a.json())"
        )
        key = signed.send("getCredentials")["credentials"][0]
        signed.get_authenticator()
        signed.send("addCredential", credential=key | {"rpId": "other.localhost"})
        signed.page.goto(place.elsewhere + "/sign-in")
        made = signed.page.evaluate(
            """async (options) => (await navigator.credentials.get({publicKey:
                 PublicKeyCredential.parseRequestOptionsFromJSON(options)})).toJSON()""",
            asked["options"] | {"rpId": "other.localhost"},
        )
        signed.page.goto(place.address + "/sign-in")
        status, problem = signed.fetch(
            "/api/v1/sessions/passkey/confirmation", {"credential": made}
        )

        assert (status, problem["type"]) == (401, "/problems/not-authenticated")
        assert actions_of(place, "access.factor.refused")[-1]["reason"] == (
            "not-verified"
        )


def test_nothing_secret_is_on_the_trail_or_in_an_address(
    person: Person, place: Place
) -> None:
    addresses: list[str] = []
    person.page.on("response", lambda answer: addresses.append(_address(answer)))
    person.sign_in(unused(place, "nora", Role.SUPERVISOR))
    person.add_passkey("very-own-name-of-mine")
    page = person.page
    page.get_by_role("button", name="Make recovery codes").click()
    expect(page.locator("[data-codes-list] li")).to_have_count(10)
    codes = page.locator("[data-codes-list] li").all_text_contents()
    secret = person.begin_app()
    written = json.dumps(place.vault.leaves()) + " ".join(addresses)

    assert "access.factor.added" in written
    assert not [one for one in (*codes, secret, "very-own-name") if one in written]


def _address(answer: Response) -> str:
    return answer.url
