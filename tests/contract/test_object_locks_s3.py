import secrets
import time
from typing import Any

import pytest

from vault.core.errors import ConflictError
from vault.core.secrets import SecretBytes
from vault.objects.keys import ObjectKey
from vault.objects.locking import LockProof
from vault.objects.s3 import S3Config, S3Store, client
from vault.objects.s3_locks import S3LockingStore

pytestmark = pytest.mark.s3

KEY = ObjectKey("audit/vault/tile/0/000")
# Nobody can delete it before: short, so that nothing waits for it.
LOCK_S = 30


@pytest.fixture
def minio(radosgw: Any) -> Any:
    return client(
        S3Config(
            endpoint=radosgw.endpoint,
            access_key=SecretBytes(radosgw.access_key.encode()),
            secret_key=SecretBytes(radosgw.secret_key.encode()),
            secure=False,
        )
    )


def test_a_real_bucket_with_object_lock_proves_that_it_locks(minio: Any) -> None:
    bucket = f"locks-{secrets.token_hex(4)}"
    store = S3LockingStore(minio, bucket)

    assert LockProof(locks=True) == store.prove_lock()


def test_a_real_bucket_without_it_is_named(minio: Any) -> None:
    bucket = f"plain-{secrets.token_hex(4)}"
    S3Store(minio, bucket).check()

    assert LockProof(locks=False, reason="the bucket has no Object Lock") == (
        S3LockingStore(minio, bucket).prove_lock()
    )


def test_what_is_locked_is_put_once_and_its_lock_grows_only(minio: Any) -> None:
    bucket = f"once-{secrets.token_hex(4)}"
    store, until_s = S3LockingStore(minio, bucket), int(time.time()) + LOCK_S
    store.put_locked(KEY, b"tile", until_s=until_s)
    version = minio.stat_object(bucket, str(KEY)).version_id
    store.put_locked(KEY, b"tile", until_s=until_s + 60)
    store.put_locked(KEY, b"tile", until_s=until_s)
    held = minio.stat_object(bucket, str(KEY), version_id=version).metadata

    with pytest.raises(ConflictError):
        store.put_locked(KEY, b"other", until_s=until_s)
    assert "COMPLIANCE" == held["x-amz-object-lock-mode"]
    stamp = time.gmtime(until_s + 60)
    assert held["x-amz-object-lock-retain-until-date"].startswith(
        time.strftime("%Y-%m-%dT%H:%M:%S", stamp)
    )


def test_what_was_hidden_by_a_delete_marker_is_put_again(minio: Any) -> None:
    bucket = f"hidden-{secrets.token_hex(4)}"
    store, until_s = S3LockingStore(minio, bucket), int(time.time()) + LOCK_S
    store.put_locked(KEY, b"tile", until_s=until_s)
    store.delete(KEY)
    store.put_locked(KEY, b"tile", until_s=until_s)

    assert b"tile" == store.read(KEY)
