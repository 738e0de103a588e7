import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, WebVault

HTML = {"Accept": "text/html"}


class TestWithoutASession:
    @pytest.mark.parametrize(
        "path", ["/recordings", "/audit", "/people", "/recordings/x/state"]
    )
    def test_a_page_leads_to_the_form_and_back(self, nobody: Client, path: str) -> None:
        answer = nobody.get(path, headers=HTML)

        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"/sign-in?next={path}",
        )

    def test_filters_survive_signing_in(self, nobody: Client) -> None:
        answer = nobody.get("/recordings?party=%2B49&state=ready", headers=HTML)

        assert answer.headers["location"] == (
            "/sign-in?next=/recordings%3Fparty%3D%252B49%26state%3Dready"
        )

    def test_a_link_from_elsewhere_takes_one_step_from_our_own_page(
        self, nobody: Client
    ) -> None:
        answer = nobody.get(
            "/recordings",
            headers=HTML
            | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        )

        assert answer.status_code == 200
        assert 'http-equiv="refresh"' in answer.text

    def test_a_missing_page_is_a_page(self, nobody: Client) -> None:
        answer = nobody.get("/nowhere", headers=HTML)

        assert (answer.status_code, "Not found" in answer.text) == (404, True)


class TestSignIn:
    @pytest.mark.parametrize(
        ("wanted", "target"),
        [
            ("/recordings?state=ready", "/recordings?state=ready"),
            ("https://evil.test/", "/"),
            ("//evil.test/", "/"),
            ("/\\evil.test", "/"),
            ("/\t/evil.test", "/"),
            ("javascript:alert(1)", "/"),
        ],
    )
    def test_it_leads_on_to_a_path_of_ours_alone(
        self, nobody: Client, wanted: str, target: str
    ) -> None:
        form = {"user": "ada", "password": PASSWORD, "next": wanted}

        answer = nobody.post("/sign-in", data=form)

        assert (answer.status_code, answer.headers["location"]) == (303, target)
        assert answer.headers["set-cookie"].startswith("__Host-callvault=")

    def test_a_wrong_password_shows_the_form_again_without_it(
        self, nobody: Client
    ) -> None:
        form = {"user": "<b>ada", "password": "wrong-wrong-wrong"}

        answer = nobody.post("/sign-in", data=form, headers=HTML)

        assert answer.status_code == 401
        assert "wrong-wrong-wrong" not in answer.text
        assert "&lt;b&gt;ada" in answer.text

    def test_another_site_cannot_sign_anybody_in(self, nobody: Client) -> None:
        answer = nobody.post(
            "/sign-in",
            data={"user": "ada", "password": PASSWORD},
            headers={"Sec-Fetch-Site": "cross-site"},
        )

        assert answer.status_code == 403


class TestStart:
    @pytest.mark.parametrize(
        ("name", "href"),
        [("ada", "/recordings"), ("olga", "/audit"), ("adam", "/people")],
    )
    def test_everybody_begins_at_their_first_place(
        self, in_browser: SignedInAs, name: str, href: str
    ) -> None:
        assert in_browser(name).get("/").headers["location"] == href

    def test_who_has_no_place_is_told_so(self, in_browser: SignedInAs) -> None:
        answer = in_browser("carl").get("/")

        assert answer.status_code == 200
        assert "no right that opens a page" in answer.text


class TestSignOut:
    def test_it_needs_the_sessions_token(self, in_browser: SignedInAs) -> None:
        client = in_browser("ada")

        refused = client.post("/sign-out", data={"csrf": "x"})
        still_in = client.get("/recordings")

        assert (refused.status_code, still_in.status_code) == (403, 200)

    def test_it_ends_the_session_even_without_a_warden(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        secret = client.cookies["__Host-callvault"]
        csrf = own_vault.services().sessions.lookup(secret).csrf
        own_vault.stop_warden()

        answer = client.post("/sign-out", data={"csrf": csrf})

        again = client_for(own_vault.app())
        again.cookies.set("__Host-callvault", secret)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert again.get("/recordings", headers=HTML).status_code == 303
