"""Object Lock of a bucket, and the proof that it is one.

Guarantees: `prove_lock` says yes only after the store has refused, on an object of
its own, to delete it, to delete it past governance, and to shorten its lock, and
holds it unchanged afterwards.  A store that is too busy to answer has refused nothing.
No error of the driver leaves this module.

Left to others: credentials.  A store says ``AccessDenied`` for a lock and for a policy
alike, so one whose policy denies deletion proves no more than that it says so
(docs/howto/anchor-the-trail).

Spec: Amazon S3 Object Lock; tested against a real radosgw and a store that lies.
"""

import io
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.retention import Retention

from vault.core.errors import ConflictError, NotFoundError, StoreUnavailableError
from vault.objects.keys import ObjectKey
from vault.objects.locking import PROBES, LockProof, put_small
from vault.objects.s3 import S3Store

_PROBE: Final = b"Callvault looks whether this store really locks.\n"
_PROBE_S: Final = 90
_SHORTER_S: Final = 5
_TOLERANCE_S: Final = 2
_MOST_OLD_PROBES: Final = 20
_MODE: Final = "x-amz-object-lock-mode"
_UNTIL: Final = "x-amz-object-lock-retain-until-date"
_NO_LOCK: Final = frozenset(
    {
        *("InvalidRequest", "InvalidArgument", "NotImplemented", "MethodNotAllowed"),
        *("ObjectLockConfigurationNotFoundError", "InvalidBucketState"),
        "NoSuchObjectLockConfiguration",
    }
)
"How stores say that a bucket has no Object Lock."
_REFUSED: Final = frozenset(
    {
        *("AccessDenied", "AllAccessDisabled", "MethodNotAllowed", "ObjectLocked"),
        *("InvalidRequest", "InvalidArgument", "InvalidObjectState"),
    }
)
"How stores say that a lock stands against what was asked."


class S3LockingStore(S3Store):
    """Implements `vault.objects.locking.LockingStore` on one bucket."""

    def __init__(self, client: Minio, bucket: str) -> None:
        """Use *bucket*; where it is missing it is made with Object Lock."""
        super().__init__(client, bucket, locks=True)

    def prove_lock(self) -> LockProof:
        """See `LockingStore`."""
        self._prepare()
        key = ObjectKey(f"{PROBES}{secrets.token_hex(8)}")
        until_s = int(time.time()) + _PROBE_S
        # 1. An object under a lock; its version is what the lock is on.
        try:
            version = self._put_probe(key, until_s)
        except S3Error as error:
            if error.code in _NO_LOCK:
                return LockProof(locks=False, reason="the bucket has no Object Lock")
            with self._translated(key):
                raise
        if not version:
            return LockProof(locks=False, reason="the bucket keeps no versions")
        # 2. What must not work.
        attempts: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("deletes what is locked", lambda: self._deletes(key, version)),
            ("shortens a lock", lambda: self._shortens(key, version)),
        )
        for what, worked in attempts:
            with self._translated(key):
                if worked():
                    return LockProof(locks=False, reason=f"the store {what}")
        # 3. It is still there, under the lock it was put under.
        if not self._stands(key, version, until_s):
            return LockProof(locks=False, reason="the store forgets what is locked")
        with suppress(StoreUnavailableError):
            # Who may not list has probes left; the proof is as good.
            self._sweep_probes(except_for=key)
        return LockProof(locks=True)

    def put_locked(self, key: ObjectKey, octets: bytes, *, until_s: int) -> None:
        """See `LockingStore`."""
        self._prepare()
        try:
            held = self.read(key)
        except NotFoundError:
            self._put_with(key, octets, until_s)
            return
        if held != octets:
            raise ConflictError(f"{key} holds other content")
        self._prolong(key, octets, until_s)

    def _put_with(self, key: ObjectKey, octets: bytes, until_s: int) -> None:
        with self._translated(key):
            self._client.put_object(
                self._bucket,
                str(key),
                io.BytesIO(octets),
                len(octets),
                retention=_until(until_s),
            )
        # Reads it back, and compares.
        put_small(self, key, octets)

    def _prolong(self, key: ObjectKey, octets: bytes, until_s: int) -> None:
        if self._locked_until(key) + _TOLERANCE_S >= until_s:
            return
        try:
            with self._translated(key):
                self._client.set_object_retention(
                    self._bucket, str(key), _until(until_s)
                )
        except NotFoundError:
            # Deleted meanwhile: another version is as good.
            self._put_with(key, octets, until_s)

    def _locked_until(self, key: ObjectKey, version: str | None = None) -> int:
        """Return until when *key* is locked, in s since the epoch; 0: it is not.

        Raises:
            NotFoundError: No such object.
            StoreUnavailableError: Safe to retry.
        """
        with self._translated(key):
            found = self._client.stat_object(self._bucket, str(key), version_id=version)
        # From the headers: the driver does not read the dates of every store.
        said = {name.lower(): text for name, text in (found.metadata or {}).items()}
        if said.get(_MODE) != COMPLIANCE:
            return 0
        try:
            return int(datetime.fromisoformat(str(said.get(_UNTIL))).timestamp())
        except ValueError:
            return 0

    def _put_probe(self, key: ObjectKey, until_s: int) -> str:
        made = self._client.put_object(
            self._bucket,
            str(key),
            io.BytesIO(_PROBE),
            len(_PROBE),
            retention=_until(until_s),
        )
        return made.version_id or ""

    def _deletes(self, key: ObjectKey, version: str) -> bool:
        try:
            self._client.remove_object(self._bucket, str(key), version_id=version)
        except S3Error as error:
            _require_refusal(error)
        else:
            return True
        doomed = [DeleteObject(str(key), version)]
        refused = self._client.remove_objects(
            self._bucket, doomed, bypass_governance_mode=True
        )
        try:
            answers = list(refused)
        except S3Error as error:
            _require_refusal(error)
            return False
        for answer in answers:
            if answer.code not in _REFUSED:
                raise StoreUnavailableError(f"{self._bucket}: a deletion failed")
        return not answers

    def _shortens(self, key: ObjectKey, version: str) -> bool:
        shorter = _until(int(time.time()) + _SHORTER_S)
        try:
            self._client.set_object_retention(
                self._bucket, str(key), shorter, version_id=version
            )
        except S3Error as error:
            _require_refusal(error)
            return False
        return True

    def _stands(self, key: ObjectKey, version: str, until_s: int) -> bool:
        try:
            return self._locked_until(key, version) + _TOLERANCE_S >= until_s
        except NotFoundError:
            return False

    def _sweep_probes(self, *, except_for: ObjectKey) -> None:
        """Remove probes of earlier starts, as far as their locks have ended."""
        with self._translated(None):
            found = self._client.list_objects(
                self._bucket, prefix=PROBES, recursive=True, include_version=True
            )
            for number, one in enumerate(found):
                if number >= _MOST_OLD_PROBES:
                    break
                if one.object_name in {None, str(except_for)}:
                    continue
                try:
                    self._client.remove_object(
                        self._bucket, str(one.object_name), version_id=one.version_id
                    )
                except S3Error:
                    continue  # still locked


def _require_refusal(error: S3Error) -> None:
    """Raise *error* again unless it says that the store will not."""
    if error.code not in _REFUSED:
        raise error


def _until(until_s: int) -> Retention:
    return Retention(COMPLIANCE, datetime.fromtimestamp(until_s, UTC))
