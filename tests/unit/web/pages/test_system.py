import re

import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault
from vault.access.permissions import Role

PATHS = (
    *("/people", "/workgroups", "/devices", "/extensions", "/policies"),
    *("/addresses", "/sessions", "/health"),
)


@pytest.mark.parametrize(
    ("path", "word"), [("/people", "olga"), ("/devices", "pbx-berlin"), ("/health", "Warden")]
)  # fmt: skip
def test_an_administrator_sees_people_devices_and_health(
    in_browser: SignedInAs, path: str, word: str
) -> None:
    answer = in_browser("adam").get(path)

    assert (answer.status_code, word in answer.text) == (200, True)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["ada", "olga", "carl"])
def test_nobody_else_does(in_browser: SignedInAs, name: str, path: str) -> None:
    assert in_browser(name).get(path).status_code == 403


def test_a_place_without_a_right_is_not_in_the_navigation(
    in_browser: SignedInAs,
) -> None:
    page = in_browser("ada").get("/recordings").text

    assert [path for path in PATHS if f'href="{path}"' in page] == []


def test_the_pages_of_administration_are_one_place_with_tabs(
    in_browser: SignedInAs,
) -> None:
    page = in_browser("adam").get("/devices").text
    main, tabs = page.split('aria-label="Administration"')
    found = re.findall(r'<a href="([^"]+)"( aria-current="page")?>', tabs)

    assert '<a href="/people" aria-current="true">Administration</a>' in main
    assert list(PATHS) == [href for href, _ in found][: len(PATHS)]
    assert ["/devices"] == [href for href, current in found if current]


def test_whoever_has_one_page_of_it_has_no_tabs(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    shared_vault.person("clara", Role.CUSTODIAN)
    page = in_browser("clara").get("/health").text

    assert '<a href="/health" aria-current="page">Health</a>' in page
    assert "Administration" not in page
