"""How the auditor of this installation stands: a small file, written and read.

Guarantees: it is written whole or not at all, for this user alone; it names nobody.
Its age is told by time that only passes.

Left to others: what calls for an alarm (`infra/prometheus`, docs/reference).

Spec: docs/reference/metrics-and-health.md
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.auditor.duties import DutyStatus
from vault.core.canonical import JsonObject, JsonValue

EVERY_S: Final = 5.0
STALE_S: Final = 30.0

_VERSION: Final = 1
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorStanding:
    """What the auditor has written last."""

    age_s: float
    duties: tuple[DutyStatus, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Whether an auditor has written it a moment ago."""
        return 0 <= self.age_s < STALE_S

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; what contradicts the log comes first."""
        troubled = [one for one in self.duties if one.last_error]
        troubled.sort(key=lambda one: not one.contradicted)
        said = [f"{one.name}: {one.last_error}" for one in troubled]
        warnings = [one.facts.get("warning") for one in self.duties]
        return (*said, *(word for word in warnings if isinstance(word, str) and word))


def write_standing(path: Path, statuses: Sequence[DutyStatus]) -> None:
    """Write how the duties stand now.

    Raises:
        OSError: The folder cannot be written.
    """
    members: JsonObject = {
        "at_ms": int(time.monotonic() * 1000),
        "duties": [status.members() for status in statuses],
        "pid": os.getpid(),
        "v": _VERSION,
    }
    fresh = path.with_name(f"{path.name}.new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh.write_bytes(json.dumps(members).encode())
    fresh.rename(path)


def read_standing(path: Path) -> AuditorStanding | None:
    """Return what an auditor has written last, or None where none ever has."""
    try:
        with path.open("rb") as file:
            members = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return None
    match members:
        case {"v": 1, "at_ms": int(at_ms), "duties": list(duties)}:
            found = tuple(_status(one) for one in duties if isinstance(one, dict))
            return AuditorStanding(age_s=time.monotonic() - at_ms / 1000, duties=found)
    return None


def _status(members: Mapping[str, JsonValue]) -> DutyStatus:
    success, failures = members.get("last_success_ns"), members.get("failures")
    facts = members.get("facts")
    return DutyStatus(
        name=str(members.get("name", "")),
        last_success_ns=success if isinstance(success, int) else None,
        failures=failures if isinstance(failures, int) else 0,
        last_error=str(members.get("last_error", "")),
        contradicted=members.get("contradicted") is True,
        facts=facts if isinstance(facts, dict) else {},
    )
