"""Pauses that end by themselves: whoever paused a call may forget to resume it.

    pause ──► resume_at_s is kept beside the call ──► timer ──► resume
                             └─ process dies ─ another one arms the timer again

Guarantees:
    * A pause has a time by which it ends, unless the installation has none and its
      asker named none; asking again begins that time anew.
    * The time is part of what outlives this process (`vault.recorder.resume`).
    * A resume that fails is tried again.

Left to others: what a pause is (`vault.tap`), who may ask (`vault.recorder.desk`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from vault.core.errors import NotFoundError, VaultError
from vault.core.ids import RecordingId
from vault.recorder.session import Session

RESUMED_BY_ITSELF: Final = "recorder.session.resumed-by-itself"
RESUME_DELAYED: Final = "recorder.session.resume-delayed"
_AGAIN_S: Final = 1.0
_log = structlog.get_logger()


class Pauses:
    """The timers of paused calls; lives on one event loop."""

    def __init__(
        self,
        resume: Callable[[Session], Awaitable[None]],
        *,
        max_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what resumes a call whose lock is held.

        Args:
            resume: Resumes it; called with the lock held.
            max_s: Seconds after which a pause ends; 0 for never.
            clock: Monotonic, and the same for every process of this boot.
        """
        self._resume = resume
        self._max_s = max_s
        self._clock = clock
        self._timers: dict[RecordingId, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, session: Session, after_s: float | None) -> None:
        """Set when the pause of *session* ends; the caller keeps the session.

        Args:
            session: Paused.
            after_s: What was asked for, at most the installation's time; None for that.
        """
        wishes = [one for one in (after_s, self._max_s) if one]
        session.resume_at_s = self._clock() + min(wishes) if wishes else 0.0
        self.arm(session)

    def arm(self, session: Session) -> None:
        """Wait for the time that *session* says, also one of an earlier process."""
        self.forget(session)
        if session.paused and session.resume_at_s:
            self._wait(session, session.resume_at_s - self._clock())

    def forget(self, session: Session) -> None:
        """Wait no longer: it was resumed, or has ended."""
        timer = self._timers.pop(session.recording_id, None)
        if timer is not None:
            timer.cancel()

    def _wait(self, session: Session, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.call_later(max(0.0, wait_s), self._begin_resume, session)
        self._timers[session.recording_id] = due

    def _begin_resume(self, session: Session) -> None:
        self._timers.pop(session.recording_id, None)
        task = asyncio.get_running_loop().create_task(self._resume_now(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resume_now(self, session: Session) -> None:
        async with session.lock:
            due = session.resume_at_s
            if session.ending is not None or not session.paused or not due:
                return
            if due > self._clock():
                self.arm(session)  # asked for anew while the lock was waited for
                return
            try:
                await self._resume(session)
            except NotFoundError:
                return  # the media tap has lost it: there is nothing to go on with
            except VaultError as exc:
                problem = type(exc).__name__
                _log.warning(
                    RESUME_DELAYED, recording=session.recording_id, problem=problem
                )
                self._wait(session, _AGAIN_S)
            else:
                _log.info(RESUMED_BY_ITSELF, recording=session.recording_id)
