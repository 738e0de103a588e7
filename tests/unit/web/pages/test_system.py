import pytest

from tests.simulators.asgi import SignedInAs

PATHS = ("/people", "/devices", "/health")


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
