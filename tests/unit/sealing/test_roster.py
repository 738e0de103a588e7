import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core import canonical
from vault.core.errors import NoRecipientKeyError, SealBrokenError
from vault.sealing.roster import (
    Roster,
    RosterRecipient,
    RosterSigner,
    keys_are_late,
    recipients_for,
    roster_digest,
    sign_roster,
    verify_roster,
)

KEY = Ed25519PrivateKey.generate()
PINNED = KEY.public_key().public_bytes_raw()
NOW = 1_795_000_000_000_000_000
"2026-11-18."


@pytest.fixture
def roster(new_holder: Any) -> Roster:
    return Roster(
        version=7,
        previous=hashlib.sha256(b"").hexdigest(),
        not_after="2027-02-01T00:00:00Z",
        recipients=tuple(
            RosterRecipient(
                month=month,
                recipient=replace(new_holder().recipients()[0], label=month),
            )
            for month in ("2026-10", "2026-11", "2027-01")
        ),
        taps=(RosterSigner(name="tap-1", public_key=bytes(32)),),
        workers=(RosterSigner(name="worker-1", public_key=bytes(range(32))),),
    )


def verify(octets: bytes, **changes: Any) -> Roster:
    given = {"pinned": PINNED, "at_least_version": 7, "now": NOW} | changes
    return verify_roster(octets, **given)


def test_a_signed_roster_comes_back(roster: Roster) -> None:
    found = verify(sign_roster(roster, KEY))

    assert roster == found
    assert found.tap_keys() == {"tap-1": bytes(32)}
    assert found.worker_keys() == {"worker-1": bytes(range(32))}


def test_an_older_roster_is_refused(roster: Roster) -> None:
    with pytest.raises(SealBrokenError, match="older"):
        verify(sign_roster(roster, KEY), at_least_version=8)


def test_a_roster_of_another_signer_is_refused(roster: Roster) -> None:
    with pytest.raises(SealBrokenError):
        verify(sign_roster(roster, Ed25519PrivateKey.generate()))


def test_an_expired_roster_is_returned_and_flagged(roster: Roster) -> None:
    """Calls must go on being recorded; somebody is alarmed by the flag."""
    late = verify(sign_roster(roster, KEY), now=NOW + 90 * 86_400 * 10**9)

    assert late.expired
    assert not verify(sign_roster(roster, KEY)).expired


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"version": -1},
        {"previous": "abc"},
        {"not_after": "2027"},
        {"taps": [{"name": "t", "public_key": "eA=="}]},
        {"taps": [{"name": "t"}]},
        {"more": 1},
    ],
)
def test_one_that_we_did_not_write_is_refused(
    roster: Roster, change: dict[str, Any]
) -> None:
    with pytest.raises(SealBrokenError):
        Roster.parse(canonical.dumps({**canonical.parse(bytes(roster)), **change}))


def test_a_time_that_no_calendar_has_is_refused(roster: Roster) -> None:
    odd = replace(roster, not_after="2027-02-31T00:00:00Z")

    with pytest.raises(SealBrokenError, match="no time"):
        verify(sign_roster(odd, KEY))


def test_a_key_under_a_false_name_is_refused(roster: Roster) -> None:
    first = roster.recipients[0]
    false = replace(first, recipient=replace(first.recipient, kid="00" * 16))

    with pytest.raises(SealBrokenError, match="false name"):
        Roster.parse(bytes(replace(roster, recipients=(false,))))


def test_a_month_that_is_none_is_refused(roster: Roster) -> None:
    odd = replace(roster.recipients[0], month="2026-13")

    with pytest.raises(SealBrokenError, match="month"):
        Roster.parse(bytes(replace(roster, recipients=(odd,))))


def test_a_signer_named_twice_is_refused(roster: Roster) -> None:
    with pytest.raises(SealBrokenError, match="twice"):
        Roster.parse(bytes(replace(roster, taps=roster.taps * 2)))


@pytest.mark.parametrize(
    ("month", "chosen", "late"),
    [
        ("2026-11", "2026-11", False),
        ("2027-01", "2027-01", False),
        ("2026-12", "2026-11", True),
        ("2029-06", "2027-01", True),
        ("2020-01", "2026-10", True),
    ],
)
def test_a_call_is_wrapped_for_its_month_or_the_nearest(
    roster: Roster, month: str, chosen: str, *, late: bool
) -> None:
    assert [chosen] == [each.label for each in recipients_for(roster, month)]
    assert late == keys_are_late(roster, month)


def test_every_recipient_of_the_month_is_wrapped_for(roster: Roster) -> None:
    recovery = replace(roster.recipients[0], month="2026-11")
    both = replace(roster, recipients=(*roster.recipients, recovery))

    assert len(recipients_for(both, "2026-11")) == 2


def test_a_roster_without_recipients_stops_calls(roster: Roster) -> None:
    with pytest.raises(NoRecipientKeyError):
        recipients_for(replace(roster, recipients=()), "2026-11")


def test_the_next_version_names_this_one_by_digest(roster: Roster) -> None:
    octets = sign_roster(roster, KEY)

    following = replace(roster, version=8, previous=roster_digest(octets))

    assert following.previous == hashlib.sha256(octets).hexdigest()
    assert following == verify(sign_roster(following, KEY), at_least_version=8)
