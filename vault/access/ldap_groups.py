"""Which groups of a directory somebody is in, groups in groups included.

Guarantees: a circle of groups ends the walk and not the sign-in; who is in more than
1,000 groups is not let in, because a part of them would not be the truth.

Left to others: what groups mean (`vault.access.group_map`).

Spec: RFC 4519, sections 2.17 and 2.40 (``member``, ``uniqueMember``)
"""

from typing import Final

from vault.access.authenticators import MAX_GROUPS
from vault.access.group_map import group_key
from vault.access.ldap import LdapConnection
from vault.access.ldap_entries import Entry, filter_escaped
from vault.core.errors import NotAuthenticatedError

MAX_DEPTH: Final = 10
"Groups in groups; what is further up does not count."

_ANY: Final = "(objectClass=*)"


class GroupWalk:
    """Finds groups over one connection; remembers what it found for the next person."""

    def __init__(self, one: LdapConnection, *, base: str, nested: bool) -> None:
        """Take a connection.

        Args:
            one: Bound as who may read groups.
            base: Below which groups name their members; empty: entries name their
                groups (``memberOf``).
            nested: Whether groups of groups count.
        """
        self._one = one
        self._base = base
        self._nested = nested
        self._parents: dict[str, tuple[str, ...]] = {}

    def of(self, entry: Entry) -> frozenset[str]:
        """Return the groups of *entry*.

        Raises:
            NotAuthenticatedError: Too many to be told apart from a mistake.
            UnavailableError: The directory can't tell.
        """
        found: dict[str, str] = {}
        frontier = (*entry.texts("memberOf"), *self._holders(entry.dn))
        for _ in range(MAX_DEPTH):
            fresh = {group_key(dn): dn for dn in frontier if group_key(dn) not in found}
            found |= fresh
            if len(found) > MAX_GROUPS:
                raise NotAuthenticatedError("in too many groups")
            if not fresh or not self._nested:
                break
            frontier = tuple(
                above for key, dn in fresh.items() for above in self._above(key, dn)
            )
        return frozenset(found.values())

    def _above(self, key: str, dn: str) -> tuple[str, ...]:
        if key not in self._parents:
            self._parents[key] = self._holders(dn) if self._base else self._named(dn)
        return self._parents[key]

    def _named(self, dn: str) -> tuple[str, ...]:
        """Return the groups that a group itself names."""
        read = self._one.search(dn, _ANY, ("memberOf",), most=1, only_base=True)
        return read[0].texts("memberOf") if len(read) == 1 else ()

    def _holders(self, dn: str) -> tuple[str, ...]:
        """Return the groups that name *dn* as a member."""
        if not self._base:
            return ()
        member = filter_escaped(dn)
        found = self._one.search(
            self._base,
            f"(|(member={member})(uniqueMember={member}))",
            (),
            most=MAX_GROUPS,
        )
        if len(found) > MAX_GROUPS:
            raise NotAuthenticatedError("in too many groups")
        return tuple(group.dn for group in found)
