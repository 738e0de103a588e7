"""Chunked AEAD, the writing half: the octet layout of one sealed object.

C2SP ``chunked-encryption@v1`` with SHA-512 and AES-256-GCM ("Cobblestone-256").
Chunks are 16 KiB, except the last, which is always shorter and may be empty:

    octet 0      24           56            16456                 end
          | salt | commitment | chunk 0     | chunk 1  ...  | last |

Each sealed chunk is ciphertext followed by a 16-octet tag.  A context binds an
object to its recording and its name, so that no object can stand in for another:

    octet 0              12   13             29
          | callvault/v1 | 00 | recording id | object name (ASCII)

Changing any of this takes a new label in place of ``callvault/v1`` and a new
suite name in the envelope.

Guarantees:
    * Nothing here opens anything: rooms that take media in import this module
      and not the reader.
    * Every seal has a fresh salt, so one data key serves all objects of a call.

Left to others: opening (`vault.sealing.reader`), where keys come from
(`vault.sealing.envelope`), where octets rest (`vault.objects`, `vault.spool`).
A stream MUST NOT be continued after its process died or forked: nonces count.

Spec: https://c2sp.org/chunked-encryption; docs/reference/formats/sealed-object.md
"""

import re
from typing import Final

from cryptography.cobblestone import Cobblestone256Encryptor

from vault.core.errors import RecordingTruncatedError
from vault.core.ids import RecordingId, recording_id_octets
from vault.core.secrets import SecretBytes

LABEL: Final = b"callvault/v1"
CHUNK_SIZE: Final = 16 * 1024
TAG_SIZE: Final = 16
SEALED_CHUNK_SIZE: Final = CHUNK_SIZE + TAG_SIZE
SALT_SIZE: Final = 24
COMMITMENT_SIZE: Final = 32
HEADER_SIZE: Final = SALT_SIZE + COMMITMENT_SIZE
MAX_CHUNKS: Final = 2**38

_OBJECT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*(?:[/.][a-z0-9][a-z0-9-]*){0,5}")


def context(recording_id: RecordingId, object_name: str) -> bytes:
    """Return what binds an object to its recording and its name.

    Args:
        recording_id: The recording it belongs to.
        object_name: Kind with part or revision, without any ``.cut``:
            ``capture/0001``, ``session/0001``, ``rendition/0002``.

    Raises:
        ValueError: Not an object name, which is a bug of the caller.
    """
    if not _OBJECT_NAME.fullmatch(object_name):
        raise ValueError("not an object name")
    octets = recording_id_octets(recording_id)
    return LABEL + b"\x00" + octets + object_name.encode("ascii")


def encryptor(key: SecretBytes, context: bytes) -> Cobblestone256Encryptor:
    """Return a sealer for one object; its ``update`` and ``finalize`` return octets.

    The first ``update`` also returns the header.  A chunk comes out as soon as
    it is full; only `finalize` makes the object one that a reader accepts.
    """
    return Cobblestone256Encryptor(key.reveal(), context)


def seal(plaintext: bytes, *, key: SecretBytes, context: bytes) -> bytes:
    """Return *plaintext* as one sealed object; for what fits in memory."""
    sealer = encryptor(key, context)
    return sealer.update(plaintext) + sealer.finalize()


def sealed_size(plain_size: int) -> int:
    """Return the octets that *plain_size* octets take once sealed."""
    return HEADER_SIZE + plain_size + TAG_SIZE * (plain_size // CHUNK_SIZE + 1)


def chunk_count(sealed_size: int) -> int:
    """Return how many chunks a finished object of *sealed_size* octets has.

    Raises:
        RecordingTruncatedError: No finished object has that size: its last
            chunk, or the tag of that chunk, is missing.
    """
    whole, rest = divmod(sealed_size - HEADER_SIZE, SEALED_CHUNK_SIZE)
    if whole < 0 or rest < TAG_SIZE:
        raise RecordingTruncatedError(
            f"{sealed_size} octets end before the last chunk does"
        )
    if whole >= MAX_CHUNKS:
        raise RecordingTruncatedError(f"{sealed_size} octets exceed the format")
    return whole + 1


def plain_size(sealed_size: int) -> int:
    """Return the octets of plaintext in a finished object of *sealed_size*.

    Raises:
        RecordingTruncatedError: As `chunk_count`.
    """
    return sealed_size - HEADER_SIZE - TAG_SIZE * chunk_count(sealed_size)


def whole_chunks(sealed_size: int) -> int:
    """Return the full-size chunks in an unfinished file of *sealed_size* octets."""
    return max(0, sealed_size - HEADER_SIZE) // SEALED_CHUNK_SIZE


def commitment_of(header: bytes) -> bytes:
    """Return the key commitment out of an object's first 56 octets.

    Raises:
        RecordingTruncatedError: Not even the header is there.
    """
    if len(header) < HEADER_SIZE:
        raise RecordingTruncatedError("the header is not complete")
    return header[SALT_SIZE:HEADER_SIZE]
