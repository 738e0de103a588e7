"""An object store behind the S3 protocol, through the minio SDK.

Guarantees:
    * `put_once` never relies on conditional PUT, which some stores answer with
      yes and then ignore: it looks first, and afterwards reads back the whole
      object and compares digests.
    * Every call ends: connecting, reading and retrying are bounded, redirects
      are not followed.
    * No error of the driver leaves this module, and no secret enters a message.

Two writers of different content under one key are not kept apart here, as the
protocol cannot promise it; keys are unique per recording and part, and the one
whose content was lost is told, by `ConflictError` when it tries again.

Left to others: Object Lock (`vault.objects.s3_locks`), bucket policies (infra).

Spec: Amazon S3 REST API; tested against a real radosgw.
"""

import hashlib
import io
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    StoreUnavailableError,
)
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStat
from vault.objects.keys import ObjectKey
from vault.objects.pace import Pace

_BLOCK: Final = 256 * 1024
_PART_SIZE: Final = 16 * 1024 * 1024
"Octets sent, and held in memory, at a time."
_SMALLEST_PART: Final = 5 * 1024 * 1024
_OK: Final = 200
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket"})
_ENDPOINT: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]+)?")
_CODE: Final = re.compile(r"[A-Za-z0-9]{1,60}")
_OURS_ALREADY: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """How to reach a store."""

    endpoint: str
    "``host:port``."
    access_key: SecretBytes
    secret_key: SecretBytes
    secure: bool = True
    "TLS, with the system's certificate authorities."
    region: str = "us-east-1"
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 20.0
    "Longest silence of the store while it answers."
    retries: int = 2
    "Repetitions after a lost connection or a 5xx, with growing pauses."


def client(config: S3Config) -> Minio:
    """Return a client that gives up in time; share it between buckets.

    Raises:
        ConfigurationError: *config* names no endpoint.
    """
    if not _ENDPOINT.fullmatch(config.endpoint):
        raise ConfigurationError("an S3 endpoint is host:port")
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(
            connect=config.connect_timeout_s, read=config.read_timeout_s
        ),
        retries=urllib3.Retry(
            total=config.retries,
            # A store that sends us elsewhere would get the signature there.
            redirect=False,
            backoff_factor=0.2,
            status_forcelist=(500, 502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        ),
        maxsize=16,
        ssl_context=ssl.create_default_context() if config.secure else None,
    )
    try:
        return Minio(
            config.endpoint,
            access_key=config.access_key.reveal().decode(),
            secret_key=config.secret_key.reveal().decode(),
            secure=config.secure,
            region=config.region,
            http_client=pool,
        )
    except ValueError:
        raise ConfigurationError("not an S3 endpoint or credential") from None


class S3Store:
    """Implements `vault.objects.interfaces.ObjectStore` on one bucket."""

    def __init__(
        self,
        client: Minio,
        bucket: str,
        *,
        forgets: bool = False,
        locks: bool = False,
        pace: Pace | None = None,
    ) -> None:
        """Use *bucket*, made at the first need where it is missing.

        Args:
            client: See `client`.
            bucket: Its name.
            forgets: Whether what is deleted here must be gone: a bucket that
                keeps versions is refused then.
            locks: Whether a bucket that is made here gets Object Lock.
            pace: Limits what is sent; what is read back is not counted.
        """
        self._pace = pace
        self._client = client
        self._bucket = bucket
        self._forgets = forgets
        self._locks = locks
        self._prepared = False
        self._preparing = threading.Lock()

    def __repr__(self) -> str:
        return f"S3Store({self._bucket!r})"

    def put_once(
        self,
        key: ObjectKey,
        body: BinaryIO,
        *,
        size: int,
        sha256: bytes,
        mend: bool = False,
    ) -> None:
        """See `ObjectStore`; *body* must be seekable."""
        self._prepare()
        # 1. What is announced is what is there: wrong octets stored under a
        #    key that is written once could never be put right.
        start = body.tell()
        if _measured(body, size) != (size, sha256):
            raise IntegrityError(f"{key}: not the {size} octets announced")
        body.seek(start)
        # 2. The key is free, or holds this already.
        try:
            if self.stat(key).size == size and self._digest(key, size) == sha256:
                return
        except NotFoundError:
            pass
        else:
            if not mend:
                raise ConflictError(f"{key} holds other content")
        # 3. Send.
        self._send(key, body, size)
        # 4. Read back: the caller frees its own copy after this.
        self._verify(key, size, sha256)

    def replace(self, key: ObjectKey, octets: bytes) -> None:
        """See `ObjectStore`."""
        self._prepare()
        self._send(key, io.BytesIO(octets), len(octets))
        self._verify(key, len(octets), hashlib.sha256(octets).digest())

    def read(self, key: ObjectKey, span: ByteRange | None = None) -> bytes:
        """See `ObjectStore`."""
        return b"".join(self._blocks(key, span))

    def stat(self, key: ObjectKey) -> ObjectStat:
        """See `ObjectStore`."""
        with self._translated(key):
            found = self._client.stat_object(self._bucket, str(key))
        return ObjectStat(size=found.size or 0)

    def keys(self, prefix: str = "") -> Iterator[ObjectKey]:
        """See `ObjectStore`."""
        try:
            with self._translated(None):
                listed = self._client.list_objects(
                    self._bucket, prefix=prefix or None, recursive=True
                )
                names = [found.object_name or "" for found in listed]
        except NotFoundError:
            return  # no bucket, so no keys
        for name in names:
            try:
                key = ObjectKey(name)
            except InvalidInputError:
                continue  # not one of ours
            yield key

    def delete(self, key: ObjectKey) -> None:
        """See `ObjectStore`."""
        try:
            with self._translated(key):
                self._client.remove_object(self._bucket, str(key))
        except NotFoundError:
            pass

    def check(self) -> None:
        """See `ObjectStore`."""
        self._prepare()
        with self._translated(None):
            if self._client.bucket_exists(self._bucket):
                return
        self._prepared = False
        self._prepare()

    def _prepare(self) -> None:
        """Make the bucket where it is missing; at the first need, not at start.

        A tap must come up while the store is down.
        """
        with self._preparing:
            if self._prepared:
                return
            with self._translated(None):
                if not self._exists():
                    self._make_bucket()
                self._refuse_versions()
            self._prepared = True

    def _exists(self) -> bool:
        try:
            return self._client.bucket_exists(self._bucket)
        except S3Error as error:
            # A writer may be allowed to put and not to look at the bucket.
            if error.code == "AccessDenied":
                return True
            raise

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket, object_lock=self._locks)
        except S3Error as error:
            if error.code not in _OURS_ALREADY:
                raise

    def _refuse_versions(self) -> None:
        if not self._forgets:
            return
        try:
            status = self._client.get_bucket_versioning(self._bucket).status
        except S3Error as error:
            if error.code in {"NotImplemented", "MethodNotAllowed", "AccessDenied"}:
                return
            raise
        if status in {"Enabled", "Suspended"}:
            raise ConfigurationError(
                f"bucket {self._bucket} keeps versions: what is erased would stay"
            )

    def _send(self, key: ObjectKey, body: BinaryIO, size: int) -> None:
        part_size = _PART_SIZE
        if self._pace is not None:
            # A part is collected and then sent at once: the smallest there is.
            body, part_size = self._pace.read_through(body), _SMALLEST_PART
        try:
            with self._translated(key):
                self._client.put_object(
                    self._bucket,
                    str(key),
                    body,
                    size,
                    part_size=part_size,
                    num_parallel_uploads=1,
                )
        except NotFoundError:
            self._prepared = False  # somebody removed the bucket: make it anew
            raise StoreUnavailableError(f"no bucket {self._bucket}") from None

    def _verify(self, key: ObjectKey, size: int, sha256: bytes) -> None:
        try:
            same = self._digest(key, size) == sha256
        except NotFoundError:
            raise StoreUnavailableError(f"{key} was accepted and is gone") from None
        if not same:
            # Altered on the way back, or overwritten meanwhile?  The next try
            # looks again, and finds out.
            raise StoreUnavailableError(f"{key} reads back differently")

    def _digest(self, key: ObjectKey, size: int) -> bytes:
        digest = hashlib.sha256()
        # One octet more is asked for, so that a longer object differs.
        for block in self._blocks(key, ByteRange(start=0, stop=size + 1)):
            digest.update(block)
        return digest.digest()

    def _blocks(self, key: ObjectKey, span: ByteRange | None) -> Iterator[bytes]:
        start, count = (span.start, len(span)) if span else (0, 0)
        with self._translated(key):
            try:
                response = self._client.get_object(
                    self._bucket, str(key), offset=start, length=count
                )
            except S3Error as error:
                if error.code == "InvalidRange":
                    return  # all of the span lies beyond the end
                raise
            try:
                yield from _body(response, skip=start, count=count if span else None)
            finally:
                response.close()
                response.release_conn()

    @contextmanager
    def _translated(self, key: ObjectKey | None) -> Iterator[None]:
        what = f"{self._bucket}/{key}" if key else self._bucket
        try:
            yield
        except S3Error as error:
            if error.code in _MISSING:
                raise NotFoundError(f"no object {key}") from None
            # The code is the store's own word; it goes into logs.
            code = error.code if _CODE.fullmatch(error.code or "") else "refused"
            raise StoreUnavailableError(f"{what}: {code}") from None
        except (
            MinioException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            # Names only: messages of the driver quote answers of the store.
            raise StoreUnavailableError(f"{what}: {type(error).__name__}") from None


def _body(
    response: urllib3.BaseHTTPResponse, *, skip: int, count: int | None
) -> Iterator[bytes]:
    """Yield *count* octets, or all, of an answer that may ignore the range."""
    if not {"content-length", "transfer-encoding"} & {
        name.lower() for name in response.headers
    }:
        # Without either, a cut connection looks like the end of the object.
        raise StoreUnavailableError("an answer without a length")
    if response.status != _OK:
        skip = 0
    left = count
    while left is None or left > 0:
        block = response.read(_BLOCK, decode_content=False)
        if not block:
            return
        if skip:
            dropped = min(skip, len(block))
            block, skip = block[dropped:], skip - dropped
        if left is not None:
            block = block[:left]
            left -= len(block)
        if block:
            yield block


def _measured(body: BinaryIO, size: int) -> tuple[int, bytes]:
    digest = hashlib.sha256()
    total = 0
    while total <= size and (block := body.read(min(_BLOCK, size + 1 - total))):
        digest.update(block)
        total += len(block)
    return total, digest.digest()
