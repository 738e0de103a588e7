"""The self-monitor: it checks the log all the time, and raises an alarm.

Two walks, some entries in each round:

    the tail    follows the log as it grows, from what this auditor has seen itself:
                a database that was set back behind its back is found
    the sweep   begins at entry 0 once a day, and looks at the object store, too

Guarantees:
    * An alarm is a line in the process log, a word in readiness, a metric, and an
      entry ``audit.trail.broken`` as long as the log still takes one.
    * It stays until what is wrong is right again: what a sweep found, until a sweep
      has come to its end without it.  It makes one entry, not one a round.
    * The processor is used for some entries in each round, whatever the log's size.

Left to others: looking at every row (`vault.audit.fsck`), threads
(`vault.auditor.duties`).

Spec: docs/howto/anchor-the-trail.md
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.entry import Action, Draft, Result
from vault.audit.source import TrailSource
from vault.audit.tiles import TILE_WIDTH
from vault.audit.tiling import Tiling
from vault.auditor.anchor_check import AnchorCheck
from vault.auditor.anchors import opened
from vault.auditor.memory import Memory
from vault.auditor.walk import Walk
from vault.core.canonical import JsonValue
from vault.core.errors import TrailBrokenError, VaultError
from vault.core.flow import Actor, ActorKind, Caller

TRAIL_BROKEN: Final = "audit.trail.broken"

_AUDITOR: Final = Caller(actor=Actor(kind=ActorKind.PROCESS, id="auditor"))

log = structlog.get_logger()


class LeafWriter(Protocol):
    """Who writes entries: the warden's client."""

    def append(self, *drafts: Draft) -> None:
        """Append *drafts*; see `vault.trust.interfaces.Trail`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringConfig:
    """How much, and how often."""

    interval_s: float = 10.0
    entries_per_round: int = 1000
    "Of the tail, and of the sweep."
    sweep_every_s: float = 86_400.0


class Monitoring:
    """Implements `vault.auditor.duties.Duty`."""

    name = "monitoring"

    def __init__(
        self,
        trail: TrailSource,
        leaves: LeafWriter,
        *,
        verifier: Verifier,
        anchors: Callable[[Verifier], AnchorCheck],
        memory: Memory,
        config: MonitoringConfig,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the log of *trail*.

        Args:
            trail: The log, by way of the warden.
            leaves: Takes the alarm's entry.
            verifier: The log's public key.
            anchors: Makes the check of what was published, for each sweep.
            memory: What was seen.
            config: How much, and how often.
            monotonic: Time that only passes, in seconds.
        """
        self._trail = trail
        self._leaves = leaves
        self._verifier = verifier
        self._make_anchors = anchors
        self._memory = memory
        self._config = config
        self._monotonic = monotonic
        self._tail: Walk | None = None
        self._sweep: Walk | None = None
        self._anchors: AnchorCheck | None = None
        self._swept_at = -float("inf")
        self._swept_wrong = ""
        "What the last sweep found; empty once one ended well."
        self._seen = 0
        "Entries whose root was the signed one."
        self._alarmed = ""
        self._is_entered = False
        "Whether the log has taken the entry about it."

    @property
    def interval_s(self) -> float:
        """See `Duty`."""
        return self._config.interval_s

    def facts(self) -> Mapping[str, JsonValue]:
        """See `vault.auditor.duties.Telling`."""
        return {
            "alarm": self._alarmed,
            "seen": self._seen,
            "swept": self._sweep.size if self._sweep else 0,
            "sweeping": self._sweep is not None,
        }

    def run(self) -> None:
        """See `Duty`."""
        try:
            self._look()
        except TrailBrokenError as error:
            self._raise_alarm(str(error))
            raise
        self._alarmed, self._is_entered = "", False

    def _look(self) -> None:
        # 1. What is signed now, and that it is not less than was seen.
        signed = opened(self._verifier, self._trail.checkpoint())
        if signed.origin != self._verifier.name:
            self._follow(signed.origin)
        tail, self._tail = self._tail or self._resumed(signed), None
        if tail.size > signed.size:
            raise _cut(tail.size)
        # 2. What is new.  It is remembered only after it was compared: a tail that
        #    saw another log is given up, and the next round resumes the one before.
        most = self._config.entries_per_round
        grown = tail.advance(most=most, size=signed.size)
        if tail.size == signed.size and tail.tiling.root() != signed.root:
            raise TrailBrokenError("there are two different logs of one size")
        if grown:
            self._remember(tail)
        self._tail, self._seen = tail, tail.size
        # 3. What is old.
        self._go_on_sweeping(signed, most)
        if self._swept_wrong:
            raise TrailBrokenError(self._swept_wrong)

    def _follow(self, origin: str) -> None:
        """Go along with the successor of a log that a restore has cut."""
        self._verifier = Verifier(name=origin, public_key=self._verifier.public_key)
        self._tail = self._sweep = None

    def _resumed(self, signed: Checkpoint) -> Walk:
        members = self._memory.read()
        size = members.get("size")
        if members.get("origin") != signed.origin or not isinstance(size, int):
            return Walk(self._trail, self._verifier)
        if size > signed.size:
            raise _cut(size)
        entries = self._trail.entries(size - size % TILE_WIDTH, size)
        return Walk(
            self._trail, self._verifier, tiling=Tiling.resumed(members, entries)
        )

    def _go_on_sweeping(self, signed: Checkpoint, most: int) -> None:
        now = self._monotonic()
        if self._sweep is None and now - self._swept_at < self._config.sweep_every_s:
            return
        try:
            if self._sweep is None:
                self._begin_sweep()
                # What is published may be newer by now than what was signed then.
                signed = opened(self._verifier, self._trail.checkpoint())
            if self._swept(signed, most):
                self._sweep, self._swept_at, self._swept_wrong = None, now, ""
        except VaultError as error:
            # Watchers may have seen these entries: the next round begins anew.
            self._sweep = None
            if isinstance(error, TrailBrokenError):
                self._swept_wrong = str(error)
            raise

    def _begin_sweep(self) -> None:
        self._anchors = self._make_anchors(self._verifier)
        if (found := self._anchors.begin()) is not None:
            raise TrailBrokenError(found.text)
        self._sweep = Walk(self._trail, self._verifier, watchers=[self._anchors])

    def _swept(self, signed: Checkpoint, most: int) -> bool:
        assert self._sweep is not None
        assert self._anchors is not None
        self._sweep.advance(most=most, size=signed.size)
        if self._sweep.size < signed.size:
            return False
        for found in self._anchors.end(signed.size):
            raise TrailBrokenError(found.text)
        return True

    def _remember(self, tail: Walk) -> None:
        self._memory.write({**tail.tiling.members(), "origin": self._verifier.name})

    def _raise_alarm(self, problem: str) -> None:
        if problem != self._alarmed:
            log.critical(TRAIL_BROKEN, problem=problem)
        self._alarmed = problem
        if self._is_entered:
            # The entry makes the log grow: an alarm that speaks of its size would
            # make another each round.
            return
        # Best effort: a log that is broken may still take entries, or not any more.
        with suppress(VaultError):
            self._leaves.append(
                Draft(
                    action=Action.AUDIT_TRAIL_BROKEN,
                    caller=_AUDITOR,
                    result=Result.FAILED,
                    reason="contradiction",
                    detail={"size": self._seen},
                )
            )
            self._is_entered = True


def _cut(seen: int) -> TrailBrokenError:
    return TrailBrokenError(
        f"the log has fewer entries than the {seen} that were seen: it was cut, or "
        "restored from a backup"
    )
