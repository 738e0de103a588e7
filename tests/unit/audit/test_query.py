import pytest

from tests.simulators.trail import asking
from vault.audit.query import (
    EVERYTHING,
    MAX_VALUES,
    Terms,
    TrailQuery,
    matches_action,
    objects_of,
)
from vault.core.errors import InvalidInputError

ENTRY = {
    "actor": "user:u1",
    "action": "recording.played",
    "detail": {"grant": "g1", "bytes": 9},
    "result": "ok",
    "recording": "r1",
    "time": "2026-11-23T06:16:09.123456789Z",
}


class TestObjects:
    def test_an_entry_is_about_its_recording_and_what_its_details_name(self) -> None:
        assert ("grant:g1", "recording:r1") == objects_of(ENTRY)

    def test_a_detail_that_says_what_it_names_stays_as_it_is(self) -> None:
        detail = {"given": "x1", "holder": "user:u2", "scope": "workgroup:w1"}

        assert ("given:x1", "user:u2", "workgroup:w1") == objects_of({"detail": detail})

    def test_a_name_that_looks_like_a_person_makes_no_history_of_one(self) -> None:
        assert ("class:user:u2",) == objects_of({"detail": {"class": "user:u2"}})

    def test_a_number_is_named_as_it_is_written(self) -> None:
        assert ("entry:7",) == objects_of({"detail": {"entry": 7}})

    @pytest.mark.parametrize(
        "members",
        [{}, {"detail": []}, {"detail": {"user": None}}, {"recording": 3}],
    )
    def test_what_names_nothing_is_about_nothing(
        self, members: dict[str, object]
    ) -> None:
        assert () == objects_of(members)


class TestSelection:
    @pytest.mark.parametrize(
        "query",
        [
            EVERYTHING,
            asking(actor="user:u1"),
            asking(actor="user:u1", action="recording.played", result="ok"),
            asking(action="recording.*"),
            asking(object="recording:r1"),
            asking(object="grant:g1"),
            asking(about="user:u1"),
            asking(about="grant:g1"),
            asking(since="2026-11-23"),
            asking(since="2026-11-23T06:16:09Z"),
            asking(until="2026-11-24"),
            TrailQuery(wanted=Terms(actor=("user:u1", "user:u2"))),
            TrailQuery(unwanted=Terms(actor=("user:u2",))),
            TrailQuery(
                wanted=Terms(about=("user:u1",)), unwanted=Terms(result=("refused",))
            ),
        ],
    )
    def test_what_matches_everything_asked_is_selected(self, query: TrailQuery) -> None:
        assert query.selects(ENTRY)

    @pytest.mark.parametrize(
        "query",
        [
            asking(actor="user:u2"),
            asking(actor="user:u1", result="refused"),
            asking(action="recording.key.*"),
            asking(object="user:u1"),
            asking(about="user:u2"),
            asking(since="2026-11-24"),
            asking(until="2026-11-23"),
            asking(until="2026-11-23T06:16:09Z"),
            asking(since="2026-11-23T06:16:10Z"),
            TrailQuery(unwanted=Terms(actor=("user:u1", "user:u2"))),
            TrailQuery(unwanted=Terms(about=("recording:r1",))),
            TrailQuery(unwanted=Terms(action=("recording.*",))),
        ],
    )
    def test_what_fails_one_condition_is_not(self, query: TrailQuery) -> None:
        assert not query.selects(ENTRY)

    @pytest.mark.parametrize(
        ("wanted", "action", "expected"),
        [
            ("recording.*", "recording.played", True),
            ("recording.*", "recording.key.released", True),
            ("recording.key.*", "recording.keyed", False),
            ("recording.*", "recording", False),
            ("recording", "recording.played", False),
        ],
    )
    def test_a_wildcard_stands_for_what_begins_so(
        self, wanted: str, action: str, expected: bool
    ) -> None:
        assert expected == matches_action(wanted, action)


class TestMembers:
    def test_a_query_reads_back_as_itself(self) -> None:
        query = TrailQuery(
            wanted=Terms(actor=("user:u2", "user:u1"), action=("recording.*",)),
            unwanted=Terms(object=("recording:r1",)),
            since="2026-11-23",
        )

        assert query == TrailQuery.parse(query.members())

    def test_values_are_sorted_and_stand_once(self) -> None:
        query = TrailQuery(
            wanted=Terms(actor=("user:u2", "user:u1", "user:u2")),
            unwanted=Terms(result=("ok",)),
        )

        assert {"actor": ["user:u1", "user:u2"], "-result": ["ok"]} == query.members()

    def test_everything_has_no_members(self) -> None:
        assert {} == EVERYTHING.members()

    @pytest.mark.parametrize(
        "members",
        [
            {"who": ["u1"]},
            {"actor": "user:u1"},
            {"actor": []},
            {"actor": [1]},
            {"actor": [""]},
            {"actor": ["user:u1\0"]},
            {"actor": ["user:u2", "user:u1"]},
            {"actor": ["user:u1", "user:u1"]},
            {"-since": "2026-11-23"},
            {"since": ""},
            {"since": "soon"},
            {"since": "2026-11-23T06:16:09Z"},
            {"action": ["recording*"]},
            {"action": ["*"]},
            {"actor": [f"user:{number:03}" for number in range(MAX_VALUES + 1)]},
        ],
    )
    def test_what_is_no_query_is_refused(self, members: dict[str, object]) -> None:
        with pytest.raises(InvalidInputError):
            TrailQuery.parse(members)

    def test_the_values_of_all_fields_are_counted_together(self) -> None:
        many = tuple(f"user:{number}" for number in range(MAX_VALUES))
        with pytest.raises(InvalidInputError):
            TrailQuery(wanted=Terms(actor=many), unwanted=Terms(result=("ok",)))

    @pytest.mark.parametrize("time", ["yesterday", "2026", "2026-11-23 06:16", "*"])
    def test_what_is_no_time_is_refused(self, time: str) -> None:
        with pytest.raises(InvalidInputError):
            TrailQuery(since=time)
