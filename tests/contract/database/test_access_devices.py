import pytest
from sqlalchemy import Engine, delete, select, update

from vault.access.credentials import digest_secrets
from vault.access.devices import DeviceChange, Devices
from vault.access.tables import DEVICE, DEVICE_DIGEST
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from vault.core.flow import NOTHING_ALLOWED, Allowance, Device
from vault.core.ids import DeviceId
from vault.database.engine import reading, transaction

EVERYTHING = frozenset(Allowance)


@pytest.fixture
def devices(catalog_engine: Engine) -> Devices:
    return Devices(catalog_engine)


def test_the_token_finds_the_device_in_a_snapshot(devices: Devices) -> None:
    first = devices.add("sbc-1", media_advertise="203.0.113.7")
    devices.add("sbc-2")
    snapshot = devices.snapshot()

    assert first.token.startswith("cvd_")
    assert first.device == snapshot.by_token(first.token)
    assert snapshot.by_token(first.token[:-1]) is None
    assert snapshot.by_token("\ud800\0") is None


def test_a_revoked_device_stays_in_the_snapshot_and_its_token_opens_nothing(
    devices: Devices,
) -> None:
    added = devices.add("sbc-1")

    assert added.device == devices.revoke("SBC-1")
    assert added.device == devices.revoke(added.device.id)
    snapshot = devices.snapshot()
    assert [True] == [listed.revoked for listed in snapshot.devices]
    assert snapshot.by_token(added.token) is None


def test_the_database_does_not_hold_the_token(
    devices: Devices, catalog_engine: Engine
) -> None:
    added = devices.add("sbc-1")
    with reading(catalog_engine) as connection:
        row = connection.execute(select(DEVICE)).one()

    assert added.token not in repr(tuple(row))
    assert added.token not in repr(added)


def test_a_name_is_given_once(devices: Devices) -> None:
    devices.add("sbc-1")
    devices.revoke("sbc-1")

    with pytest.raises(ConflictError):
        devices.add("SBC-1")


def test_a_device_that_the_trail_was_not_told_of_is_none(devices: Devices) -> None:
    told: list[Device] = []

    def away(device: Device) -> None:
        told.append(device)
        raise AuditUnavailableError("away")

    with pytest.raises(AuditUnavailableError):
        devices.add("sbc-1", tell=away)

    assert ["sbc-1"] == [one.name for one in told]
    assert () == devices.list()
    assert "sbc-1" == devices.add("sbc-1").device.name


@pytest.mark.parametrize("name", ["nothing", "", "\0", "\ud800"])
def test_an_unknown_device_is_not_found(devices: Devices, name: str) -> None:
    with pytest.raises(NotFoundError):
        devices.revoke(name)
    with pytest.raises(NotFoundError):
        devices.allow(name, EVERYTHING)


def test_a_device_may_do_nothing_unsafe_unless_it_was_said(devices: Devices) -> None:
    first = devices.add("sbc-1")
    second = devices.add("sbc-2", allowances=EVERYTHING)

    assert NOTHING_ALLOWED == first.device.allowances
    assert [NOTHING_ALLOWED, EVERYTHING] == [
        listed.device.allowances for listed in devices.list()
    ]
    assert second.device == devices.snapshot().by_token(second.token)


def test_what_is_allowed_is_set_and_not_added_to(devices: Devices) -> None:
    added = devices.add("sbc-1", media_advertise="203.0.113.7")
    plain = frozenset({Allowance.PLAIN_RTP})
    short = frozenset({Allowance.SHORT_TAG})
    steps = [devices.allow(name, what) for name, what in [
        ("SBC-1", plain), (added.device.id, short), ("sbc-1", short),
        ("sbc-1", NOTHING_ALLOWED),
    ]]  # fmt: skip

    assert [NOTHING_ALLOWED, plain, short, short] == [one.before for one in steps]
    assert added.device == steps[-1].device
    assert added.device == devices.snapshot().by_token(added.token)


def test_what_is_new_is_not_given_before_the_trail_knows(devices: Devices) -> None:
    short = frozenset({Allowance.SHORT_TAG})
    devices.add("sbc-1", allowances=short)

    kept = devices.allow("sbc-1", EVERYTHING, grants=False)
    taken = devices.allow("sbc-1", NOTHING_ALLOWED, grants=False)

    assert (short, short) == (kept.before, kept.device.allowances)
    assert (short, NOTHING_ALLOWED) == (taken.before, taken.device.allowances)


def test_an_allowance_of_a_newer_version_allows_nothing_here(
    devices: Devices, catalog_engine: Engine
) -> None:
    devices.add("sbc-1", allowances=EVERYTHING)
    with transaction(catalog_engine) as connection:
        connection.execute(update(DEVICE).values(allowances="plain-rtp telepathy"))
    (listed,) = devices.list()

    assert frozenset({Allowance.PLAIN_RTP}) == listed.device.allowances


@pytest.mark.parametrize("address", ["", "example.org", "1.2.3", "::1%lo\r\na=x"])
def test_an_address_that_is_none_is_refused(devices: Devices, address: str) -> None:
    with pytest.raises(InvalidInputError):
        devices.add("sbc", media_advertise=address)


class TestSip:
    def test_only_a_tap_is_told_what_answers_are_checked_with(
        self, devices: Devices
    ) -> None:
        added = devices.add("sbc-1")
        digest = digest_secrets("sbc-1", added.token)

        assert [digest] == [one.digest for one in devices.for_taps()]
        assert [None] == [one.digest for one in devices.list()]
        assert digest.sha256 not in repr(devices.for_taps())

    def test_a_device_of_before_sip_has_no_password_until_it_is_renewed(
        self, devices: Devices, catalog_engine: Engine
    ) -> None:
        added = devices.add("sbc-1")
        with transaction(catalog_engine) as connection:
            connection.execute(delete(DEVICE_DIGEST))
        before = devices.for_taps()
        renewed = devices.renew("SBC-1")
        (after,) = devices.for_taps()

        assert [None] == [one.digest for one in before]
        assert digest_secrets("sbc-1", renewed.token) == after.digest
        assert added.device == renewed.device == after.device
        assert devices.snapshot().by_token(added.token) is None
        assert added.device == devices.snapshot().by_token(renewed.token)

    def test_a_revoked_device_keeps_no_password_and_gets_none(
        self, devices: Devices
    ) -> None:
        devices.add("sbc-1")
        devices.revoke("sbc-1")

        assert [(True, None)] == [
            (one.revoked, one.digest) for one in devices.for_taps()
        ]
        with pytest.raises(ConflictError):
            devices.renew("sbc-1")
        with pytest.raises(NotFoundError):
            devices.renew("nothing")

    def test_what_a_device_is_held_to_is_kept(self, devices: Devices) -> None:
        change = DeviceChange(
            addresses=("192.0.2.0/24", "2001:db8::/32"),
            media_addresses=("198.51.100.7",),
            certificates=("ab" * 32, "cd" * 32),
            max_calls=200,
            allowances=frozenset({Allowance.SIP_BY_ADDRESS}),
        )
        added = devices.add("sbc-1", change)
        (listed,) = devices.list()

        assert added.device == listed.device
        assert ("192.0.2.0/24", "2001:db8::/32") == listed.device.addresses
        assert ("198.51.100.7/32",) == listed.device.media_addresses
        assert ("ab" * 32, "cd" * 32) == listed.certificates
        assert 200 == listed.device.max_calls

    def test_a_change_says_what_was_and_what_is(self, devices: Devices) -> None:
        before = devices.add("sbc-1").device
        change = DeviceChange(addresses=("192.0.2.7",), max_calls=5)
        seen = devices.preview("sbc-1", change)
        untouched = devices.list()[0].device
        between = devices.change("sbc-1", change, grants=False)
        done = devices.change("sbc-1", change)

        assert before == seen.before.device == untouched == between.before.device
        assert seen.after == between.after == done.after == devices.list()[0]
        assert ("192.0.2.7/32",) == done.after.device.addresses

    def test_a_certificate_is_one_living_device_s(self, devices: Devices) -> None:
        pinned = DeviceChange(certificates=("ab" * 32,))
        devices.add("sbc-1", pinned)
        devices.add("sbc-2")
        with pytest.raises(ConflictError):
            devices.add("sbc-3", pinned)
        with pytest.raises(ConflictError):
            devices.change("sbc-2", pinned)
        devices.change("sbc-1", pinned)
        devices.revoke("sbc-1")

        assert ("ab" * 32,) == devices.change("sbc-2", pinned).after.certificates

    @pytest.mark.parametrize("name", ["nothing", "", "\0", "\ud800"])
    def test_nobody_is_not_changed(self, devices: Devices, name: str) -> None:
        with pytest.raises(NotFoundError):
            devices.change(name, DeviceChange(max_calls=1))
        with pytest.raises(NotFoundError):
            devices.preview(name, DeviceChange())


def test_a_token_may_have_an_end_and_a_new_one_has_its_own(
    catalog_engine: Engine,
) -> None:
    devices = Devices(catalog_engine, clock=lambda: 1_000)
    devices.add("sbc-1", ttl_s=60)
    first = devices.list()[0].expires_ns
    devices.renew("sbc-1", ttl_s=120)
    second = devices.list()[0].expires_ns
    devices.renew("sbc-1")

    assert (60_000_001_000, 120_000_001_000, None) == (
        first,
        second,
        devices.list()[0].expires_ns,
    )
    with pytest.raises(InvalidInputError):
        devices.add("sbc-2", ttl_s=0)


def test_the_last_use_is_listed_and_not_in_what_taps_compare(devices: Devices) -> None:
    added = devices.add("sbc-1")
    devices.note_uses({added.device.id: 7_000, DeviceId("gone"): 8_000})

    assert [7_000] == [one.used_ns for one in devices.list()]
    assert [None] == [one.used_ns for one in devices.for_taps()]
