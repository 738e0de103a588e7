"""Devices by API, on a real application: who may, what is taken, what is on the trail."""

from typing import Any

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault

DEVICES = "/api/v1/devices"
PINNED = "sha256:" + "ab" * 32


@pytest.fixture
def adam(company: WebVault, signed_in: SignedInAs) -> Client:
    return signed_in("adam", company)


def add(client: Client, name: str, **more: Any) -> dict[str, Any]:
    answer = client.post(DEVICES, json={"name": name} | more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def leaves_of(vault: WebVault, device_id: str) -> list[dict[str, Any]]:
    return [
        dict(leaf)
        for leaf in vault.leaves()
        if dict(leaf.get("detail") or {}).get("device") == device_id  # type: ignore[call-overload]
    ]


class TestADevice:
    def test_it_is_added_listed_set_renewed_and_revoked(
        self, company: WebVault, adam: Client
    ) -> None:
        made = add(adam, "office-pbx", ttl_s=3600, addresses=["192.0.2.1"])
        one = f"{DEVICES}/{made['id']}"
        listed = next(
            item
            for item in adam.get(DEVICES).json()["items"]
            if item["id"] == made["id"]
        )
        changed = adam.patch(
            one, json={"certificates": [PINNED], "allowances": ["plain-rtp"]}
        ).json()
        renewed = adam.post(one + "/token")
        revoked = adam.delete(one)
        again = adam.post(one + "/token", json={"ttl_s": 60})
        snapshot = company.devices.snapshot()

        assert made["token"] not in str(listed)
        assert made == listed | {"token": made["token"]}
        assert ["192.0.2.1/32"] == changed["addresses"]
        assert ([PINNED], ["plain-rtp"]) == (
            changed["certificates"],
            changed["allowances"],
        )
        assert (201, 204, 409) == (
            renewed.status_code,
            revoked.status_code,
            again.status_code,
        )
        assert renewed.json()["expires"] is None
        assert snapshot.by_token(made["token"]) is None
        assert snapshot.by_token(renewed.json()["token"]) is None

    def test_the_token_is_what_a_tap_takes(
        self, company: WebVault, adam: Client
    ) -> None:
        made = add(adam, "taken")
        found = company.devices.snapshot().by_token(made["token"])

        assert found is not None
        assert made["id"] == found.id

    def test_each_change_is_on_the_trail_and_no_address_or_token_is(
        self, company: WebVault, adam: Client
    ) -> None:
        made = add(adam, "told", addresses=["192.0.2.77"])
        one = f"{DEVICES}/{made['id']}"
        adam.patch(one, json={"addresses": ["198.51.100.77"], "max_calls": 4})
        adam.patch(one, json={"max_calls": 4})
        renewed = adam.post(one + "/token").json()
        adam.delete(one)
        leaves = leaves_of(company, made["id"])

        assert [
            "access.device.added",
            "access.device.changed",
            "access.device.changed",
            "access.device.revoked",
        ] == [leaf["action"] for leaf in leaves]
        assert ["addresses.max-calls", "token"] == [
            leaf["detail"]["fields"] for leaf in leaves[1:3]
        ]
        assert {"access:policy:edit"} == {leaf["right"] for leaf in leaves}
        assert {"before", "after"} == set(leaves[1]["text"])
        for secret in (made["token"], renewed["token"], "192.0.2.77", "100.77"):
            assert secret not in str(leaves)

    @pytest.mark.parametrize(
        "body",
        [
            {"name": "no name"},
            {"name": ""},
            {"name": "a" * 65},
            {"name": "x1", "addresses": ["10.1.2.3/8"]},
            {"name": "x2", "certificates": ["sha256:ab"]},
            {"name": "x3", "allowances": ["everything"]},
            {"name": "x4", "max_calls": -1},
            {"name": "x5", "max_calls": True},
            {"name": "x6", "media_advertise": "fe80::1%eth0"},
            {"name": "x7", "ttl_s": 1},
            {"name": "x8", "token": "chosen"},
            {"name": "x9", "addresses": [f"192.0.2.{n}" for n in range(30)]},
        ],
    )
    def test_what_makes_no_device_is_refused(
        self, company: WebVault, adam: Client, body: dict[str, Any]
    ) -> None:
        before = company.devices.list()
        answer = adam.post(DEVICES, json=body)

        assert 422 == answer.status_code
        assert before == company.devices.list()

    def test_a_name_is_taken_once(self, adam: Client) -> None:
        add(adam, "once")

        assert 409 == adam.post(DEVICES, json={"name": "ONCE"}).status_code

    def test_a_certificate_is_of_one_device(self, adam: Client) -> None:
        other = PINNED.replace("ab", "cd")
        add(adam, "first", certificates=[other])
        answer = adam.post(DEVICES, json={"name": "second", "certificates": [other]})

        assert 409 == answer.status_code

    def test_a_name_is_no_address_of_a_device(self, adam: Client) -> None:
        paths = [f"{DEVICES}/pbx-berlin", f"{DEVICES}/nobody"]

        assert {404} == {
            answer.status_code
            for path in paths
            for answer in (
                adam.patch(path, json={}),
                adam.post(path + "/token"),
                adam.delete(path),
            )
        }


class TestWithoutATrail:
    def test_nothing_is_given_and_what_is_revoked_stays_revoked(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        adam = signed_in("adam", own_vault)
        added = own_vault.devices.add("told")
        one = f"{DEVICES}/{added.device.id}"
        own_vault.stop_warden()
        answers = [
            adam.post(DEVICES, json={"name": "untold"}),
            adam.patch(one, json={"allowances": ["plain-rtp"]}),
            adam.post(one + "/token"),
        ]
        went_on = own_vault.devices.snapshot().by_token(added.token)
        answers.append(adam.delete(one))

        assert {503} == {answer.status_code for answer in answers}
        assert went_on is not None
        assert not went_on.allowances
        assert own_vault.devices.snapshot().by_token(added.token) is None
        assert 2 == len(own_vault.devices.list())


@pytest.mark.parametrize("name", ["ada", "olga", "carl"])
def test_nobody_but_an_administrator_sees_or_changes_a_device(
    company: WebVault, signed_in: SignedInAs, name: str
) -> None:
    client, one = signed_in(name, company), f"{DEVICES}/{company.device.id}"
    answers = (
        client.get(DEVICES),
        client.post(DEVICES, json={"name": "mine"}),
        client.patch(one, json={"max_calls": 1}),
        client.post(one + "/token"),
        client.delete(one),
    )

    assert {403} == {answer.status_code for answer in answers}
    assert "pbx-berlin" not in "".join(answer.text for answer in answers)
