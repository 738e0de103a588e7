from collections.abc import Callable

import pytest

from vault.catalog.recordings import Recordings
from vault.catalog.values import OpenRecording
from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import RecordingState, VisibilityScope
from vault.core.ids import RecordingId, UserId, WorkgroupId, new_recording_id
from vault.trust.interfaces import IndexToken, SealedRow

Order = Callable[..., OpenRecording]
Capture = Callable[[RecordingId], None]

A = WorkgroupId("aaaaaaaa-0000-4000-8000-000000000000")
B = WorkgroupId("bbbbbbbb-0000-4000-8000-000000000000")
SEALED = SealedRow(sealed=b"s", wrapped_key=b"w", key_id="catalog-2026-11")


def scope(*workgroups: WorkgroupId) -> VisibilityScope:
    return VisibilityScope(user_id=UserId("u"), workgroups=frozenset(workgroups))


def token(field: str, value: bytes, month: str = "2026-11") -> IndexToken:
    return IndexToken(field=field, month=month, token=value)


class TestVisibility:
    @pytest.mark.parametrize(
        ("workgroups", "seen"), [((), 0), ((A,), 2), ((B,), 1), ((A, B), 3)]
    )
    def test_lists_and_counts_see_the_same(
        self,
        recordings: Recordings,
        new_order: Order,
        workgroups: tuple[WorkgroupId, ...],
        seen: int,
    ) -> None:
        for group in (A, A, B):
            recordings.open(new_order(workgroup=group))

        reader = scope(*workgroups)
        assert (seen, seen) == (
            len(recordings.find(reader).rows),
            recordings.count(reader),
        )

    def test_outside_the_scope_and_missing_are_the_same_answer(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        order = new_order(workgroup=B)
        recordings.open(order)
        answers = []
        for recording_id in (order.id, new_recording_id()):
            with pytest.raises(NotFoundError) as caught:
                recordings.get(scope(A), recording_id)
            answers.append((type(caught.value), str(caught.value)))

        assert answers[0] == answers[1]
        assert order.id == recordings.get(scope(B), order.id).id

    def test_asking_for_a_workgroup_outside_the_scope_finds_nothing(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        recordings.open(new_order(workgroup=B))

        assert recordings.find(scope(A), workgroup_id=B).rows == ()
        assert recordings.count(scope(A), workgroup_id=B) == 0

    def test_a_row_without_a_workgroup_is_nobodys(
        self, recordings: Recordings, capture: Capture
    ) -> None:
        capture(new_recording_id())

        assert recordings.count(scope(A, B)) == 0


class TestCriteria:
    def test_days_are_inclusive(self, recordings: Recordings, new_order: Order) -> None:
        for day in ("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"):
            recordings.open(new_order(day=day))

        found = recordings.find(scope(A), day_from="2026-11-21", day_to="2026-11-22")
        assert ["2026-11-22", "2026-11-21"] == [row.day for row in found.rows]

    def test_one_state_or_several(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        orders = [new_order(), new_order()]
        for order in orders:
            recordings.open(order)
        capture(orders[0].id)

        assert recordings.count(scope(A), state=RecordingState.CAPTURED) == 1
        assert (
            recordings.count(
                scope(A), state=[RecordingState.CAPTURED, RecordingState.RECORDING]
            )
            == 2
        )
        assert recordings.count(scope(A), state=[]) == 0

    def test_the_agent(self, recordings: Recordings, new_order: Order) -> None:
        recordings.open(new_order(agent=UserId("alice")))
        recordings.open(new_order(agent=UserId("bob")))

        assert recordings.count(scope(A), agent_id=UserId("alice")) == 1

    @pytest.mark.parametrize("hostile", ["a\0b", "\ud800", "' OR 1=1 --", "é"])
    def test_a_hostile_id_finds_nothing(
        self, recordings: Recordings, new_order: Order, hostile: str
    ) -> None:
        recordings.open(new_order())

        assert recordings.count(scope(A), agent_id=UserId(hostile)) == 0
        assert recordings.count(scope(A), workgroup_id=WorkgroupId(hostile)) == 0

    def test_any_token_of_each_group_and_every_group(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        ids = {}
        for name, tokens in {
            "caller": [token("caller", b"12345678"), token("agent", b"alice---")],
            "callee": [token("callee", b"12345678"), token("agent", b"bob-----")],
            "other": [token("caller", b"87654321"), token("agent", b"alice---")],
        }.items():
            order = new_order()
            recordings.open(order)
            capture(order.id)
            recordings.claim_for_rendering("w", 60)
            recordings.finish(
                order.id, state=RecordingState.READY, metadata=SEALED, tokens=tokens
            )
            ids[name] = order.id
        party = [token("caller", b"12345678"), token("callee", b"12345678")]
        alice = [token("agent", b"alice---")]

        def found(*groups: list[IndexToken]) -> set[RecordingId]:
            return {row.id for row in recordings.find(scope(A), tokens=groups).rows}

        assert {ids["caller"], ids["callee"]} == found(party)
        assert {ids["caller"]} == found(party, alice)
        assert set() == found([token("caller", b"12345678", month="2026-10")])
        assert set() == found([])


class TestPaging:
    def test_every_row_once_newest_day_first(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        days = ["2026-11-23", "2026-11-21", "2026-11-22", "2026-11-21", "2026-11-23"]
        for day in days:
            recordings.open(new_order(day=day))
        seen = []
        cursor = None
        while True:
            page = recordings.find(scope(A), cursor=cursor, limit=2)
            seen += page.rows
            cursor = page.next
            if cursor is None:
                break

        assert sorted(days, reverse=True) == [row.day for row in seen]
        assert sorted(seen, key=lambda row: (row.day, row.seq), reverse=True) == seen
        assert len({row.id for row in seen}) == 5

    def test_a_row_that_arrives_meanwhile_moves_nothing(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        for _ in range(4):
            recordings.open(new_order())
        first = recordings.find(scope(A), limit=2)
        recordings.open(new_order())
        second = recordings.find(scope(A), cursor=first.next, limit=2)

        assert [4, 3, 2, 1] == [
            row.seq - first.rows[-1].seq + 3 for row in (*first.rows, *second.rows)
        ]
        assert second.next is None

    def test_a_cursor_shows_nothing_outside_the_scope(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        for group in (A, A, B, B):
            recordings.open(new_order(workgroup=group))
        page = recordings.find(scope(B), limit=1)

        assert all(
            row.workgroup_id == A
            for row in recordings.find(scope(A), cursor=page.next).rows
        )

    @pytest.mark.parametrize("limit", [0, -1, 201])
    def test_a_page_has_1_to_200_rows(self, recordings: Recordings, limit: int) -> None:
        with pytest.raises(InvalidInputError):
            recordings.find(scope(A), limit=limit)
