"""Calls into what we did not write: so many at once, so long and no longer.

Guarantees: the caller has an answer within the limit, whatever the callee does; a
callee that hangs keeps one of a few places, and never the process from ending.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from vault.core.errors import UnavailableError

_T = TypeVar("_T")


class LimitedCalls:
    """Runs calls in threads of their own; safe to share between threads."""

    def __init__(self, what: str, *, limit_s: float, concurrent: int = 8) -> None:
        """Say of *what* it is, for messages; *limit_s* includes waiting for a place."""
        self._what = what
        self._limit_s = limit_s
        self._places = threading.BoundedSemaphore(concurrent)

    def run(self, call: Callable[[], _T], *, limit_s: float | None = None) -> _T:
        """Return what *call* returns, or raise what it raises.

        Raises:
            UnavailableError: Not within the limit, or all places are taken.
        """
        deadline = time.monotonic() + (limit_s or self._limit_s)
        if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise UnavailableError(f"{self._what} is busy")
        running = _Running(call, self._places)
        threading.Thread(target=running, name=self._what, daemon=True).start()
        return running.result(deadline, self._what)


class _Running(Generic[_T]):
    def __init__(
        self, call: Callable[[], _T], places: threading.BoundedSemaphore
    ) -> None:
        self._call = call
        self._places = places
        self._ended = threading.Event()
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self._results.append(self._call())
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            self._error = error
        except BaseException as error:  # noqa: BLE001 - a callee ends nobody's process
            self._error = RuntimeError(type(error).__name__)
        finally:
            self._places.release()
            self._ended.set()

    def result(self, deadline: float, what: str) -> _T:
        if not self._ended.wait(max(0.0, deadline - time.monotonic())):
            raise UnavailableError(f"{what} does not answer")
        if self._error is not None:
            raise self._error
        return self._results[0]
