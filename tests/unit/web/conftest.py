"""A whole vault behind the application, called without a socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, UNHURRIED, WebVault, running
from vault.access.permissions import Role


@pytest.fixture(scope="module")
def shared_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    """One vault for a module; its tests add recordings and never take one away."""
    with running(tmp_path_factory.mktemp("vault"), UNHURRIED) as vault:
        vault.crew()
        yield vault


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    """One for a module whose tests make and change people, workgroups and devices."""
    with running(tmp_path_factory.mktemp("company"), UNHURRIED) as vault:
        vault.crew()
        vault.person("anna", Role.ADMINISTRATOR)
        yield vault


@pytest.fixture
def own_vault(tmp_path: Path) -> Iterator[WebVault]:
    """A vault that a test may damage, empty or leave without its warden."""
    with running(tmp_path) as vault:
        vault.crew()
        yield vault


def sign_in(client: Client, name: str) -> dict[str, str]:
    """Sign in as a script does, and return the answer."""
    answer = client.post("/api/v1/sessions", json={"user": name, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    members: dict[str, str] = answer.json()
    return members


@pytest.fixture
def nobody(shared_vault: WebVault) -> Client:
    """A client without a credential."""
    return client_for(shared_vault.app())


@pytest.fixture
def signed_in(shared_vault: WebVault) -> SignedInAs:
    """A way to be somebody: ``signed_in("ada")`` is a client with a bearer."""

    def as_(name: str, vault: WebVault | None = None) -> Client:
        client = client_for((vault or shared_vault).app())
        token = sign_in(client, name)["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    return as_


@pytest.fixture
def in_browser(shared_vault: WebVault) -> SignedInAs:
    """A way to be somebody with a cookie, as a browser is."""

    def as_(name: str, vault: WebVault | None = None) -> Client:
        client = client_for((vault or shared_vault).app())
        client.headers.update({"Accept": "text/html", "Sec-Fetch-Site": "same-origin"})
        answer = client.post("/sign-in", data={"user": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return client

    return as_
