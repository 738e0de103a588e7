"""Duties: what the auditor does again and again, each in a thread of its own.

Guarantees:
    * A duty that fails is tried again, later each time, and stops no other one.
    * How each stands is known at any time: when it last worked, and what is wrong.
    * What contradicts the log is told apart from what is merely away.

Left to others: what a duty does (this room's other modules), which ones there are
(`vault.serving.auditor`), where their standing is read (`vault.serving.standing`).
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, runtime_checkable

import structlog

from vault.core.canonical import JsonValue
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import IntegrityError, VaultError

DUTY_FAILED: Final = "auditor.duty.failed"
DUTY_RECOVERED: Final = "auditor.duty.recovered"

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 300.0
_MOST_CHARS: Final = 300

log = structlog.get_logger()


class Duty(Protocol):
    """Something to be done every *interval_s* seconds."""

    @property
    def name(self) -> str:
        """A word for logs, metrics and readiness: ``publishing``."""
        ...

    @property
    def interval_s(self) -> float:
        """Seconds from the end of a round that worked to the next one."""
        ...

    def run(self) -> None:
        """Do one round.

        Raises:
            IntegrityError: Something contradicts the log.
            VaultError: It did not work, and may work later.
        """
        ...


@runtime_checkable
class Telling(Protocol):
    """A duty that has more to tell than whether it works."""

    def facts(self) -> Mapping[str, JsonValue]:
        """Return what it has to tell, in figures and short words; never blocks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyStatus:
    """How a duty stands."""

    name: str
    last_success_ns: int | None = None
    "Since the epoch; None before the first round that worked."
    failures: int = 0
    "Rounds in a row that did not work."
    last_error: str = ""
    "Why the last round did not; empty when it did."
    contradicted: bool = False
    "Whether that was something which contradicts the log."
    facts: Mapping[str, JsonValue] = field(default_factory=dict)

    def members(self) -> dict[str, JsonValue]:
        """Return this as it is written down."""
        return {
            "contradicted": self.contradicted,
            "facts": dict(self.facts),
            "failures": self.failures,
            "last_error": self.last_error,
            "last_success_ns": self.last_success_ns,
            "name": self.name,
        }


class Duties:
    """Runs duties, each in its own thread, until it is stopped."""

    def __init__(
        self, duties: Sequence[Duty], *, clock: Clock = system_clock_ns
    ) -> None:
        self._rounds = [_Rounds(duty, clock) for duty in duties]

    def start(self) -> None:
        """Begin with the first round of each."""
        for rounds in self._rounds:
            rounds.thread.start()

    def stop(self, *, within_s: float) -> bool:
        """Ask all to end, and tell whether they did in time.

        Threads that hang in a round end with the process.
        """
        for rounds in self._rounds:
            rounds.stopping.set()
        deadline = time.monotonic() + within_s
        for rounds in self._rounds:
            rounds.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(rounds.thread.is_alive() for rounds in self._rounds)

    def statuses(self) -> tuple[DutyStatus, ...]:
        """Return how each stands."""
        return tuple(rounds.status() for rounds in self._rounds)


class _Rounds:
    """One duty, its thread, and how it stands."""

    def __init__(self, duty: Duty, clock: Clock) -> None:
        self._duty = duty
        self._clock = clock
        self._standing = DutyStatus(name=duty.name)
        self.stopping = threading.Event()
        self.thread = threading.Thread(
            target=self._run, name=f"duty-{duty.name}", daemon=True
        )

    def status(self) -> DutyStatus:
        facts = self._duty.facts() if isinstance(self._duty, Telling) else {}
        return replace(self._standing, facts=facts)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self._one()
            self.stopping.wait(self._pause_s())

    def _one(self) -> None:
        before = self._standing
        try:
            self._duty.run()
        except VaultError as error:
            self._failed(str(error), contradicted=isinstance(error, IntegrityError))
        except Exception as error:
            # A bug in one round is no reason to look after nothing from now on.
            log.exception(DUTY_FAILED, duty=before.name)
            self._failed(type(error).__name__, contradicted=False)
        else:
            self._standing = DutyStatus(name=before.name, last_success_ns=self._clock())
            if before.failures:
                log.info(DUTY_RECOVERED, duty=before.name)

    def _failed(self, error: str, *, contradicted: bool) -> None:
        before = self._standing
        error = error[:_MOST_CHARS]
        if error != before.last_error:
            say = log.error if contradicted else log.warning
            say(DUTY_FAILED, duty=before.name, problem=error)
        self._standing = DutyStatus(
            name=before.name,
            last_success_ns=before.last_success_ns,
            failures=before.failures + 1,
            last_error=error,
            contradicted=contradicted,
        )

    def _pause_s(self) -> float:
        failures = self._standing.failures
        if not failures:
            return self._duty.interval_s
        wait_s = _FIRST_WAIT_S * 2.0 ** min(failures - 1, 16)
        return min(wait_s, max(self._duty.interval_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
