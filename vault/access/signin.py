"""Signing in: who is asked, in which order, and what every refusal has in common.

    name ──> has an account? ──yes──> its source, and no other
                    │ no
                    └──> the sources in order, until one knows the name

    right  ──> account and roles ──> second factor ──> session
    wrong, unknown, shut, no role, no code ──> one refusal

Guarantees:
    * A wrong password never falls through to the next source, nor does a source that
      is down: its people stay out, people of other sources come in.
    * Whoever is refused has cost the same work, whoever they are: sources that were
      not asked about the name are asked about one that nobody has.  So the answer is
      the same, and while a source is down it is "not now" for every refused name.
    * The throttle speaks first: whoever guessed too often is told so even with the
      right password, and a name has one budget over all sources.
    * Who answers to another name than was typed is refused: an alias is no fresh
      budget.

Left to others: the sources (`vault.access.local`, `.ldap`, `.plugins`), accounts and
roles (`vault.access.provisioning`), the cookie (`vault.web`), the audit leaf of the
session (the caller's room, before it answers).
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from sqlalchemy import Engine, select

from vault.access.authenticators import Authenticator, Standing, Verified
from vault.access.methods import SECOND_FACTORS
from vault.access.names import name_key
from vault.access.people_reading import read_person
from vault.access.permissions import Role
from vault.access.policy import LOCAL, Person, SessionKind
from vault.access.provisioning import Accounts
from vault.access.sessions import SessionOpened, Sessions
from vault.access.tables import PERSON
from vault.access.throttle import Throttle
from vault.core.errors import (
    DatabaseUnavailableError,
    FactorRefusedError,
    NotAuthenticatedError,
    ThrottledError,
    UnavailableError,
)
from vault.core.ids import UserId
from vault.database.engine import reading

REFUSED: Final = "the name, the password or the code is wrong"
NOT_NOW: Final = (
    "that is wrong, or nobody can say now that it is right: try again later"
)
_log = structlog.get_logger()
_LONGEST_NAME: Final = 256
_RETRY_S: Final = 30


class FactorCheck(Protocol):
    """Checks what comes after a password."""

    def check(self, user_id: UserId, otp: str) -> tuple[str, ...]:
        """Return how a second factor was proved; empty where none is enrolled.

        Raises:
            NotAuthenticatedError: One is enrolled, and the code is wrong or missing.
        """
        ...

    def are_set_up(self, user_id: UserId) -> bool:
        """Tell whether somebody has enrolled one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInConfig:
    """What signing in asks for."""

    second_factor_roles: frozenset[Role] = frozenset()
    "Who holds one of these does nothing before there is a second factor."

    at_once: int = 52
    "Proofs under way; more are refused before anything is looked at or written."

    refusal_step_s: float = 0.0
    """Refusals are given at whole multiples of this after the attempt began: what a
    directory needs for a name that it knows does not show.  0: at once."""


class SignIn:
    """Turns proofs into sessions; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        authenticators: Sequence[Authenticator],
        accounts: Accounts,
        throttle: Throttle,
        sessions: Sessions,
        factors: FactorCheck | None = None,
        config: SignInConfig | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._authenticators = tuple(authenticators)
        self._accounts = accounts
        self._throttle = throttle
        self._sessions = sessions
        self._factors = factors
        self._config = config or SignInConfig()
        self._pause = pause
        self._places = threading.BoundedSemaphore(self._config.at_once)

    def password(
        self,
        name: str,
        password: str,
        origin: str,
        *,
        otp: str = "",
        kind: SessionKind = SessionKind.BROWSER,
        known_device: str = "",
    ) -> SessionOpened:
        """Open a session for who knows the password.

        Args:
            name: As typed.
            password: As typed.
            origin: Address of the peer, without port.
            otp: A one-time or recovery code, as typed; empty for none.
            kind: How the session's secret will come back.
            known_device: What a browser in which they signed in before shows.

        Raises:
            NotAuthenticatedError: No such person, disabled, no role, wrong password,
                wrong or missing code.
            UnavailableError: The same, while some source can't be asked.
            ThrottledError: Too many wrong guesses, or too many at once.
        """
        with self._place():
            user_id, methods = self._proved(
                name, password, origin, otp=otp, known_device=known_device
            )
        return self._open(user_id, methods, origin, kind)

    def reprove(
        self,
        person: Person,
        password: str,
        origin: str,
        *,
        otp: str = "",
        known_device: str = "",
        with_factor: bool = True,
    ) -> tuple[str, ...]:
        """Check again that it is *person*, and return how they proved it.

        Without *with_factor* the password alone is looked at: for whose session has
        given a second factor.

        Raises:
            NotAuthenticatedError: Wrong password, wrong or missing code; not theirs.
            UnavailableError: The same, while some source can't be asked.
            ThrottledError: Too many wrong guesses, or too many at once.
        """
        with self._place():
            user_id, methods = self._proved(
                person.name,
                password,
                origin,
                otp=otp,
                known_device=known_device,
                with_factor=with_factor,
            )
        if user_id != person.id:
            raise NotAuthenticatedError(REFUSED)
        return methods

    def verified(
        self, verified: Verified, origin: str, *, kind: SessionKind
    ) -> SessionOpened:
        """Open a session for whom a source vouches that needs no password.

        Raises:
            NotAuthenticatedError: There is no account for them, or it is shut.
        """
        user_id = self._accounts.settle(verified)
        methods = verified.methods
        return self._open(user_id, methods, origin, kind)

    def known(
        self,
        user_id: UserId,
        methods: tuple[str, ...],
        origin: str,
        *,
        kind: SessionKind,
    ) -> SessionOpened:
        """Open a session for somebody whose own key was checked here (a passkey).

        Raises:
            NotAuthenticatedError: The account is shut, or its source does not vouch.
            UnavailableError: Its source can't be asked now.
        """
        with reading(self._engine) as connection:
            row = connection.execute(
                select(PERSON.c.source, PERSON.c.external_id, PERSON.c.name).where(
                    PERSON.c.id == user_id
                )
            ).first()
        if row is None:
            raise NotAuthenticatedError(REFUSED)
        if row.source == LOCAL:
            vouched = Verified(source=LOCAL, external_id=user_id, name=row.name)
        else:
            vouched = self._still_vouched(user_id, row.source, row.external_id)
        return self._open(self._accounts.settle(vouched), methods, origin, kind)

    def _still_vouched(
        self, user_id: UserId, source: str, external_id: str
    ) -> Verified:
        for one in self._authenticators:
            if one.name == source and isinstance(one, Standing):
                found = one.standing(frozenset({external_id})).get(external_id)
                if found is not None:
                    return found
                self._accounts.confirm(user_id, None)
        # A source that can't be asked never learns that somebody came without it.
        raise NotAuthenticatedError(REFUSED)

    def _open(
        self,
        user_id: UserId,
        methods: tuple[str, ...],
        origin: str,
        kind: SessionKind,
    ) -> SessionOpened:
        with reading(self._engine) as connection:
            person = read_person(connection, user_id)
        # Who has a factor gives it whatever way they come, and who must have one adds
        # it: until then the session can do nothing else.
        is_asked_for = bool(person.roles & self._config.second_factor_roles) or (
            self._factors is not None and self._factors.are_set_up(user_id)
        )
        # A new secret for every sign-in: an old one never gains rights.
        return self._sessions.open(
            user_id,
            kind=kind,
            origin=origin,
            methods=methods,
            is_restricted=is_asked_for and SECOND_FACTORS.isdisjoint(methods),
        )

    @contextmanager
    def _place(self) -> Iterator[None]:
        # Before anything else: a flood must not even reach the database's only writer.
        if not self._places.acquire(blocking=False):
            raise ThrottledError("too many sign-ins at once", retry_after_s=1)
        try:
            yield
        finally:
            self._places.release()

    def _proved(
        self,
        name: str,
        password: str,
        origin: str,
        *,
        otp: str,
        known_device: str,
        with_factor: bool = True,
    ) -> tuple[UserId, tuple[str, ...]]:
        began = time.monotonic()
        name = name[:_LONGEST_NAME]
        # 1. Count the attempt before looking at it.
        attempt = self._throttle.admit(name, origin, known_device=known_device)
        asked: list[Authenticator] = []
        try:
            # 2. Only who is responsible for the name looks at the password.
            verified = self._asked(name, password, origin, asked)
            # 3. Whose account it is, and whether it may be used.
            user_id = self._accounts.settle(verified)
            # 4. Every factor is checked before anything is said.
            given: tuple[str, ...] = ()
            if self._factors and with_factor:
                given = self._factors.check(user_id, otp)
        except (ThrottledError, UnavailableError):
            # What was never looked at, or can't be written down, is no wrong guess.
            self._throttle.forgive(attempt)
            raise
        except (NotAuthenticatedError, _SourceDownError) as why:
            refusal = why
        else:
            # 5. It was right: take the attempt back.
            self._throttle.forgive(attempt)
            return user_id, (*verified.methods, *given)
        # 6. It was not: let it cost what any other name would have cost.
        is_down = self._decoys(origin, asked)
        self._wait(began)
        if is_down or isinstance(refusal, _SourceDownError):
            raise UnavailableError(NOT_NOW, retry_after_s=_RETRY_S)
        # The trail may know that it was the code; the answer reads the same.
        if isinstance(refusal, FactorRefusedError):
            raise refusal
        raise NotAuthenticatedError(REFUSED)

    def _asked(
        self, name: str, password: str, origin: str, asked: list[Authenticator]
    ) -> Verified:
        for source in self._responsible(name):
            asked.append(source)
            try:
                verified = source.authenticate(name, password, origin)
            except DatabaseUnavailableError:
                raise
            except UnavailableError as exc:
                _log.warning("source-down", source=source.name, why=str(exc))
                # The next one is not asked: it may know another of that name.
                raise _SourceDownError from None
            if verified is None:
                continue
            if verified.source != source.name or (
                name_key(verified.name) != name_key(name)
            ):
                raise NotAuthenticatedError(REFUSED)
            return verified
        raise NotAuthenticatedError(REFUSED)

    def _responsible(self, name: str) -> Iterable[Authenticator]:
        with reading(self._engine) as connection:
            source = connection.scalar(
                select(PERSON.c.source).where(PERSON.c.name_key == name_key(name))
            )
        if source is None:
            return self._authenticators
        return [one for one in self._authenticators if one.name == source]

    def _decoys(self, origin: str, asked: Sequence[Authenticator]) -> bool:
        """Ask the others about nobody; return whether one of them is down."""
        is_down = False
        for source in self._authenticators:
            if source in asked:
                continue
            try:
                source.authenticate(
                    secrets.token_hex(8), secrets.token_urlsafe(12), origin
                )
            except DatabaseUnavailableError:
                raise
            except UnavailableError as exc:
                _log.warning("source-down", source=source.name, why=str(exc))
                is_down = True
            except (NotAuthenticatedError, ThrottledError):
                pass
        return is_down

    def _wait(self, began: float) -> None:
        step_s = self._config.refusal_step_s
        if step_s > 0:
            self._pause(step_s - (time.monotonic() - began) % step_s)


class _SourceDownError(Exception):
    """A source can't say now; which one is nobody's business."""
