import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import PASSWORD, WebVault

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
            "detail": "the name or the password is wrong",
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

        without = nobody.delete("/api/v1/sessions/current")
        wrong = nobody.delete(
            "/api/v1/sessions/current", headers={"X-CSRF-Token": "x" * 43}
        )
        right = nobody.delete(
            "/api/v1/sessions/current", headers={"X-CSRF-Token": csrf}
        )

        assert [without.status_code, wrong.status_code] == [403, 403]
        assert right.status_code == 204

    def test_a_bearer_needs_none(self, signed_in: SignedInAs) -> None:
        answer = signed_in("ada").delete("/api/v1/sessions/current")

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
        client.delete("/api/v1/sessions/current")

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


class TestTokens:
    def test_a_token_works_as_its_owner_until_revoked(
        self,
        signed_in: SignedInAs,
        nobody: Client,
    ) -> None:
        owner = signed_in("ada")
        made = owner.post("/api/v1/tokens", json={"name": "reports"}).json()
        bearer = {"Authorization": f"Bearer {made['token']}"}

        while_it_lives = nobody.get("/api/v1/recordings", headers=bearer)
        listed = owner.get("/api/v1/tokens").json()["items"]
        revoked = owner.delete(f"/api/v1/tokens/{made['id']}")
        afterwards = nobody.get("/api/v1/recordings", headers=bearer)

        assert while_it_lives.status_code == 200
        assert [one["name"] for one in listed if one["id"] == made["id"]] == ["reports"]
        assert "token" not in listed[0]
        assert revoked.status_code == 204
        assert afterwards.status_code == 401

    def test_a_token_makes_no_token(
        self, signed_in: SignedInAs, nobody: Client
    ) -> None:
        made = signed_in("ada").post("/api/v1/tokens", json={"name": "a"}).json()

        answer = nobody.post(
            "/api/v1/tokens",
            json={"name": "b"},
            headers={"Authorization": f"Bearer {made['token']}"},
        )

        assert answer.status_code == 403

    def test_another_persons_token_is_not_there(self, signed_in: SignedInAs) -> None:
        made = signed_in("ada").post("/api/v1/tokens", json={"name": "a"}).json()

        answer = signed_in("bob").delete(f"/api/v1/tokens/{made['id']}")

        assert answer.status_code == 404
