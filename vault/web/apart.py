"""Routes that wait for costly proofs, in threads of their own that yield to others.

A hash of a password takes 0.1 s on four threads, and two run at once; whoever waits
for that must not hold a thread that pages and media need, and hashes must not take the
processor from them, nor from calls that are being recorded.

Guarantees: however many sign in, the threads of everything else are free, and go first.

Who waits for another server, which may hang, does so in a few threads more: those who
come when all of them wait are refused at once.

Left to others: how many may wait (`vault.access.signin`): the rest is refused at once,
so that these threads are never all taken for long.

Spec: sched(7): on Linux each thread is nice by itself, and threads inherit it.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from typing import Final, ParamSpec, TypeVar

from vault.core.errors import ThrottledError

_P = ParamSpec("_P")
_R = TypeVar("_R")

MOST: Final = 60
"A few more than may wait for a proof: whoever is refused needs one for a moment."
_NICE: Final = 10


def _yield_to_others() -> None:
    # Where a filter of system calls forbids it, a thread that is as nice as others
    # does better than none.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


_THREADS: Final = ThreadPoolExecutor(MOST, "proof", initializer=_yield_to_others)
MOST_ELSEWHERE: Final = 16
"Who wait for one other server; it is asked by half of them at once."


def apart(route: Callable[_P, _R]) -> Callable[_P, Awaitable[_R]]:
    """Return *route*, a plain function, as one that runs in those threads."""

    @wraps(route)
    async def run(*args: _P.args, **named: _P.kwargs) -> _R:
        work = partial(copy_context().run, route, *args, **named)
        return await asyncio.get_running_loop().run_in_executor(_THREADS, work)

    return run


class Elsewhere:
    """Routes that wait for another server, in threads of their own."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(MOST_ELSEWHERE, name)
        self._places = threading.BoundedSemaphore(MOST_ELSEWHERE)

    def __call__(self, route: Callable[_P, _R]) -> Callable[_P, Awaitable[_R]]:
        """Return *route*, a plain function, as one that runs in those threads.

        It raises `ThrottledError` while all of them are taken.
        """

        @wraps(route)
        async def run(*args: _P.args, **named: _P.kwargs) -> _R:
            if not self._places.acquire(blocking=False):
                raise ThrottledError("too many sign-ins at once", retry_after_s=1)
            context = copy_context()

            def work() -> _R:
                try:
                    return context.run(route, *args, **named)
                finally:
                    # Here: who goes away leaves a thread behind that still waits.
                    self._places.release()

            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

        return run
