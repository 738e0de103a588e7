"""People for administrators: everybody, one of them, and how they come in.

Left to others: what may be changed by whom (`vault.web.people`,
`vault.web.administration`), second factors (`vault.web.factors`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.held_factors import FactorsCounted
from vault.access.people_changes import AddPerson, ReopenPerson, SetPerson, ShutPerson
from vault.access.permissions import Permission, Role
from vault.access.policy import LOCAL, Person
from vault.access.second_person import Asked
from vault.access.sources import check_source
from vault.core.errors import ConflictError, InvalidInputError
from vault.core.ids import UserId, WorkgroupId
from vault.web.administration import Changes
from vault.web.factors import reset_factors
from vault.web.pages.frame import MENDABLE, PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, WAITS, Said
from vault.web.people import PeopleDesk
from vault.web.presence import Presence
from vault.web.tokens import TokenDesk
from vault.web.trail_words import history_of

router = APIRouter()

PAGE: Final = "/people"
_ROLE: Final = "role:"
_MAKE: Final = "make"
"Ticked where a workgroup that is missing shall be made."
_LONGEST: Final = 64
_LONGEST_LIST: Final = 1024
_MOST_GROUPS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What stands in the fields of a person's roles and workgroups."""

    ticked: Sequence[str]
    workgroups: str
    makes: bool
    "Whether a workgroup that is missing is to be made."


@router.get(PAGE)
def people_page(visit: PageVisit) -> Response:
    """Show everybody, and a form to add somebody."""
    return _everybody(visit)


@router.post(PAGE)
def people_add(visit: PageVisit) -> Response:
    """Add somebody, and go on to their page."""
    PeopleDesk(visit.services, visit.asker)
    try:
        change = _added(visit)
        outcome = Changes(visit.services, visit.asker).run(change)
    except MENDABLE as error:
        return _everybody(visit, Said(error=str(error)))
    if isinstance(outcome, Asked):
        return _everybody(visit, Said(done=WAITS))
    person = outcome.value.person
    return visit.lead(f"{PAGE}/{person.id}", f"{person.name} has an account.")


@router.get(PAGE + "/{user_id}")
def person_page(user_id: str, visit: PageVisit) -> Response:
    """Show one person."""
    return _one(visit, user_id)


@router.post(PAGE + "/{user_id}")
def person_set(user_id: str, visit: PageVisit) -> Response:
    """Replace roles and workgroups."""
    PeopleDesk(visit.services, visit.asker)

    def replace() -> object:
        change = SetPerson(
            user_id=UserId(user_id),
            roles=_roles(visit.form),
            workgroups=_groups(visit),
        )
        return Changes(visit.services, visit.asker).run(change)

    done = "Roles and workgroups are as you set them."
    said = visit.tried(replace, done)
    return _one(visit, user_id, said, typed=visit.form if said.error else None)


@router.post(PAGE + "/{user_id}/shut")
def person_shut(user_id: str, visit: PageVisit) -> Response:
    """Disable the account, and end all that it has open."""
    change = ShutPerson(user_id=UserId(user_id))
    done = "The account is disabled, and all that it had open has ended."
    return _one(visit, user_id, visit.changed(change, done))


@router.post(PAGE + "/{user_id}/open")
def person_open(user_id: str, visit: PageVisit) -> Response:
    """Enable the account again."""
    change = ReopenPerson(user_id=UserId(user_id))
    return _one(visit, user_id, visit.changed(change, "The account is enabled."))


@router.post(PAGE + "/{user_id}/code")
def person_code(user_id: str, visit: PageVisit) -> Response:
    """Make a code for choosing a password, and show it on the page that answers."""
    try:
        given = PeopleDesk(visit.services, visit.asker).give_code(UserId(user_id))
    except ConflictError as error:
        return _one(visit, user_id, Said(error=str(error)))
    return _one(visit, user_id, Said(code=given))


@router.post(PAGE + "/{user_id}/factors/reset")
def person_reset(user_id: str, visit: PageVisit) -> Response:
    """Take all second factors away, and end the sessions that they opened."""
    reset_factors(visit.services, visit.asker, user_id)
    return _one(visit, user_id, Said(done="The second factors are gone."))


@router.post(PAGE + "/{user_id}/sessions/{session_id}/end")
def person_end(user_id: str, session_id: str, visit: PageVisit) -> Response:
    """End one of their sessions."""
    Presence(visit.services, visit.asker).end(session_id)
    return visit.lead(f"{PAGE}/{user_id}", "That session has ended.")


@router.post(PAGE + "/{user_id}/tokens/{token_id}/revoke")
def person_revoke(user_id: str, token_id: str, visit: PageVisit) -> Response:
    """Revoke one of their tokens."""
    TokenDesk(visit.services, visit.asker).revoke(token_id)
    return visit.lead(f"{PAGE}/{user_id}", "That token is revoked.")


def _everybody(visit: Visit, said: Said = NOTHING_SAID) -> Response:
    given = visit.form if said.error else {}
    return visit.page(
        "people.html",
        said=said,
        people=_rows(visit),
        roles=list(Role),
        workgroups=[one.name for one in visit.services.workgroups.list()],
        name=given.get("name", "")[:_LONGEST],
        fields=_fields(given),
    )


def _rows(visit: Visit) -> list[dict[str, object]]:
    """Return everybody, with how they stand and what they have set up."""
    services = visit.services
    factors = services.factors.held_by_everybody()
    without = services.kept_passwords.missing()
    return [
        one
        | {
            "state": _state(one, without),
            "factors": _factors_text(factors.get(UserId(str(one["id"])))),
        }
        for one in PeopleDesk(services, visit.asker).list()
    ]


def _state(person: Mapping[str, object], without: Collection[UserId]) -> str:
    if person["disabled"]:
        return "disabled"
    return "not activated yet" if person["id"] in without else "active"


def _factors_text(counted: FactorsCounted | None) -> str:
    if counted is None:
        return "none"
    found = ["authenticator app"] if counted.has_totp else []
    if counted.passkeys:
        many = f"{counted.passkeys} passkeys"
        found.append("1 passkey" if counted.passkeys == 1 else many)
    return ", ".join(found)


def _one(
    visit: Visit,
    user_id: str,
    said: Said = NOTHING_SAID,
    *,
    typed: Mapping[str, str] | None = None,
) -> Response:
    services, asker = visit.services, visit.asker
    desk = PeopleDesk(services, asker)
    account = services.people.by_id(UserId(user_id))
    sees_sessions = asker.may(Permission.ACCESS_SESSION_END)
    person = desk.members(account)
    groups = services.workgroups.names()
    return visit.page(
        "person.html",
        said=said,
        person=person,
        state=_state(person, services.kept_passwords.missing()),
        roles=list(Role),
        workgroups=sorted(groups.values()),
        can_nothing=not (account.roles or account.rights),
        factors=services.factors.held(UserId(user_id)),
        sessions=Presence(services, asker).items(user_id) if sees_sessions else [],
        tokens=TokenDesk(services, asker).items(user_id) if sees_sessions else [],
        fields=_fields(typed or _kept(account, groups)),
        is_local=account.source == LOCAL,
        is_self=user_id == asker.session.user_id,
        history_href=history_of(asker, f"user:{user_id}"),
    )


def _kept(account: Person, groups: Mapping[WorkgroupId, str]) -> dict[str, str]:
    """Return the fields of the form as the person is."""
    names = sorted(groups[one] for one in account.workgroups if one in groups)
    ticked = {_ROLE + str(one): "on" for one in account.roles}
    return ticked | {"workgroups": ", ".join(names)}


def _fields(given: Mapping[str, str]) -> Fields:
    return Fields(
        ticked=[name for name in given if name.startswith(_ROLE)],
        workgroups=given.get("workgroups", "")[:_LONGEST_LIST],
        makes=_MAKE in given,
    )


def _added(visit: Visit) -> AddPerson:
    form = visit.form
    source = form.get("source", LOCAL).strip() or LOCAL
    external_id = form.get("external_id", "").strip()
    check_source(source, external_id)
    return AddPerson(
        name=form.get("name", "").strip()[:_LONGEST],
        roles=_roles(form),
        workgroups=_groups(visit),
        source=source,
        external_id=external_id,
    )


def _roles(form: Mapping[str, str]) -> frozenset[Role]:
    try:
        return frozenset(
            Role(name.removeprefix(_ROLE)) for name in form if name.startswith(_ROLE)
        )
    except ValueError:
        raise InvalidInputError("no such role") from None


def _groups(visit: Visit) -> tuple[str, ...]:
    """Return the workgroups typed; those that are missing only where that is meant.

    Raises:
        InvalidInputError: Too many, or one that is not there and was not asked for.
    """
    names = [name.strip() for name in visit.form.get("workgroups", "").split(",")]
    found = tuple(dict.fromkeys(name for name in names if name))
    if len(found) > _MOST_GROUPS:
        raise InvalidInputError(f"at most {_MOST_GROUPS} workgroups")
    if _MAKE not in visit.form:
        visit.services.workgroups.insist_on(found)
    return found
