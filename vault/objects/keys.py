"""Object keys: where one object of one recording lies in the store.

``<recording id>/<kind>/<part or revision>[.cut|.recovered]``, for example
``3f0c…/capture/0001``.  Keys hold a random id and nothing about the call.

Guarantees: an `ObjectKey` never leaves its folder: its alphabet is closed.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from vault.core.errors import InvalidInputError
from vault.core.ids import RecordingId

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*(?:[/.][a-z0-9][a-z0-9-]*){0,15}")


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """A checked key; ``str()`` gives its spelling."""

    text: str

    def __post_init__(self) -> None:
        if len(self.text) > 200 or not _NAME.fullmatch(self.text):  # noqa: PLR2004 - S3 allows 1024; ours are short
            raise InvalidInputError("not an object key")

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, recording_id: RecordingId, object_name: str) -> Self:
        """Return the key of *object_name* (``capture/0001``) of a recording."""
        return cls(f"{recording_id}/{object_name}")
