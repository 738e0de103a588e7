"""Workgroups for administrators: the tree, and which class each one's calls have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.permissions import Permission
from vault.access.policy_changes import AddWorkgroup, SetWorkgroup
from vault.access.workgroups import Workgroup
from vault.core.ids import WorkgroupId
from vault.web.pages.frame import PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, Said

router = APIRouter()

PAGE: Final = "/workgroups"
_RIGHT: Final = Permission.ACCESS_POLICY_EDIT
_DEEPEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A workgroup where it stands in the tree."""

    group: Workgroup
    depth: int


@router.get(PAGE)
def workgroups_page(visit: PageVisit) -> Response:
    """Show the tree, and a form to add to it."""
    return _drawn(visit)


@router.post(PAGE)
def workgroups_add(visit: PageVisit) -> Response:
    """Add a workgroup."""
    change = AddWorkgroup(**_given(visit))
    return _drawn(visit, visit.changed(change, f"{change.name} is in the tree."))


@router.post(PAGE + "/{workgroup_id}")
def workgroups_set(workgroup_id: str, visit: PageVisit) -> Response:
    """Rename a workgroup, move it, or give it a class."""
    change = SetWorkgroup(workgroup_id=WorkgroupId(workgroup_id), **_given(visit))
    return _drawn(visit, visit.changed(change, f"{change.name} is as you set it."))


class _Given(TypedDict):
    name: str
    parent_id: str
    class_name: str


def _given(visit: Visit) -> _Given:
    return {
        "name": visit.form.get("name", "")[:64],
        "parent_id": visit.form.get("parent", ""),
        "class_name": visit.form.get("class", ""),
    }


def _drawn(visit: Visit, said: Said = NOTHING_SAID) -> Response:
    visit.insist(_RIGHT)
    groups = visit.services.workgroups.list()
    classes = visit.services.duties.classes.list()
    return visit.page(
        "workgroups.html",
        said=said,
        branches=_tree(groups),
        group_options=[(one.id, one.name) for one in groups],
        class_options=[(one.name, one.name) for one in classes],
    )


def _tree(groups: Sequence[Workgroup]) -> list[Branch]:
    """Return *groups* with children behind their parents, each one once."""
    children: dict[str | None, list[Workgroup]] = {}
    for one in groups:
        children.setdefault(one.parent_id, []).append(one)
    found: list[Branch] = []
    _grow(found, children, None, 0)
    # What a loop in the table keeps from every top is shown all the same.
    shown = {one.group.id for one in found}
    found += [Branch(group=one, depth=0) for one in groups if one.id not in shown]
    return found


def _grow(
    found: list[Branch],
    children: Mapping[str | None, list[Workgroup]],
    parent: str | None,
    depth: int,
) -> None:
    if depth > _DEEPEST:
        return
    for one in children.get(parent, ()):
        found.append(Branch(group=one, depth=depth))
        _grow(found, children, one.id, depth + 1)
