"""What a directory's entry says of a person: read strictly, and never guessed.

Guarantees:
    * A flag that says "shut", in any spelling that any server uses, shuts; a flag that
      can't be read shuts, too.
    * What is put into a filter or a name can't change its shape.

Left to others: asking (`vault.access.ldap`), what follows (`vault.access.directory`).

Spec: RFC 4514, section 2.4; RFC 4515, section 3; RFC 4517, section 3.3; MS-ADTS,
section 2.2.16; draft-behera-ldap-password-policy
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vault.core.errors import InvalidInputError

Attributes = Mapping[str, Sequence[bytes]]
"By name in lower case."

STATE_ATTRIBUTES: Final = (
    "userAccountControl",
    "accountExpires",
    "nsAccountLock",
    "loginDisabled",
    "pwdAccountLockedTime",
)
"What is read of an entry beside name, id and groups."

OBJECT_GUID: Final = "objectguid"

_AD_DISABLED: Final = 0x2
_AD_NEVER: Final = frozenset({0, 0x7FFF_FFFF_FFFF_FFFF})
_FILETIME_TO_EPOCH_NS: Final = 11_644_473_600 * 10**9
_FILETIME_UNIT_NS: Final = 100
_MAX_DIGITS: Final = 20
_MAX_ID: Final = 255
_FILTER_SPECIAL: Final = frozenset("\0()*\\")
_DN_SPECIAL: Final = frozenset('"+,;<=>\\')


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, as it was read."""

    dn: str
    attributes: Attributes

    def values(self, name: str) -> Sequence[bytes]:
        """Return the values of an attribute, however its name is spelled."""
        return self.attributes.get(name.lower(), ())

    def text(self, name: str) -> str:
        """Return the only value of an attribute, as text.

        Raises:
            InvalidInputError: None, several, or not UTF-8.
        """
        values = self.values(name)
        if len(values) != 1:
            raise InvalidInputError(f"{len(values)} values of {name}")
        try:
            return values[0].decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInputError(f"{name} is no text") from None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of an attribute that are text."""
        return tuple(one.decode("utf-8", "replace") for one in self.values(name) if one)


def shut(entry: Entry, *, now_ns: int) -> str:
    """Return why nobody may come in by this entry; empty if they may.

    Args:
        entry: With `STATE_ATTRIBUTES`, as far as it has them.
        now_ns: The time, in nanoseconds since the epoch.
    """
    control = entry.values("userAccountControl")
    if control and (len(control) != 1 or _number(control[0]) & _AD_DISABLED):
        return "disabled"
    for flag in ("nsAccountLock", "loginDisabled"):
        if any(not _is_false(value) for value in entry.values(flag)):
            return "disabled"
    if entry.values("pwdAccountLockedTime"):
        return "locked"
    for value in entry.values("accountExpires"):
        ends = _number(value)
        if ends not in _AD_NEVER and _filetime_ns(ends) <= now_ns:
            return "expired"
    return ""


def stable_id(entry: Entry, attribute: str) -> str:
    """Return what never changes about an entry.

    Raises:
        InvalidInputError: It has none, or not exactly one that can be one.
    """
    if attribute.lower() == OBJECT_GUID:
        values = entry.values(attribute)
        if len(values) != 1 or len(values[0]) != len(uuid.NAMESPACE_DNS.bytes):
            raise InvalidInputError(f"no sound {attribute}")
        return str(uuid.UUID(bytes_le=values[0]))
    text = entry.text(attribute)
    if not 1 <= len(text) <= _MAX_ID or not text.isprintable():
        raise InvalidInputError(f"no sound {attribute}")
    return text


def id_filter(attribute: str, external_id: str) -> str:
    """Return the filter that finds the entry with a stable id.

    Raises:
        InvalidInputError: It can't be an id of that kind.
    """
    if attribute.lower() != OBJECT_GUID:
        return f"({attribute}={filter_escaped(external_id)})"
    try:
        octets = uuid.UUID(external_id).bytes_le
    except ValueError:
        raise InvalidInputError("not a GUID") from None
    return f"({attribute}=" + "".join(f"\\{one:02x}" for one in octets) + ")"


def filter_escaped(text: str) -> str:
    """Return *text* as a value in a filter: RFC 4515, section 3."""
    return "".join(
        f"\\{ord(one):02x}" if one in _FILTER_SPECIAL else one for one in text
    )


def dn_escaped(text: str) -> str:
    """Return *text* as a value in a distinguished name: RFC 4514, section 2.4."""
    escaped = "".join(
        "\\00" if one == "\0" else f"\\{one}" if one in _DN_SPECIAL else one
        for one in text
    )
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and text != " ":
        escaped = escaped[:-1] + "\\ "
    return escaped


def _is_false(value: bytes) -> bool:
    # "FALSE" is false.  What is neither is not: an account is shut by what can't be
    # read, and never opened by it.
    return value.strip().lower() in {b"false", b"0", b"no"}


def _number(value: bytes) -> int:
    """Return an integer; of what is none, the one that shuts."""
    text = value.strip()
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return _AD_DISABLED
    return int(text)


def _filetime_ns(ticks: int) -> int:
    return ticks * _FILETIME_UNIT_NS - _FILETIME_TO_EPOCH_NS
