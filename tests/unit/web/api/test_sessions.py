import pytest
from httpx import Client, Response
from sqlalchemy import select

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, Call, WebVault
from vault.access.tables import MEDIA_GRANT
from vault.core.errors import NotAuthenticatedError, SessionLockedError
from vault.core.flow import MediaPart, RecordingState
from vault.core.secrets import SecretBytes
from vault.database.engine import reading
from vault.web.identity import Asker
from vault.web.listening import Listening

CURRENT = "/api/v1/sessions/current"
DEVICE = "__Host-callvault-device"
COOKIE = "__Host-callvault"
BROWSER = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
ADA = {"user": "ada", "password": PASSWORD}


class TestSigningIn:
    def test_a_script_gets_cookie_csrf_token_and_bearer(self, nobody: Client) -> None:
        answer = nobody.post("/api/v1/sessions", json=ADA)

        assert answer.status_code == 201
        assert answer.json().keys() == {"user", "roles", "csrf", "token", "expires"}
        assert answer.json()["roles"] == ["supervisor"]

    def test_the_cookie_is_host_bound_and_out_of_reach(self, nobody: Client) -> None:
        cookie = nobody.post("/api/v1/sessions", json=ADA).headers["set-cookie"]

        parts = {part.strip().lower() for part in cookie.split(";")[1:]}

        assert cookie.startswith(COOKIE + "=")
        assert parts == {"httponly", "path=/", "samesite=strict", "secure"}

    def test_a_page_never_gets_the_bearer_form(self, nobody: Client) -> None:
        answer = nobody.post("/api/v1/sessions", json=ADA, headers=BROWSER)

        assert answer.status_code == 201
        assert "token" not in answer.json()

    @pytest.mark.parametrize("name", ["ada", "nobody-of-that-name"])
    def test_a_wrong_password_and_an_unknown_name_look_alike(
        self, nobody: Client, name: str
    ) -> None:
        answer = nobody.post(
            "/api/v1/sessions", json={"user": name, "password": "wrong-wrong-wrong"}
        )

        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "/problems/not-authenticated",
            "title": "Sign in first",
            "status": 401,
            "detail": "the name, the password or the code is wrong",
        }

    def test_the_eleventh_guess_is_throttled_whatever_it_is(
        self, own_vault: WebVault
    ) -> None:
        client = client_for(own_vault.app())
        for _ in range(10):
            client.post("/api/v1/sessions", json=ADA | {"password": "guess-guess-1"})

        answer = client.post("/api/v1/sessions", json=ADA)

        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0

    def test_sign_in_and_refusal_are_on_the_trail_without_the_name_typed(
        self, own_vault: WebVault
    ) -> None:
        client = client_for(own_vault.app())
        client.post("/api/v1/sessions", json=ADA | {"user": "my-secret-password"})
        client.post("/api/v1/sessions", json=ADA)

        leaves = own_vault.leaves()[-2:]

        assert [leaf["action"] for leaf in leaves] == [
            "access.session.refused",
            "access.session.opened",
        ]
        assert leaves[0]["actor"] == "unknown"
        assert "my-secret-password" not in str(leaves)

    def test_without_a_warden_there_is_no_session(self, own_vault: WebVault) -> None:
        client = client_for(own_vault.app())
        own_vault.stop_warden()

        answer = client.post("/api/v1/sessions", json=ADA)

        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/audit-unavailable"
        assert own_vault.services().sessions.list() == ()

    @pytest.mark.parametrize(
        "extra", [{"role": "officer"}, {"is_admin": True}, {"id": "x"}, {"team": "a"}]
    )
    def test_an_unknown_member_is_refused(
        self, nobody: Client, extra: dict[str, object]
    ) -> None:
        answer = nobody.post("/api/v1/sessions", json=ADA | extra)

        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/invalid-input"

    def test_a_refused_body_never_shows_the_password(self, nobody: Client) -> None:
        answer = nobody.post("/api/v1/sessions", json={"password": "hunter2-hunter2"})

        assert answer.status_code == 422
        assert "hunter2" not in answer.text

    @pytest.mark.parametrize(
        ("body", "media_type", "status"),
        [
            (
                b'{"user": "ada", "user": "bob", "password": "x"}',
                "application/json",
                422,
            ),
            (b"{", "application/json", 422),
            (b"[" * 30_000, "application/json", 422),
            (b'{"user": NaN}', "application/json", 422),
            (b'{"user": "ada", "password": "x"}', "text/plain", 415),
            (b"user=ada&password=x", "application/x-www-form-urlencoded", 415),
        ],
    )
    def test_only_clean_json_is_a_body(
        self, nobody: Client, body: bytes, media_type: str, status: int
    ) -> None:
        answer = nobody.post(
            "/api/v1/sessions", content=body, headers={"Content-Type": media_type}
        )

        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


class TestCsrf:
    def test_an_unsafe_request_by_cookie_needs_the_sessions_token(
        self, nobody: Client
    ) -> None:
        csrf = nobody.post("/api/v1/sessions", json=ADA).json()["csrf"]

        without = nobody.delete(CURRENT)
        wrong = nobody.delete(CURRENT, headers={"X-CSRF-Token": "x" * 43})
        right = nobody.delete(CURRENT, headers={"X-CSRF-Token": csrf})

        assert [without.status_code, wrong.status_code] == [403, 403]
        assert right.status_code == 204

    def test_a_bearer_needs_none(self, signed_in: SignedInAs) -> None:
        answer = signed_in("ada").delete(CURRENT)

        assert answer.status_code == 204

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "https://evil.test"},
            {"Origin": "null"},
            {"Origin": "https://sub.vault.test"},
        ],
    )
    def test_another_sites_unsafe_request_is_refused_first(
        self, nobody: Client, headers: dict[str, str]
    ) -> None:
        answer = nobody.post("/api/v1/sessions", json=ADA, headers=headers)

        assert answer.status_code == 403
        assert answer.json()["type"] == "/problems/cross-site"


class TestTheEnd:
    def test_an_ended_session_is_nobody(self, signed_in: SignedInAs) -> None:
        client = signed_in("ada")
        client.delete(CURRENT)

        answer = client.get("/api/v1/recordings")

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

    def test_signing_in_again_gives_another_secret(self, nobody: Client) -> None:
        first = nobody.post("/api/v1/sessions", json=ADA).json()["token"]
        second = nobody.post("/api/v1/sessions", json=ADA).json()["token"]

        assert first != second

    @pytest.mark.parametrize(
        "header",
        ["Bearer", "Bearer ", "Basic YTpi", "Bearer cvs_wrong", "Bearer cvp_wrong"],
    )
    def test_a_bad_bearer_is_401_and_falls_back_to_no_cookie(
        self, nobody: Client, header: str
    ) -> None:
        nobody.post("/api/v1/sessions", json=ADA)

        answer = nobody.get("/api/v1/recordings", headers={"Authorization": header})

        assert answer.status_code == 401

    def test_signing_out_empties_the_browsers_cache(self, nobody: Client) -> None:
        csrf = nobody.post("/api/v1/sessions", json=ADA).json()["csrf"]
        answer = nobody.delete(CURRENT, headers={"X-CSRF-Token": csrf})

        assert '"cache"' == answer.headers["clear-site-data"]


def browser(vault: WebVault, name: str = "ada") -> Client:
    """Return a client with the cookie and the CSRF token of a page."""
    client = client_for(vault.app())
    answer = client.post("/api/v1/sessions", json=ADA | {"user": name}, headers=BROWSER)
    client.headers.update({"X-CSRF-Token": answer.json()["csrf"]} | BROWSER)
    return client


def slug(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "").rpartition("/")[2]


LOCKED = (401, "session-locked")
STALE = (403, "step-up-required")


class TestLock:
    def test_h8_a_session_is_open_at_14_59_and_locked_at_15_01(
        self, own_vault: WebVault
    ) -> None:
        early, late = browser(own_vault), browser(own_vault)
        own_vault.clock.advance(14 * 60 + 59)
        before = early.get("/api/v1/recordings")
        own_vault.clock.advance(2)

        assert (200, LOCKED) == (
            before.status_code,
            slug(late.get("/api/v1/recordings")),
        )
        assert 200 == early.get("/api/v1/recordings").status_code

    def test_h8_media_requests_alone_keep_no_browser_session_open(
        self, own_vault: WebVault
    ) -> None:
        client, recording = browser(own_vault), own_vault.record()
        seen = []
        for _ in range(4):
            own_vault.clock.advance(240)
            seen.append(slug_of_media(client, recording))

        assert [206, 206, 206, 401] == seen

    def test_h8_what_a_page_asks_for_by_itself_keeps_none_open_either(
        self, own_vault: WebVault
    ) -> None:
        client = browser(own_vault)
        waiting = own_vault.record(Call(state=RecordingState.RENDERING))
        seen = []
        for _ in range(4):
            own_vault.clock.advance(240)
            client.get(CURRENT)
            seen.append(client.get(f"/recordings/{waiting}/state").status_code)

        assert [204, 204, 204, 401] == seen

    def test_h8_activity_of_a_page_keeps_it_open(self, own_vault: WebVault) -> None:
        client = browser(own_vault)
        for _ in range(4):
            own_vault.clock.advance(600)
            client.post(CURRENT + "/activity")

        assert 200 == client.get("/api/v1/recordings").status_code

    def test_h8_a_script_is_there_as_long_as_it_asks_for_anything(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        client, recording = signed_in("ada", own_vault), own_vault.record()
        seen = []
        for _ in range(3):
            own_vault.clock.advance(600)
            seen.append(slug_of_media(client, recording))

        assert [206, 206, 206] == seen

    @pytest.mark.parametrize("back_s", [6, 3600, 86_400])
    def test_h8_a_clock_that_is_put_back_opens_nothing_again(
        self, own_vault: WebVault, back_s: int
    ) -> None:
        seen_locked, in_use = browser(own_vault), browser(own_vault)
        own_vault.clock.advance(901)
        seen_locked.get("/api/v1/recordings")
        own_vault.clock.advance(-901)
        after_lock = slug(seen_locked.get("/api/v1/recordings"))
        own_vault.clock.advance(-back_s)

        assert [LOCKED, LOCKED] == [after_lock, slug(in_use.get("/api/v1/recordings"))]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/recordings"),
            ("GET", "/api/v1/sessions"),
            ("POST", CURRENT + "/activity"),
            ("POST", CURRENT + "/step-up"),
            ("GET", "/api/v1/tokens"),
            ("POST", "/api/v1/tokens"),
            ("DELETE", "/api/v1/sessions/00000000-0000-4000-8000-000000000000"),
            ("GET", "/api/v1/recordings/x/audio"),
        ],
    )
    def test_a_locked_session_gets_nowhere(
        self, own_vault: WebVault, method: str, path: str
    ) -> None:
        client = browser(own_vault)
        locked = client.post(CURRENT + "/lock")

        assert (204, LOCKED) == (locked.status_code, slug(client.request(method, path)))

    def test_a_locked_session_is_told_who_it_is_and_no_rights(
        self, own_vault: WebVault
    ) -> None:
        client = browser(own_vault)
        client.post(CURRENT + "/lock")
        members = client.get(CURRENT).json()

        assert (True, "ada") == (members["locked"], members["user"])
        assert not {"roles", "permissions"} & members.keys()

    def test_a_locked_session_can_be_left(self, own_vault: WebVault) -> None:
        client = browser(own_vault)
        client.post(CURRENT + "/lock")

        assert 204 == client.delete(CURRENT).status_code
        assert () == own_vault.services().sessions.list()

    def test_h7_unlocking_gives_another_id_and_secret_and_the_old_ones_are_dead(
        self, own_vault: WebVault
    ) -> None:
        client = browser(own_vault)
        client.post(CURRENT + "/lock")
        before, old = client.get(CURRENT).json(), client.cookies[COOKIE]
        answer = client.post(CURRENT + "/unlock", json={"password": PASSWORD})
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        after = client.get(CURRENT).json()

        assert (200, False) == (answer.status_code, after["locked"])
        assert before["session"] != after["session"]
        assert before["csrf"] != after["csrf"]
        assert "token" not in answer.json()
        stale = client_for(own_vault.app())
        stale.cookies.set(COOKIE, old)
        assert 401 == stale.get(CURRENT).status_code
        assert 200 == client.get("/api/v1/recordings").status_code

    def test_a_wrong_password_unlocks_nothing_and_is_counted(
        self, own_vault: WebVault
    ) -> None:
        client = browser(own_vault)
        client.cookies.delete(DEVICE)
        client.post(CURRENT + "/lock")
        answers = [
            client.post(CURRENT + "/unlock", json={"password": "guess-guess-1"})
            for _ in range(11)
        ]

        assert [401] * 10 + [429] == [answer.status_code for answer in answers]
        assert client.get(CURRENT).json()["locked"]
        assert "access.session.refused" in own_vault.actions()

    def test_unlocking_extends_no_absolute_end(self, own_vault: WebVault) -> None:
        client = browser(own_vault)
        end = client.get(CURRENT).json()["expires"]
        own_vault.clock.advance(6 * 3600)
        answer = client.post(CURRENT + "/unlock", json={"password": PASSWORD})

        assert end == answer.json()["expires"]
        own_vault.clock.advance(6 * 3600)
        assert 401 == client.get(CURRENT).status_code

    def test_a_lock_ends_a_running_stream(self, own_vault: WebVault) -> None:
        client, recording = browser(own_vault), own_vault.record(Call(seconds=60))
        session = client.get(CURRENT).json()["session"]
        services = own_vault.services()
        asker = Asker(
            session=services.sessions.lookup(client.cookies[COOKIE]),
            origin="",
            secret=SecretBytes(client.cookies[COOKIE].encode()),
            by_cookie=True,
        )
        listening = Listening(services, asker)
        grant = listening.grant(recording, MediaPart.AUDIO)
        listening.check(grant)
        services.sessions.lock(session)

        with pytest.raises(SessionLockedError):
            listening.check(grant)

    def test_lock_and_unlock_are_on_the_trail(self, own_vault: WebVault) -> None:
        client = browser(own_vault)
        client.post(CURRENT + "/lock")
        client.post(CURRENT + "/unlock", json={"password": PASSWORD})
        leaves = own_vault.leaves()[-2:]

        assert ["access.session.locked", "access.session.renewed"] == [
            leaf["action"] for leaf in leaves
        ]
        assert (
            own_vault.services().sessions.list()[0].id == detail(leaves[1])["session"]
        )

    def test_without_a_warden_a_session_locks_and_stays_locked(
        self, own_vault: WebVault
    ) -> None:
        client = browser(own_vault)
        own_vault.stop_warden()

        assert 204 == client.post(CURRENT + "/lock").status_code
        answer = client.post(CURRENT + "/unlock", json={"password": PASSWORD})
        assert (503, True) == (answer.status_code, client.get(CURRENT).json()["locked"])


class TestStepUp:
    def test_a_fresh_sign_in_counts(self, own_vault: WebVault) -> None:
        recording = own_vault.record()
        capture = browser(own_vault).get(f"/api/v1/recordings/{recording}/capture")
        trail = browser(own_vault, "olga").get("/api/v1/audit/export")

        assert [200, 200] == [capture.status_code, trail.status_code]

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("ada", "/api/v1/recordings/{}/capture"),
            ("olga", "/api/v1/audit/export"),
        ],
    )
    def test_an_old_proof_exports_nothing_and_a_new_one_does(
        self, own_vault: WebVault, name: str, path: str
    ) -> None:
        client, path = browser(own_vault, name), path.format(own_vault.record())
        own_vault.clock.advance(600)
        client.post(CURRENT + "/activity")
        own_vault.clock.advance(301)
        stale = client.get(path)
        proof = client.post(CURRENT + "/step-up", json={"password": PASSWORD})
        fresh = client.get(path)

        assert (STALE, 200, 200) == (slug(stale), proof.status_code, fresh.status_code)

    def test_h7_a_step_up_gives_another_id_and_secret_and_moves_the_grants(
        self, own_vault: WebVault
    ) -> None:
        client, recording = browser(own_vault), own_vault.record()
        client.post(f"/api/v1/recordings/{recording}/grants", json={"media": "audio"})
        before, old = client.get(CURRENT).json()["session"], client.cookies[COOKIE]
        client.post(CURRENT + "/step-up", json={"password": PASSWORD})
        after = client.get(CURRENT).json()["session"]

        assert before != after
        with reading(own_vault.catalog) as connection:
            holders = connection.scalars(select(MEDIA_GRANT.c.session_id)).all()
        assert [after] == list(holders)
        with pytest.raises(NotAuthenticatedError):
            own_vault.services().sessions.lookup(old)

    def test_a_script_gets_its_new_bearer(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        client = signed_in("ada", own_vault)
        made = client.post(CURRENT + "/step-up", json={"password": PASSWORD}).json()

        assert 401 == client.get(CURRENT).status_code
        client.headers["Authorization"] = f"Bearer {made['token']}"
        assert 200 == client.get(CURRENT).status_code

    def test_who_has_no_right_is_not_asked_for_a_proof(
        self, own_vault: WebVault
    ) -> None:
        client, recording = browser(own_vault, "adam"), own_vault.record()
        own_vault.clock.advance(800)
        client.post(CURRENT + "/activity")
        own_vault.clock.advance(800)
        capture = client.get(f"/api/v1/recordings/{recording}/capture")
        trail = client.get("/api/v1/audit/export")

        assert [(404, "not-found"), (403, "forbidden")] == [slug(capture), slug(trail)]

    def test_a_wrong_proof_renews_nothing(self, own_vault: WebVault) -> None:
        client = browser(own_vault)
        before = client.get(CURRENT).json()["session"]
        answer = client.post(CURRENT + "/step-up", json={"password": "guess-guess-1"})

        assert (401, before) == (
            answer.status_code,
            client.get(CURRENT).json()["session"],
        )

    def test_a_token_proves_nothing_again_and_exports_by_its_permission(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        made = signed_in("olga", own_vault).post("/api/v1/tokens", json={"name": "x"})
        client = client_for(own_vault.app())
        client.headers["Authorization"] = f"Bearer {made.json()['token']}"
        own_vault.clock.advance(86_400)

        assert (
            404
            == client.post(
                CURRENT + "/step-up", json={"password": PASSWORD}
            ).status_code
        )
        assert 404 == client.post(CURRENT + "/lock").status_code
        assert 200 == client.get("/api/v1/audit/export").status_code


class TestKnownBrowsers:
    def test_h43_a_browser_of_before_is_not_locked_out_by_strangers(
        self, own_vault: WebVault
    ) -> None:
        known = browser(own_vault)
        strangers = client_for(own_vault.app(), peer="203.0.113.9")
        guesses = [
            strangers.post("/api/v1/sessions", json=ADA | {"password": "guess-guess"})
            for _ in range(11)
        ]
        again = known.post("/api/v1/sessions", json=ADA, headers=BROWSER)

        assert [401] * 10 + [429] == [answer.status_code for answer in guesses]
        assert 201 == again.status_code

    def test_its_cookie_is_host_bound_out_of_reach_and_lasts_a_year(
        self, nobody: Client
    ) -> None:
        answer = nobody.post("/api/v1/sessions", json=ADA, headers=BROWSER)
        cookie = answer.headers.get_list("set-cookie")[1]
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}

        assert cookie.startswith(DEVICE + "=cvb_")
        assert {"httponly", "path=/", "samesite=strict", "secure"} < parts
        assert "max-age=31536000" in parts

    def test_a_script_is_no_known_browser(self, nobody: Client) -> None:
        nobody.post("/api/v1/sessions", json=ADA)

        assert DEVICE not in nobody.cookies


class TestSessionsOfOthers:
    def test_everybody_lists_and_ends_their_own(self, own_vault: WebVault) -> None:
        here, there = browser(own_vault), browser(own_vault)
        items = here.get("/api/v1/sessions").json()["items"]
        other = next(one["id"] for one in items if not one["current"])
        ended = here.delete(f"/api/v1/sessions/{other}")

        assert 2 == len(items)
        assert (204, 401) == (ended.status_code, there.get(CURRENT).status_code)

    @pytest.mark.parametrize("name", ["bob", "olga", "carl"])
    def test_nobody_else_lists_or_ends_them(
        self, own_vault: WebVault, name: str
    ) -> None:
        own = browser(own_vault)
        session = own.get(CURRENT).json()["session"]
        client = browser(own_vault, name)
        lists = [client.get(f"/api/v1/sessions?user={who}") for who in ("ada", "*")]
        ended = client.delete(f"/api/v1/sessions/{session}")

        assert [403, 403, 404] == [answer.status_code for answer in (*lists, ended)]
        assert 200 == own.get(CURRENT).status_code

    def test_an_administrator_lists_and_ends_anybodys_and_the_trail_says_whose(
        self, own_vault: WebVault
    ) -> None:
        own, admin = browser(own_vault), browser(own_vault, "adam")
        current = own.get(CURRENT).json()
        by_name = admin.get("/api/v1/sessions?user=ada").json()["items"]
        by_id = admin.get(f"/api/v1/sessions?user={current['user_id']}").json()["items"]
        all_ = admin.get("/api/v1/sessions?user=*").json()["items"]
        ended = admin.delete(f"/api/v1/sessions/{current['session']}")
        leaf = own_vault.leaves()[-1]

        assert by_name == by_id
        assert [current["session"]] == [one["id"] for one in by_name]
        assert {"ada", "adam"} == {one["user"] for one in all_}
        assert (204, 401) == (ended.status_code, own.get(CURRENT).status_code)
        assert ("access.session.ended", current["user_id"]) == (
            leaf["action"],
            detail(leaf)["user"],
        )

    @pytest.mark.parametrize("user", ["nobody", "%00", "%F0%9F%98%80", "' OR 1=1"])
    def test_a_stranger_has_none(self, own_vault: WebVault, user: str) -> None:
        answer = browser(own_vault, "adam").get(f"/api/v1/sessions?user={user}")

        assert 404 == answer.status_code


def detail(leaf: dict[str, object]) -> dict[str, object]:
    found = leaf["detail"]
    assert isinstance(found, dict)
    return found


def slug_of_media(client: Client, recording: str) -> int:
    return client.get(
        f"/api/v1/recordings/{recording}/audio", headers={"Range": "bytes=0-99"}
    ).status_code
