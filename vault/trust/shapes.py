"""Shapes: one strict way to take a member out of a message.

Guarantees: a member is taken once, has the type and the alphabet that its
reader asked for, and `Members.done` finds what nobody asked for.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from vault.core.canonical import JsonValue
from vault.core.errors import InvalidInputError

NAME: Final = re.compile(r"[a-z][a-z_]{0,31}")
ID: Final = re.compile(r"[A-Za-z0-9._:-]{0,64}")
SLUG: Final = re.compile(r"[a-z0-9._:/-]{0,64}")
ORIGIN: Final = re.compile(r"[0-9A-Za-z.:%_-]{0,64}")
MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")

MAX_TEXT_CHARS: Final = 4000
"Characters of free text in one member; the seal beside the log holds them."

_Choice = TypeVar("_Choice", bound=StrEnum)


def base64_text(octets: bytes) -> str:
    """Return *octets* in base64 with padding."""
    return base64.b64encode(octets).decode()


class Members:
    """The members of one JSON object, taken one by one."""

    def __init__(self, members: Mapping[str, JsonValue]) -> None:
        self._members = members
        self._taken: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """Return the names of all members, for objects that are maps."""
        return tuple(self._members)

    def done(self) -> None:
        """Check that every member was asked for.

        Raises:
            InvalidInputError: One was not: this is another message than it seems.
        """
        if len(self._taken) != len(self._members):
            raise InvalidInputError("a member that does not belong here")

    def _take(self, name: str) -> JsonValue:
        if name not in self._members:
            raise InvalidInputError(f"member {name[:32]!r} is missing")
        self._taken.add(name)
        return self._members[name]

    def text(self, name: str, shape: re.Pattern[str]) -> str:
        """Take text that matches *shape* as a whole."""
        value = self._take(name)
        if not isinstance(value, str) or shape.fullmatch(value) is None:
            raise _wrong(name)
        return value

    def free_text(self, name: str) -> str:
        """Take text that a person may have typed: any, of 4000 characters."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
            raise _wrong(name)
        return value

    def choice(self, name: str, choices: type[_Choice]) -> _Choice:
        """Take the value of an enumeration."""
        value = self._take(name)
        try:
            return choices(str(value))
        except ValueError:
            raise _wrong(name) from None

    def count(self, name: str) -> int:
        """Take a whole number from 0."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _wrong(name)
        return value

    def flag(self, name: str) -> bool:
        """Take true or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise _wrong(name)
        return value

    def octets(self, name: str, *, most: int, least: int = 0) -> bytes:
        """Take octets, *least* to *most* of them, spelled in base64."""
        value = self._take(name)
        if not isinstance(value, str):
            raise _wrong(name)
        try:
            octets = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise _wrong(name) from None
        if not least <= len(octets) <= most:
            raise _wrong(name)
        return octets

    def members(self, name: str) -> "Members":
        """Take an object."""
        return Members(self.mapping(name))

    def mapping(self, name: str) -> Mapping[str, JsonValue]:
        """Take an object whose names are not known beforehand."""
        value = self._take(name)
        if not isinstance(value, Mapping):
            raise _wrong(name)
        return value

    def _array(self, name: str, *, most: int) -> list[JsonValue]:
        value = self._take(name)
        if not isinstance(value, list) or len(value) > most:
            raise _wrong(name)
        return value

    def items(self, name: str, *, most: int) -> "list[Members]":
        """Take an array of objects, *most* of them at most."""
        found: list[Members] = []
        for item in self._array(name, most=most):
            if not isinstance(item, Mapping):
                raise _wrong(name)
            found.append(Members(item))
        return found

    def texts(self, name: str, shape: re.Pattern[str], *, most: int) -> list[str]:
        """Take an array of text, each matching *shape* as a whole."""
        found: list[str] = []
        for item in self._array(name, most=most):
            if not isinstance(item, str) or shape.fullmatch(item) is None:
                raise _wrong(name)
            found.append(item)
        return found


def _wrong(name: str) -> InvalidInputError:
    # The value stays out of the message: it may be a number or a password.
    return InvalidInputError(f"member {name[:32]!r} has the wrong shape")
