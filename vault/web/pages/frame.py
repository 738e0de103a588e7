"""What every page starts from: the visit, the places they may go, signing in.

Guarantees: a place that a person has no right to is not in their navigation,
and asking for it all the same is refused by the place itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from vault.access.changes import Change
from vault.access.permissions import Permission
from vault.access.second_person import Asked
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.problems import Problem
from vault.web.administration import Changes
from vault.web.emergencies import alarm_for
from vault.web.holding import HOLDS
from vault.web.identity import (
    Asker,
    FormFields,
    check_csrf,
    find_asker,
    insist,
    insist_on_unlocked,
    must_change_password,
)
from vault.web.pages.said import NOTHING_SAID, WAITS, Said
from vault.web.services import Services, services_of
from vault.web.views import Place, Reader, Views

HOME: Final = "/"
SIGN_IN: Final = "/sign-in"
SIGNED_OUT: Final = "/sign-in/oidc/signed-out"
FACTORS: Final = "/account/factors"
PASSWORD: Final = "/account/password"  # noqa: S105 - a path
_SEE_OTHER: Final = 303
_UNPROCESSABLE: Final = 422

MENDABLE: Final = (InvalidInputError, ConflictError, NotFoundError)
"What a page shows where it was typed, so that it can be typed again."

_SEES_APPROVALS: Final = (
    Permission.RECORDING_APPROVAL_DECIDE,
    Permission.ACCESS_POLICY_APPROVE,
    Permission.ACCESS_EMERGENCY_USE,
)

_ADMINISTRATION: Final = (
    (Permission.ACCESS_USER_EDIT, Place(name="People", href="/people")),
    (Permission.ACCESS_POLICY_EDIT, Place(name="Workgroups", href="/workgroups")),
    (Permission.ACCESS_POLICY_EDIT, Place(name="Devices", href="/devices")),
    (Permission.ACCESS_POLICY_EDIT, Place(name="Extensions", href="/extensions")),
    (Permission.ACCESS_POLICY_EDIT, Place(name="Policies", href="/policies")),
    (Permission.ACCESS_POLICY_EDIT, Place(name="Addresses", href="/addresses")),
    (Permission.ACCESS_SESSION_END, Place(name="Sessions", href="/sessions")),
    (Permission.SYSTEM_HEALTH_READ, Place(name="Health", href="/health")),
)


class SignInFirst(Exception):  # noqa: N818 - not an error: it leads to the form
    """A page was asked for without a session: the answer is the way to get one."""


class PasswordFirst(Exception):  # noqa: N818 - not an error: it leads to the page
    """A page was asked for by whoever must take another password first."""


class FactorFirst(Exception):  # noqa: N818 - not an error: it leads to the page
    """A page was asked for by half a sign-in: the answer is the way to the rest."""


def views_of(request: Request) -> Views:
    """Return the views that the application was made with."""
    return cast("Views", request.app.state.views)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody who asks for a page, and all that answering them takes."""

    request: Request
    form: Mapping[str, str]
    "What a form of ours sent; empty for a request without one."
    asker: Asker
    views: Views
    services: Services

    def page(
        self,
        template: str,
        *,
        said: Said = NOTHING_SAID,
        refused: Problem | None = None,
        **context: object,
    ) -> Response:
        """Return *template* drawn for who asks.

        Args:
            template: Which one.
            said: What it says on top; an error is an answer with status 422.
            refused: Why it is shown again: the status, and when to come back.
            **context: What else it shows.
        """
        return self.views.page(
            self.request,
            template,
            reader=reader_of(self.asker),
            status=_UNPROCESSABLE if said.error else 200,
            refused=refused,
            said=said,
            told=self.services.done.take(self.asker.session.id),
            **context,
        )

    def lead(self, href: str, done: str) -> Response:
        """Return a redirection to a page that says what was done, once."""
        self.services.done.leave(self.asker.session.id, done)
        return see_other(href)

    def insist(self, permission: Permission) -> None:
        """Insist on a right over a collection, and log a refusal.

        Raises:
            AccessDeniedError: The person does not hold it.
            StepUpRequiredError: They do, and have to prove again who they are.
        """
        insist(self.services, self.asker, permission)

    def tried(self, act: Callable[[], object], done: str) -> Said:
        """Do something, and return what the page says of it.

        Args:
            act: What; what the person can mend is an error that the page shows.
            done: What is so then, unless it waits for another person.
        """
        try:
            outcome = act()
        except MENDABLE as error:
            return Said(error=str(error))
        return Said(done=WAITS if isinstance(outcome, Asked) else done)

    def changed(self, change: Change[Any], done: str) -> Said:
        """Make *change* or let it wait, as `tried` does."""
        return self.tried(lambda: Changes(self.services, self.asker).run(change), done)


def any_visit(request: Request, form: FormFields) -> Visit:
    """Return who is asking for a page, locked, half signed in, or neither.

    Raises:
        SignInFirst: Nobody, or not any more.
        AccessDeniedError: An unsafe request without its session's token.
    """
    asker = find_asker(request, even_locked=True)
    if asker is None:
        raise SignInFirst
    services = services_of(request)
    request.state.csrf = asker.session.csrf
    request.state.back = local_path(form.get("back", HOME))
    request.state.locked_because = services.locks.read(asker.session.id)
    check_csrf(request, asker, form)
    return Visit(
        request=request,
        form=form,
        asker=asker,
        views=views_of(request),
        services=services,
    )


AnyVisit = Annotated[Visit, Depends(any_visit)]
"For the ways out of a locked session."


def unfinished_visit(visit: AnyVisit) -> Visit:
    """Return who is asking, perhaps without the second factor that a role requires.

    Raises:
        SessionLockedError: The session is locked.
    """
    insist_on_unlocked(visit.asker)
    # Should the page fail, the page that says so keeps navigation and sign-out.
    state = visit.request.state
    state.reader = reader_of(visit.asker)
    state.alarm = alarm_for(visit.services, visit.asker)
    return visit


UnfinishedVisit = Annotated[Visit, Depends(unfinished_visit)]
"For pages by which somebody adds a second factor, or gives it."


def page_visit(visit: UnfinishedVisit) -> Visit:
    """Return who is asking for a page.

    Raises:
        PasswordFirst: The password must be changed.
        FactorFirst: A role requires a factor that was not given.
    """
    if must_change_password(visit.asker):
        raise PasswordFirst
    if visit.asker.session.is_restricted:
        raise FactorFirst
    return visit


PageVisit = Annotated[Visit, Depends(page_visit)]
PageViews = Annotated[Views, Depends(views_of)]
"For pages that nobody signs in for."


def places_of(asker: Asker) -> Sequence[Place]:
    """Return where the asker may go, most wanted first."""
    places = []
    if asker.may(Permission.RECORDING_METADATA_READ):
        places.append(Place(name="Recordings", href="/recordings"))
    if asker.may(Permission.AUDIT_TRAIL_READ):
        places.append(Place(name="Audit trail", href="/audit"))
    if any(map(asker.may, HOLDS)):
        places.append(Place(name="Holds", href="/holds"))
    places += _administration(asker)
    if any(map(asker.may, _SEES_APPROVALS)):
        places.append(Place(name="Approvals", href="/approvals"))
    return places


def _administration(asker: Asker) -> list[Place]:
    """Return the pages of administration as one place, where there are several."""
    tabs = tuple(place for right, place in _ADMINISTRATION if asker.may(right))
    if len(tabs) > 1:
        return [Place(name="Administration", href=tabs[0].href, tabs=tabs)]
    return list(tabs)


def is_half_in(asker: Asker) -> bool:
    """Tell whether something must be done before there is anywhere to go."""
    return asker.session.is_restricted or must_change_password(asker)


def reader_of(asker: Asker) -> Reader:
    """Return the asker as the frame of a page shows them."""
    session = asker.session
    return Reader(
        name=session.name,
        roles=sorted(str(role) for role in session.roles),
        csrf=session.csrf,
        places=[] if is_half_in(asker) else places_of(asker),
    )


def local_path(target: str) -> str:
    r"""Return *target* if it is a path of ours, else the start.

    ``//host`` and ``/\host`` are other sites to a browser, and control
    characters vanish from a URL before it is looked at.
    """
    local = (
        target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and "\\" not in target
        and target.isprintable()
    )
    return target if local else HOME


def see_other(href: str) -> Response:
    """Return a redirection that a browser follows with GET."""
    return RedirectResponse(href, status_code=_SEE_OTHER)


async def lead_to_password(_request: Request, _error: Exception) -> Response:
    """Answer a page request of whoever must take another password first."""
    return see_other(PASSWORD)


async def lead_to_factors(_request: Request, _error: Exception) -> Response:
    """Answer a page request of a session that lacks its second factor."""
    return see_other(FACTORS)


async def lead_to_sign_in(request: Request, _error: Exception) -> Response:
    """Answer a page request without a session."""
    # A link from a mail or a chat arrives without the SameSite=Strict cookie.
    # One step from our own page and the browser sends it, if there is one.
    if request.headers.get("sec-fetch-site") == "cross-site":
        return views_of(request).page(request, "continue.html", reader=None)
    target = request.url.path
    if request.url.query:
        target += "?" + request.url.query
    if request.method != "GET" or target == HOME:
        return see_other(SIGN_IN)
    return see_other(f"{SIGN_IN}?next={quote(target, safe='/')}")
