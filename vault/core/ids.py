"""Identifiers: a type for each, and one strict way to read a UUID.

Guarantees: a `RecordingId` that came through `parse_recording_id` is a
lower-case, hyphenated UUIDv4 and nothing else, so it is safe in a path, a key
and a query.

Spec: RFC 9562, section 5.4.
"""

import re
import uuid
from typing import Final, NewType

from vault.core.errors import NotFoundError

RecordingId = NewType("RecordingId", str)
UserId = NewType("UserId", str)
DeviceId = NewType("DeviceId", str)
WorkgroupId = NewType("WorkgroupId", str)
GrantId = NewType("GrantId", str)
KeyId = NewType("KeyId", str)
ExtensionId = NewType("ExtensionId", str)
AddressRuleId = NewType("AddressRuleId", str)

_UUID4: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)


def new_id() -> str:
    """Return a random UUIDv4: it tells nobody when or where it was made."""
    return str(uuid.uuid4())


def new_recording_id() -> RecordingId:
    """Return a fresh recording id."""
    return RecordingId(new_id())


def parse_recording_id(text: str) -> RecordingId:
    """Read a recording id that came from outside.

    Raises:
        NotFoundError: Not the canonical text of a UUIDv4.  A malformed id and
            an unknown one get the same answer.
    """
    if not _UUID4.fullmatch(text):
        raise NotFoundError("not a recording id")
    return RecordingId(text)


def recording_id_octets(recording_id: RecordingId) -> bytes:
    """Return the 16 raw octets that contexts and key wraps bind."""
    return uuid.UUID(recording_id).bytes
