import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.access.address_rules import AddressRule, checked_rule
from vault.access.credentials import DigestSecrets
from vault.access.devices import DeviceListed
from vault.access.extensions import Extension
from vault.access.workgroups import DEFAULT_WORKGROUP, WorkgroupSnapshot
from vault.core import canonical
from vault.core.clock import NS_PER_S
from vault.core.errors import DatabaseUnavailableError, NoRecipientKeyError
from vault.core.flow import NOTHING_ALLOWED, Allowance, Device
from vault.core.ids import DeviceId, UserId, WorkgroupId
from vault.core.secrets import SecretBytes
from vault.recorder.snapshot import SnapshotKeeper, SnapshotSources
from vault.sealing import xwing
from vault.sealing.envelope import xwing_recipient
from vault.sealing.roster import Roster, RosterRecipient, sign_roster

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
RECIPIENT = xwing_recipient(xwing.public_octets(SecretBytes(bytes(32))), label="m")
DIGEST = hashlib.sha256(b"cvd_token").digest()


@dataclass
class Around:
    folder: Path
    now_ns: int = 1_795_414_569 * NS_PER_S
    down: bool = False
    devices: tuple[DeviceListed, ...] = ()
    extensions: tuple[Extension, ...] = ()
    address_rules: tuple[AddressRule, ...] = ()
    told: list[dict[str, int]] = field(default_factory=list)
    people: WorkgroupSnapshot = field(
        default_factory=lambda: WorkgroupSnapshot(
            workgroups={"sales": WorkgroupId("w")}, agents={"eve": UserId("u")}
        )
    )

    def __post_init__(self) -> None:
        raw = SIGNER.public_key().public_bytes_raw()
        (self.folder / "roster.pub").write_bytes(base64.b64encode(raw) + b"\n")

    def listed(self) -> tuple[DeviceListed, ...]:
        if self.down:
            raise DatabaseUnavailableError("down")
        return self.devices

    def note_uses(self, uses: Mapping[DeviceId, int]) -> None:
        if self.down:
            raise DatabaseUnavailableError("down")
        self.told.append(dict(uses))

    def sign(self, version: int, signer: Ed25519PrivateKey = SIGNER) -> None:
        roster = Roster(
            version=version,
            previous="",
            not_after="2027-01-01T00:00:00Z",
            recipients=(RosterRecipient(month="2026-11", recipient=RECIPIENT),),
        )
        (self.folder / "roster.json").write_bytes(sign_roster(roster, signer))

    def keeper(self) -> SnapshotKeeper:
        return SnapshotKeeper(
            SnapshotSources(
                devices=self.listed,
                people=lambda: self.people,
                extensions=lambda: self.extensions,
                address_rules=lambda: self.address_rules,
                note_uses=self.note_uses,
                roster_path=self.folder / "roster.json",
                roster_key_path=self.folder / "roster.pub",
                keep_path=self.folder / "snapshot.json",
            ),
            clock=lambda: self.now_ns,
        )

    def refreshed(self) -> SnapshotKeeper:
        keeper = self.keeper()
        keeper.refresh()
        return keeper


def device(
    *,
    revoked: bool = False,
    expires_ns: int | None = None,
    advertise: str | None = None,
    allowances: frozenset[Allowance] = NOTHING_ALLOWED,
) -> DeviceListed:
    return DeviceListed(
        device=Device(
            id=DeviceId("d"),
            name="pbx",
            media_advertise=advertise,
            allowances=allowances,
        ),
        token_sha256=DIGEST,
        revoked=revoked,
        expires_ns=expires_ns,
        digest=DigestSecrets(sha256="ab", md5="cd"),
    )


@pytest.fixture
def around(tmp_path: Path) -> Around:
    return Around(tmp_path)


class TestDevices:
    def test_a_token_that_has_ended_is_nobodys_in_either_protocol(
        self, around: Around
    ) -> None:
        around.devices = (device(expires_ns=around.now_ns + NS_PER_S),)
        keeper = around.refreshed()
        before = keeper.identify(DIGEST), keeper.digest_secret("pbx", "SHA-256")
        around.now_ns += NS_PER_S

        assert None not in before
        assert keeper.identify(DIGEST) is None
        assert keeper.digest_secret("pbx", "SHA-256") is None
        # What runs goes on: it is still the same device.
        assert keeper.limits_of(around.devices[0].device) is not None

    def test_the_end_of_a_token_is_in_the_copy_that_a_tap_starts_with(
        self, around: Around
    ) -> None:
        around.devices = (device(expires_ns=around.now_ns + NS_PER_S),)
        around.refreshed()
        around.down = True
        again = around.keeper()
        known = again.identify(DIGEST)
        around.now_ns += NS_PER_S

        assert (around.devices[0].device, None) == (known, again.identify(DIGEST))

    def test_uses_are_told_once_a_minute_and_never_by_who_asks(
        self, around: Around
    ) -> None:
        around.devices = (device(),)
        keeper = around.refreshed()
        keeper.tell_uses()
        first_ns = around.now_ns
        keeper.identify(DIGEST)
        assert [] == around.told
        keeper.tell_uses()
        around.now_ns += 59 * NS_PER_S
        keeper.note_use(around.devices[0].device)
        keeper.tell_uses()
        around.now_ns += NS_PER_S
        keeper.note_use(around.devices[0].device)
        keeper.tell_uses()
        keeper.tell_uses()

        assert [{"d": first_ns}, {"d": around.now_ns}] == around.told

    def test_uses_are_told_again_once_the_database_is_back(
        self, around: Around
    ) -> None:
        around.devices = (device(),)
        keeper = around.refreshed()
        keeper.identify(DIGEST)
        around.down = True
        keeper.tell_uses()
        around.down = False
        keeper.tell_uses()

        assert [{"d": around.now_ns}] == around.told

    def test_a_device_is_known_by_its_digest_until_it_is_revoked(
        self, around: Around
    ) -> None:
        around.devices = (device(),)
        keeper = around.refreshed()
        before = keeper.identify(DIGEST)
        around.devices = (device(revoked=True),)
        keeper.refresh()

        assert device().device == before
        assert keeper.identify(DIGEST) is None
        assert keeper.identify(bytes(32)) is None

    def test_a_tap_that_starts_without_a_database_knows_what_it_knew(
        self, around: Around
    ) -> None:
        around.devices = (device(advertise="192.0.2.1"),)
        around.refreshed()
        around.down = True
        keeper = around.refreshed()

        assert device(advertise="192.0.2.1").device == keeper.identify(DIGEST)
        assert (WorkgroupId("w"), True) == keeper.workgroup("sales")

    def test_what_a_device_may_is_kept_and_taken_away_within_a_look(
        self, around: Around
    ) -> None:
        allowed = device(allowances=frozenset(Allowance))
        around.devices = (allowed,)
        around.refreshed()
        around.down = True
        keeper = around.refreshed()
        kept = keeper.identify(DIGEST)
        around.down = False
        around.devices = (device(),)
        keeper.refresh()

        assert allowed.device == kept
        assert device().device == keeper.identify(DIGEST)

    def test_a_copy_of_an_older_version_allows_nothing(self, around: Around) -> None:
        around.devices = (device(allowances=frozenset(Allowance)),)
        around.refreshed()
        path = around.folder / "snapshot.json"
        members = json.loads(path.read_bytes())
        del members["devices"][0]["allowances"]
        path.write_bytes(canonical.dumps(members))
        around.down = True

        assert device().device == around.refreshed().identify(DIGEST)

    def test_after_72_hours_without_contact_no_device_is_known(
        self, around: Around
    ) -> None:
        around.devices = (device(),)
        keeper = around.refreshed()
        around.down = True
        around.now_ns += 73 * 3600 * NS_PER_S
        keeper.refresh()

        assert keeper.identify(DIGEST) is None

    def test_a_revocation_survives_a_restart(self, around: Around) -> None:
        around.devices = (device(revoked=True),)
        around.refreshed()
        around.down = True

        assert around.refreshed().identify(DIGEST) is None


class TestLookingAgain:
    def test_a_device_that_was_just_added_is_known(self, around: Around) -> None:
        keeper = around.refreshed()
        around.devices = (device(),)

        asyncio.run(keeper.look_again())

        assert device().device == keeper.identify(DIGEST)

    def test_a_look_that_finds_nothing_new_writes_nothing_out(
        self, around: Around, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        around.sign(1)
        around.devices = (device(),)
        keeper = around.refreshed()

        def written(members: object) -> bytes:
            raise AssertionError("a large table would cost a core")

        monkeypatch.setattr(canonical, "dumps", written)
        keeper.refresh()

        assert 0 == keeper.age_s

    def test_a_flood_of_wrong_tokens_reads_the_database_once(
        self, around: Around
    ) -> None:
        keeper = around.refreshed()

        async def flood() -> None:
            await keeper.look_again()
            around.devices = (device(),)
            await asyncio.gather(*(keeper.look_again() for _ in range(50)))

        asyncio.run(flood())

        assert keeper.identify(DIGEST) is None

    def test_a_database_that_is_away_changes_nothing(self, around: Around) -> None:
        around.devices = (device(),)
        keeper = around.refreshed()
        around.down = True

        asyncio.run(keeper.look_again())

        assert device().device == keeper.identify(DIGEST)


class TestPeople:
    def test_an_unknown_workgroup_is_default_and_said_so(self, around: Around) -> None:
        keeper = around.refreshed()

        assert (WorkgroupId("w"), True) == keeper.workgroup(" SALES ")
        assert (DEFAULT_WORKGROUP, False) == keeper.workgroup("nobody")
        assert (DEFAULT_WORKGROUP, True) == keeper.workgroup("")

    def test_an_agent_is_known_by_name(self, around: Around) -> None:
        keeper = around.refreshed()

        assert [UserId("u"), None, None] == [
            keeper.agent(name) for name in ("Eve", "nobody", "")
        ]


class TestRoster:
    def test_recipients_come_from_the_signed_roster(self, around: Around) -> None:
        around.sign(1)
        keeper = around.refreshed()

        assert [RECIPIENT] == keeper.recipients("2026-11")

    def test_past_the_last_month_the_newest_keys_go_on(self, around: Around) -> None:
        around.sign(1)

        assert [RECIPIENT] == around.refreshed().recipients("2027-05")

    def test_without_a_roster_there_is_no_recipient(self, around: Around) -> None:
        with pytest.raises(NoRecipientKeyError):
            around.refreshed().recipients("2026-11")

    @pytest.mark.parametrize(
        "break_it",
        [
            lambda around: around.sign(9, Ed25519PrivateKey.generate()),
            lambda around: around.sign(1),
            lambda around: (around.folder / "roster.json").write_bytes(b"{}"),
            lambda around: (around.folder / "roster.json").unlink(),
        ],
        ids=["foreign", "older", "torn", "gone"],
    )
    def test_a_worse_roster_is_not_taken(
        self, around: Around, break_it: Callable[[Around], None]
    ) -> None:
        around.sign(2)
        keeper = around.refreshed()
        break_it(around)
        keeper.refresh()

        assert keeper.roster is not None
        assert 2 == keeper.roster.version

    def test_an_older_roster_is_not_taken_after_a_restart_either(
        self, around: Around
    ) -> None:
        around.sign(2)
        around.refreshed()
        around.sign(1)

        assert around.refreshed().roster is None


@pytest.mark.parametrize(
    "octets", [b"", b"{}", b"torn", b'{"agents":{},"devices":[1],"v":1}']
)
def test_a_torn_copy_is_as_good_as_none(around: Around, octets: bytes) -> None:
    (around.folder / "snapshot.json").write_bytes(octets)
    around.down = True

    assert around.refreshed().identify(DIGEST) is None


class TestAddressRules:
    def test_they_are_known_to_the_next_tap_while_the_database_is_down(
        self, around: Around
    ) -> None:
        around.address_rules = tuple(
            checked_rule(listener, verdict, prefix, created_ns=1)
            for listener, verdict, prefix in (
                ("forks", "allow", "192.0.2.0/24"),
                ("sip", "deny", "198.51.100.0/24"),
            )
        )
        around.refreshed()
        around.down = True
        next_one = around.refreshed()

        forks, sip = (next_one.address_lists(one) for one in ("forks", "sip"))

        assert [False, True] == [
            forks.admits(one) for one in ("203.0.113.1", "192.0.2.9")
        ]
        assert [True, False] == [
            sip.admits(one) for one in ("192.0.2.9", "198.51.100.9")
        ]

    def test_a_rule_that_was_taken_away_counts_no_more(self, around: Around) -> None:
        rule = checked_rule("forks", "deny", "192.0.2.1", created_ns=1)
        around.address_rules = (rule,)
        keeper = around.refreshed()
        before = keeper.address_lists("forks").admits("192.0.2.1")
        around.address_rules = ()
        keeper.refresh()

        assert (False, True) == (
            before,
            keeper.address_lists("forks").admits("192.0.2.1"),
        )
