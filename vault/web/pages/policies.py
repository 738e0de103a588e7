"""Policies for administrators: rights beside the roles, classes, and what is set.

Left to others: what may be changed by whom (`vault.web.administration`), words of
rights (`vault.access.right_words`).
"""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.classes import Demands, RecordingClass
from vault.access.permissions import Permission, Role
from vault.access.policy_changes import GiveRight, PutClass, RemoveClass, RevokeRight
from vault.access.right_words import RightNames, RightWords, moment_ns
from vault.access.rights import NewRight
from vault.core.clock import NS_PER_S
from vault.web.administration import Changes
from vault.web.pages.frame import PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, Said
from vault.web.services import Services

router = APIRouter()

PAGE: Final = "/policies"
_RIGHT: Final = Permission.ACCESS_POLICY_EDIT
_LONGEST: Final = 128
_DAY_NS: Final = 86_400 * NS_PER_S
_FIELDS: Final = ("kind", "holder", "permission", "over", "name", "until")


@router.get(PAGE)
def policies_page(visit: PageVisit) -> Response:
    """Show rights and classes."""
    return _drawn(visit)


@router.post(PAGE + "/rights")
def rights_give(visit: PageVisit) -> Response:
    """Give somebody a right."""
    visit.insist(_RIGHT)

    def give() -> object:
        change = GiveRight(new=_right(visit.services, visit.form))
        return Changes(visit.services, visit.asker).run(change)

    return _drawn(visit, visit.tried(give, "They have the right."))


@router.post(PAGE + "/rights/{right_id}/revoke")
def rights_revoke(right_id: str, visit: PageVisit) -> Response:
    """Take a right away."""
    change = RevokeRight(right_id=right_id)
    return _drawn(visit, visit.changed(change, "They have that right no longer."))


@router.post(PAGE + "/classes")
def classes_put(visit: PageVisit) -> Response:
    """Make a class, or change what it asks for."""
    form = visit.form
    demands = Demands(reason="reason" in form, approval="approval" in form)
    new = RecordingClass(name=form.get("name", "")[:_LONGEST], demands=demands)
    done = f"The class {new.name} asks for what you ticked."
    return _drawn(visit, visit.changed(PutClass(new=new), done))


@router.post(PAGE + "/classes/{name}/remove")
def classes_remove(name: str, visit: PageVisit) -> Response:
    """Take a class away."""
    change = RemoveClass(name=name)
    return _drawn(visit, visit.changed(change, f"The class {name} is gone."))


def _right(services: Services, form: Mapping[str, str]) -> NewRight:
    given = {name: value[:_LONGEST].strip() for name, value in form.items()}
    return RightWords(people=services.people, workgroups=services.workgroups).read(
        to=f"{given.get('kind', '')}:{given.get('holder', '')}",
        permission=given.get("permission", ""),
        over=_over(given),
        until_ns=_until(given.get("until", "")),
    )


def _over(given: Mapping[str, str]) -> str:
    over, name = given.get("over", ""), given.get("name", "")
    return f"{over}:{name}" if name else over


def _until(day: str) -> int | None:
    """Return the last moment of *day*: who types one means to have all of it."""
    return moment_ns(f"{day}T00:00:00Z") + _DAY_NS - 1 if day else None


def _drawn(visit: Visit, said: Said = NOTHING_SAID) -> Response:
    visit.insist(_RIGHT)
    services = visit.services
    names = RightNames.of(services.people, services.workgroups)
    classes = services.duties.classes.list()
    typed = visit.form if said.error and "holder" in visit.form else {}
    return visit.page(
        "policies.html",
        said=said,
        rights=[names.members(one) for one in services.duties.rights.list()],
        classes=[one.members() for one in classes],
        permissions=list(Permission),
        holders=sorted(
            {*names.people.values(), *names.workgroups.values(), *map(str, Role)}
        ),
        scopes=sorted({*names.workgroups.values(), *(one.name for one in classes)}),
        given={name: typed.get(name, "")[:_LONGEST] for name in _FIELDS},
        in_force=services.in_force,
    )
