import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault
from vault.audit.anomalies import Findings, Play
from vault.web.kept_reports import KeptReports, Report
from vault.web.pages.trail_report import bars_of, people_of

BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
API = "/api/v1/audit/report"


def play(hours: float, actor: str = "user:a", *, within: bool = True) -> Play:
    at = BEGIN + timedelta(hours=hours)
    return Play(at=at, actor=actor, recording="r", within_hours=within)


def report(*plays: Play) -> Report:
    return Report(
        findings=Findings(plays=plays, hints=()),
        since=BEGIN,
        until=BEGIN + timedelta(days=1),
        entries=len(plays),
        is_whole=True,
    )


@pytest.fixture
def heard(own_vault: WebVault, in_browser: SignedInAs) -> WebVault:
    """A call of sales that ada has heard."""
    recording = own_vault.record()
    answer = in_browser("ada", own_vault).get(f"/api/v1/recordings/{recording}/audio")
    assert answer.status_code == 200
    return own_vault


class TestPage:
    def test_it_says_who_heard_what_for_the_first_time(
        self, heard: WebVault, in_browser: SignedInAs
    ) -> None:
        page = in_browser("olga", heard).get("/audit/report").text

        assert "Hears this workgroup for the first time: sales" in page
        assert "<strong>1</strong> play by <strong>1</strong> person" in page

    def test_each_hint_leads_to_its_entries(
        self, heard: WebVault, in_browser: SignedInAs
    ) -> None:
        officer = in_browser("olga", heard)
        page = officer.get("/audit/report").text
        hrefs = re.findall(r'<a href="(/audit\?query=[^"]+)">Show', page)
        href = hrefs[0].replace("&amp;", "&")

        entries = officer.get(href).text

        assert "<strong>1</strong> entry matches" in entries
        assert "recording.key.released" in entries

    def test_plots_have_no_inline_style_and_a_table_beside_them(
        self, heard: WebVault, in_browser: SignedInAs
    ) -> None:
        page = in_browser("olga", heard).get("/audit/report").text

        assert '<svg class="plot"' in page
        assert "The same as a table" in page
        assert "style=" not in page

    def test_a_window_that_is_none_is_the_shortest(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        page = in_browser("olga", own_vault).get("/audit/report?window=9y").text

        assert "Nothing stands out" in page
        assert 'aria-current="true">24 hours' in page


class TestApi:
    def test_it_answers_hints_and_counts(
        self, heard: WebVault, in_browser: SignedInAs
    ) -> None:
        told = in_browser("olga", heard).get(f"{API}?window=7d").json()
        leaf = heard.leaves()[-1]

        assert told["plays"] == 1
        assert "workgroup" in {hint["kind"] for hint in told["hints"]}
        assert (leaf["action"], leaf["detail"]) == (
            "audit.trail.read",
            {"kind": "report", "rows": told["entries"]},
        )

    def test_who_may_not_read_the_trail_gets_none(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        assert in_browser("ada", own_vault).get(API).status_code == 403

    def test_a_window_that_is_none_is_422(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        answer = in_browser("olga", own_vault).get(f"{API}?window=9y")

        assert answer.status_code == 422


class TestPlots:
    def test_a_bar_is_as_high_as_its_share_of_the_highest(self) -> None:
        bars = bars_of(
            report(play(1), play(1.5), play(3, within=False)), timedelta(hours=1)
        )

        assert len(bars) == 24
        assert (bars[1].within, bars[1].within_height) == (2, 100.0)
        assert (bars[3].outside, bars[3].outside_height) == (1, 50.0)
        assert bars[3].outside_y == 50.0

    def test_the_last_moment_is_in_the_last_bar(self) -> None:
        bars = bars_of(report(play(23.9999)), timedelta(hours=6))

        assert [0, 0, 0, 1] == [bar.within for bar in bars]

    def test_who_heard_most_comes_first_with_their_busiest_hour(self) -> None:
        plays = [play(1), play(1.2), play(5), play(2, "user:b", within=False)]

        first, second = people_of(plays, {"user:a": "ada"}, "24h")

        assert (first.name, first.plays, first.most, first.share) == ("ada", 3, 2, 100)
        assert (second.name, second.outside) == ("user:b", 1)


class TestKept:
    def test_a_report_is_made_once_in_three_minutes(self) -> None:
        kept, made = KeptReports(), list[int]()

        def make() -> Report:
            made.append(1)
            return report()

        for now_s in (0, 179, 180, 181):
            kept.get("24h", now_s * 10**9, make)
        kept.get("7d", 0, make)

        assert len(made) == 3
