"""A person's own second factors: seen, added and taken away; and reset for others.

Guarantees:
    * Who changes something has just proved who they are, and no token changes any.
    * Who came in by half adds a first factor, and is whole by it; who has one gives
      that one first.
    * A change is on the trail before it counts; no secret ever is.

Left to others: what counts as a factor (`vault.access.factors`), HTTP.
"""

import io
from collections.abc import Mapping
from typing import Final

import segno

from vault.access.factor_rows import FactorChange
from vault.access.passkeys import PasskeyBegun, PasskeyListed
from vault.access.permissions import Permission
from vault.access.policy import SessionKind
from vault.access.sessions import SessionOpened
from vault.audit.entry import Action, Draft
from vault.core.clock import rfc3339
from vault.core.errors import (
    AccessDeniedError,
    ConflictError,
    SecondFactorRequiredError,
)
from vault.core.ids import UserId
from vault.web.entrance import Entrance
from vault.web.identity import Asker, insist, insist_on_finished, insist_on_proof
from vault.web.services import Services

RESET: Final = Permission.ACCESS_USER_EDIT

_QR_BORDER: Final = 2
_QR_SCALE: Final = 5
# Whoever adds an authenticator shows it, and a passkey has verified its user.
_BY_APP: Final = ("otp",)
_BY_PASSKEY: Final = ("hwk", "user", "mfa")


class FactorDesk:
    """Serves one asker's own factors."""

    def __init__(self, services: Services, asker: Asker) -> None:
        """Take who asks.

        Raises:
            AccessDeniedError: The asker is a token.
        """
        if asker.session.kind is SessionKind.TOKEN:
            raise AccessDeniedError("a token has no factors: sign in")
        self._services = services
        self._factors = services.factors
        self._asker = asker
        self._person = asker.session.person

    def members(self) -> dict[str, object]:
        """Return what is set up, without anything secret."""
        held = self._factors.held(self._person.id)
        members: dict[str, object] = {
            "required": self._factors.are_required_of(self._person.roles),
            "passkeys": [_passkey_members(one) for one in held.passkeys],
            "recovery_codes": held.recovery_codes,
        }
        if held.totp_since_ns is not None:
            members["totp"] = {"created": rfc3339(held.totp_since_ns)}
        return members

    def begin_totp(self) -> dict[str, object]:
        """Make a secret for an authenticator app; it is shown this once.

        Raises:
            StepUpRequiredError: The last proof of who it is is too old.
            SecondFactorRequiredError: Something is set up, and was not given.
        """
        self._insist_on_adding()
        begun = self._factors.totp.begin(self._person.id, self._person.name)
        return {
            "secret": begun.secret,
            "uri": begun.uri,
            "svg": qr_code(begun.uri),
        }

    def confirm_totp(self, code: str) -> SessionOpened | None:
        """Let an app count whose code is shown; return a session that it made whole.

        Raises:
            InvalidInputError: Not its code, or nothing is being set up any more.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        self._insist_on_adding()
        self._factors.totp.confirm(
            self._person.id,
            code,
            tell=self._added,
            is_first=self._asker.session.is_restricted,
        )
        return self._made_whole(_BY_APP)

    def begin_passkey(self, host: str) -> PasskeyBegun:
        """Ask the browser to make a passkey.

        Raises:
            ConflictError: Not under this host, or there are enough of them.
        """
        self._insist_on_adding()
        return self._factors.passkeys.begin_adding(
            self._person.id, self._person.name, host
        )

    def confirm_passkey(
        self, secret: str, credential: Mapping[str, object], name: str
    ) -> SessionOpened | None:
        """Keep a passkey; return a session that it made whole.

        Raises:
            NotAuthenticatedError: It was begun elsewhere, or took too long.
            InvalidInputError: Not what was asked for, or not a name.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        self._insist_on_adding()
        self._factors.passkeys.finish_adding(
            self._person.id,
            secret,
            credential,
            name,
            tell=self._added,
            is_first=self._asker.session.is_restricted,
        )
        return self._made_whole(_BY_PASSKEY)

    def renew_recovery_codes(self) -> tuple[str, ...]:
        """Return new recovery codes, this once; those of before are void.

        Raises:
            ConflictError: There is nothing that they could stand in for.
        """
        self._insist_on_changing()
        return self._factors.recovery_codes.renew(self._person.id, tell=self._added)

    def remove_totp(self) -> None:
        """Take the authenticator app away.

        Raises:
            NotFoundError: There is none.
            ConflictError: A role asks for a factor, and it is the last.
        """
        self._insist_on_changing()
        self._factors.remove_totp(self._person, tell=self._removed)

    def remove_passkey(self, passkey_id: str) -> None:
        """Take a passkey away.

        Raises:
            NotFoundError: There is none with that id.
            ConflictError: A role asks for a factor, and it is the last.
        """
        self._insist_on_changing()
        self._factors.remove_passkey(self._person, passkey_id, tell=self._removed)

    def _insist_on_changing(self) -> None:
        insist_on_finished(self._asker)
        insist_on_proof(self._services, self._asker)

    def _insist_on_adding(self) -> None:
        if self._asker.session.is_restricted and (
            self._factors.held(self._person.id).count
        ):
            raise SecondFactorRequiredError("give the second factor that is set up")
        insist_on_proof(self._services, self._asker)

    def _made_whole(self, methods: tuple[str, ...]) -> SessionOpened | None:
        if not self._asker.session.is_restricted:
            return None
        return Entrance(self._services).renew(self._asker, methods)

    def _added(self, change: FactorChange) -> None:
        _tell(self._services, self._asker, Action.ACCESS_FACTOR_ADDED, change)

    def _removed(self, change: FactorChange) -> None:
        _tell(self._services, self._asker, Action.ACCESS_FACTOR_REMOVED, change)


def reset_factors(services: Services, asker: Asker, user_id: str) -> None:
    """Take all factors of somebody else away, and end their sessions.

    Raises:
        AccessDeniedError: The asker administers nobody.
        StepUpRequiredError: They do, and their last proof of who they are is too old.
        ConflictError: They are oneself: one's own are taken away one by one.
        NotFoundError: Nobody has that id.
        AuditUnavailableError: The leaf is not durable: nothing has changed.
    """
    insist(services, asker, RESET)
    insist_on_proof(services, asker)
    if user_id == asker.session.user_id:
        raise ConflictError("another administrator resets yours")
    person = services.people.by_id(UserId(user_id))
    services.factors.reset(
        person.id,
        tell=lambda change: _tell(
            services,
            asker,
            Action.ACCESS_FACTOR_RESET,
            change,
            user_id=person.id,
            right=RESET,
        ),
    )


def qr_code(text: str) -> str:
    """Return *text* as the SVG of a QR code, without a style of its own."""
    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        drawn,
        kind="svg",
        border=_QR_BORDER,
        scale=_QR_SCALE,
        xmldecl=False,
        svgclass="qr",
        lineclass=None,
        title="QR code for an authenticator app",
        omitsize=True,
    )
    return drawn.getvalue().decode().strip()


def _tell(
    services: Services,
    asker: Asker,
    action: Action,
    change: FactorChange,
    *,
    user_id: str = "",
    right: str = "",
) -> None:
    detail: dict[str, str | int] = {
        "user": user_id or asker.session.user_id,
        "kind": str(change.kind),
        "count": change.count,
    }
    if change.id:
        detail["factor"] = change.id
    services.warden.append(
        Draft(
            action=action,
            caller=asker.caller,
            right=right,
            detail=detail,
            text={"name": change.name} if change.name else {},
        )
    )


def _passkey_members(listed: PasskeyListed) -> dict[str, object]:
    members: dict[str, object] = {
        "id": listed.id,
        "name": listed.name,
        "created": rfc3339(listed.created_ns),
    }
    if listed.used_ns is not None:
        members["used"] = rfc3339(listed.used_ns)
    return members
