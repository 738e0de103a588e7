"""The changes of policy: rights, classes, and the tree of workgroups.

Left to others: what a change is (`vault.access.changes`), the tables' own rules
(`vault.access.rights`, `vault.access.classes`, `vault.access.workgroups`).
"""

from dataclasses import dataclass
from typing import Self

from vault.access.changes import Change, Done, Making, Members, TextChange
from vault.access.classes import Demands, RecordingClass, put_class, remove_class
from vault.access.permissions import Permission, ScopeKind
from vault.access.rights import HolderKind, NewRight, Right, add_right, remove_right
from vault.access.workgroups import Workgroup, ensure_workgroup, set_workgroup
from vault.audit.entry import Action, Detail
from vault.core.clock import rfc3339
from vault.core.errors import ConflictError
from vault.core.ids import WorkgroupId

_YES, _NO = "yes", "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveRight(Change[Right]):
    """Give somebody a right beside their roles."""

    kind = "right.give"

    new: NewRight

    def members(self) -> Members:
        """See `Change.members`."""
        new = self.new
        kept = {
            "holder_kind": str(new.holder_kind),
            "holder": new.holder,
            "permission": str(new.permission),
            "scope_kind": str(new.scope_kind),
            "scope_value": new.scope_value,
            "from_ns": str(new.valid_from_ns),
        }
        if new.valid_until_ns is not None:
            kept["until_ns"] = str(new.valid_until_ns)
        return kept

    @classmethod
    def parse(cls, members: Members) -> Self:
        """See `Change.parse`."""
        until = members.get("until_ns")
        return cls(
            new=NewRight(
                holder_kind=HolderKind(members["holder_kind"]),
                holder=members["holder"],
                permission=Permission(members["permission"]),
                scope_kind=ScopeKind(members["scope_kind"]),
                scope_value=members["scope_value"],
                valid_from_ns=int(members["from_ns"]),
                valid_until_ns=None if until is None else int(until),
            )
        )

    def apply(self, making: Making) -> Done[Right]:
        """See `Change.apply`."""
        made = add_right(making.connection, self.new, making.by, now_ns=making.now_ns)
        return Done(
            value=made,
            action=Action.ACCESS_RIGHT_GIVEN,
            detail=_of_right(made),
            text={"after": str(made.given)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeRight(TextChange[Right]):
    """Take a right away."""

    kind = "right.revoke"

    right_id: str

    def apply(self, making: Making) -> Done[Right]:
        """See `Change.apply`."""
        was = remove_right(making.connection, self.right_id)
        return Done(
            value=was,
            action=Action.ACCESS_RIGHT_REVOKED,
            detail=_of_right(was),
            text={"before": str(was.given)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PutClass(Change[RecordingClass]):
    """Make a class, or change what it asks for."""

    kind = "class.put"

    new: RecordingClass

    def members(self) -> Members:
        """See `Change.members`."""
        return {
            "name": self.new.name,
            "reason": _YES if self.new.demands.reason else _NO,
            "approval": _YES if self.new.demands.approval else _NO,
        }

    @classmethod
    def parse(cls, members: Members) -> Self:
        """See `Change.parse`."""
        demands = Demands(
            reason=members["reason"] == _YES, approval=members["approval"] == _YES
        )
        return cls(new=RecordingClass(name=members["name"], demands=demands))

    def apply(self, making: Making) -> Done[RecordingClass]:
        """See `Change.apply`."""
        before, after = put_class(making.connection, self.new)
        return Done(
            value=after,
            action=Action.ACCESS_CLASS_SET,
            detail={"class": after.name},
            text={"after": str(after)}
            | ({} if before is None else {"before": str(before)}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveClass(TextChange[RecordingClass]):
    """Take a class away that nothing names any more."""

    kind = "class.remove"

    name: str

    def apply(self, making: Making) -> Done[RecordingClass]:
        """See `Change.apply`."""
        was = remove_class(making.connection, self.name)
        return Done(
            value=was,
            action=Action.ACCESS_CLASS_REMOVED,
            detail={"class": was.name},
            text={"before": str(was)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AddWorkgroup(TextChange[Workgroup]):
    """Make a workgroup."""

    kind = "workgroup.add"

    name: str
    parent_id: str = ""
    "Empty: below none."
    class_name: str = ""

    def apply(self, making: Making) -> Done[Workgroup]:
        """See `Change.apply`."""
        group, is_new = ensure_workgroup(making.connection, self.name)
        if not is_new:
            raise ConflictError("there is a workgroup of that name already")
        _, made = set_workgroup(
            making.connection,
            group.id,
            parent_id=self.parent_id,
            class_name=self.class_name,
        )
        return Done(
            value=made,
            action=Action.ACCESS_WORKGROUP_ADDED,
            detail={"workgroup": made.id},
            text={"after": str(made)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWorkgroup(TextChange[Workgroup]):
    """Move a workgroup in the tree, or say of which class its calls are."""

    kind = "workgroup.set"

    workgroup_id: WorkgroupId
    name: str | None = None
    "None: as it is."
    parent_id: str | None = None
    "Empty: below none; None: as it is."
    class_name: str | None = None
    "Empty: no class; None: as it is."

    def apply(self, making: Making) -> Done[Workgroup]:
        """See `Change.apply`."""
        before, after = set_workgroup(
            making.connection,
            self.workgroup_id,
            name=self.name,
            parent_id=self.parent_id,
            class_name=self.class_name,
        )
        return Done(
            value=after,
            action=Action.ACCESS_WORKGROUP_CHANGED,
            detail={"workgroup": after.id},
            text={"before": str(before), "after": str(after)},
        )


def _of_right(right: Right) -> Detail:
    given = right.given
    detail: dict[str, str | int] = {
        "given": right.id,
        "holder": f"{given.holder_kind}:{given.holder}",
        "permission": str(given.permission),
        "scope": f"{given.scope_kind}:{given.scope_value}".rstrip(":"),
    }
    if given.valid_until_ns is not None:
        detail["until"] = rfc3339(given.valid_until_ns)
    return detail
