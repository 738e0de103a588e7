"""Workgroups as a tree: who is below whom, and which class each group's calls have.

Guarantees: a loop in the table (nobody writes one, but a table can be edited) ends
the walk and never the process.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from vault.access.tables import WORKGROUP
from vault.core.ids import WorkgroupId


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTree:
    """All workgroups, as one transaction saw them."""

    children: Mapping[WorkgroupId, frozenset[WorkgroupId]]
    classes: Mapping[WorkgroupId, str]
    "Class of each group's recordings; groups without one are absent."

    def below(self, groups: Collection[WorkgroupId]) -> frozenset[WorkgroupId]:
        """Return every descendant of *groups*, not *groups* themselves."""
        found: set[WorkgroupId] = set()
        waiting = list(groups)
        while waiting:
            for child in self.children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return frozenset(found - set(groups))

    def of_class(self, name: str) -> frozenset[WorkgroupId]:
        """Return the groups whose recordings have class *name*."""
        return frozenset(one for one, given in self.classes.items() if given == name)


def read_tree(connection: Connection) -> GroupTree:
    """Return the tree as this transaction sees it."""
    children: dict[WorkgroupId, set[WorkgroupId]] = {}
    classes: dict[WorkgroupId, str] = {}
    for row in connection.execute(
        select(WORKGROUP.c.id, WORKGROUP.c.parent_id, WORKGROUP.c.class_name)
    ):
        group = WorkgroupId(row.id)
        if row.parent_id:
            children.setdefault(WorkgroupId(row.parent_id), set()).add(group)
        if row.class_name:
            classes[group] = row.class_name
    return GroupTree(
        children={parent: frozenset(some) for parent, some in children.items()},
        classes=classes,
    )
