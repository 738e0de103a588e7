import pytest

from vault.audit.query import EVERYTHING, TrailQuery
from vault.core.errors import InvalidInputError

ENTRY = {
    "actor": "user:u1",
    "action": "recording.played",
    "result": "ok",
    "recording": "r1",
    "time": "2026-11-23T06:16:09.123456789Z",
}


class TestTrailQuery:
    @pytest.mark.parametrize(
        "query",
        [
            EVERYTHING,
            TrailQuery(actor="user:u1"),
            TrailQuery(actor="user:u1", action="recording.played", result="ok"),
            TrailQuery(recording="r1"),
            TrailQuery(since="2026-11-23"),
            TrailQuery(since="2026-11-23T06:16:09Z"),
            TrailQuery(until="2026-11-24"),
        ],
    )
    def test_what_matches_everything_asked_is_selected(self, query: TrailQuery) -> None:
        assert query.selects(ENTRY)

    @pytest.mark.parametrize(
        "query",
        [
            TrailQuery(actor="user:u2"),
            TrailQuery(actor="user:u1", result="refused"),
            TrailQuery(since="2026-11-24"),
            TrailQuery(until="2026-11-23"),
            TrailQuery(until="2026-11-23T06:16:09Z"),
            TrailQuery(since="2026-11-23T06:16:10Z"),
        ],
    )
    def test_what_fails_one_condition_is_not(self, query: TrailQuery) -> None:
        assert not query.selects(ENTRY)

    def test_a_query_reads_back_as_itself(self) -> None:
        query = TrailQuery(actor="user:u1", since="2026-11-23")

        assert query == TrailQuery.parse(query.members())

    @pytest.mark.parametrize(
        "members", [{"who": "u1"}, {"actor": ""}, {"actor": 1}, {"since": "soon"}]
    )
    def test_what_is_no_query_is_refused(self, members: dict[str, object]) -> None:
        with pytest.raises(InvalidInputError):
            TrailQuery.parse(members)

    @pytest.mark.parametrize("time", ["yesterday", "2026", "2026-11-23 06:16", "*"])
    def test_what_is_no_time_is_refused(self, time: str) -> None:
        with pytest.raises(InvalidInputError):
            TrailQuery(since=time)
