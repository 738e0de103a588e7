import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import WebVault

TOKENS = "/api/v1/tokens"


def with_token(vault: WebVault, made: dict[str, str]) -> Client:
    client = client_for(vault.app())
    client.headers["Authorization"] = f"Bearer {made['token']}"
    return client


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

    def test_a_token_does_no_more_than_it_was_made_for(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        owner = signed_in("olga", own_vault)
        made = owner.post(
            TOKENS, json={"name": "siem", "permissions": ["audit:trail:read"]}
        )
        client = with_token(own_vault, made.json())

        assert ["audit:trail:read"] == made.json()["permissions"]
        assert [200, 403, 200] == [
            answer.status_code
            for answer in (
                client.get("/api/v1/audit/entries"),
                client.get("/api/v1/audit/export"),
                owner.get("/api/v1/audit/export"),
            )
        ]
        assert ["audit:trail:read"] == client.get("/api/v1/sessions/current").json()[
            "permissions"
        ]

    @pytest.mark.parametrize(
        "permissions",
        [["recording:media:play"], ["audit:trail:read", "x"], [], ["a" * 65], "x"],
    )
    def test_a_token_never_has_more_than_its_owner(
        self, own_vault: WebVault, signed_in: SignedInAs, permissions: object
    ) -> None:
        answer = signed_in("olga", own_vault).post(
            TOKENS, json={"name": "n", "permissions": permissions}
        )

        assert 422 == answer.status_code
        assert () == own_vault.services().tokens.list()

    def test_a_right_that_its_owner_loses_is_gone_from_the_token(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        made = signed_in("olga", own_vault).post(
            TOKENS, json={"name": "n", "permissions": ["audit:trail:read"]}
        )
        own_vault.people.change(own_vault.people.by_name("olga").id, roles=[])
        client = with_token(own_vault, made.json())

        assert 403 == client.get("/api/v1/audit/entries").status_code

    def test_making_one_asks_for_a_fresh_proof(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        owner = signed_in("olga", own_vault)
        own_vault.clock.advance(600)
        owner.get(TOKENS)
        own_vault.clock.advance(301)
        answer = owner.post(TOKENS, json={"name": "n"})

        assert (403, "/problems/step-up-required") == (
            answer.status_code,
            answer.json()["type"],
        )

    def test_the_last_use_and_its_address_are_listed(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        owner = signed_in("olga", own_vault)
        made = owner.post(TOKENS, json={"name": "n"}).json()
        before = owner.get(TOKENS).json()["items"][0]
        client = client_for(own_vault.app(), peer="203.0.113.9")
        client.headers["Authorization"] = f"Bearer {made['token']}"
        client.get("/api/v1/sessions/current")
        after = owner.get(TOKENS).json()["items"][0]

        assert (None, None) == (before["used"], before["used_from"])
        assert "203.0.113.9" == after["used_from"]
        assert after["used"] is not None

    def test_an_administrator_lists_and_revokes_anybodys_and_others_do_not(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        made = signed_in("ada", own_vault).post(TOKENS, json={"name": "n"}).json()
        bob, admin = signed_in("bob", own_vault), signed_in("adam", own_vault)
        refused = bob.get(TOKENS + "?user=ada")
        listed = admin.get(TOKENS + "?user=ada").json()["items"]
        revoked = admin.delete(f"{TOKENS}/{made['id']}")
        leaf = own_vault.leaves()[-1]

        assert (403, 204) == (refused.status_code, revoked.status_code)
        assert [("ada", made["id"])] == [(one["user"], one["id"]) for one in listed]
        assert "access.token.revoked" == leaf["action"]
        assert (
            401
            == with_token(own_vault, made).get("/api/v1/sessions/current").status_code
        )

    def test_without_a_warden_there_is_no_token(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        owner = signed_in("olga", own_vault)
        own_vault.stop_warden()
        answer = owner.post(TOKENS, json={"name": "n"})

        assert 503 == answer.status_code
        assert () == own_vault.services().tokens.list()
