"""Looks after running sessions: time-outs, silence, and ends that failed.

Guarantees: a session without packets ends as ``timeout``, one that the media tap has
lost as ``cut``; one whose manifest could not be written is tried again until it is;
one of which nothing, or only one party, is heard is said in the log, because a peer
may answer "ok" and send nothing, or send one way; so is one whose sender goes on with
a key beyond its lifetime.

Left to others: how a session ends (`vault.recorder.desk`), what an alarm is
(`vault.recorder.hearing`).
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import structlog

from vault.core.errors import NotFoundError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.recorder.config import RecorderConfig
from vault.recorder.desk import RecorderDesk
from vault.recorder.hearing import Alarm, Hearing, Patience, Turn
from vault.recorder.session import Session
from vault.tap.orders import StreamCounters

SILENT: Final = "recorder.session.silent"
HEARD: Final = "recorder.session.heard"
ONE_WAY: Final = "recorder.session.one-way"
BOTH_WAYS: Final = "recorder.session.both-ways"
TIMED_OUT: Final = "recorder.session.timed-out"
END_DELAYED: Final = "recorder.session.end-delayed"

KEY_SPENT: Final = "recorder.session.key-spent"

_ENDS_AT_ONCE: Final = 32
_BEGINS: Final = {Alarm.SILENT: SILENT, Alarm.ONE_WAY: ONE_WAY}
_ENDS: Final = {Alarm.SILENT: HEARD, Alarm.ONE_WAY: BOTH_WAYS}
_log = structlog.get_logger()


class Watch:
    """Looks at every session of a desk again and again."""

    def __init__(self, desk: RecorderDesk, config: RecorderConfig) -> None:
        self._desk = desk
        self._config = config
        self._patience = Patience(
            silent_s=config.silence_alarm_s, one_way_s=config.one_way_alarm_s
        )
        self._hearing: dict[RecordingId, Hearing] = {}
        self._told: Counter[Alarm] = Counter()
        self._disk_look: asyncio.Task[tuple[str, str]] | None = None

    @property
    def told(self) -> Mapping[str, int]:
        """How often each alarm was raised since the recorder began."""
        return {str(alarm): self._told[alarm] for alarm in Alarm}

    @property
    def standing(self) -> Mapping[str, int]:
        """How many calls have each alarm now."""
        calls = [
            {alarm for alarm, _ in hearing.alarms} for hearing in self._hearing.values()
        ]
        return {str(one): sum(one in alarms for alarms in calls) for one in Alarm}

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self._look_at_the_disk()
            running = self._desk.sessions
            for gone in self._hearing.keys() - running.keys():
                del self._hearing[gone]
            over: list[tuple[Session, HowEnded]] = []
            for session in list(running.values()):
                if session.lock.locked():
                    continue  # it is being changed or ended at this moment
                with self._guarded(session):
                    how = await self._look_at(session)
                    if how is not None:
                        over.append((session, how))
            await self._end_all(over)
            await asyncio.sleep(self._config.watch_interval_s)

    def _look_at_the_disk(self) -> None:
        """Keep what the desk's `check` says without a look of its own this young.

        A disk that does not answer holds up nothing here.
        """
        if self._disk_look is None or self._disk_look.done():
            self._disk_look = asyncio.create_task(self._desk.preflight.trouble())

    async def _end_all(self, over: list[tuple[Session, HowEnded]]) -> None:
        """End sessions side by side: each waits for its stragglers."""
        room = asyncio.Semaphore(_ENDS_AT_ONCE)

        async def end(session: Session, how: HowEnded) -> None:
            async with room:
                with self._guarded(session):
                    await self._desk.end(session, how)

        await asyncio.gather(*(end(session, how) for session, how in over))

    @staticmethod
    @contextlib.contextmanager
    def _guarded(session: Session) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # noqa: BLE001 - what is wrong with one session must not end the watch over all
            _log.warning(
                END_DELAYED,
                recording=session.recording_id,
                problem=type(exc).__name__,
            )

    async def _look_at(self, session: Session) -> HowEnded | None:
        """Do what one session needs now; return how it has to end, if it has to."""
        if session.ending is not None:
            return session.ending
        try:
            counters = self._desk.counters_of(session)
        except NotFoundError:
            # The media tap has lost it: nothing will come, and it holds a place.
            return HowEnded.CUT
        self._listen(session, counters)
        await self._check_keys(session, counters)
        received = sum(one.received + one.rtcp for one in counters)
        now_s = time.monotonic()
        if received != session.seen_packets:
            session.seen_packets, session.seen_at_s = received, now_s
        idle_s, age_s = now_s - session.seen_at_s, now_s - session.began_s
        if idle_s > self._config.idle_timeout_s or age_s > self._config.max_duration_s:
            idle = round(idle_s)
            _log.warning(TIMED_OUT, recording=session.recording_id, idle_s=idle)
            return HowEnded.TIMEOUT
        return None

    def _listen(self, session: Session, counters: tuple[StreamCounters, ...]) -> None:
        hearing = self._hearing.setdefault(session.recording_id, Hearing())
        expected = [
            index
            for index, stream in session.streams.items()
            if not (session.paused or stream.offered.held)
        ]
        for turn in hearing.look(
            counters, expected, self._patience, now_s=time.monotonic()
        ):
            self._tell(session, turn, counters)

    async def _check_keys(
        self, session: Session, counters: tuple[StreamCounters, ...]
    ) -> None:
        for one in counters:
            stream = session.streams[one.index]
            stream.authentic = one.authentic
            if stream.outlives_key and not stream.key_spent:
                self._told[Alarm.KEY_SPENT] += 1
                _log.error(KEY_SPENT, recording=session.recording_id, stream=one.index)
                await self._desk.note_spent(session, stream)

    def _tell(
        self, session: Session, turn: Turn, counters: tuple[StreamCounters, ...]
    ) -> None:
        if not turn.begins:
            _log.info(
                _ENDS[turn.alarm], recording=session.recording_id, stream=turn.stream
            )
            return
        self._told[turn.alarm] += 1
        # Packets that arrive and are not authentic are a wrong key, none a wrong way.
        _log.warning(
            _BEGINS[turn.alarm],
            recording=session.recording_id,
            stream=turn.stream,
            quiet_s=round(turn.quiet_s),
            received=sum(one.received for one in counters),
        )
