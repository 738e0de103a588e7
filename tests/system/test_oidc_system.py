"""A whole installation whose people come from a real OpenID provider.

The client proves itself by a key (``private_key_jwt``) here, and by a secret in the
browser's tests.
"""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from tests.simulators.installation import Installation, until
from tests.simulators.oidc_provider import (
    CLIENT_ID,
    ProviderPerson,
    ProviderSetup,
    RunningProvider,
    running_provider,
)

pytestmark = [
    pytest.mark.network,
    pytest.mark.peer,
    pytest.mark.xdist_group("oidc-provider"),
]
LEAD = ProviderPerson(
    login="lead@example", sub="0c7d-lead", name="lena", groups=["cn=team-leads"]
)
LEAVER = ProviderPerson(
    login="leaver@example", sub="1d8e-leaver", name="leon", groups=["cn=team-leads"]
)


@dataclass(kw_only=True)
class Visitor:
    """A browser as far as redirections and cookies go, on two sites."""

    home: str
    provider: httpx.Client
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> httpx.Response:
        """Ask the vault; cookies are kept by hand: they are for https, or loopback."""
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = httpx.get(
            self.home + path, headers={"Cookie": sent, "Accept": "text/html"}
        )
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0].strip('"')
            self.cookies[name] = value
        return answer

    def sign_in(self, person: ProviderPerson) -> httpx.Response:
        """Follow every redirection, fill in the form, and come back."""
        answer = self.get("/sign-in/oidc?next=/recordings")
        while not answer.headers.get("location", "").startswith(self.home):
            if answer.is_redirect:
                answer = self.provider.get(answer.headers["location"])
                continue
            form = re.search(r'action="([^"]+)"', answer.text)
            assert form is not None, answer.text
            answer = self.provider.post(
                form[1], data={"login": person.login, "secret": person.secret}
            )
        return self.get(answer.headers["location"].removeprefix(self.home))

    def sign_out_there(self) -> None:
        """Sign out at the provider."""
        page = self.provider.get("/session/end")
        proof = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert proof is not None, page.text
        done = self.provider.post(
            "/session/end/confirm", data={"xsrf": proof[1], "logout": "yes"}
        )
        assert done.status_code == 303, done.text

    @property
    def is_inside(self) -> bool:
        """Whether the vault shows a page."""
        return self.get("/recordings").status_code == 200


@pytest.fixture(scope="module")
def vault() -> Iterator[Installation]:
    """An installation that is not started yet."""
    vault = Installation({})
    try:
        yield vault
    finally:
        vault.close()


@pytest.fixture(scope="module")
def provider(
    vault: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProvider]:
    """A provider that knows the client's key, and the vault that serves with it."""
    folder = tmp_path_factory.mktemp("provider")
    key = ECKey.generate_key("P-256")
    key_file = folder / "client.pem"
    key_file.write_bytes(key.as_pem(private=True))
    key_file.chmod(0o600)
    published = key.as_dict(private=False) | {"kid": key.thumbprint(), "use": "sig"}
    setup = ProviderSetup(
        home=f"http://{vault.web}",
        people=[LEAD, LEAVER],
        client={
            "client_secret": None,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks": {"keys": [published]},
        },
    )
    with running_provider(folder, setup) as provider:
        vault.env.update(
            CALLVAULT_OIDC_ISSUER=provider.issuer,
            CALLVAULT_OIDC_CLIENT_ID=CLIENT_ID,
            CALLVAULT_OIDC_CLIENT_KEY_FILE=str(key_file),
            CALLVAULT_OIDC_CA_FILE=str(provider.ca_file),
            CALLVAULT_OIDC_PRIVATE_ADDRESSES="true",
            CALLVAULT_OIDC_SCOPES="openid profile groups",
            CALLVAULT_GROUP_MAP='{"cn=team-leads": "supervisor"}',
        )
        vault.said("init", "--yes")
        vault.start()
        yield provider
        assert vault.stop() == 0


@pytest.fixture
def visitor(vault: Installation, provider: RunningProvider) -> Iterator[Visitor]:
    """Somebody with a fresh browser."""
    with httpx.Client(
        base_url=provider.issuer, verify=_trusting(provider.ca_file)
    ) as client:
        yield Visitor(home=f"http://{vault.web}", provider=client)


def _trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


def test_what_is_published_is_said_before_anybody_signs_in(
    vault: Installation, provider: RunningProvider
) -> None:
    said = vault.said("oidc", "test")

    assert f"redirect URI:            http://{vault.web}/sign-in/oidc/callback" in said
    assert "proves itself by:        private_key_jwt" in said
    assert f"issuer:                  {provider.issuer}" in said
    assert "keys of use here:        2" in said


def test_somebody_comes_in_by_the_provider_and_is_out_when_it_says_so(
    vault: Installation, visitor: Visitor
) -> None:
    answer = visitor.sign_in(LEAD)

    assert answer.status_code == 200, answer.text
    assert visitor.is_inside
    assert ("lena", ["supervisor"]) in [
        (one["name"], one["roles"]) for one in vault.json("user", "list")
    ]

    visitor.sign_out_there()

    until(lambda: not visitor.is_inside, "the session here has ended")
    actions = [entry["action"] for entry in vault.trail()]
    assert {
        "access.user.added",
        "access.session.opened",
        "access.session.ended",
    } <= set(actions)


def test_whoever_is_disabled_here_stays_outside(
    vault: Installation, visitor: Visitor
) -> None:
    visitor.sign_in(LEAVER)
    inside = visitor.is_inside

    vault.said("user", "disable", "leon")

    assert (True, False) == (inside, visitor.is_inside)
    assert visitor.sign_in(LEAVER).status_code == 401


def test_nothing_of_it_is_logged(vault: Installation, visitor: Visitor) -> None:
    visitor.sign_in(LEAD)
    logged = vault.logged()

    assert "/sign-in/oidc/callback" in logged
    assert [] == [
        word
        for word in (
            "code=",
            "state=",
            "lena",
            "lead@example",
            *visitor.cookies.values(),
        )
        if word and word in logged
    ]
