"""The pages of devices: all of them, one, and the token that is shown once."""

import html
import re

import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs, send_form
from tests.simulators.web_vault import WebVault
from vault.access.device_rules import DeviceListed
from vault.access.devices import DeviceChange
from vault.access.permissions import Role
from vault.core.flow import NOTHING_ALLOWED, Allowance

PINNED = "ab" * 32


@pytest.fixture
def adam(company: WebVault, in_browser: SignedInAs) -> Client:
    return in_browser("adam", company)


def token_on(page: str) -> str:
    found = re.search(r'<pre[^>]*id="token-text">([^<]+)</pre>', page)
    assert found is not None
    return found[1]


def kept(vault: WebVault, name: str) -> DeviceListed:
    return next(one for one in vault.devices.list() if one.device.name == name)


class TestTheList:
    def test_what_is_unsafe_is_said_in_words(
        self, company: WebVault, adam: Client
    ) -> None:
        # What other tests gave to devices is said here, too.
        for listed in company.devices.list():
            company.devices.allow(listed.device.id, NOTHING_ALLOWED)
        before = adam.get("/devices").text
        company.devices.add("old-pbx", allowances=frozenset(Allowance))
        page = adam.get("/devices").text

        assert "SRTP only" in before
        assert "within hours" not in before
        assert "also SIP that can be read on its way, SIP answers with MD5" in page
        assert "unencrypted RTP, SIP with no proof but its address and weak" in page
        assert "within hours" in page
        assert "known by an address alone" in page

    def test_a_revoked_device_and_one_whose_token_has_ended_are_told_apart(
        self, company: WebVault, adam: Client
    ) -> None:
        company.devices.add("short-lived", ttl_s=60)
        company.devices.add("gone")
        company.devices.revoke("gone")
        company.clock.advance(120)
        rows = adam.get("/devices").text.split("<tr>")
        company.clock.reset()
        badges = {
            name: re.findall(r'class="badge (\w+)">([\w ]+)<', row)[0]
            for row in rows
            for name in ("short-lived", "gone", "pbx-berlin")
            if f">{name}</a>" in row
        }

        assert {
            "short-lived": ("partial", "token ended"),
            "gone": ("failed", "revoked"),
            "pbx-berlin": ("ok", "active"),
        } == badges


class TestOne:
    def test_a_device_is_added_and_its_token_shown_once(
        self, company: WebVault, adam: Client
    ) -> None:
        made = send_form(
            adam,
            "/devices",
            name="office-pbx",
            days="90",
            addresses="192.0.2.0/24\n198.51.100.7",
            certificates="sha256:" + PINNED,
            max_calls="17",
            **{"allow:short": "on"} | {"allow:srtp-32-bit-tag": "on"},
        )

        assert made.status_code == 422
        made = send_form(
            adam,
            "/devices",
            name="office-pbx",
            days="90",
            addresses="192.0.2.0/24\n198.51.100.7",
            certificates="sha256:" + PINNED,
            max_calls="17",
            **{"allow:srtp-32-bit-tag": "on"},
        )
        listed = kept(company, "office-pbx")
        again = adam.get(f"/devices/{listed.device.id}").text

        assert made.status_code == 200
        found = company.devices.snapshot().by_token(token_on(made.text))
        assert found is not None
        assert listed.device == found
        assert ("192.0.2.0/24", "198.51.100.7/32") == listed.device.addresses
        assert (17, (PINNED,)) == (listed.device.max_calls, listed.certificates)
        assert listed.expires_ns is not None
        assert token_on(made.text) not in again
        assert "192.0.2.0/24\n198.51.100.7/32</textarea>" in again
        assert 'name="allow:srtp-32-bit-tag" checked' in again

    def test_what_the_form_shows_is_all_that_it_is_held_to(
        self, company: WebVault, adam: Client
    ) -> None:
        change = DeviceChange(
            addresses=("192.0.2.0/24",),
            media_addresses=("198.51.100.7",),
            certificates=("cd" * 32, "ef" * 32),
            max_calls=3,
            allowances=frozenset({Allowance.PLAIN_RTP}),
            media_advertise="192.0.2.9",
        )
        device = company.devices.add("listed-sbc", change).device
        path = f"/devices/{device.id}"
        page = adam.get(path).text
        done = send_form(adam, path, media_addresses="198.51.100.7", max_calls="")
        after = kept(company, "listed-sbc")

        assert "2 certificates" in page
        assert 'value="192.0.2.9"' in page
        assert "Changed." in done.text
        assert ((), ("198.51.100.7/32",), 0, frozenset(), None, ()) == (
            after.device.addresses,
            after.device.media_addresses,
            after.device.max_calls,
            after.device.allowances,
            after.device.media_advertise,
            after.certificates,
        )

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"addresses": "10.1.2.3/8"}, "10.1.2.3/8"),
            ({"certificates": "<b>"}, "A fingerprint is"),
            ({"max_calls": "-1"}, "Calls at a time are"),
            ({"max_calls": "²"}, "Calls at a time are"),
            ({"media_advertise": "pbx.example"}, "Where media goes is an IP address"),
            ({"allow:everything": "on"}, "There is no such allowance"),
            ({"addresses": "1 " * 3000}, "At most 4096"),
        ],
    )
    def test_what_can_t_be_is_said_and_changes_nothing(
        self, company: WebVault, adam: Client, fields: dict[str, str], said: str
    ) -> None:
        before = kept(company, "pbx-berlin")
        answer = send_form(adam, f"/devices/{before.device.id}", **fields)

        assert (422, True) == (answer.status_code, said in html.unescape(answer.text))
        assert before == kept(company, "pbx-berlin")

    def test_a_new_token_makes_the_old_one_worthless(
        self, company: WebVault, adam: Client
    ) -> None:
        added = company.devices.add("renewed")
        answer = send_form(adam, f"/devices/{added.device.id}/renew", days="30")
        snapshot = company.devices.snapshot()

        assert snapshot.by_token(added.token) is None
        assert snapshot.by_token(token_on(answer.text)) is not None
        assert "no-store" in answer.headers["cache-control"]

    def test_a_revoked_device_has_nothing_to_set(
        self, company: WebVault, adam: Client
    ) -> None:
        added = company.devices.add("sold")
        path = f"/devices/{added.device.id}"
        page = send_form(adam, path + "/revoke").text
        renewed = send_form(adam, path + "/renew")

        assert "Revoked for good" in page
        assert "<textarea" not in page
        assert renewed.status_code == 422
        assert company.devices.snapshot().by_token(added.token) is None

    def test_without_a_trail_there_is_no_device(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        adam = in_browser("adam", own_vault)
        own_vault.stop_warden()
        answer = send_form(adam, "/devices", name="unknown")

        assert answer.status_code == 503
        assert ["pbx-berlin"] == [one.device.name for one in own_vault.devices.list()]


@pytest.mark.parametrize("name", ["ada", "olga"])
def test_nobody_else_sees_or_changes_one(
    company: WebVault, in_browser: SignedInAs, name: str
) -> None:
    client, path = in_browser(name, company), f"/devices/{company.device.id}"

    assert {403} == {
        client.get(path).status_code,
        *(
            send_form(client, path + rest, name="x").status_code
            for rest in ("", "/renew", "/revoke")
        ),
        send_form(client, "/devices", name="x").status_code,
    }


def test_there_is_no_page_of_a_device_that_is_not(adam: Client) -> None:
    assert 404 == adam.get("/devices/nobody").status_code


class TestSessions:
    def test_everybodys_sessions_and_tokens_are_listed_and_ended(
        self, company: WebVault, adam: Client, in_browser: SignedInAs
    ) -> None:
        bob = in_browser("bob", company)
        who = company.people.by_name("bob")
        tokens = company.services().tokens
        token = tokens.add(who.id, "nightly", ttl_s=600).listed
        page = adam.get("/sessions").text
        session = re.search(r'action="/sessions/([^"/]+)/end"[^\n]+of bob', page)
        assert session is not None
        ended = send_form(adam, f"/sessions/{session[1]}/end")
        revoked = send_form(adam, f"/sessions/tokens/{token.id}/revoke")

        assert "nightly" in page
        assert "this one" in page
        assert (303, 303) == (ended.status_code, revoked.status_code)
        assert 303 == bob.get("/recordings").status_code
        assert () == tokens.list(who.id)

    @pytest.mark.parametrize("name", ["ada", "olga"])
    def test_others_see_and_end_none(
        self, company: WebVault, in_browser: SignedInAs, name: str
    ) -> None:
        client = in_browser(name, company)
        who = company.person(f"other-{name}", Role.AGENT)
        opened = company.services().sessions.open(who)

        assert (403, 404) == (
            client.get("/sessions").status_code,
            send_form(client, f"/sessions/{opened.session.id}/end").status_code,
        )
