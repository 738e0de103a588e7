import pytest
from sqlalchemy import Engine, select

from vault.access.devices import Devices
from vault.access.tables import DEVICE
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.database.engine import reading


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


@pytest.mark.parametrize("address", ["", "example.org", "1.2.3", "::1%lo\r\na=x"])
def test_an_address_that_is_none_is_refused(devices: Devices, address: str) -> None:
    with pytest.raises(InvalidInputError):
        devices.add("sbc", media_advertise=address)
