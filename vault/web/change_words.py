"""Changes that wait, in words: what would be so, and what is so now.

Guarantees: people and workgroups appear by name, permissions as pages call them, and
nothing that only a program can read (an id, a hash, JSON) is among the words.

Left to others: what a change is (`vault.access.changes`), who may see it
(`vault.web.approving`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from vault.access.changes import Change
from vault.access.classes import Demands
from vault.access.people_changes import (
    AddPerson,
    GiveCode,
    ReopenPerson,
    SetPerson,
    ShutPerson,
)
from vault.access.policy import LOCAL
from vault.access.policy_changes import (
    AddWorkgroup,
    GiveRight,
    PutClass,
    RemoveClass,
    RevokeRight,
    SetWorkgroup,
)
from vault.access.right_words import RightNames
from vault.access.rights import NewRight, Right
from vault.access.workgroups import Workgroup
from vault.core.clock import rfc3339
from vault.core.errors import NotFoundError
from vault.core.ids import UserId, WorkgroupId
from vault.web.classifying import ClassifyRecording
from vault.web.services import Services
from vault.web.words import listed, permission_text

NONE: Final = "none"
_GONE: Final = "gone meanwhile"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """One thing that a change is about."""

    what: str
    after: str
    before: str = ""
    "What is so now; empty where nothing is, or where it stays."

    def members(self) -> dict[str, str]:
        """Return the JSON members; ``before`` only where there is one."""
        before = {"before": self.before} if self.before else {}
        return {"what": self.what, "after": self.after} | before


class ChangeWords:
    """Spells changes over one installation, as it is now."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._names = RightNames.of(services.people, services.workgroups)

    def lines(self, change: Change[Any]) -> tuple[ChangeLine, ...]:
        """Return what *change* is about; nothing for a kind that has no words."""
        spell = _SPELLED.get(type(change))
        return () if spell is None else tuple(spell(self, change))

    # --------------------------------------------------------------- policy

    def _give(self, change: GiveRight) -> Iterable[ChangeLine]:
        return self._right(change.new)

    def _revoke(self, change: RevokeRight) -> Iterable[ChangeLine]:
        found = next(
            (
                one
                for one in self._services.duties.rights.list()
                if one.id == change.right_id
            ),
            None,
        )
        if found is None:
            return (ChangeLine(what="right", after=_GONE),)
        return (
            ChangeLine(what=line.what, before=line.after, after=NONE)
            for line in self._right(found.given)
        )

    def _right(self, new: NewRight) -> Iterable[ChangeLine]:
        named = self._names.members(
            Right(id="", given=new, created_ns=0, granted_by="")
        )
        yield ChangeLine(what="to", after=_spaced(str(named["to"])))
        yield ChangeLine(what="may", after=permission_text(new.permission))
        yield ChangeLine(what="over", after=_spaced(str(named["over"])))
        if new.valid_from_ns:
            yield ChangeLine(what="from", after=rfc3339(new.valid_from_ns))
        if new.valid_until_ns is not None:
            yield ChangeLine(what="until", after=rfc3339(new.valid_until_ns))

    def _put_class(self, change: PutClass) -> Iterable[ChangeLine]:
        name = change.new.name
        yield ChangeLine(what="class", after=name)
        yield _changed("asks for", self._asked(name), _demands(change.new.demands))

    def _remove_class(self, change: RemoveClass) -> Iterable[ChangeLine]:
        yield ChangeLine(what="class", before=change.name, after=NONE)
        yield ChangeLine(what="asks for", before=self._asked(change.name), after=NONE)

    def _asked(self, name: str) -> str:
        for one in self._services.duties.classes.list():
            if one.name == name:
                return _demands(one.demands)
        return ""

    def _add_group(self, change: AddWorkgroup) -> Iterable[ChangeLine]:
        yield ChangeLine(what="workgroup", after=change.name)
        yield ChangeLine(what="below", after=self._group(change.parent_id))
        yield ChangeLine(what="class", after=change.class_name or NONE)

    def _set_group(self, change: SetWorkgroup) -> Iterable[ChangeLine]:
        now = next(
            (
                one
                for one in self._services.workgroups.list()
                if one.id == change.workgroup_id
            ),
            Workgroup(id=change.workgroup_id, name=_GONE),
        )
        yield ChangeLine(what="workgroup", after=now.name)
        if change.name is not None:
            yield _changed("name", now.name, change.name)
        if change.parent_id is not None:
            yield _changed(
                "below", self._group(now.parent_id or ""), self._group(change.parent_id)
            )
        if change.class_name is not None:
            yield _changed("class", now.class_name or NONE, change.class_name or NONE)

    def _group(self, workgroup_id: str) -> str:
        if not workgroup_id:
            return NONE
        return self._names.workgroups.get(WorkgroupId(workgroup_id), _GONE)

    def _classify(self, change: ClassifyRecording) -> Iterable[ChangeLine]:
        yield ChangeLine(
            what="class", after=change.class_name or "that of its workgroup"
        )

    # --------------------------------------------------------------- people

    def _add_person(self, change: AddPerson) -> Iterable[ChangeLine]:
        yield ChangeLine(what="person", after=change.name)
        yield ChangeLine(what="roles", after=_all(change.roles))
        yield ChangeLine(what="workgroups", after=_all(change.workgroups))
        if change.source != LOCAL:
            yield ChangeLine(what="signs in by", after=change.source)
            yield ChangeLine(what="known there as", after=change.external_id)

    def _set_person(self, change: SetPerson) -> Iterable[ChangeLine]:
        yield self._person(change)
        try:
            now = self._services.people.by_id(change.user_id)
        except NotFoundError:
            return
        if change.roles is not None:
            yield _changed("roles", _all(now.roles), _all(change.roles))
        if change.workgroups is not None:
            groups = [self._group(one) for one in now.workgroups]
            yield _changed("workgroups", _all(groups), _all(change.workgroups))

    def _shut(self, change: ShutPerson) -> Iterable[ChangeLine]:
        yield self._person(change)
        yield ChangeLine(what="account", before="enabled", after="disabled")

    def _reopen(self, change: ReopenPerson) -> Iterable[ChangeLine]:
        yield self._person(change)
        yield ChangeLine(what="account", before="disabled", after="enabled")

    def _code(self, change: GiveCode) -> Iterable[ChangeLine]:
        yield self._person(change)
        yield ChangeLine(what="gets", after="a code to choose a password with")

    def _person(
        self, change: SetPerson | ShutPerson | ReopenPerson | GiveCode
    ) -> ChangeLine:
        name = self._names.people.get(UserId(change.user_id), _GONE)
        return ChangeLine(what="person", after=name)


_Spell = Callable[[ChangeWords, Any], Iterable[ChangeLine]]
_SPELLED: Final[Mapping[type[Change[Any]], _Spell]] = MappingProxyType(
    {
        GiveRight: ChangeWords._give,  # noqa: SLF001 - its own table
        RevokeRight: ChangeWords._revoke,  # noqa: SLF001 - as above
        PutClass: ChangeWords._put_class,  # noqa: SLF001 - as above
        RemoveClass: ChangeWords._remove_class,  # noqa: SLF001 - as above
        AddWorkgroup: ChangeWords._add_group,  # noqa: SLF001 - as above
        SetWorkgroup: ChangeWords._set_group,  # noqa: SLF001 - as above
        ClassifyRecording: ChangeWords._classify,  # noqa: SLF001 - as above
        AddPerson: ChangeWords._add_person,  # noqa: SLF001 - as above
        SetPerson: ChangeWords._set_person,  # noqa: SLF001 - as above
        ShutPerson: ChangeWords._shut,  # noqa: SLF001 - as above
        ReopenPerson: ChangeWords._reopen,  # noqa: SLF001 - as above
        GiveCode: ChangeWords._code,  # noqa: SLF001 - as above
    }
)


def _changed(what: str, before: str, after: str) -> ChangeLine:
    return ChangeLine(what=what, after=after, before="" if before == after else before)


def _demands(demands: Demands) -> str:
    asked = ["a reason"] * demands.reason + ["a second person"] * demands.approval
    return listed(asked) if asked else "nothing"


def _all(names: Iterable[str]) -> str:
    found = sorted(map(str, names))
    return listed(found) if found else NONE


def _spaced(text: str) -> str:
    return text.replace(":", " ", 1)
