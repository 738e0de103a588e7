"""Coming in by an OpenID provider's word, and going out by it: each with its leaf.

Guarantees:
    * A session whose leaf could not be made durable does not exist.
    * Whatever does not hold of a provider's word is refused with one error, and the
      trail has the reason, never a code, a token or a name.
    * Sessions end when the provider says so, whether the trail takes it or not.

Left to others: what holds (`vault.access.oidc`), routes and cookies
(`vault.web.pages.provider`).
"""

from collections.abc import Sequence
from contextlib import suppress

from vault.access.oidc import SOURCE, OpenIdConnect, Recognised
from vault.access.policy import SessionKind
from vault.access.provider_sessions import ProviderSessions
from vault.access.sessions import SessionOpened
from vault.audit.entry import Action, Draft, Result
from vault.core.errors import (
    IdentityRefusedError,
    NotAuthenticatedError,
    UnavailableError,
)
from vault.core.flow import NOBODY, Actor, ActorKind, Caller
from vault.web.entrance import Entrance
from vault.web.services import Services

_NO_ACCOUNT = "no-account"


class ProviderEntrance:
    """Opens and ends sessions that stand on a provider's word."""

    def __init__(
        self, services: Services, oidc: OpenIdConnect, sessions: ProviderSessions
    ) -> None:
        self._services = services
        self._oidc = oidc
        self._sessions = sessions

    def finish(
        self, secret: str, parameters: Sequence[tuple[str, str]], origin: str
    ) -> tuple[SessionOpened, str]:
        """Open a session for whom the provider vouches.

        Args:
            secret: Of the ceremony, from the browser's cookie.
            parameters: Of the query, as they came.
            origin: Address of the peer, without port.

        Returns:
            The session, and the path of ours to go on to.

        Raises:
            IdentityRefusedError: Anything about it is wrong.
            UnavailableError: The provider or the trail can't be asked now.
        """
        try:
            recognised = self._oidc.finish(secret, parameters)
            opened = self._opened(recognised, origin)
        except IdentityRefusedError as error:
            self.log_refusal(origin, error)
            raise
        Entrance(self._services).announce(opened, origin)
        self._replace(recognised.replaces, opened, origin)
        return opened, recognised.target

    def end(self, token: str, origin: str) -> None:
        """End what the provider says has ended.

        Raises:
            IdentityRefusedError: It does not say so, or has said it before.
            UnavailableError: The provider's keys can't be had now.
        """
        try:
            word = self._oidc.logged_out(token)
            self._sessions.take_once(word.token_id)
            ended = self._sessions.end(
                external_id=self._oidc.external_id(word.subject)
                if word.subject
                else "",
                provider_session=word.provider_session,
                source=SOURCE,
            )
        except IdentityRefusedError as error:
            self.log_refusal(origin, error)
            raise
        if not ended:
            return
        # Who is out is out: a dead log must not keep anybody in.
        with suppress(UnavailableError):
            self._services.warden.append(
                *(
                    Draft(
                        action=Action.ACCESS_SESSION_ENDED,
                        caller=Caller(
                            actor=Actor(kind=ActorKind.USER, id=one.user_id),
                            session=one.id,
                            origin=origin,
                        ),
                        detail={"how": "provider", "source": SOURCE},
                    )
                    for one in ended
                )
            )

    def log_refusal(self, origin: str, error: IdentityRefusedError) -> None:
        """Write why the provider's word was refused; the refusal stands anyway."""
        with suppress(UnavailableError):
            self._services.warden.append(
                Draft(
                    action=Action.ACCESS_SESSION_REFUSED,
                    caller=Caller(actor=NOBODY, origin=origin),
                    result=Result.REFUSED,
                    reason=error.reason,
                    detail={"source": SOURCE},
                )
            )

    def _opened(self, recognised: Recognised, origin: str) -> SessionOpened:
        try:
            opened = self._services.sign_in.verified(
                recognised.verified, origin, kind=SessionKind.BROWSER
            )
        except NotAuthenticatedError as error:
            # Shut here, without a role, or a name that another account has.
            raise IdentityRefusedError(str(error), reason=_NO_ACCOUNT) from None
        return self._sessions.bind(
            opened,
            provider_session=recognised.provider_session,
            authenticated_s=recognised.authenticated_s,
            max_s=self._oidc.config.session_max_s,
        )

    def _replace(self, session_id: str, opened: SessionOpened, origin: str) -> None:
        """End the session that this browser had: it has given its cookie away."""
        if not session_id or not self._services.sessions.end(session_id):
            return
        with suppress(UnavailableError):
            self._services.warden.append(
                Draft(
                    action=Action.ACCESS_SESSION_ENDED,
                    caller=opened.session.caller(origin),
                    detail={"session": session_id, "how": "replaced"},
                )
            )
