"""Who is in, and may they still be: sources are asked again, again and again.

    every *every_s*:  sessions, tokens ──> whose? ──> their source ──> still in?
                                                          │ no:    ended, and told
                                                          │ other: roles applied
                                                          └ down:  nothing is known

Guarantees:
    * Whoever a source does not vouch for any more has no session, token or grant after
      the next round; a round begins every *every_s*.
    * A source that is down ends nobody at once, and nobody stays for long: what it said
      counts for `AccountConfig.trust_s`, and that needs no round to end.
    * One person's trouble ends no round, and no round ends the next.

Left to others: what follows (`vault.access.provisioning`).
"""

import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import structlog
from sqlalchemy import Engine, select

from vault.access.authenticators import Authenticator, Standing
from vault.access.provisioning import Accounts
from vault.access.tables import PERSON, SESSION, TOKEN
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import UnavailableError, VaultError
from vault.core.ids import UserId
from vault.database.engine import reading

_log = structlog.get_logger()

_AT_ONCE: Final = 25
"People that a source is asked about in one call."


class StandingCheck:
    """Asks sources about everybody who is in."""

    def __init__(
        self,
        engine: Engine,
        authenticators: Sequence[Authenticator],
        accounts: Accounts,
        *,
        every_s: float,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._engine = engine
        self._sources = tuple(
            one for one in authenticators if isinstance(one, Standing)
        )
        self._names = {id(one): one.name for one in authenticators}
        self._accounts = accounts
        self._every_s = every_s
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Go on with it in a thread of its own, where there is a source to ask."""
        if self._sources:
            self._thread = threading.Thread(
                target=self._run, name="standing", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End it; a question that is under way is left to its own limit."""
        self._stopping.set()

    def round(self) -> int:
        """Ask about everybody who is in; return how many are out now."""
        out = 0
        for source in self._sources:
            name = self._names[id(source)]
            for chunk in _chunks(self._inside(name)):
                try:
                    out += self._ask(source, chunk)
                except UnavailableError as exc:
                    _log.warning("source-down", source=name, why=str(exc))
        return out

    def _run(self) -> None:
        while True:
            try:
                self.round()
            except VaultError as exc:
                _log.warning("standing-failed", why=str(exc))
            except Exception:  # noqa: BLE001 - a thread's outermost frame
                # The thread ends here and not the rounds: nobody would ask again.
                _log.exception("standing-failed")
            if self._stopping.wait(self._every_s):
                return

    def _inside(self, source: str) -> list[tuple[UserId, str]]:
        """Return who of *source* has a session or a token, with their id there."""
        now_ns = self._clock()
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(PERSON.c.id, PERSON.c.external_id).where(
                    PERSON.c.source == source,
                    PERSON.c.disabled.is_(False),
                    PERSON.c.external_id != "",
                    PERSON.c.id.in_(
                        select(SESSION.c.user_id)
                        .where(SESSION.c.expires_ns > now_ns)
                        .union(
                            select(TOKEN.c.user_id).where(TOKEN.c.expires_ns > now_ns)
                        )
                    ),
                )
            ).all()
        return [(UserId(row.id), row.external_id) for row in rows]

    def _ask(self, source: Standing, chunk: Sequence[tuple[UserId, str]]) -> int:
        found = source.standing(frozenset(external_id for _, external_id in chunk))
        out = 0
        for user_id, external_id in chunk:
            try:
                is_in = self._accounts.confirm(user_id, found.get(external_id))
            except VaultError as exc:
                _log.warning("standing-failed", user=user_id, why=str(exc))
            else:
                out += not is_in
        return out


def _chunks(
    people: Sequence[tuple[UserId, str]],
) -> Iterator[list[tuple[UserId, str]]]:
    rest = iter(people)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk
