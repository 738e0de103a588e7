"""The page of rights and classes."""

import re

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, send_form
from tests.simulators.web_vault import WebVault
from vault.access.right_words import moment_ns

RIGHT = {
    "kind": "user",
    "holder": "carl",
    "permission": "recording:metadata:read",
    "over": "own",
}


@pytest.fixture
def adam(own_vault: WebVault, in_browser: SignedInAs) -> Client:
    return in_browser("adam", own_vault)


def test_nothing_is_given_that_nobody_chose(adam: Client) -> None:
    page = adam.get("/policies").text
    form = page[page.index('action="/policies/rights"') :].partition("</form>")[0]
    choices = re.findall(r'<select name="(\w+)"( required)?>(.*?)</select>', form)
    over = next(options for name, _, options in choices if name == "over")
    answer = send_form(adam, "/policies/rights", kind="user", holder="carl")

    assert {"kind", "permission", "over"} == {name for name, _, _ in choices}
    assert all(required for _, required, _ in choices)
    assert all(
        options.startswith('<option value=""></option>') for _, _, options in choices
    )
    assert "selected" not in form
    assert ["", "own", "workgroup", "class", "all"] == re.findall(
        r'value="(\w*)"', over
    )
    assert 422 == answer.status_code


def test_a_right_counts_through_the_day_it_is_given_until(
    adam: Client, own_vault: WebVault
) -> None:
    answer = send_form(adam, "/policies/rights", **(RIGHT | {"until": "2126-02-28"}))
    (given,) = own_vault.services().duties.rights.list()

    assert 200 == answer.status_code
    assert "They have the right." in answer.text
    assert moment_ns("2126-03-01T00:00:00Z") - 1 == given.given.valid_until_ns
    assert "2126-02-28 23:59:59 UTC" in answer.text


def test_what_is_wrong_is_said_and_what_was_typed_stays(adam: Client) -> None:
    answer = send_form(adam, "/policies/rights", **(RIGHT | {"until": "soon"}))

    assert 422 == answer.status_code
    assert 'value="carl"' in answer.text
    assert '<option value="own" selected>' in answer.text


def test_a_class_and_a_right_say_that_they_are_gone(
    adam: Client, own_vault: WebVault
) -> None:
    made = send_form(adam, "/policies/classes", name="board", reason="on")
    gone = send_form(adam, "/policies/classes/board/remove")
    send_form(adam, "/policies/rights", **RIGHT)
    (given,) = own_vault.services().duties.rights.list()
    revoked = send_form(adam, f"/policies/rights/{given.id}/revoke")

    assert "The class board asks for what you ticked." in made.text
    assert "The class board is gone." in gone.text
    assert "They have that right no longer." in revoked.text
    assert () == own_vault.services().duties.rights.list()
