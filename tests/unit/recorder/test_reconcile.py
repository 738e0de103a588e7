from dataclasses import replace

from vault.core.ids import new_recording_id
from vault.recorder.detail_records import DetailRecord
from vault.recorder.ledger import End, Entry
from vault.recorder.reconcile import Known, Tolerance, reconcile

T = 1_795_000_000.0
EXACT = Tolerance()


def record(line: int = 2, **what: object) -> DetailRecord:
    return replace(DetailRecord(line=line, start_s=T, duration_s=60), **what)  # type: ignore[arg-type]


def known(**what: object) -> Known:
    entry = Entry(
        recording_id=new_recording_id(),
        day="2026-11-18",
        started="",
        end=End.STORED,
        reason="",
        bytes=1,
        duration_s=60,
    )
    return replace(Known(entry=entry, start_s=T, duration_s=60), **what)  # type: ignore[arg-type]


def test_the_pbxs_id_makes_a_pair_whatever_the_clocks_say() -> None:
    ours = known(pbx_id="A-1", start_s=T + 7200)
    result = reconcile([record(id="a-1")], [ours, known(pbx_id="B")], EXACT)
    (pair,) = result.pairs

    assert ("id", ours, ("start",)) == (pair.by, pair.known, pair.differences)


def test_a_call_that_was_never_recorded_is_missing_here() -> None:
    theirs = record(id="a")
    result = reconcile([theirs], [], EXACT)

    assert ((theirs,), False) == (result.not_recorded, result.complete)


def test_a_session_that_the_pbx_does_not_know_is_missing_there() -> None:
    ours = known(pbx_id="b", start_s=T + 10)
    result = reconcile([record(id="a")], [known(pbx_id="a"), ours], EXACT)

    assert ((ours,), False) == (result.not_in_records, result.complete)


def test_sessions_of_other_times_are_not_missing() -> None:
    result = reconcile(
        [record(id="a")], [known(pbx_id="a"), known(start_s=T + 500)], EXACT
    )

    assert result.complete


def test_without_an_id_time_and_a_number_make_a_pair() -> None:
    theirs = record(caller="0301234567", callee="200")
    ours = known(pbx_id="x", start_s=T + 100, caller="+49 30 123 45 67", callee="200")
    result = reconcile([theirs], [known(caller="0301234568"), ours], EXACT)
    (pair,) = result.pairs

    assert ("time", ours) == (pair.by, pair.known)


def test_a_number_that_contradicts_makes_no_pair() -> None:
    theirs = record(caller="0301234567", callee="200")
    for ours in (
        known(caller="0301234567", callee="201"),
        known(caller="", callee=""),
        known(start_s=T + 121, caller="0301234567", callee="200"),
    ):
        assert (theirs,) == reconcile([theirs], [ours], EXACT).not_recorded


def test_two_ids_that_differ_make_no_pair_by_time() -> None:
    theirs = record(id="a", caller="0301234567")
    result = reconcile([theirs], [known(pbx_id="b", caller="0301234567")], EXACT)

    assert (theirs,) == result.not_recorded


def test_each_record_and_each_session_is_in_one_pair_at_most() -> None:
    first, second = known(pbx_id="a", start_s=T), known(pbx_id="a", start_s=T + 50)
    records = [record(2, id="a", start_s=T + 49), record(3, id="a", start_s=T)]
    result = reconcile(records, [first, second], EXACT)

    assert [(2, second), (3, first)] == [(p.record.line, p.known) for p in result.pairs]


def test_a_second_leg_of_a_call_that_has_one_record_is_not_missing_there() -> None:
    legs = [known(pbx_id="a"), known(pbx_id="a", start_s=T + 5)]
    result = reconcile([record(id="a")], legs, EXACT)

    assert (1, True) == (len(result.pairs), result.complete)


def test_durations_may_differ_as_far_as_tolerated() -> None:
    ours = known(pbx_id="a", duration_s=66)
    pairs = [
        reconcile([record(id="a")], [ours], Tolerance(duration_s=s)).pairs[0]
        for s in (5, 6)
    ]

    assert [("duration",), ()] == [pair.differences for pair in pairs]


def test_what_cannot_be_opened_yet_is_said_and_is_nobodys_fault() -> None:
    ours = known(start_s=None, duration_s=None)
    result = reconcile([], [ours], EXACT)

    assert ((ours,), True) == (result.unopened, result.complete)


def test_names_are_numbers_too_where_they_are_the_same() -> None:
    theirs = record(caller="Ada")
    ours = known(caller="ada")

    assert 1 == len(reconcile([theirs], [ours], EXACT).pairs)
    assert 0 == len(reconcile([theirs], [known(caller="bob")], EXACT).pairs)
