"""Chromium signs in at a real OpenID provider, which is another site, and is led back."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.simulators.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    ProviderPerson,
    ProviderSetup,
    RunningProvider,
    running_provider,
)
from tests.simulators.oidc_site import OidcSite, oidc_site
from tests.simulators.ports import free_port
from tests.simulators.web_server import serving
from tests.simulators.web_vault import WebVault, running
from vault.access.id_tokens import Client
from vault.access.oidc import OidcConfig
from vault.access.permissions import Role
from vault.access.provider import ClientProof, Provider
from vault.access.provider_http import ProviderHttp, ProviderHttpConfig
from vault.core.origins import Origin
from vault.core.secrets import SecretBytes
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

pytestmark = [
    pytest.mark.browser,
    pytest.mark.peer,
    pytest.mark.xdist_group("oidc-provider"),
]

PEOPLE = (
    ProviderPerson(
        login="lead@example",
        sub="0c7d-lead",
        name="lena",
        groups=["cn=team-leads", "everybody"],
    ),
    ProviderPerson(login="nobody@example", sub="1d-nobody", name="nobody"),
    ProviderPerson(
        login="ada@evil", sub="2e-ada", name="ADA", groups=["cn=team-leads"]
    ),
    ProviderPerson(
        login="boss@example",
        sub="3f-boss",
        name="boss",
        groups=["auditors"],
        amr=["pwd", "otp", "mfa"],
    ),
)


@dataclass(frozen=True)
class Ground:
    """The vault, the provider, and where both are."""

    site: OidcSite
    provider: RunningProvider
    address: str

    @property
    def vault(self) -> WebVault:
        """The vault."""
        return self.site.vault


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Both, for the tests of this module."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    setup = ProviderSetup(home=address, people=PEOPLE)
    folder = tmp_path_factory.mktemp("provider")
    web = WebConfig(edge=EdgeConfig(requests_per_minute=100_000))
    with (
        running_provider(folder, setup) as provider,
        running(tmp_path_factory.mktemp("vault"), web) as vault,
    ):
        vault.crew()
        site = oidc_site(
            vault,
            Provider(
                Client(issuer=provider.issuer, client_id=CLIENT_ID),
                ClientProof(secret=SecretBytes(CLIENT_SECRET.encode())),
                ProviderHttp(
                    ProviderHttpConfig(
                        origins=frozenset({Origin.of_url(provider.issuer)}),
                        private_addresses=True,
                        ca_file=provider.ca_file,
                    )
                ),
            ),
            OidcConfig(
                label="Example Company",
                redirect_uri=f"{address}/sign-in/oidc/callback",
                home_uri=f"{address}/sign-in",
                scopes="openid profile groups",
                second_factor=frozenset({"mfa"}),
            ),
            second_factor_roles=frozenset({Role.OFFICER}),
        )
        with serving(site.app(), port=port):
            yield Ground(site, provider, address)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh window, which takes the provider's certificate."""
    with chromium.new_context(ignore_https_errors=True) as context:
        yield context.new_page()


def click_through(page: Page, ground: Ground, login: str, path: str = "/") -> None:
    """Follow the button, and fill in the provider's form."""
    page.goto(ground.address + path)
    page.get_by_role("link", name="Sign in with Example Company").click()
    give_proof(page, ground, login)


def give_proof(page: Page, ground: Ground, login: str) -> None:
    expect(page.get_by_role("heading", name="Example Company")).to_be_visible()
    page.get_by_label("Login").fill(login)
    page.get_by_label("Secret").fill(ground.provider.people[login].secret)
    page.get_by_role("button", name="Log in").click()


def sign_out_there(page: Page, ground: Ground) -> None:
    page.goto(f"{ground.provider.issuer}/session/end")
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_text("Sign-out Success")).to_be_visible()


class TestSigningIn:
    def test_the_button_leads_to_the_provider_and_back_to_the_page_that_was_wanted(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "lead@example", "/recordings?state=ready")

        expect(page).to_have_url(f"{ground.address}/recordings?state=ready")
        expect(page.locator(".who")).to_contain_text("lena")
        lena = ground.vault.people.by_name("lena")
        groups = {ground.vault.workgroups.names()[one] for one in lena.workgroups}
        assert ("oidc", {Role.SUPERVISOR}, {"sales"}) == (
            lena.source,
            lena.roles,
            groups,
        )
        names = {one["name"] for one in page.context.cookies(ground.address)}
        assert "__Host-callvault" in names
        assert "__Host-callvault-oidc" not in names

    def test_who_is_in_no_group_of_the_map_stays_outside(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "nobody@example")

        expect(page.get_by_role("alert")).to_contain_text("did not work")
        assert ("access.session.refused", "no-account") == last_refusal(ground)

    def test_a_name_that_a_local_account_has_is_not_that_account(
        self, ground: Ground, page: Page
    ) -> None:
        before = ground.vault.people.by_name("ada")

        click_through(page, ground, "ada@evil")

        expect(page.get_by_role("alert")).to_contain_text("did not work")
        assert before == ground.vault.people.by_name("ada")

    def test_a_second_factor_counts_where_the_settings_name_the_providers_word(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "boss@example", "/audit")

        expect(page).to_have_url(f"{ground.address}/audit")
        boss = ground.vault.people.by_name("boss")
        listed = ground.site.services.sessions.list(boss.id)
        assert ("oidc", "mfa") == listed[0].methods


class TestSigningOut:
    def test_signing_out_here_ends_the_session_here(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "lead@example", "/recordings")
        expect(page.locator(".who")).to_contain_text("lena")

        page.get_by_role("button", name="Sign out").click()

        expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
        page.goto(f"{ground.address}/recordings")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    def test_whoever_leaves_the_provider_as_well_is_asked_there_again(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "lead@example", "/recordings")
        page.get_by_role("button", name="Sign out").click()

        page.get_by_role("link", name="Sign out of Example Company").click()
        page.get_by_role("button", name="Yes, sign me out").click()

        expect(page).to_have_url(f"{ground.address}/sign-in")
        click_through(page, ground, "lead@example", "/recordings")
        expect(page.locator(".who")).to_contain_text("lena")

    def test_signing_out_at_the_provider_ends_the_session_here_by_the_back_channel(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "lead@example", "/recordings")
        expect(page.locator(".who")).to_contain_text("lena")

        sign_out_there(page, ground)

        page.goto(f"{ground.address}/recordings")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        ended = [
            leaf
            for leaf in ground.vault.leaves()
            if leaf["action"] == "access.session.ended"
        ]
        assert {"how": "provider", "source": "oidc"} == ended[-1]["detail"]

    def test_who_signs_in_over_a_session_proves_it_again_and_that_session_ends(
        self, ground: Ground, page: Page
    ) -> None:
        click_through(page, ground, "lead@example", "/recordings")
        expect(page.locator(".who")).to_contain_text("lena")
        lena = ground.vault.people.by_name("lena")
        sessions = ground.site.services.sessions
        before = {one.id for one in sessions.list(lena.id)}

        page.evaluate("location.href = '/sign-in/oidc?next=/recordings'")
        # The provider knows the browser, and asks all the same.
        give_proof(page, ground, "lead@example")

        expect(page.locator(".who")).to_contain_text("lena")
        after = {one.id for one in sessions.list(lena.id)}
        assert (len(before), 1, 1) == (
            len(after),
            len(before - after),
            len(after - before),
        )


def last_refusal(ground: Ground) -> tuple[object, object]:
    refused = [
        leaf
        for leaf in ground.vault.leaves()
        if leaf["action"] == "access.session.refused"
    ]
    return refused[-1]["action"], refused[-1]["reason"]
