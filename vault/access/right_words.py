"""Rights as people write them: ``user:ada``, ``workgroup:sales``, ``class:board``.

    to    user:NAME | workgroup:NAME | role:NAME
    over  own | workgroup | workgroup:NAME | class:NAME | all

Guarantees: what is read here names somebody who is there; names are found in any
spelling of theirs.

Left to others: keeping it (`vault.access.rights`).

Spec: docs/reference/permissions.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from vault.access.people import People
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.rights import HolderKind, NewRight, Right
from vault.access.workgroups import Workgroups
from vault.core.clock import NS_PER_S, rfc3339
from vault.core.errors import InvalidInputError
from vault.core.ids import UserId, WorkgroupId


@dataclass(frozen=True, slots=True, kw_only=True)
class RightWords:
    """Reads rights as people write them, and writes them so again."""

    people: People
    workgroups: Workgroups

    def read(
        self,
        *,
        to: str,
        permission: str,
        over: str,
        from_ns: int = 0,
        until_ns: int | None = None,
    ) -> NewRight:
        """Return the right that these words mean.

        Args:
            to: Who shall have it.
            permission: Which, as ``resource:part:verb``.
            over: Over what.
            from_ns: From when; 0: from now on.
            until_ns: Until when; None: until it is revoked.

        Raises:
            InvalidInputError: Words that mean nothing.
            NotFoundError: Nobody and nothing of that name.
        """
        holder_kind, holder = self._holder(to)
        scope_kind, scope_value = self._scope(over)
        if permission not in set(Permission):
            raise InvalidInputError(
                "no such permission: see docs/reference/permissions"
            )
        return NewRight(
            holder_kind=holder_kind,
            holder=holder,
            permission=Permission(permission),
            scope_kind=scope_kind,
            scope_value=scope_value,
            valid_from_ns=from_ns,
            valid_until_ns=until_ns,
        )

    def _holder(self, to: str) -> tuple[HolderKind, str]:
        kind, _, name = to.partition(":")
        if kind == HolderKind.USER and name:
            return HolderKind.USER, self.people.by_name(name).id
        if kind == HolderKind.WORKGROUP and name:
            return HolderKind.WORKGROUP, self.workgroups.by_name(name).id
        if kind == HolderKind.ROLE and name in set(Role):
            return HolderKind.ROLE, name
        raise InvalidInputError("to: user:NAME, workgroup:NAME or role:NAME")

    def _scope(self, over: str) -> tuple[ScopeKind, str]:
        kind, colon, name = over.partition(":")
        if kind == ScopeKind.WORKGROUP and name:
            return ScopeKind.WORKGROUP, self.workgroups.by_name(name).id
        if kind == ScopeKind.CLASS and name:
            return ScopeKind.CLASS, name
        if not colon and over in {ScopeKind.OWN, ScopeKind.WORKGROUP, ScopeKind.ALL}:
            return ScopeKind(over), ""
        raise InvalidInputError("over: own, workgroup, workgroup:NAME, class:NAME, all")


@dataclass(frozen=True, slots=True, kw_only=True)
class RightNames:
    """Names that stand in rights; made once for a list of them."""

    people: Mapping[UserId, str]
    workgroups: Mapping[WorkgroupId, str]

    @classmethod
    def of(cls, people: People, workgroups: Workgroups) -> Self:
        """Return all names there are now."""
        return cls(
            people=people.names(),
            workgroups=workgroups.names(),
        )

    def members(self, right: Right) -> dict[str, object]:
        """Return the JSON members, as API and commands show it."""
        given = right.given
        until = given.valid_until_ns
        return {
            "id": right.id,
            "to": f"{given.holder_kind}:{self._holder(given)}",
            "permission": str(given.permission),
            "over": self._scope(given),
            "from": rfc3339(given.valid_from_ns),
            "until": None if until is None else rfc3339(until),
            "granted": rfc3339(right.created_ns),
            "granted_by": right.granted_by,
            "emergency": given.is_emergency,
        }

    def _holder(self, given: NewRight) -> str:
        match given.holder_kind:
            case HolderKind.USER:
                return self.people.get(UserId(given.holder), given.holder)
            case HolderKind.WORKGROUP:
                return self.workgroups.get(WorkgroupId(given.holder), given.holder)
            case HolderKind.ROLE:
                return given.holder

    def _scope(self, given: NewRight) -> str:
        value = given.scope_value
        if given.scope_kind is ScopeKind.WORKGROUP and value:
            value = self.workgroups.get(WorkgroupId(value), value)
        return f"{given.scope_kind}:{value}" if value else str(given.scope_kind)


def moment_ns(text: str) -> int:
    """Return an RFC 3339 time in nanoseconds since the epoch.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and "T" in text:
            return int(moment.timestamp()) * NS_PER_S + moment.microsecond * 1000
    except (ValueError, OverflowError):
        pass
    raise InvalidInputError("a time is written 2026-11-23T06:16:09Z")
