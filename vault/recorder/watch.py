"""Looks after running sessions: time-outs, silence, and ends that failed.

Guarantees: a session without packets ends as ``timeout``; one whose manifest
could not be written is tried again until it is; one that never got an
authenticated packet is said once in the log, because a peer may answer "ok"
and send nothing.

Left to others: how a session ends (`vault.recorder.desk`).
"""

import asyncio
import time
from typing import Final

import structlog

from vault.core.flow import HowEnded
from vault.recorder.config import RecorderConfig
from vault.recorder.desk import RecorderDesk
from vault.recorder.session import Session

SILENT: Final = "recorder.session.silent"
TIMED_OUT: Final = "recorder.session.timed-out"
END_DELAYED: Final = "recorder.session.end-delayed"
_log = structlog.get_logger()


async def watch(desk: RecorderDesk, config: RecorderConfig) -> None:
    """Look at every session again and again, until cancelled."""
    while True:
        for session in list(desk.sessions.values()):
            if session.lock.locked():
                continue  # it is being changed or ended at this moment
            try:
                await look_at(desk, session, config)
            except Exception as exc:  # noqa: BLE001 - what is wrong with one session must not end the watch over all
                _log.warning(
                    END_DELAYED,
                    recording=session.recording_id,
                    problem=type(exc).__name__,
                )
        await asyncio.sleep(config.watch_interval_s)


async def look_at(desk: RecorderDesk, session: Session, config: RecorderConfig) -> None:
    """Do what one session needs now.

    Raises:
        UnavailableError: Its end could not be written; look again later.
    """
    if session.report is not None:
        await desk.end(session, session.report.how)
        return
    received, authentic = await desk.counters_of(session)
    now_s = time.monotonic()
    if received != session.seen_packets:
        session.seen_packets, session.seen_at_s = received, now_s
    if authentic:
        session.alarmed = True  # nothing left to alarm about
    elif not session.alarmed and now_s - session.began_s > config.silence_alarm_s:
        session.alarmed = True
        _log.warning(SILENT, recording=session.recording_id, received=received)
    idle_s, age_s = now_s - session.seen_at_s, now_s - session.began_s
    if idle_s > config.idle_timeout_s or age_s > config.max_duration_s:
        _log.warning(TIMED_OUT, recording=session.recording_id, idle_s=round(idle_s))
        await desk.end(session, HowEnded.TIMEOUT)
