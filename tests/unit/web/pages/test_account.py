import re

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault
from vault.core.ids import new_id


def csrf_of(client: Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/account").text)
    assert found is not None
    return found[1]


def made(client: Client, **fields: str) -> str:
    answer = client.post(
        "/account/tokens",
        data={"csrf": csrf_of(client), "name": "reports", "days": "30", **fields},
    )
    assert answer.status_code == 200, answer.text
    return re.findall(r"cvp_[A-Za-z0-9_-]+", answer.text)[0]


def test_the_page_shows_ones_own_sessions_and_tokens_alone(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    other = in_browser("bob", own_vault)
    made(other, name="of-bob")
    client = in_browser("ada", own_vault)
    made(client, name="of-ada")
    page = client.get("/account").text

    assert "of-ada" in page
    assert "of-bob" not in page
    assert 1 == page.count("this one")


def test_a_token_is_made_with_what_was_ticked_and_shown_once(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    client = in_browser("ada", own_vault)
    secret = made(
        client, limits="some", **{"may:recording:metadata:read": "on", "other": "x"}
    )

    assert {"recording:metadata:read"} == own_vault.services().tokens.lookup(
        secret
    ).person.limited_to
    assert secret not in client.get("/account").text


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": "1000"},
        {"days": "x"},
        {"name": ""},
        {"limits": "some"},
        {"limits": "some", "may:audit:trail:read": "on"},
        {"limits": "some", "may:x": "on"},
    ],
)
def test_what_cannot_be_is_said_on_the_page(
    own_vault: WebVault, in_browser: SignedInAs, wrong: dict[str, str]
) -> None:
    client = in_browser("ada", own_vault)
    given = {"csrf": csrf_of(client), "name": "n", "days": "7"} | wrong
    answer = client.post("/account/tokens", data=given)

    assert 422 == answer.status_code
    assert 'role="alert"' in answer.text
    assert () == own_vault.services().tokens.list()


def test_a_token_asks_for_a_fresh_proof(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    client = in_browser("ada", own_vault)
    own_vault.clock.advance(600)
    csrf = csrf_of(client)
    own_vault.clock.advance(301)
    answer = client.post(
        "/account/tokens", data={"csrf": csrf, "name": "n", "days": "7"}
    )

    assert 403 == answer.status_code
    assert 'action="/step-up"' in answer.text


def test_sessions_and_tokens_of_ones_own_are_ended_and_others_are_not(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    bob, ada, again = (in_browser(name, own_vault) for name in ("bob", "ada", "ada"))
    made(bob)
    services, people = own_vault.services(), own_vault.people
    of_bob = services.sessions.list(people.by_name("bob").id)[0].id
    token_of_bob = services.tokens.list()[0].id
    ids = [one.id for one in services.sessions.list(people.by_name("ada").id)]
    csrf = csrf_of(again)
    statuses = [
        again.post(f"/account/{what}", data={"csrf": csrf}).status_code
        for what in (
            f"sessions/{of_bob}/end",
            f"tokens/{token_of_bob}/revoke",
            f"sessions/{new_id()}/end",
            f"sessions/{ids[1]}/end",
        )
    ]

    assert [404, 404, 404, 303] == statuses
    assert 303 == ada.get("/account").status_code
    assert 200 == bob.get("/account").status_code
