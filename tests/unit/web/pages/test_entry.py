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


def later(vault: WebVault, client: Client, path: str, seconds: float) -> None:
    """Let time pass in which somebody is there."""
    vault.clock.advance(seconds / 2)
    client.get(path)
    vault.clock.advance(seconds / 2)


class TestLocked:
    def test_a_page_of_a_locked_session_asks_for_the_password_and_shows_nothing(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        own_vault.record()
        own_vault.clock.advance(901)
        answer = client.get("/recordings?state=ready")

        assert 401 == answer.status_code
        assert 'action="/unlock"' in answer.text
        assert 'value="/recordings?state=ready"' in answer.text
        assert "Recordings" not in answer.text

    @pytest.mark.parametrize("wrong", [False, True])
    def test_who_locked_it_themselves_is_told_so(
        self, own_vault: WebVault, in_browser: SignedInAs, *, wrong: bool
    ) -> None:
        client = in_browser("ada", own_vault)
        csrf = csrf_of(client.get("/account").text)
        client.post("/api/v1/sessions/current/lock", headers={"X-CSRF-Token": csrf})
        page = (
            client.post("/unlock", data={"csrf": csrf, "password": "wrong-wrong"})
            if wrong
            else client.get("/recordings")
        )

        assert 401 == page.status_code
        assert "You locked this session." in page.text
        assert "Nobody was here" not in page.text

    def test_a_session_that_was_left_alone_says_so_whoever_locks_it_then(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        csrf = csrf_of(client.get("/account").text)
        own_vault.clock.advance(901)
        client.post("/api/v1/sessions/current/lock", headers={"X-CSRF-Token": csrf})

        assert "Nobody was here for a while." in client.get("/recordings").text

    def test_unlocking_leads_on_and_gives_another_cookie(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        own_vault.clock.advance(901)
        page = client.get("/recordings")
        before = client.cookies["__Host-callvault"]
        answer = client.post(
            "/unlock",
            data={"csrf": csrf_of(page.text), "password": PASSWORD, "next": "/audit"},
        )

        assert (303, "/audit") == (answer.status_code, answer.headers["location"])
        assert before != client.cookies["__Host-callvault"]
        assert 200 == client.get("/recordings").status_code

    def test_a_wrong_password_shows_the_form_again(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        own_vault.clock.advance(901)
        csrf = csrf_of(client.get("/recordings").text)
        answer = client.post(
            "/unlock", data={"csrf": csrf, "password": "wrong-wrong", "next": "//evil"}
        )

        assert 401 == answer.status_code
        assert 'role="alert"' in answer.text
        assert "evil" not in answer.text

    def test_unlocking_needs_the_sessions_own_token(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        own_vault.clock.advance(901)
        answer = client.post("/unlock", data={"csrf": "x", "password": PASSWORD})

        assert 403 == answer.status_code

    def test_a_locked_session_can_be_left(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("ada", own_vault)
        own_vault.clock.advance(901)
        csrf = csrf_of(client.get("/recordings").text)
        answer = client.post("/sign-out", data={"csrf": csrf})

        assert (303, "/sign-in") == (answer.status_code, answer.headers["location"])


class TestStepUp:
    def test_an_export_asks_first_and_goes_on_afterwards(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client = in_browser("olga", own_vault)
        later(own_vault, client, "/audit", 1000)
        asked = client.get("/audit/export?actor=ada")
        answer = client.post(
            "/step-up",
            data={
                "csrf": csrf_of(asked.text),
                "password": PASSWORD,
                "next": "/audit/export?actor=ada",
            },
        )

        assert 403 == asked.status_code
        assert 'action="/step-up"' in asked.text
        assert 'value="/audit/export?actor=ada"' in asked.text
        assert "/audit/export?actor=ada" == answer.headers["location"]
        assert 200 == client.get("/audit/export?actor=ada").status_code

    def test_what_a_form_sent_was_not_done_and_the_way_leads_back_to_it(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        client, recording = in_browser("olga", own_vault), own_vault.record()
        path = f"/recordings/{recording}"
        csrf = csrf_of(client.get("/audit").text)
        client.post(f"{path}/hold", data={"csrf": csrf, "reason": "the court"})
        later(own_vault, client, "/audit", 1000)
        sent = {"csrf": csrf, "reason": "over now", "back": f"/holds/{recording}"}
        asked = client.post(f"{path}/release", data=sent)
        csrf = csrf_of(asked.text)
        again = {"csrf": csrf, "next": f"/holds/{recording}", "undone": "1"}
        wrong = client.post("/step-up", data=again | {"password": "not that"})
        proved = client.post("/step-up", data=again | {"password": PASSWORD})
        back = client.get(proved.headers["location"]).text

        assert 403 == asked.status_code
        for page in (asked.text, wrong.text):
            assert "Nothing has been done yet." in page
            assert f'name="next" value="/holds/{recording}"' in page
        assert "Nothing has been done yet: do it again here." in back
        assert "Release the hold" in back
        assert "done yet" not in client.get(f"/holds/{recording}").text
        elsewhere = client.post(
            f"{path}/release",
            data=sent | {"csrf": csrf_of(back), "back": "//evil.test"},
        )
        assert "evil" not in elsewhere.text


def csrf_of(html: str) -> str:
    return html.partition('name="csrf" value="')[2].partition('"')[0]
