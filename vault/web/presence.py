"""Who is signed in: one's own sessions, and with the right to it everybody's.

Guarantees: a session ends at once, and a stream under it within seconds; whoever may
not end it learns nothing of it; the end is on the trail.

Left to others: the sessions themselves (`vault.access.sessions`).
"""

from vault.access.names import is_storable
from vault.access.permissions import Permission
from vault.access.policy import Person
from vault.access.sessions import SessionListed
from vault.audit.entry import Action, Draft
from vault.core.clock import rfc3339
from vault.core.errors import NotFoundError
from vault.core.ids import UserId
from vault.web.identity import Asker, insist
from vault.web.services import Services

EVERYBODY = "*"
"Asked for in place of a user."


class Presence:
    """Serves the sessions that live to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def items(self, user: str = "") -> list[dict[str, object]]:
        """Return sessions, newest first: the asker's own, *user*'s, or everybody's.

        Raises:
            AccessDeniedError: Others', and the asker may not see those.
            NotFoundError: Nobody is called so, or has that id.
        """
        people = people_asked_for(self._services, self._asker, user)
        listed = self._services.sessions.list(
            None if user == EVERYBODY else next(iter(people))
        )
        return [
            self._members(one, people[one.user_id])
            for one in listed
            if one.user_id in people
        ]

    def end(self, session_id: str) -> None:
        """End a session: one's own, or with the right to it anybody's.

        Raises:
            NotFoundError: There is none, or it is not for the asker to end.
            AuditUnavailableError: It has ended, and there is no leaf.
        """
        all_ = self._asker.may(Permission.ACCESS_SESSION_END)
        own = self._asker.session.user_id
        owner = next(
            (
                one.user_id
                for one in self._services.sessions.list(None if all_ else own)
                if one.id == session_id
            ),
            None,
        )
        if owner is None or not self._services.sessions.end(session_id, user_id=owner):
            raise NotFoundError("no such session")
        self._services.playback.close_session(session_id)
        self._services.warden.append(
            Draft(
                action=Action.ACCESS_SESSION_ENDED,
                caller=self._asker.caller,
                detail={"session": session_id, "user": owner},
            )
        )

    def _members(self, listed: SessionListed, owner: Person) -> dict[str, object]:
        return {
            "id": listed.id,
            "user": owner.name,
            "kind": str(listed.kind),
            "origin": listed.origin,
            "methods": list(listed.methods),
            "opened": rfc3339(listed.created_ns),
            "used": rfc3339(listed.used_ns),
            "expires": rfc3339(listed.expires_ns),
            "locked": listed.is_locked,
            "current": listed.id == self._asker.session.id,
        }


def people_asked_for(
    services: Services, asker: Asker, user: str
) -> dict[UserId, Person]:
    """Return by id everybody where *user* is `EVERYBODY`, else one as `whose` does.

    Raises:
        AccessDeniedError: Others', and the asker may not see those.
        NotFoundError: Nobody is called so, or has that id.
    """
    if user == EVERYBODY:
        insist(services, asker, Permission.ACCESS_SESSION_END)
        return {one.id: one for one in services.people.list()}
    owner = whose(services, asker, user)
    return {owner.id: owner}


def whose(services: Services, asker: Asker, user: str) -> Person:
    """Return the person of whom something is asked: the asker where nobody is named.

    Args:
        services: The rooms.
        asker: Who asks.
        user: An id or a name; empty for the asker.

    Raises:
        AccessDeniedError: Somebody else, and the asker may not see others'.
        NotFoundError: Nobody is called so, or has that id.
    """
    own = asker.session.person
    if user in {"", own.id, own.name}:
        return own
    insist(services, asker, Permission.ACCESS_SESSION_END)
    if not is_storable(user):
        raise NotFoundError("nobody is called so")
    try:
        return services.people.by_id(UserId(user))
    except NotFoundError:
        return services.people.by_name(user)
