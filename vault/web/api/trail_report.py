"""The report on the trail, for programs: hints, and how many plays there were."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from vault.audit.anomalies import Hint
from vault.core.errors import AccessDeniedError, AuditUnavailableError
from vault.core.openapi import may_answer
from vault.web.api.queries import each_once
from vault.web.api.shapes import ReportShape
from vault.web.identity import Rooms, SignedIn
from vault.web.kept_reports import Report
from vault.web.trail_report import ReportDesk, to_the_second

router = APIRouter(prefix="/api/v1/audit", dependencies=[Depends(each_once)])


class ReportQuery(BaseModel):
    """``GET /api/v1/audit/report``."""

    model_config = ConfigDict(extra="forbid")

    window: Literal["24h", "7d", "30d"] = "24h"


@router.get("/report", response_model=ReportShape)
@may_answer(AccessDeniedError, AuditUnavailableError)
def show_report(
    query: Annotated[ReportQuery, Query()], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """Show what in the trail is worth a second look."""
    report = ReportDesk(services, asker).report(query.window)
    return JSONResponse(report_members(report))


def report_members(report: Report) -> dict[str, object]:
    """Return a report as the API shows it."""
    return {
        "since": to_the_second(report.since),
        "until": to_the_second(report.until),
        "entries": report.entries,
        "is_whole": report.is_whole,
        "plays": len(report.findings.plays),
        "plays_out_of_hours": report.findings.out_of_hours,
        "hints": [_hint_members(hint) for hint in report.findings.hints],
    }


def _hint_members(hint: Hint) -> dict[str, object]:
    return {
        "kind": str(hint.kind),
        "actor": hint.actor,
        "about": hint.about or None,
        "since": to_the_second(hint.since),
        "until": to_the_second(hint.until),
        "count": hint.count,
        "query": hint.query,
    }
