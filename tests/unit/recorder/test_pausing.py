import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.waiting import until
from vault.core.errors import UnavailableError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId, new_recording_id
from vault.recorder.pausing import Pauses


@dataclass
class Call:
    """What of a session the timers look at."""

    recording_id: RecordingId = field(default_factory=new_recording_id)
    paused: bool = True
    resume_at_s: float = 0.0
    ending: HowEnded | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def played(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 10))


class Resumer:
    """Resumes calls, after *failures* attempts that fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.resumed: list[RecordingId] = []

    async def __call__(self, call: Any) -> None:
        assert call.lock.locked()
        if self.failures:
            self.failures -= 1
            raise UnavailableError("between two workers")
        call.paused = False
        self.resumed.append(call.recording_id)


def test_a_pause_ends_after_the_time_that_was_asked_for() -> None:
    async def scene() -> None:
        resume, call = Resumer(), Call()
        pauses = Pauses(resume, max_s=900.0)
        pauses.begin(call, 0.01)
        await until(lambda: resume.resumed == [call.recording_id])

    played(scene)


def test_nobody_pauses_for_longer_than_the_installation_allows() -> None:
    async def scene() -> None:
        clock, call = Clock(), Call()
        for max_s, asked_s, at_s in (
            (900.0, None, 1900.0),
            (900.0, 60.0, 1060.0),
            (900.0, 3600.0, 1900.0),
            (0.0, 60.0, 1060.0),
            (0.0, None, 0.0),
        ):
            pauses = Pauses(Resumer(), max_s=max_s, clock=clock)
            pauses.begin(call, asked_s)

            assert at_s == call.resume_at_s
            pauses.forget(call)

    played(scene)


def test_a_pause_of_an_earlier_process_ends_when_that_one_said() -> None:
    async def scene() -> None:
        resume, clock = Resumer(), Clock()
        late, soon = Call(resume_at_s=990.0), Call(resume_at_s=1000.01)
        pauses = Pauses(resume, max_s=900.0, clock=clock)
        pauses.arm(late)
        await until(lambda: resume.resumed == [late.recording_id])
        clock.now_s = 1000.02
        pauses.arm(soon)
        await until(lambda: len(resume.resumed) == 2)

    played(scene)


def test_what_was_resumed_or_has_ended_is_left_alone() -> None:
    async def scene() -> None:
        resume = Resumer()
        pauses = Pauses(resume, max_s=0.01)
        ended, resumed, last = Call(), Call(), Call()
        for call in (ended, resumed, last):
            pauses.begin(call, None)
        ended.ending, resumed.paused = HowEnded.BYE, False
        await until(lambda: resume.resumed == [last.recording_id])

    played(scene)


def test_a_timer_that_waited_for_the_lock_sees_that_the_pause_began_anew() -> None:
    async def scene() -> None:
        resume, call = Resumer(), Call()
        pauses = Pauses(resume, max_s=900.0)
        async with call.lock:
            pauses.begin(call, 0.001)
            await asyncio.sleep(0.01)
            call.resume_at_s += 1000.0
        await asyncio.sleep(0)

        assert (call.paused, resume.resumed) == (True, [])
        pauses.forget(call)

    played(scene)


def test_a_resume_that_fails_is_tried_again() -> None:
    async def scene() -> None:
        resume, call = Resumer(failures=1), Call()
        pauses = Pauses(resume, max_s=0.01)
        pauses.begin(call, None)
        await until(lambda: resume.resumed == [call.recording_id])

    played(scene)
