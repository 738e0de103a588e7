"""How the tap of this installation stands: a small file that it writes and others read.

Guarantees: it is written whole or not at all, for this user alone; it names no call
and nobody.  Its age is told by time that only passes, so that a wrong clock makes a
dead tap look neither alive nor well.

Left to others: what calls for an alarm (`infra/prometheus`, docs/reference).
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from vault.tap.standing import TapStanding, standing_members

NOT_WRITTEN: Final = "tap.status.not-written"
EVERY_S: Final = 2.0
STALE_S: Final = 10.0

_VERSION: Final = 1
_MOST_BYTES: Final = 1 << 20
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class TapStatus:
    """What was written last."""

    age_s: float
    members: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether a tap has written it a moment ago."""
        return 0 <= self.age_s < STALE_S

    @property
    def trouble(self) -> tuple[str, str]:
        """Why a call would be refused now: a word and a text; empty if none would."""
        found = self.members.get("trouble")
        reason = found.get("reason") if isinstance(found, dict) else ""
        text = found.get("text") if isinstance(found, dict) else ""
        return str(reason or ""), str(text or "")

    def number(self, name: str) -> float:
        """Return a figure of the status; 0 where it is missing."""
        found = self.members.get(name)
        return float(found) if isinstance(found, int | float) else 0.0

    def numbers(self, name: str) -> Mapping[str, float]:
        """Return a group of figures by name."""
        found = self.members.get(name)
        members = found.items() if isinstance(found, dict) else ()
        return {k: float(v) for k, v in members if isinstance(v, int | float)}

    def part(self, name: str) -> "TapStatus":
        """Return a group of members by name, as a status of its own."""
        found = self.members.get(name)
        return TapStatus(
            age_s=self.age_s, members=found if isinstance(found, dict) else {}
        )

    def word(self, name: str) -> str:
        """Return a text of the status; empty where it is missing."""
        found = self.members.get(name)
        return found if isinstance(found, str) else ""

    def words(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; empty where it is missing."""
        found = self.members.get(name)
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def workers(self) -> tuple[Mapping[str, float], ...]:
        """Return the figures of each worker."""
        found = self.members.get("workers")
        return tuple(
            {k: float(v) for k, v in each.items() if isinstance(v, int | float)}
            for each in (found if isinstance(found, list) else ())
            if isinstance(each, dict)
        )


@dataclass(slots=True, kw_only=True)
class StatusWriter:
    """Writes the status of the tap that it is in, for as long as that lives."""

    path: Path
    standing: Callable[[], TapStanding]
    trouble: Callable[[], Awaitable[tuple[str, str]]]
    refused: Callable[[], Mapping[str, int]]
    alarms: Callable[[], Mapping[str, int]]
    "How often each alarm about a running call was raised."
    kept: Callable[[], int | None]
    "Descriptors in a store; None where there is no store."
    sip: Callable[[], Mapping[str, object]] = dict
    "How the SIP server stands."
    reason: str = "starting"
    "Why a call would be refused, as of the last look; empty if none would be."
    _failed: bool = False

    async def run(self) -> None:
        """Look and write again and again, until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        """Look and write once; never raises."""
        try:
            members = await self._look()
            await asyncio.to_thread(self._write, json.dumps(members).encode())
        except Exception as error:  # noqa: BLE001 - a status that cannot be told must not hide the next one
            self.reason = "unknown"
            self._say(type(error).__name__)

    async def _look(self) -> Mapping[str, object]:
        reason, text = await self.trouble()
        self.reason = reason
        return {
            "v": _VERSION,
            "at_s": round(time.monotonic(), 3),
            "pid": os.getpid(),
            "trouble": {"reason": reason, "text": text},
            "refused": dict(self.refused()),
            "alarms": dict(self.alarms()),
            "store_kept": self.kept(),
            "sip": dict(self.sip()),
            **standing_members(self.standing()),
        }

    def _write(self, octets: bytes) -> None:
        fresh = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_bytes(octets)
            fresh.rename(self.path)
        except OSError as error:
            self._say(error.strerror or type(error).__name__)
        else:
            self._failed = False

    def _say(self, problem: str) -> None:
        if not self._failed:
            _log.warning(NOT_WRITTEN, problem=problem)
        self._failed = True


def read_status(path: Path) -> TapStatus | None:
    """Return what a tap has written last, or None where none ever has."""
    try:
        with path.open("rb") as file:
            members = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(members, dict) or members.get("v") != _VERSION:
        return None
    at_s = members.get("at_s")
    if not isinstance(at_s, int | float):
        return None
    return TapStatus(age_s=time.monotonic() - at_s, members=members)
