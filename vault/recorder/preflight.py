"""What is looked at before a call is answered: nothing is accepted and then lost.

Guarantees: when `Preflight.check` returns, the clock can be believed, every
recipient's key can be wrapped for, written chunks become durable, spool and outbox
have room, and a media worker can keep up with the call.  When it raises, nothing has
begun; the log names the cause, and it is counted.

Left to others: what may still go wrong after it, each with its own 503
(`vault.recorder.desk`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import structlog

from vault.core.clock import NS_PER_S, Clock, month_of, system_clock_ns
from vault.core.errors import VaultError
from vault.recorder.clock_check import ClockCheck
from vault.recorder.parts import Desk
from vault.sealing.envelope import check_recipients
from vault.spool.spool import Spool

REFUSED: Final = "recorder.call.refused"
_SAY_EVERY_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1
"For room on the disk; what so few calls need is small beside the spool's reserve."
_log = structlog.get_logger()


class Preflight:
    """Looks at everything that a call needs."""

    def __init__(
        self, parts: Desk, *, tolerance_s: float, clock: Clock = system_clock_ns
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._said_s: dict[str, float] = {}
        self._roomy_s = -_LOOK_EVERY_S
        self._no_room: VaultError | None = None
        "What the last look at the spool said."
        self.refused: Counter[str] = Counter()
        "By reason, since the start."
        self.clock_check = ClockCheck(
            parts.witnesses, tolerance_s=tolerance_s, clock=clock
        )

    def look_back(self, spool: Spool) -> None:
        """Learn from the spool which times have been; reads every order once."""
        for recording_id in spool.recordings():
            try:
                started = spool.folder(recording_id).order().started
                began_s = datetime.fromisoformat(started).timestamp()
            except (VaultError, OSError, ValueError):
                continue  # recovery has said what is wrong with it
            self.clock_check.note_call(round(began_s) * NS_PER_S)

    async def check(self, streams: int) -> None:
        """Return if a call of *streams* streams can be taken.

        Raises:
            UnavailableError: It cannot, now; with a time to ask again.
        """
        found = await self._trouble(streams)
        if found is not None:
            reason, error = found
            self._refuse(reason, error)
            raise error

    async def trouble(self) -> tuple[str, str]:
        """Return why a call of two parties would be refused now; empty if it would not.

        One of `vault.recorder.refusals.REASONS`, and a text for the operator.
        """
        found = await self._trouble(2)
        return (found[0], str(found[1])) if found else ("", "")

    def check_known(self) -> None:
        """Return if a call could be taken as far as memory tells; reads no disk.

        Whether the spool has room is what the last look at it said, for a call or
        for the watch.  Nothing is counted or logged as refused.

        Raises:
            UnavailableError: It could not.
        """
        found = self._trouble_in_memory(2)
        if found is not None:
            raise found[1]
        if self._no_room is not None:
            raise self._no_room

    @contextmanager
    def counted(self, reason: str) -> Iterator[None]:
        """Count and log what is refused inside."""
        try:
            yield
        except VaultError as error:
            self._refuse(reason, error)
            raise

    async def _trouble(self, streams: int) -> tuple[str, VaultError] | None:
        # What lies in memory first: most calls are refused when all is busy.
        found = self._trouble_in_memory(streams)
        if found is not None:
            return found
        now_s = time.monotonic()
        if now_s - self._roomy_s < _LOOK_EVERY_S:
            return None
        try:
            await asyncio.to_thread(self._parts.spool.check_room)
        except VaultError as error:
            self._no_room = error
            return "spool", error
        self._roomy_s, self._no_room = now_s, None
        return None

    def _trouble_in_memory(self, streams: int) -> tuple[str, VaultError] | None:
        parts = self._parts
        looks: tuple[tuple[str, Callable[[], None]], ...] = (
            ("clock", self.clock_check.check),
            ("keys", self._check_keys),
            ("disk", parts.disk.check),
            ("media", lambda: parts.media.check(streams)),
            ("outbox", parts.outbox.check_room),
        )
        for reason, look in looks:
            try:
                look()
            except VaultError as error:
                return reason, error
        return None

    def _check_keys(self) -> None:
        check_recipients(self._parts.keys.recipients(month_of(self._clock())))

    def _refuse(self, reason: str, error: VaultError) -> None:
        self.refused[reason] += 1
        now_s = time.monotonic()
        if now_s - self._said_s.get(reason, -_SAY_EVERY_S) >= _SAY_EVERY_S:
            self._said_s[reason] = now_s
            _log.error(REFUSED, reason=reason, problem=str(error))
