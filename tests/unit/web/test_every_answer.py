"""What every answer of the web process says to browsers, whoever asks for whatever."""

import re
from collections.abc import Iterator

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, running
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

PATHS = (
    "/", "/sign-in", "/activate", "/nowhere", "/recordings", "/healthz", "/readyz",
    "/api/v1/recordings", "/api/v1/sessions/current", "/api/v1/nowhere",
    "/static/dist/manifest.json", "/static/nowhere",
)  # fmt: skip


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    edge = EdgeConfig(requests_per_minute=100_000, spares_loopback=True)
    config = WebConfig(edge=edge, https=True)
    with running(tmp_path_factory.mktemp("vault"), config) as vault:
        vault.crew()
        yield client_for(vault.app())


@pytest.mark.parametrize("path", PATHS)
def test_over_tls_it_makes_browsers_stay_with_tls_for_two_years(
    over_tls: Client, path: str
) -> None:
    headers = over_tls.get(path).headers

    assert "max-age=63072000; includeSubDomains" == headers["strict-transport-security"]


@pytest.mark.parametrize("path", PATHS)
def test_no_other_origin_is_told_that_it_may_read_it(nobody: Client, path: str) -> None:
    other = {"Origin": "https://evil.test"}
    asked = nobody.get(path, headers=other)
    before = nobody.options(
        path, headers=other | {"Access-Control-Request-Method": "POST"}
    )

    found = {*asked.headers, *before.headers}
    assert [] == [name for name in found if name.startswith("access-control-")]
    assert before.status_code in {403, 404, 405}


@pytest.mark.parametrize("path", PATHS)
def test_it_names_no_program_and_no_version(nobody: Client, path: str) -> None:
    answer = nobody.get(path, headers={"Accept": "text/html"})

    assert not {"server", "x-powered-by", "via"} & {*answer.headers}
    assert not re.search(
        r"uvicorn|fastapi|starlette|python|postgres|sqlite|traceback",
        answer.text,
        re.IGNORECASE,
    )


@pytest.mark.parametrize("path", PATHS)
def test_what_has_a_body_says_what_it_is_and_text_in_which_characters(
    nobody: Client, path: str
) -> None:
    answer = nobody.get(path)
    kind = answer.headers.get("content-type", "")

    assert bool(answer.content) == bool(kind)
    if kind.startswith("text/"):
        assert kind.endswith("; charset=utf-8")


@pytest.mark.parametrize("path", ["/api/v1/recordings", "/api/v1/sessions/current"])
def test_a_callback_that_is_asked_for_is_no_script(
    signed_in: SignedInAs, path: str
) -> None:
    plain = signed_in("ada").get(path)
    asked = signed_in("ada").get(path, params={"callback": "steal"})

    assert asked.status_code in {200, 422}
    assert "steal(" not in asked.text
    assert "application/json" == plain.headers["content-type"]


def test_no_script_is_made_for_who_asks(nobody: Client, signed_in: SignedInAs) -> None:
    """What a reader may see comes as a page or as JSON; scripts are files."""
    page = nobody.get("/sign-in")
    scripts = re.findall(r'src="(/static/[^"]+\.js)"', page.text)

    assert scripts
    assert [200] * len(scripts) == [
        signed_in("ada").get(one).status_code for one in scripts
    ]
    assert [signed_in("olga").get(one).content for one in scripts] == [
        signed_in("ada").get(one).content for one in scripts
    ]


def test_every_cookie_fits_into_a_browser(nobody: Client) -> None:
    nobody.cookies.clear()
    answer = nobody.post(
        "/api/v1/sessions",
        json={"user": "ada", "password": PASSWORD},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    nobody.cookies.clear()
    passkey = nobody.post(
        "/api/v1/sessions/passkey",
        headers={"Host": "localhost", "Origin": "http://localhost"},
    )
    set_here = [
        *answer.headers.get_list("set-cookie"),
        *passkey.headers.get_list("set-cookie"),
    ]

    assert len(set_here) >= 2
    assert [] == [one for one in set_here if len(one.partition(";")[0]) > 4096]
    assert [] == [one for one in set_here if not one.startswith("__Host-")]


def test_no_session_is_in_an_address(nobody: Client) -> None:
    """A secret in the query is no credential, whatever it is called."""
    answer = nobody.post("/api/v1/sessions", json={"user": "ada", "password": PASSWORD})
    nobody.cookies.clear()
    secret = answer.json()["token"]
    found = [
        nobody.get("/api/v1/sessions/current", params={name: secret}).status_code
        for name in ("token", "access_token", "session", "authorization", "key")
    ]

    # 422: the route knows no such parameter.
    assert {*found} <= {401, 422}
