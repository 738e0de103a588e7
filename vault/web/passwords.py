"""A person's own password, changed by themselves.

Guarantees: only who knows the present one changes it, counted like any guess; the
change is on the trail before it counts, and every other session is over with it.

Left to others: what is asked of a password (`vault.access.password_rules`), HTTP.
"""

from vault.access.methods import SECOND_FACTORS
from vault.access.policy import SessionKind
from vault.audit.entry import Action, Draft
from vault.core.errors import NotAuthenticatedError, NotFoundError, ThrottledError
from vault.web.entrance import Entrance
from vault.web.identity import Asker
from vault.web.services import Services


class PasswordDesk:
    """Changes the asker's password."""

    def __init__(self, services: Services, asker: Asker) -> None:
        """Take who asks.

        Raises:
            NotFoundError: The credential is a token: it knows no password.
        """
        if asker.session.kind is SessionKind.TOKEN:
            raise NotFoundError("a token is not a session")
        self._services = services
        self._asker = asker

    def change(
        self, current: str, new: str, *, otp: str = "", known_device: str = ""
    ) -> int:
        """Replace the password; return how many other sessions ended.

        Raises:
            NotAuthenticatedError: *current* is wrong, or the code that goes with it.
            ThrottledError: Too many wrong ones.
            InvalidInputError: *new* breaks a rule.
            ConflictError: The password is another source's.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        services, asker = self._services, self._asker
        person, rules = asker.session.person, services.password_rules
        # 1. Kept here at all?
        before = services.kept_passwords.hashes(person.id, history=rules.history)
        # 2. The present one, and with it the second factor that the session lacks.
        try:
            services.sign_in.reprove(
                person,
                current,
                asker.origin,
                otp=otp,
                known_device=known_device,
                with_factor=SECOND_FACTORS.isdisjoint(asker.session.methods),
            )
        except (NotAuthenticatedError, ThrottledError) as error:
            Entrance(services).log_refusal(asker.caller, error)
            raise
        # 3. The new one.
        hashed = rules.hash(new, about=[person.name], before=before)
        # 4. Written down, then done.
        services.warden.append(
            Draft(
                action=Action.ACCESS_USER_CHANGED,
                caller=asker.caller,
                detail={"user": person.id, "part": "password"},
            )
        )
        return services.kept_passwords.keep(
            person.id, hashed, history=rules.history, keep_session=asker.session.id
        )
