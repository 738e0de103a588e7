"""One contract, two stores: a folder and a real S3 server (radosgw)."""

import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    StoreUnavailableError,
)
from vault.core.ids import new_recording_id
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.objects.open import Stores, open_stores
from vault.objects.s3 import S3Config, S3Store, client
from vault.objects.source import StoreSource

MANY = 17 * 1024 * 1024 + 5
"More than one part of a multipart upload."


def _s3(gateway: Any, bucket: str, secret: str | None = None) -> Stores:
    return open_stores(
        gateway.url(bucket),
        access_key=SecretBytes(gateway.access_key.encode()),
        secret_key=SecretBytes((secret or gateway.secret_key).encode()),
    )


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    if request.param == "directory":
        yield open_stores(f"file:{tmp_path}/objects")
    else:
        gateway = request.getfixturevalue("radosgw")
        yield _s3(gateway, f"vault-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def store(stores: Stores) -> ObjectStore:
    return stores.media


@pytest.fixture
def key() -> ObjectKey:
    return ObjectKey.of(new_recording_id(), "capture/0001")


def _put(store: ObjectStore, key: ObjectKey, octets: bytes) -> None:
    store.put_once(
        key,
        io.BytesIO(octets),
        size=len(octets),
        sha256=hashlib.sha256(octets).digest(),
    )


class TestPutOnce:
    @pytest.mark.parametrize("size", [0, 1, 16384, 300_000])
    def test_what_was_put_is_read(
        self, store: ObjectStore, key: ObjectKey, size: int
    ) -> None:
        octets = os.urandom(size)

        _put(store, key, octets)

        assert octets == store.read(key)
        assert size == store.stat(key).size

    def test_an_object_of_several_parts_arrives_whole(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        octets = os.urandom(MANY)

        _put(store, key, octets)

        assert hashlib.sha256(octets).digest() == (
            hashlib.sha256(store.read(key)).digest()
        )

    def test_putting_the_same_again_changes_nothing(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        _put(store, key, b"sealed")

        _put(store, key, b"sealed")

        assert store.read(key) == b"sealed"

    @pytest.mark.parametrize("other", [b"SEALED", b"longer than it", b""])
    def test_other_content_under_the_key_is_a_conflict_and_is_kept(
        self, store: ObjectStore, key: ObjectKey, other: bytes
    ) -> None:
        _put(store, key, other)

        with pytest.raises(ConflictError):
            _put(store, key, b"sealed")

        assert other == store.read(key)

    def test_a_body_that_is_not_what_was_announced_is_not_stored(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        digest = hashlib.sha256(b"sealed").digest()

        for body in (b"SEALED", b"seale", b"sealed+"):
            with pytest.raises(IntegrityError):
                store.put_once(key, io.BytesIO(body), size=6, sha256=digest)

        with pytest.raises(NotFoundError):
            store.stat(key)

    def test_a_body_is_taken_from_where_it_stands(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        body = io.BytesIO(b"-----sealed")
        body.seek(5)

        store.put_once(key, body, size=6, sha256=hashlib.sha256(b"sealed").digest())

        assert store.read(key) == b"sealed"


class TestRead:
    def test_a_span_is_cut_at_the_end_and_empty_beyond_it(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        _put(store, key, b"0123456789")

        def span(start: int, stop: int) -> bytes:
            return store.read(key, ByteRange(start=start, stop=stop))

        assert span(0, 1) == b"0"
        assert span(3, 7) == b"3456"
        assert span(8, 99) == b"89"
        assert span(10, 11) == b""
        assert span(99, 100) == b""

    def test_a_span_of_an_empty_object_is_empty(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        _put(store, key, b"")

        assert store.read(key, ByteRange(start=0, stop=5)) == b""

    def test_a_missing_object_is_not_found(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        store.check()

        with pytest.raises(NotFoundError):
            store.read(key)
        with pytest.raises(NotFoundError):
            store.read(key, ByteRange(start=0, stop=1))
        with pytest.raises(NotFoundError):
            store.stat(key)

    def test_before_the_first_put_nothing_is_there_and_nothing_fails(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        with pytest.raises(NotFoundError):
            store.read(key)

        assert list(store.keys()) == []
        store.delete(key)

    def test_a_source_reads_spans_and_knows_the_size(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        _put(store, key, b"0123456789")

        source = StoreSource(store, key)

        assert source.size == 10
        assert source.read(2, 5) == b"234"
        assert source.read(8, 20) == b"89"
        assert source.read(3, 3) == b""


class TestReplace:
    def test_the_newest_content_is_read(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        store.replace(key, b"one")
        store.replace(key, b"second")

        assert store.read(key) == b"second"


class TestKeys:
    def test_keys_come_in_order_and_by_prefix(self, store: ObjectStore) -> None:
        names = ["a/b/2", "a/b.cut", "a/b/1", "b/1", "a-c/1"]
        for name in names:
            _put(store, ObjectKey(name), b"x")

        def listed(prefix: str) -> list[str]:
            return [str(key) for key in store.keys(prefix)]

        assert sorted(names) == listed("")
        assert listed("a/b") == ["a/b.cut", "a/b/1", "a/b/2"]
        assert listed("a/b/") == ["a/b/1", "a/b/2"]
        assert listed("a/b/1") == ["a/b/1"]
        assert listed("c") == []


class TestDelete:
    def test_a_deleted_object_is_gone_and_deleting_again_is_fine(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        _put(store, key, b"sealed")

        store.delete(key)
        store.delete(key)

        with pytest.raises(NotFoundError):
            store.read(key)
        assert list(store.keys()) == []

    def test_a_key_can_be_used_again_after_it_was_deleted(
        self, store: ObjectStore, key: ObjectKey
    ) -> None:
        _put(store, key, b"sealed")
        store.delete(key)

        _put(store, key, b"again")

        assert store.read(key) == b"again"


class TestStores:
    def test_the_three_stores_do_not_see_each_other(
        self, stores: Stores, key: ObjectKey
    ) -> None:
        stores.envelopes.replace(key, b"envelope")

        with pytest.raises(NotFoundError):
            stores.media.stat(key)
        with pytest.raises(NotFoundError):
            stores.trail.stat(key)

    def test_a_store_that_answers_passes_its_check(self, stores: Stores) -> None:
        stores.media.check()
        stores.envelopes.check()
        stores.trail.check()


@pytest.mark.s3
class TestS3Only:
    def test_a_wrong_secret_is_unavailable_and_shows_no_secret(
        self, radosgw: Any, key: ObjectKey
    ) -> None:
        store = _s3(radosgw, "vault-wrong", secret="not-the-secret-at-all").media

        with pytest.raises(StoreUnavailableError) as caught:
            _put(store, key, b"sealed")

        assert "not-the-secret" not in repr(caught.value) + repr(store)

    def test_a_bucket_with_versions_is_refused_for_envelopes(
        self, radosgw: Any, key: ObjectKey
    ) -> None:
        """A deleted envelope that lives on as a version would undo a shredding."""
        from minio.commonconfig import ENABLED  # noqa: PLC0415 - only here
        from minio.versioningconfig import VersioningConfig  # noqa: PLC0415 - as above

        bucket = f"vault-{uuid.uuid4().hex[:12]}"
        raw = _client(radosgw)
        raw.make_bucket(f"{bucket}-envelopes")
        raw.set_bucket_versioning(f"{bucket}-envelopes", VersioningConfig(ENABLED))

        with pytest.raises(ConfigurationError, match="keeps versions"):
            _s3(radosgw, bucket).envelopes.replace(key, b"envelope")

    def test_a_bucket_that_vanished_is_unavailable_and_then_made_anew(
        self, radosgw: Any, key: ObjectKey
    ) -> None:
        bucket = f"vault-{uuid.uuid4().hex[:12]}"
        raw = _client(radosgw)
        store = S3Store(raw, bucket)
        store.check()
        raw.remove_bucket(bucket)

        with pytest.raises(StoreUnavailableError):
            _put(store, key, b"sealed")
        _put(store, key, b"sealed")

        assert store.read(key) == b"sealed"


def _client(gateway: Any) -> Any:
    return client(
        S3Config(
            endpoint=gateway.endpoint,
            access_key=SecretBytes(gateway.access_key.encode()),
            secret_key=SecretBytes(gateway.secret_key.encode()),
            secure=False,
        )
    )
