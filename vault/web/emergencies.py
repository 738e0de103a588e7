"""Breaking the glass, and who is told of it.

Guarantees:
    * An emergency is on the trail, with its reason, before it counts.
    * It is loud: an error in the log, a metric, a word in ``/readyz``, and a banner on
      every page of those who can end it, and of who broke it.

Left to others: what it gives (`vault.access.emergency`), HTTP.
"""

from typing import Final

import structlog

from vault.access.emergency import GIVES, Emergency
from vault.access.permissions import Permission
from vault.access.reasons import checked_reason
from vault.audit.entry import Action, Draft
from vault.core.clock import rfc3339
from vault.core.errors import NotFoundError
from vault.core.ids import UserId
from vault.web.identity import Asker, insist, log_refusal
from vault.web.services import Services
from vault.web.views import QUIET, Alarm

EVENT_OPENED: Final = "access-emergency-opened"
EVENT_ENDED: Final = "access-emergency-ended"
_WATCHES: Final = Permission.ACCESS_POLICY_APPROVE
_log = structlog.get_logger()


class EmergencyDesk:
    """Serves emergencies to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker
        self._rooms = services.duties.emergencies

    def open(self, *, reason: str) -> Emergency:
        """Break the glass for the asker.

        Raises:
            AccessDeniedError: They may not.
            StepUpRequiredError: Their last proof of who they are is too old.
            InvalidInputError: The reason is none.
            ConflictError: It is broken already.
            AuditUnavailableError: The leaf is not durable: nothing was opened.
        """
        insist(self._services, self._asker, Permission.ACCESS_EMERGENCY_USE)
        said = checked_reason(reason)
        opened = self._rooms.open(
            self._asker.session.user_id,
            by=self._asker.caller.actor,
            tell=lambda one: self._tell(
                Action.ACCESS_EMERGENCY_OPENED,
                Permission.ACCESS_EMERGENCY_USE,
                one,
                {"reason": said},
            ),
        )
        _log.error(EVENT_OPENED, user=opened.user_id, until=rfc3339(opened.until_ns))
        return opened

    def end(self, user_id: UserId | None = None) -> Emergency:
        """End the asker's, or, for those who watch over policy, somebody's.

        Raises:
            NotFoundError: There is none, or none that is theirs to end.
            AuditUnavailableError: The leaf is not durable: nothing was ended.
        """
        mine = self._asker.session.user_id
        whose = mine if user_id is None else user_id
        if whose != mine and not self._watches:
            log_refusal(self._services.warden, self._asker, right=_WATCHES)
            raise NotFoundError("no such emergency")
        right = Permission.ACCESS_EMERGENCY_USE if whose == mine else _WATCHES
        ended = self._rooms.end(
            whose,
            tell=lambda one: self._tell(Action.ACCESS_EMERGENCY_ENDED, right, one, {}),
        )
        _log.warning(EVENT_ENDED, user=ended.user_id)
        return ended

    def list(self) -> list[dict[str, object]]:
        """Return what is open: all of it for those who watch, else the asker's."""
        mine = self._asker.session.user_id
        return [
            self.members(one)
            for one in self._rooms.list()
            if self._watches or one.user_id == mine
        ]

    def members(self, emergency: Emergency) -> dict[str, object]:
        """Return one as the API shows it."""
        return {
            "user": {
                "id": emergency.user_id,
                "name": self._services.people.by_id(emergency.user_id).name,
            },
            "since": rfc3339(emergency.since_ns),
            "until": rfc3339(emergency.until_ns),
        }

    @property
    def _watches(self) -> bool:
        return self._asker.may(_WATCHES)

    def _tell(
        self, action: Action, right: Permission, one: Emergency, text: dict[str, str]
    ) -> None:
        self._services.warden.append(
            Draft(
                action=action,
                caller=self._asker.caller,
                right=right,
                detail={"user": one.user_id, "until": rfc3339(one.until_ns)},
                text=text,
            )
        )


def alarm_for(services: Services, asker: Asker) -> Alarm:
    """Return what every page says: to who broke the glass, and who can end it."""
    watches, person = asker.may(_WATCHES), asker.session.person
    # Asked for only where there may be something: this is before every page.
    if not watches and not any(map(person.in_emergency, GIVES)):
        return QUIET
    found = services.duties.emergencies.list()
    own = next((one for one in found if one.user_id == person.id), None)
    return Alarm(
        count=len(found) if watches else 0,
        own_until="" if own is None else rfc3339(own.until_ns),
        own_id=person.id,
    )


def emergencies_text(services: Services) -> str:
    """Return ``ok``, or in a few words that the glass is broken: nobody is named."""
    count = len(services.duties.emergencies.list())
    return f"the glass is broken for {count}" if count else "ok"
