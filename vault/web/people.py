"""People for administrators: accounts, roles, workgroups, and codes for a password.

Guarantees: only with the right to change accounts; nobody learns a password but its
owner; whatever opens calls to whoever asks waits for a second person.

Left to others: the comparison (`vault.web.administration`), codes
(`vault.access.activations`), second factors (`vault.web.factors`), HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vault.access.activations import half_digest, new_half, whole_code
from vault.access.changes import Done
from vault.access.people_changes import GiveCode
from vault.access.permissions import Permission
from vault.access.policy import Person
from vault.access.second_person import Asked
from vault.audit.entry import Action, Draft
from vault.core.clock import rfc3339
from vault.core.errors import NotAuthenticatedError
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import UserId, WorkgroupId
from vault.web.administration import Changes
from vault.web.entrance import Entrance
from vault.web.identity import Asker, insist
from vault.web.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeGiven:
    """What the administrator hands over: a code, or the first half of one."""

    user_id: UserId
    code: str = field(repr=False)
    expires: str
    asked: Asked | None = None
    "If set, *code* is a half: who agrees is shown the other one."


class PeopleDesk:
    """Serves accounts to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        """Take who asks.

        Raises:
            AccessDeniedError: The asker is no administrator.
        """
        insist(services, asker, Permission.ACCESS_USER_EDIT)
        self._services = services
        self._asker = asker

    def list(self) -> list[dict[str, object]]:
        """Return the members of everybody by name, disabled people included."""
        names = self._services.workgroups.names()
        return [person_members(one, names) for one in self._services.people.list()]

    def show(self, user_id: UserId) -> dict[str, object]:
        """Return the members of one person.

        Raises:
            NotFoundError: Nobody has that id.
        """
        return self.members(self._services.people.by_id(user_id))

    def members(self, person: Person) -> dict[str, object]:
        """Return one person as the API shows them."""
        return person_members(person, self._services.workgroups.names())

    def give_code(self, user_id: UserId) -> CodeGiven:
        """Let somebody choose a password with a code that the asker hands over.

        Raises:
            NotFoundError: Nobody has that id.
            ConflictError: The password is another source's, or one waits already.
            AuditUnavailableError: The leaf is not durable: there is no code.
        """
        first = new_half()
        outcome = Changes(self._services, self._asker).run(
            GiveCode(user_id=user_id, first_sha256=half_digest(first).hex())
        )
        if isinstance(outcome, Done):
            half = outcome.value
            return CodeGiven(
                user_id=user_id,
                code=whole_code(first, half.second),
                expires=half.expires,
            )
        return CodeGiven(
            user_id=user_id,
            code=first,
            expires=rfc3339(outcome.approval.expires_ns),
            asked=outcome,
        )


class ActivationDesk:
    """Lets people choose a password with a code; nobody is signed in by it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def choose(self, name: str, code: str, password: str, origin: str) -> None:
        """Keep *password* for who has the code.

        Raises:
            NotAuthenticatedError: No such person, disabled, or another code.
            ThrottledError: Too many wrong ones.
            InvalidInputError: The password breaks a rule; the code goes on to count.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        services, rules = self._services, self._services.password_rules
        # 1. Counted like any guess of that name.
        attempt = services.throttle.admit(name, origin)
        try:
            user_id = services.activations.check(name, code)
        except NotAuthenticatedError as error:
            Entrance(services).log_refusal(_somebody("", origin), error)
            raise
        services.throttle.forgive(attempt)
        # 2. The new password, before the code is gone.
        before = services.kept_passwords.hashes(user_id, history=rules.history)
        hashed = rules.hash(
            password, about=[services.people.by_id(user_id).name], before=before
        )
        # 3. Written down, then done: the code counts once.
        services.warden.append(
            Draft(
                action=Action.ACCESS_USER_ACTIVATED,
                caller=_somebody(user_id, origin),
                detail={"user": user_id},
            )
        )
        services.activations.spend(user_id, code)
        services.kept_passwords.keep(user_id, hashed, history=rules.history)


def person_members(
    person: Person, names: Mapping[WorkgroupId, str]
) -> dict[str, object]:
    """Return one person as the API shows them."""
    return {
        "id": person.id,
        "name": person.name,
        "roles": sorted(map(str, person.roles)),
        "workgroups": sorted(names[one] for one in person.workgroups if one in names),
        "disabled": person.disabled,
        "source": person.source,
    }


def _somebody(user_id: str, origin: str) -> Caller:
    kind = ActorKind.USER if user_id else ActorKind.UNKNOWN
    return Caller(actor=Actor(kind=kind, id=user_id), origin=origin)
