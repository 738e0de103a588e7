"""What the S3 adapter does while the store, or the wire to it, misbehaves."""

import hashlib
import io
import uuid
from typing import Any

import pytest

from vault.core.errors import (
    ConflictError,
    StoreUnavailableError,
    VaultError,
)
from vault.core.ids import new_recording_id
from vault.core.secrets import SecretBytes
from vault.objects.keys import ObjectKey
from vault.objects.s3 import S3Config, S3Store, client

pytestmark = pytest.mark.s3

OCTETS = b"sealed octets " * 1000


@pytest.fixture
def key() -> ObjectKey:
    return ObjectKey.of(new_recording_id(), "capture/0001")


@pytest.fixture
def bucket(radosgw: Any) -> str:
    name = f"vault-{uuid.uuid4().hex[:12]}"
    # A young gateway makes pools for its first buckets; that takes seconds.
    connect(radosgw, radosgw.endpoint, name, patience_s=60.0).check()
    return name


def connect(
    gateway: Any, endpoint: str, bucket: str, patience_s: float = 2.0
) -> S3Store:
    config = S3Config(
        endpoint=endpoint,
        access_key=SecretBytes(gateway.access_key.encode()),
        secret_key=SecretBytes(gateway.secret_key.encode()),
        secure=False,
        connect_timeout_s=0.5,
        read_timeout_s=patience_s,
        retries=1,
    )
    return S3Store(client(config), bucket)


def put(store: S3Store, key: ObjectKey) -> None:
    digest = hashlib.sha256(OCTETS).digest()
    store.put_once(key, io.BytesIO(OCTETS), size=len(OCTETS), sha256=digest)


def test_a_store_that_is_down_is_unavailable_and_later_serves(
    radosgw: Any, bucket: str, key: ObjectKey
) -> None:
    store = connect(radosgw, radosgw.endpoint, bucket)
    store.check()

    radosgw.stop_gateway()
    try:
        for call in (
            lambda: put(store, key),
            lambda: store.read(key),
            lambda: store.stat(key),
            lambda: store.replace(key, b"x"),
            lambda: store.delete(key),
            lambda: list(store.keys()),
            store.check,
        ):
            with pytest.raises(StoreUnavailableError):
                call()
    finally:
        radosgw.start_gateway()
    put(store, key)

    assert store.read(key) == OCTETS


@pytest.mark.parametrize("fault", ["SILENT", "CUT", "REDIRECT"])
def test_a_wire_that_breaks_is_unavailable_and_the_put_can_be_repeated(
    radosgw: Any, s3_faults: Any, bucket: str, key: ObjectKey, fault: str
) -> None:
    store = connect(radosgw, s3_faults.endpoint, bucket)
    store.check()

    s3_faults.fault = s3_faults.Fault[fault]
    with pytest.raises(StoreUnavailableError):
        put(store, key)
    s3_faults.fault = s3_faults.Fault.NONE
    put(store, key)

    assert connect(radosgw, radosgw.endpoint, bucket).read(key) == OCTETS


def test_octets_that_come_back_altered_are_never_taken_for_stored(
    radosgw: Any, s3_faults: Any, bucket: str, key: ObjectKey
) -> None:
    """The store said yes to the put; only reading back tells."""
    store = connect(radosgw, s3_faults.endpoint, bucket)
    store.check()

    s3_faults.fault = s3_faults.Fault.FLIP
    with pytest.raises(StoreUnavailableError, match="reads back differently"):
        put(store, key)
    with pytest.raises(ConflictError):
        put(store, key)
    s3_faults.fault = s3_faults.Fault.NONE
    put(store, key)

    assert store.read(key) == OCTETS


def test_no_credential_leaves_in_clear_or_enters_a_message(
    radosgw: Any, s3_faults: Any, bucket: str, key: ObjectKey
) -> None:
    store = connect(radosgw, s3_faults.endpoint, bucket)

    s3_faults.fault = s3_faults.Fault.CUT
    with pytest.raises(VaultError) as caught:
        put(store, key)

    assert radosgw.secret_key not in repr(caught.value)
    assert s3_faults.requests
    assert not any(
        radosgw.secret_key.encode() in request for request in s3_faults.requests
    )


def test_a_name_that_does_not_resolve_is_unavailable(
    radosgw: Any, bucket: str, key: ObjectKey
) -> None:
    store = connect(radosgw, "store.invalid:9000", bucket)

    with pytest.raises(StoreUnavailableError):
        store.check()
