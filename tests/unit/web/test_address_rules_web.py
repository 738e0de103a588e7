"""The rules about addresses by API, behind a real application."""

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import WebVault, running

API = "/api/v1/address-rules"
HERE = "192.0.2.7"
"Where the clients of `tests.simulators.asgi` come from."


def test_a_rule_is_made_listed_and_removed(signed_in: SignedInAs) -> None:
    adam = signed_in("adam")
    body = {"listener": "forks", "verdict": "deny", "prefix": "198.51.100.0/24"}
    made = adam.post(API, json=body)
    twice = adam.post(API, json=body)
    listed = adam.get(API).json()["items"]
    gone = adam.delete(f"{API}/{made.json()['id']}")
    again = adam.delete(f"{API}/{made.json()['id']}")

    assert (201, 409, 204, 404) == (
        made.status_code,
        twice.status_code,
        gone.status_code,
        again.status_code,
    )
    assert body == {name: made.json()[name] for name in body}
    assert made.json() in listed


def test_each_change_is_on_the_trail(
    shared_vault: WebVault, signed_in: SignedInAs
) -> None:
    adam = signed_in("adam")
    body = {"listener": "sip", "verdict": "allow", "prefix": "198.51.100.7"}
    rule = adam.post(API, json=body).json()["id"]
    adam.delete(f"{API}/{rule}")
    leaves = [
        leaf
        for leaf in shared_vault.leaves()
        if leaf.get("detail", {}).get("rule") == rule
    ]

    assert [
        ("access.address.added", {"rule": rule, "listener": "sip"}, {"after"}),
        ("access.address.removed", {"rule": rule, "listener": "sip"}, {"before"}),
    ] == [(leaf["action"], leaf["detail"], set(leaf["text"])) for leaf in leaves]


@pytest.mark.parametrize(
    "body",
    [
        {"listener": "web", "verdict": "deny", "prefix": "192.0.2.7/24"},
        {"listener": "web", "verdict": "deny", "prefix": "not-an-address"},
        {"listener": "metrics", "verdict": "deny", "prefix": "198.51.100.7"},
        {"listener": "web", "verdict": "ask", "prefix": "198.51.100.7"},
        {"listener": "web", "verdict": "deny"},
        {"listener": "web", "verdict": "deny", "prefix": "198.51.100.7", "id": "x"},
    ],
)
def test_what_is_no_rule_is_refused(
    signed_in: SignedInAs, body: dict[str, object]
) -> None:
    assert 422 == signed_in("adam").post(API, json=body).status_code


@pytest.mark.parametrize("name", ["ada", "olga", "carl"])
def test_nobody_else_reads_or_changes_them(signed_in: SignedInAs, name: str) -> None:
    client = signed_in(name)
    body = {"listener": "web", "verdict": "deny", "prefix": "198.51.100.7"}

    assert [403, 403, 403] == [
        answer.status_code
        for answer in (
            client.get(API),
            client.post(API, json=body),
            client.delete(f"{API}/{'0' * 8}-0000-4000-8000-{'0' * 12}"),
        )
    ]


def test_nobody_shuts_themselves_out(signed_in: SignedInAs) -> None:
    adam = signed_in("adam")
    answers = [
        adam.post(API, json={"listener": "web", "verdict": verdict, "prefix": prefix})
        for verdict, prefix in (("deny", HERE), ("allow", "10.0.0.0/8"))
    ]

    assert [409, 409] == [answer.status_code for answer in answers]
    assert "shut out" in answers[0].json()["detail"]


class TestWhatARuleDoes:
    @pytest.fixture
    def vault(self, tmp_path):  # noqa: ANN001 - a generator of a vault
        with running(tmp_path) as vault:
            vault.crew()
            yield vault

    def statuses(self, vault: WebVault, path: str = "/healthz") -> list[int]:
        clients: list[Client] = [
            client_for(vault.app(), peer=peer)
            for peer in (
                HERE,
                "::ffff:198.51.100.7",
                "198.51.100.8",
                "127.0.0.1",
                "::1",
            )
        ]
        return [client.get(path).status_code for client in clients]

    def test_a_denied_address_gets_403_and_no_route(self, vault: WebVault) -> None:
        rules = vault.services().address_rules
        rules.add("web", "deny", "198.51.100.7", tell=lambda _: None)
        rules.add("web", "deny", "127.0.0.0/8", tell=lambda _: None)
        refused = client_for(vault.app(), peer="198.51.100.7").get("/nowhere")

        assert [200, 403, 200, 200, 200] == self.statuses(vault)
        assert (403, "/problems/address-refused", "close") == (
            refused.status_code,
            refused.json()["type"],
            refused.headers["connection"],
        )

    def test_with_an_allowed_one_everybody_else_is_refused(
        self, vault: WebVault
    ) -> None:
        vault.services().address_rules.add(
            "web", "allow", "192.0.2.0/24", tell=lambda _: None
        )

        assert [200, 403, 403, 200, 200] == self.statuses(vault)
