"""The header fields of a message as a table: ordered, named without case.

Guarantees:
    * Values hold no CR and no LF, so none of them can end its line when written.
    * Nothing is thrown away or changed but compact names, which are expanded, the
      case of well-known names, and white space around values.
    * No value is in a ``repr`` or an error.

Left to others: what values mean (`vault.sip.headers`), the message around them
(`vault.sip.messages`, which is where others import this from).

Spec: RFC 3261, sections 7.3 and 20; RFC 3841, 3892, 3515, 4028, 4474 and 6665 for
compact names.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import TOKEN
from vault.sip.uris import LWS, split_list

_COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
# Known by heart, because looking at every letter of every name costs more.
_COMMON: Final = (
    "Accept",
    "Allow",
    "Authorization",
    "CSeq",
    "Content-Disposition",
    "Date",
    "Expires",
    "Max-Forwards",
    "Min-SE",
    "P-Asserted-Identity",
    "Record-Route",
    "Require",
    "Route",
    "Timestamp",
    "User-Agent",
)


def _name(name: str) -> tuple[str, str]:
    """Return a header's name as it is spelled, and as it is compared."""
    expanded = _COMPACT.get(name.lower(), name) if len(name) == 1 else name
    return expanded, expanded.lower()


_NAMES: Final = {
    spelling: _name(name)
    for name in (*_COMPACT, *_COMPACT.values(), *_COMMON)
    for spelling in (name, name.lower(), name.upper())
}


class Headers:
    """The headers of a message, in order.  Immutable; names compare without case."""

    __slots__ = ("_index", "_rows")

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        """Take (name, value) rows; compact names are expanded.

        Raises:
            ValueError: A name that is no token, or a value with CR or LF.
        """
        kept: list[tuple[str, str]] = []
        index: dict[str, list[str]] = {}
        for name, value in rows:
            known = _NAMES.get(name)
            if known is None and not TOKEN.fullmatch(name):
                raise ValueError("not the name of a header")
            if "\r" in value or "\n" in value:
                raise ValueError("a header's value must not end its line")
            spelled, key = known or _name(name)
            value = value.strip(LWS)  # noqa: PLW2901 - the one that is kept
            kept.append((spelled, value))
            index.setdefault(key, []).append(value)
        self._rows = tuple(kept)
        self._index = index

    @classmethod
    def read(cls, lines: Iterable[str]) -> "tuple[Headers, str]":
        """Read unfolded lines; return them and the first thing that is wrong.

        Lines that are no headers are left out.  "" means that nothing is wrong.
        """
        kept: list[tuple[str, str]] = []
        index: dict[str, list[str]] = {}
        fault = ""
        for line in lines:
            name, colon, value = line.partition(":")
            name = name.rstrip(LWS)
            known = _NAMES.get(name)
            if not colon or "\r" in line or not (known or TOKEN.fullmatch(name)):
                fault = fault or "a line that is no header"
                continue
            spelled, key = known or _name(name)
            value = value.strip(LWS)
            kept.append((spelled, value))
            index.setdefault(key, []).append(value)
        made = cls()
        made._rows, made._index = tuple(kept), index
        return made, fault

    def get(self, name: str) -> str | None:
        """Return the first value of *name*, raw; None where it is absent."""
        found = self._index.get(name.lower())
        return found[0] if found else None

    def all(self, name: str) -> tuple[str, ...]:
        """Return every row of *name*, raw."""
        return tuple(self._index.get(name.lower(), ()))

    def values(self, name: str) -> tuple[str, ...]:
        """Return every element of the list *name*, split at its commas.

        Empty elements are left out.
        """
        rows = self._index.get(name.lower(), ())
        return tuple(piece for row in rows for piece in split_list(row) if piece)

    def one(self, name: str) -> str:
        """Return the value of a header that is there exactly once.

        Raises:
            MalformedSignallingError: It is absent, or there twice: which one another
                hop believed cannot be known.
        """
        found = self._index.get(name.lower(), ())
        if len(found) != 1:
            raise MalformedSignallingError(f"{len(found)} headers where one is due")
        return found[0]

    def with_(self, name: str, value: str) -> "Headers":
        """Return a copy with one more row at the end."""
        return Headers((*self._rows, (name, value)))

    def without(self, name: str) -> "Headers":
        """Return a copy that lacks every row of *name*."""
        wanted = name.lower()
        return Headers(row for row in self._rows if row[0].lower() != wanted)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._index

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(name.lower(), value) for name, value in self._rows] == [
            (name.lower(), value) for name, value in other._rows
        ]

    def __hash__(self) -> int:
        return hash(tuple((name.lower(), value) for name, value in self._rows))

    def __repr__(self) -> str:
        return f"Headers({len(self._rows)} rows)"


NO_HEADERS: Final = Headers()
