"""From a URL to the three stores of an installation.

``file:/path`` is a folder with one folder for each; ``s3://host:port/bucket``
is a bucket, ``bucket-envelopes`` and ``bucket-trail``, with ``?region=…`` and
``?secure=false`` as options.  Credentials never are part of the URL.

Guarantees: nothing is contacted here, so a process starts while the store is
down; a URL that says something unknown is refused.

Left to others: where the URL comes from (`vault.config`).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from vault.core.errors import ConfigurationError
from vault.core.secrets import SecretBytes
from vault.objects.directory import DirectoryStore
from vault.objects.interfaces import ObjectStore
from vault.objects.locking import FolderThatNeverLocks, LockingStore
from vault.objects.pace import Pace

_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,50})[a-z0-9]")
_YES_NO: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where an installation keeps its octets, apart by who may delete what."""

    media: ObjectStore
    "Sealed objects and manifests; may be versioned and locked."
    envelopes: ObjectStore
    "Copies of envelopes; neither versioned nor locked, or erasure would lie."
    trail: LockingStore
    "Tiles and checkpoints of the audit log; lock it where the store can."


def open_stores(
    url: str,
    *,
    access_key: SecretBytes | None = None,
    secret_key: SecretBytes | None = None,
    bytes_per_s: int = 0,
) -> Stores:
    """Return the stores that *url* names.

    Args:
        url: ``file:/path`` or ``s3://host:port/bucket?region=…&secure=…``.
        access_key: For ``s3``: the key's id.
        secret_key: For ``s3``: the key.
        bytes_per_s: For ``s3``: most octets per second to send; 0 for no limit.

    Raises:
        ConfigurationError: Not such a URL, or credentials are missing.
        StoreUnavailableError: The folder cannot be made.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("the object store's URL is none") from None
    if parts.scheme == "file":
        return _folders(parts)
    if parts.scheme == "s3":
        if access_key is None or secret_key is None:
            raise ConfigurationError("an s3 store needs an access key and a secret key")
        pace = Pace(bytes_per_s) if bytes_per_s else None
        return _buckets(parts, access_key, secret_key, pace)
    raise ConfigurationError("an object store's URL begins with file: or s3:")


def _folders(parts: SplitResult) -> Stores:
    if parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise ConfigurationError("a folder's URL is file:/path, absolute")
    folder = Path(unquote(parts.path))
    return Stores(
        media=DirectoryStore(folder / "media"),
        envelopes=DirectoryStore(folder / "envelopes"),
        trail=FolderThatNeverLocks(folder / "trail"),
    )


def _buckets(
    parts: SplitResult,
    access_key: SecretBytes,
    secret_key: SecretBytes,
    pace: Pace | None,
) -> Stores:
    if "@" in parts.netloc:
        raise ConfigurationError("an s3 URL holds no credentials")
    bucket = parts.path.removeprefix("/")
    if parts.fragment or not _BUCKET.fullmatch(bucket):
        raise ConfigurationError("an s3 URL is s3://host:port/bucket")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - {"region", "secure"}
    secure = _YES_NO.get(options.get("secure", "true"))
    if unknown or secure is None:
        raise ConfigurationError("an s3 URL takes region=… and secure=true|false")
    # Loaded here: an installation on one machine needs no S3 driver.
    from vault.objects.s3 import S3Config, S3Store, client  # noqa: PLC0415
    from vault.objects.s3_locks import S3LockingStore  # noqa: PLC0415

    shared = client(
        S3Config(
            endpoint=parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=options.get("region", "us-east-1"),
        )
    )
    return Stores(
        media=S3Store(shared, bucket, pace=pace),
        envelopes=S3Store(shared, f"{bucket}-envelopes", forgets=True),
        trail=S3LockingStore(shared, f"{bucket}-trail"),
    )
