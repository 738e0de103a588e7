import pytest

from tests.simulators import unlocking_s3
from vault.core.errors import StoreUnavailableError
from vault.core.secrets import SecretBytes
from vault.objects.locking import LockProof
from vault.objects.s3 import S3Config, client
from vault.objects.s3_locks import S3LockingStore


def proof_of(lie: str) -> LockProof:
    with unlocking_s3.running(lie) as store:
        config = S3Config(
            endpoint=store.endpoint,
            access_key=SecretBytes(b"key"),
            secret_key=SecretBytes(b"secret"),
            secure=False,
        )
        return S3LockingStore(client(config), "bucket").prove_lock()


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("deletes", "the store deletes what is locked"),
        ("bypasses", "the store deletes what is locked"),
        ("shortens", "the store shortens a lock"),
        ("forgets", "the store forgets what is locked"),
        ("unversioned", "the bucket keeps no versions"),
    ],
)
def test_a_store_that_promises_locks_and_has_none_is_named(
    lie: str, reason: str
) -> None:
    assert LockProof(locks=False, reason=reason) == proof_of(lie)


def test_a_store_that_refuses_all_of_it_is_believed() -> None:
    assert LockProof(locks=True) == proof_of("")


def test_a_store_that_is_busy_has_refused_nothing() -> None:
    with pytest.raises(StoreUnavailableError, match="OperationAborted"):
        proof_of("busy")
