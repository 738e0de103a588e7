"""Strict reading of our own JSON documents: envelopes, manifests, rosters.

Guarantees: a document is read whole or not at all; canonical spelling, exact
member names and exact types, so that no two documents mean the same thing and
no member is silently ignored.  A document that differs raises
`SealBrokenError`: nobody but us writes these, so a strange one is damage.

Left to others: what the members mean.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final, Self

from vault.core import canonical
from vault.core.canonical import JsonValue
from vault.core.errors import InvalidInputError, NotFoundError, SealBrokenError
from vault.core.ids import RecordingId, parse_recording_id

_MAX_LIST: Final = 100_000
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
    r"(?:\.[0-9]{1,9})?Z"
)


class Members:
    """One JSON object, each member of which is taken exactly once."""

    def __init__(self, members: Mapping[str, JsonValue], *, of: str) -> None:
        """Take the members of one document; *of* names it in errors."""
        self._left = dict(members)
        self._of = of

    @classmethod
    def parse(cls, octets: bytes, *, of: str) -> Self:
        """Read canonical JSON.

        Raises:
            SealBrokenError: Not a canonical JSON object.
        """
        try:
            return cls(canonical.parse(octets), of=of)
        except InvalidInputError:
            raise SealBrokenError(f"the {of} is not canonical JSON") from None

    def version(self, *known: int) -> int:
        """Take ``v`` and refuse any that is not *known*."""
        found = self.count("v")
        if found not in known:
            raise SealBrokenError(f"the {self._of} has an unknown version")
        return found

    def text(self, name: str) -> str:
        """Take a string."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self._wrong(name)
        return value

    def time(self, name: str) -> str:
        """Take an RFC 3339 time in UTC, spelled with ``Z``."""
        value = self.text(name)
        if not _RFC3339.fullmatch(value):
            raise self._wrong(name)
        return value

    def optional_time(self, name: str) -> str | None:
        """Take such a time, or null."""
        if self._left.get(name, "") is None:
            del self._left[name]
            return None
        return self.time(name)

    def flag(self, name: str) -> bool:
        """Take true or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._wrong(name)
        return value

    def count(self, name: str) -> int:
        """Take an integer that is not negative."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(name)
        return value

    def hex_octets(self, name: str, *, size: int) -> bytes:
        """Take *size* octets written as lower-case hexadecimal."""
        value = self.text(name)
        try:
            octets = bytes.fromhex(value)
        except ValueError:
            raise self._wrong(name) from None
        if len(octets) != size or octets.hex() != value:
            raise self._wrong(name)
        return octets

    def base64_octets(self, name: str) -> bytes:
        """Take octets written as padded base64 (RFC 4648, section 4)."""
        value = self.text(name)
        try:
            octets = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise self._wrong(name) from None
        if to_base64(octets) != value:
            raise self._wrong(name)  # stray bits in the last character
        return octets

    def recording_id(self, name: str = "recording_id") -> RecordingId:
        """Take a recording id."""
        try:
            return parse_recording_id(self.text(name))
        except NotFoundError:
            raise self._wrong(name) from None

    def names(self) -> list[str]:
        """Return the names of the members that nobody took yet."""
        return list(self._left)

    def list_of_texts(self, name: str) -> tuple[str, ...]:
        """Take an array of strings."""
        value = self._take(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._wrong(name)
        if len(value) > _MAX_LIST or not all(isinstance(one, str) for one in value):
            raise self._wrong(name)
        return tuple(map(str, value))

    def texts(self, name: str) -> dict[str, str]:
        """Take an object whose members are all strings."""
        inner = self.one(name)
        return {each: inner.text(each) for each in inner.names()}

    def counts(self, name: str) -> dict[str, int]:
        """Take an object whose members are all counts."""
        inner = self.one(name)
        return {each: inner.count(each) for each in inner.names()}

    def one(self, name: str) -> Self:
        """Take an object, to be read and ended by the caller."""
        return self._as_object(self._take(name), name)

    def by_name(self, name: str) -> list[tuple[str, Self]]:
        """Take an object of objects, each to be read and ended by the caller."""
        inner = self.one(name)
        return [(each, inner.one(each)) for each in inner.names()]

    def each(self, name: str) -> list[Self]:
        """Take an array of objects."""
        value = self._take(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._wrong(name)
        if len(value) > _MAX_LIST:
            raise self._wrong(name)
        return [self._as_object(item, name) for item in value]

    def end(self) -> None:
        """Refuse members that nobody took.

        Raises:
            SealBrokenError: There are some: a document of another version.
        """
        if self._left:
            raise SealBrokenError(f"the {self._of} has unknown members")

    def _take(self, name: str) -> JsonValue:
        try:
            return self._left.pop(name)
        except KeyError:
            raise SealBrokenError(f"the {self._of} lacks {name}") from None

    def _as_object(self, value: JsonValue, name: str) -> Self:
        if not isinstance(value, Mapping):
            raise self._wrong(name)
        return type(self)(value, of=self._of)

    def _wrong(self, name: str) -> SealBrokenError:
        return SealBrokenError(f"{name} of the {self._of} is not what it should be")


def to_base64(octets: bytes) -> str:
    """Return *octets* as padded base64 (RFC 4648, section 4)."""
    return base64.b64encode(octets).decode("ascii")
