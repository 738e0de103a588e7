"""Which groups of a directory mean which roles and workgroups here.

Guarantees:
    * A group that the map does not name means nothing; nobody without a role comes in.
    * A map that names no role, an unknown role, or one group twice is refused at start.
    * Two spellings of one distinguished name are one group; any other name counts
      exactly as it is written.

Left to others: reading groups (`vault.access.ldap`, plug-ins, OIDC), applying what
they mean (`vault.access.provisioning`).

Spec: RFC 4514, section 3
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from vault.access.names import checked_title
from vault.access.permissions import Role
from vault.core.errors import ConfigurationError, InvalidInputError

WORKGROUP_PREFIX: Final = "workgroup:"
MAX_DN: Final = 2048
"Characters."

_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*")
_HEX_PAIR: Final = re.compile(r"[0-9A-Fa-f]{2}")
_ESCAPABLE: Final = frozenset(' "#+,;<=>\\')
_BLANKS: Final = re.compile(" +")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What somebody's groups come to."""

    roles: frozenset[Role] = frozenset()
    workgroups: frozenset[str] = frozenset()
    "Names, as the map spells them."


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMap:
    """What each group means; empty: groups mean nothing, roles are given here."""

    meanings: Mapping[str, Duties]

    @classmethod
    def parse(cls, table: Mapping[str, str]) -> Self:
        """Read group → ``role, role, workgroup:NAME``.

        Raises:
            ConfigurationError: An unknown role, no role or workgroup at all, or one
                group under two spellings.
        """
        meanings: dict[str, Duties] = {}
        for group, meaning in table.items():
            key = group_key(group)
            if not key or key in meanings:
                raise ConfigurationError("group_map: a group is empty or there twice")
            meanings[key] = _duties(meaning)
        return cls(meanings=MappingProxyType(meanings))

    @property
    def knows_workgroups(self) -> bool:
        """Whether groups say in which workgroups people are."""
        return any(one.workgroups for one in self.meanings.values())

    def duties(self, groups: Collection[str]) -> Duties:
        """Return what being in *groups* comes to; perhaps nothing."""
        found = [
            self.meanings[key]
            for key in {group_key(group) for group in groups}
            if key in self.meanings
        ]
        return Duties(
            roles=frozenset(role for one in found for role in one.roles),
            workgroups=frozenset(name for one in found for name in one.workgroups),
        )

    def __bool__(self) -> bool:
        return bool(self.meanings)


def group_key(group: str) -> str:
    """Return what two spellings of one group have in common."""
    try:
        return canonical_dn(group)
    except InvalidInputError:
        return group


def canonical_dn(text: str) -> str:
    """Return a distinguished name in the one spelling that is compared.

    Types in lower case, values folded as directories match them, inner blanks once,
    parts of one RDN in order, every special character as a hexadecimal pair.

    Raises:
        InvalidInputError: Not a distinguished name, or longer than 2,048 characters.
    """
    if not text or len(text) > MAX_DN:
        raise InvalidInputError("not a distinguished name")
    names: list[str] = []
    parts: list[str] = []
    at = 0
    while True:
        part, at = _read_part(text, at)
        parts.append(part)
        end = at == len(text)
        if end or text[at] != "+":
            names.append("+".join(sorted(parts)))
            parts = []
        if end:
            return ",".join(names)
        at += 1


def _read_part(text: str, at: int) -> tuple[str, int]:
    """Read ``type=value`` and return it with where it ends."""
    while text[at : at + 1] == " ":
        at += 1
    kind = _TYPE.match(text, at)
    equals = kind.end() if kind else at
    while text[equals : equals + 1] == " ":
        equals += 1
    if kind is None or text[equals : equals + 1] != "=":
        raise InvalidInputError("not a distinguished name")
    value, at = _read_value(text, equals + 1)
    folded = _BLANKS.sub(" ", unicodedata.normalize("NFKC", value).casefold())
    shown = "".join(
        f"\\{ord(one):02x}" if one in _ESCAPABLE - {" "} else one for one in folded
    )
    return f"{kind.group().lower()}={shown}", at


def _read_value(text: str, at: int) -> tuple[str, int]:
    octets = bytearray()
    kept = 0
    "Octets that blanks at the end may not be taken from: they were escaped."
    while text[at : at + 1] == " ":
        at += 1
    while at < len(text) and text[at] not in ",+;":
        if text[at] in '"<>':
            raise InvalidInputError("a character that must be escaped")
        if text[at] == "\\":
            escaped, at = _read_escape(text, at + 1)
            octets += escaped
            kept = len(octets)
            continue
        octets += text[at].encode("utf-8", "surrogatepass")
        at += 1
    while len(octets) > kept and octets.endswith(b" "):
        octets.pop()
    try:
        return octets.decode("utf-8"), at
    except UnicodeDecodeError:
        raise InvalidInputError("not UTF-8") from None


def _read_escape(text: str, at: int) -> tuple[bytes, int]:
    if text[at : at + 1] in _ESCAPABLE and at < len(text):
        return text[at].encode(), at + 1
    pair = _HEX_PAIR.match(text, at)
    if pair is None:
        raise InvalidInputError("not an escape")
    return bytes.fromhex(pair.group()), pair.end()


def _duties(meaning: str) -> Duties:
    roles: set[Role] = set()
    workgroups: set[str] = set()
    for word in (one.strip() for one in meaning.split(",")):
        if word.startswith(WORKGROUP_PREFIX):
            try:
                workgroups.add(checked_title(word.removeprefix(WORKGROUP_PREFIX)))
            except InvalidInputError as exc:
                raise ConfigurationError(f"group_map: workgroup: {exc}") from None
        elif word in {*Role}:
            roles.add(Role(word))
        else:
            known = ", ".join(Role)
            raise ConfigurationError(
                f"group_map: {word!r} is no role; there are {known}, and workgroup:NAME"
            )
    return Duties(roles=frozenset(roles), workgroups=frozenset(workgroups))
