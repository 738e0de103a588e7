from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from vault.audit.anomalies import BusinessHours, Findings, HintKind, look
from vault.audit.language import read
from vault.core.canonical import JsonObject
from vault.core.errors import InvalidInputError

MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)
SINCE, UNTIL = MONDAY - timedelta(days=1), MONDAY + timedelta(days=1)
ADA, BOB = "user:11111111-1111-4111-8111-111111111111", "user:2"
HOURS = BusinessHours()


def entry(action: str, at: datetime, *, actor: str = ADA, **more: object) -> JsonObject:
    members: JsonObject = {
        "id": str(uuid4()),
        "time": at.strftime("%Y-%m-%dT%H:%M:%S.000000001Z"),
        "action": action,
        "actor": actor,
        "result": "ok",
    }
    return members | more  # type: ignore[return-value] # JSON, as tests write it


def play(at: datetime, *, actor: str = ADA, recording: str = "r1") -> JsonObject:
    detail = {"purpose": "play", "grant": str(uuid4())}
    return entry(
        "recording.key.released", at, actor=actor, recording=recording, detail=detail
    )


def found(*entries: JsonObject, groups: dict[str, str] | None = None) -> Findings:
    return look(entries, since=SINCE, until=UNTIL, hours=HOURS, workgroups=groups or {})


def kinds(findings: Findings) -> list[str]:
    return [str(hint.kind) for hint in findings.hints]


def test_an_ordinary_day_gives_no_hint() -> None:
    findings = found(*(play(MONDAY + timedelta(minutes=n)) for n in range(10)))

    assert kinds(findings) == []
    assert len(findings.plays) == 10


def test_many_plays_within_an_hour_are_a_hint_for_that_person() -> None:
    busy = [play(MONDAY + timedelta(minutes=n)) for n in range(20)]
    calm = [play(MONDAY + timedelta(minutes=n), actor=BOB) for n in range(19)]

    (hint,) = found(*busy, *calm).hints

    assert (hint.kind, hint.actor, hint.count) == (HintKind.PLAYS, ADA, 20)
    assert (hint.since, hint.until) == (MONDAY, MONDAY + timedelta(hours=1))


def test_a_lease_that_is_renewed_is_no_second_play() -> None:
    first = play(MONDAY)
    again = first | {"id": str(uuid4())}

    assert len(found(first, again).plays) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"result": "refused"},
        {"detail": {"purpose": "render"}},
        {"detail": {"purpose": "export", "grant": "g"}},
    ],
)
def test_only_keys_that_were_given_out_to_play_are_plays(
    more: dict[str, object],
) -> None:
    assert found(play(MONDAY) | more).plays == ()  # type: ignore[arg-type] # JSON


@pytest.mark.parametrize(
    ("at", "is_a_hint"),
    [
        (MONDAY.replace(hour=7, minute=59), True),
        (MONDAY.replace(hour=8), False),
        (MONDAY.replace(hour=17, minute=59), False),
        (MONDAY.replace(hour=18), True),
        (MONDAY - timedelta(hours=22), True),
    ],
)
def test_listening_outside_of_business_hours_is_a_hint(
    at: datetime, is_a_hint: bool
) -> None:
    assert (kinds(found(play(at))) == ["hours"]) is is_a_hint


def test_business_hours_are_those_of_their_zone() -> None:
    hours = BusinessHours.parse("Mon-Fri 08:00-18:00", "Europe/Berlin")

    assert hours.cover(MONDAY.replace(hour=7))
    assert not hours.cover(MONDAY.replace(hour=17))


def test_days_may_go_over_the_end_of_the_week() -> None:
    assert BusinessHours.parse("Sat-Mon 08:00-18:00").days == {5, 6, 0}


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("always", "UTC"),
        ("Mon-Fry 08:00-18:00", "UTC"),
        ("Mon-Fri 18:00-08:00", "UTC"),
        ("Mon-Fri 08:00-29:00", "UTC"),
        ("Mon-Fri 08:00-18:00", "Mars/Olympus"),
        ("Mon-Fri 08:00-18:00", "../../etc/passwd"),
    ],
)
def test_what_is_no_business_hours_is_refused(text: str, zone: str) -> None:
    with pytest.raises(InvalidInputError):
        BusinessHours.parse(text, zone)


def test_the_first_time_that_somebody_hears_a_workgroup_is_a_hint() -> None:
    groups = {"r1": "w1", "r2": "w2"}
    before = play(SINCE - timedelta(days=20), recording="r1")
    now = [play(MONDAY, recording="r1"), play(MONDAY, recording="r2")]

    (hint,) = found(before, *now, groups=groups).hints

    assert (hint.kind, hint.about) == (HintKind.WORKGROUP, "workgroup:w2")


def test_many_refusals_within_an_hour_are_a_hint() -> None:
    refused = [
        entry("access.session.refused", MONDAY, actor="unknown", result="refused")
        for _ in range(5)
    ]

    assert kinds(found(*refused)) == ["refusals"]
    assert kinds(found(*refused[1:])) == []


def test_a_broken_glass_is_always_a_hint() -> None:
    assert kinds(found(entry("access.emergency.opened", MONDAY))) == ["emergency"]


def test_many_exports_within_a_day_are_a_hint() -> None:
    exported = [
        entry("recording.exported", MONDAY + timedelta(hours=n)) for n in range(5)
    ]

    assert kinds(found(*exported)) == ["exports"]


def test_what_is_outside_of_the_window_is_no_hint() -> None:
    assert kinds(found(entry("access.emergency.opened", UNTIL))) == []


@pytest.mark.parametrize(
    "strange",
    [{}, {"time": "now"}, {"time": "2026-11-23T10:00:00"}, {"time": 7, "detail": 9}],
)
def test_what_is_no_entry_counts_for_nothing(strange: JsonObject) -> None:
    assert found(strange) == Findings(plays=(), hints=())


def test_each_hint_leads_to_a_search_that_can_be_read() -> None:
    (hint,) = found(entry("access.emergency.opened", MONDAY)).hints

    query = read(hint.query, names=_Nobody(), now_ns=0).query

    assert query.selects(entry("access.emergency.opened", MONDAY))
    assert not query.selects(entry("access.emergency.opened", UNTIL))
    assert not query.selects(entry("access.emergency.opened", MONDAY, actor=BOB))


class _Nobody:
    """Names of an installation where nobody has one."""

    def me(self) -> str:
        return "user:0"

    def ids(self, name: str, kinds: object) -> list[str]:
        del name, kinds
        return []
