import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault
from vault.core.flow import NOTHING_ALLOWED, Allowance

PATHS = ("/people", "/devices", "/health")


@pytest.mark.parametrize(
    ("path", "word"), [("/people", "olga"), ("/devices", "pbx-berlin"), ("/health", "Warden")]
)  # fmt: skip
def test_an_administrator_sees_people_devices_and_health(
    in_browser: SignedInAs, path: str, word: str
) -> None:
    answer = in_browser("adam").get(path)

    assert (answer.status_code, word in answer.text) == (200, True)


def test_what_a_device_may_send_although_it_is_unsafe_is_said_in_words(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    before = in_browser("adam").get("/devices").text
    added = shared_vault.devices.add("old-pbx", allowances=frozenset(Allowance))
    page = in_browser("adam").get("/devices").text
    shared_vault.devices.allow(added.device.id, NOTHING_ALLOWED)

    assert "SRTP only" in before
    assert "within hours" not in before
    assert "also unencrypted RTP and weak SRTP tags (32 bit)" in page
    assert "within hours" in page


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["ada", "olga", "carl"])
def test_nobody_else_does(in_browser: SignedInAs, name: str, path: str) -> None:
    assert in_browser(name).get(path).status_code == 403


def test_a_place_without_a_right_is_not_in_the_navigation(
    in_browser: SignedInAs,
) -> None:
    page = in_browser("ada").get("/recordings").text

    assert [path for path in PATHS if f'href="{path}"' in page] == []
