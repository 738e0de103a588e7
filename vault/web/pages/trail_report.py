"""The report on the trail, for officers: plots, the same as tables, and hints.

Plots are drawn here, as SVG of attributes and classes: the content security policy
allows neither inline styles nor scripts, and needs none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.audit.anomalies import (
    EXPORTS_A_DAY,
    PLAYED,
    PLAYS_AN_HOUR,
    REFUSALS_AN_HOUR,
    Hint,
    HintKind,
    Play,
)
from vault.web.kept_reports import KEPT_S, Report
from vault.web.pages.frame import PageVisit
from vault.web.trail_names import TrailNames
from vault.web.trail_report import BEFORE, WINDOWS, ReportDesk, to_the_second
from vault.web.trail_words import TRAIL, history_href, href_of

router = APIRouter()

PAGE: Final = f"{TRAIL}/report"
_BUCKETS: Final[Mapping[str, timedelta]] = {
    "24h": timedelta(hours=1),
    "7d": timedelta(hours=6),
    "30d": timedelta(days=1),
}
_WORDS: Final[Mapping[HintKind, str]] = {
    HintKind.PLAYS: "Many plays within an hour",
    HintKind.HOURS: "Listened outside of business hours",
    HintKind.WORKGROUP: "Hears this workgroup for the first time",
    HintKind.REFUSALS: "Many refusals within an hour",
    HintKind.EMERGENCY: "Broke the glass",
    HintKind.EXPORTS: "Many exports within a day",
}
_MOST_PEOPLE: Final = 10
_MOST_HINTS: Final = 200
_HEIGHT: Final = 100.0
_WIDTH: Final = 600.0
_GAP: Final = 2.0
_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Plays of a piece of the window, in units of the plot."""

    begin: datetime
    within: int
    "Plays in business hours."
    outside: int
    x: float
    width: float
    within_y: float
    within_height: float
    outside_y: float
    outside_height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What one person heard."""

    name: str
    actor: str
    href: str
    plays: int
    outside: int
    most: int
    "Plays in their busiest hour."
    share: float
    "Of who heard most, 0 to 100."


@router.get(PAGE)
def report_page(visit: PageVisit) -> Response:
    """Show what in the trail is worth a second look."""
    asked = visit.request.query_params.get("window", "24h")
    window = asked if asked in WINDOWS else "24h"
    report = ReportDesk(visit.services, visit.asker).report(window)
    labels = TrailNames(visit.services, visit.asker).labels()
    plays, hints = report.findings.plays, report.findings.hints
    return visit.page(
        "trail_report.html",
        report=report,
        window=window,
        windows=list(WINDOWS),
        hours=str(visit.services.business_hours),
        plays=len(plays),
        outside=report.findings.out_of_hours,
        people=len({play.actor for play in plays}),
        bars=bars_of(report, _BUCKETS[window]),
        plot={"width": _WIDTH, "height": _HEIGHT},
        most=people_of(plays, labels, window),
        hints=[_line(hint, labels) for hint in hints[:_MOST_HINTS]],
        hidden=max(0, len(hints) - _MOST_HINTS),
        limits={
            "plays": PLAYS_AN_HOUR,
            "refusals": REFUSALS_AN_HOUR,
            "exports": EXPORTS_A_DAY,
            "days": BEFORE.days,
            "minutes": KEPT_S // _MINUTE_S,
        },
    )


def bars_of(report: Report, each: timedelta) -> Sequence[Bar]:
    """Return a bar for each piece of the window, oldest first."""
    count = round((report.until - report.since) / each)
    within, outside = Counter[int](), Counter[int]()
    for play in report.findings.plays:
        place = min(int((play.at - report.since) / each), count - 1)
        (within if play.within_hours else outside)[place] += 1
    highest = max((within[n] + outside[n] for n in range(count)), default=0) or 1
    step = _WIDTH / count
    return [
        _bar(
            report.since + n * each,
            within[n],
            outside[n],
            x=n * step,
            width=step - _GAP,
            unit=_HEIGHT / highest,
        )
        for n in range(count)
    ]


def _bar(
    begin: datetime, within: int, outside: int, *, x: float, width: float, unit: float
) -> Bar:
    within_height, outside_height = within * unit, outside * unit
    return Bar(
        begin=begin,
        within=within,
        outside=outside,
        x=round(x, 1),
        width=round(width, 1),
        within_y=round(_HEIGHT - within_height, 1),
        within_height=round(within_height, 1),
        outside_y=round(_HEIGHT - within_height - outside_height, 1),
        outside_height=round(outside_height, 1),
    )


def people_of(
    plays: Sequence[Play], labels: Mapping[str, str], window: str
) -> Sequence[Person]:
    """Return who heard most, with their busiest hour."""
    counts = Counter(play.actor for play in plays)
    outside = Counter(play.actor for play in plays if not play.within_hours)
    busiest: Counter[str] = Counter()
    hours = Counter((play.actor, f"{play.at:%Y-%m-%d %H}") for play in plays)
    for (actor, _), count in hours.items():
        busiest[actor] = max(busiest[actor], count)
    top = counts.most_common(_MOST_PEOPLE)
    return [
        Person(
            name=labels.get(actor, actor),
            actor=actor,
            href=href_of(f"actor:{actor} action:{PLAYED} created:{window}"),
            plays=count,
            outside=outside[actor],
            most=busiest[actor],
            share=round(100 * count / top[0][1], 1),
        )
        for actor, count in top
    ]


def _line(hint: Hint, labels: Mapping[str, str]) -> dict[str, object]:
    """Return one hint as the page shows it, with names for ids."""
    return {
        "words": _WORDS[hint.kind],
        "kind": str(hint.kind),
        "who": labels.get(hint.actor, hint.actor),
        "who_href": history_href(hint.actor),
        "about": labels.get(hint.about, hint.about),
        "since": to_the_second(hint.since),
        "count": hint.count,
        "href": href_of(hint.query),
    }
