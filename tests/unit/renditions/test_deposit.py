import pytest

from tests.simulators.calls import START_NS, Vault
from vault.core.errors import NotFoundError, SealBrokenError
from vault.core.ids import RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.objects.keys import ObjectKey
from vault.renditions.deposit import AddendumKey, Deposit
from vault.sealing.chunks import context
from vault.sealing.manifest import verify_addendum
from vault.sealing.reader import open_sealed

KEY = SecretBytes(bytes(range(32)))


@pytest.fixture
def id() -> RecordingId:
    return new_recording_id()


def deposit(vault: Vault, id: RecordingId) -> Deposit:
    return Deposit(
        vault.store,
        id,
        key=KEY,
        signer=AddendumKey(name="worker-1", private=vault.worker_key),
        clock=lambda: START_NS,
    )


def put(into: Deposit, kind: str = "rendition", octets: bytes = b"audio") -> str:
    made = into.put(kind, octets, media_type="audio/flac", sources={})
    return made.object.name


def test_what_is_stored_is_sealed_under_its_own_name(
    vault: Vault, id: RecordingId
) -> None:
    name = put(deposit(vault, id))
    sealed = vault.store.read(ObjectKey.of(id, name))

    assert open_sealed(sealed, key=KEY, context=context(id, name)) == b"audio"
    assert b"audio" not in sealed


def test_each_object_has_an_addendum_of_its_own(vault: Vault, id: RecordingId) -> None:
    into = deposit(vault, id)
    names = [put(into), put(into, "peaks")]
    keys = {"worker-1": vault.worker_key.public_key().public_bytes_raw()}

    signed = [
        verify_addendum(vault.store.read(ObjectKey.of(id, each.addendum.name)), keys)
        for each in into.made
    ]

    assert names == [each.object.name for each in signed]
    assert ["addendum/0001", "addendum/0002"] == [
        each.addendum.name for each in into.made
    ]


def test_a_name_that_a_dead_attempt_left_is_not_used_again(
    vault: Vault, id: RecordingId
) -> None:
    assert [put(deposit(vault, id)) for _ in range(3)] == [
        f"rendition/{n:04d}" for n in (1, 2, 3)
    ]


def test_discarding_removes_objects_and_addenda(vault: Vault, id: RecordingId) -> None:
    into = deposit(vault, id)
    name = put(into)

    into.discard()

    assert into.made == []
    assert list(vault.store.keys(f"{id}/")) == []
    with pytest.raises(NotFoundError):
        vault.store.read(ObjectKey.of(id, name))


class TestRecovered:
    def test_is_taken_over_when_it_holds_the_same(
        self, vault: Vault, id: RecordingId
    ) -> None:
        first, second = (
            deposit(vault, id).put_recovered("capture/0001", b"rescued", sources={})
            for _ in range(2)
        )

        assert first.object == second.object

    def test_is_damage_when_it_holds_anything_else(
        self, vault: Vault, id: RecordingId
    ) -> None:
        deposit(vault, id).put_recovered("capture/0001", b"rescued", sources={})

        with pytest.raises(SealBrokenError):
            deposit(vault, id).put_recovered("capture/0001", b"forged", sources={})
