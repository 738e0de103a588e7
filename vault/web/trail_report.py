"""The officer's report: hints from the newest entries of the trail.

Guarantees: only with the right to read the trail, and the leaf that somebody read the
report is durable before it is shown; at most `MOST_ENTRIES` are looked at, the newest
ones, and the report says when there were more.

Left to others: what is a hint (`vault.audit.anomalies`), drawing (`vault.web.pages`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from vault.access.permissions import Permission
from vault.audit.anomalies import LOOKED_AT, PLAYED, look
from vault.audit.entry import Action, Draft
from vault.audit.query import Terms, TrailQuery
from vault.core.canonical import JsonObject
from vault.core.clock import NS_PER_S
from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.ids import RecordingId
from vault.web.identity import Asker, insist
from vault.web.kept_reports import Report
from vault.web.services import Services

WINDOWS: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        "24h": timedelta(hours=24),
        "7d": timedelta(days=7),
        "30d": timedelta(days=30),
    }
)
BEFORE: Final = timedelta(days=90)
"How long ago a workgroup counts as heard before."
MOST_ENTRIES: Final = 10_000

_PAGE: Final = 200
_RENDERS: Final = ("process:worker",)


class ReportDesk:
    """Makes reports for one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def report(self, window: str) -> Report:
        """Return what is worth a look within *window*, counted minutes ago at most.

        Raises:
            InvalidInputError: There is no such window.
            AccessDeniedError: The asker may not read the trail.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_READ)
        if window not in WINDOWS:
            raise InvalidInputError(f"a window is one of {', '.join(WINDOWS)}")
        now_ns = self._services.clock()
        report = self._services.reports.get(
            window, now_ns, lambda: self._made(window, now_ns)
        )
        self._services.warden.append(
            Draft(
                action=Action.AUDIT_TRAIL_READ,
                caller=self._asker.caller,
                right=Permission.AUDIT_TRAIL_READ,
                detail={"kind": "report", "rows": report.entries},
            )
        )
        return report

    def _made(self, window: str, now_ns: int) -> Report:
        until = datetime.fromtimestamp(now_ns // NS_PER_S, UTC) + timedelta(seconds=1)
        since = until - WINDOWS[window]
        entries, is_whole = self._entries(since - BEFORE)
        findings = look(
            entries,
            since=since,
            until=until,
            hours=self._services.business_hours,
            workgroups=self._workgroups(entries),
        )
        return Report(
            findings=findings,
            since=since,
            until=until,
            entries=len(entries),
            is_whole=is_whole,
        )

    def _entries(self, since: datetime) -> tuple[list[JsonObject], bool]:
        """Return the newest entries that count, and whether these are all."""
        query = TrailQuery(
            wanted=Terms(action=tuple(map(str, LOOKED_AT))),
            unwanted=Terms(actor=_RENDERS),
            since=to_the_second(since),
        )
        found: list[JsonObject] = []
        cursor: str | None = None
        while len(found) < MOST_ENTRIES:
            page = self._services.trail.page(query, cursor=cursor, limit=_PAGE)
            found += [one.entry.members for one in page.items]
            cursor = page.next
            if cursor is None:
                return found, True
        return found[:MOST_ENTRIES], False

    def _workgroups(self, entries: list[JsonObject]) -> Mapping[str, str]:
        """Return the workgroup of each recording that was heard, if it has one."""
        heard = {
            str(entry["recording"])
            for entry in entries
            if entry.get("action") == PLAYED and "recording" in entry
        }
        found: dict[str, str] = {}
        for recording in heard:
            try:
                row = self._services.recordings.row(RecordingId(recording))
            except (NotFoundError, InvalidInputError):
                continue
            if row.workgroup_id:
                found[recording] = str(row.workgroup_id)
        return found


def to_the_second(moment: datetime) -> str:
    """Return *moment*, which is in UTC, as ``2026-11-23T06:16:09Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
