import pytest
from sqlalchemy import Engine, select, update

from vault.access.devices import Devices
from vault.access.tables import DEVICE
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.flow import NOTHING_ALLOWED, Allowance
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
