import pytest
from sqlalchemy import text
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from tests.simulators.trail import ORIGIN, Trail, entry, signer
from vault.audit import tree
from vault.core.errors import InvalidInputError, NotFoundError, TrailBrokenError


def tamper(trail: Trail, table: str, change: str) -> None:
    """Do what a database administrator can: drop the guard rails, then edit."""
    with trail.engine.begin() as connection:
        for verb in ("update", "delete", "insert"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_{verb}"))
        connection.execute(text(change))


class TestPages:
    def test_newest_gives_the_newest_first(self, trail: Trail) -> None:
        trail.grow(5)
        indices = [one.index for one in trail.reader.newest(3)]
        older = [one.index for one in trail.reader.newest(3, before=3)]

        assert ([5, 4, 3], [2, 1, 0]) == (indices, older)

    def test_pages_follow_each_other_without_gap_while_the_log_grows(
        self, trail: Trail
    ) -> None:
        trail.grow(10)
        seen: list[int] = []
        cursor = None
        while True:
            page = trail.reader.search(cursor=cursor, limit=4)
            seen.extend(one.index for one in page.items)
            trail.grow(1)
            cursor = page.next
            if cursor is None:
                break

        assert list(range(10, -1, -1)) == seen

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"actor": "user:u1"}, [7, 4, 1]),
            ({"actor": "user:u1", "recording": "recording-2"}, [7]),
            ({"action": "audit.log.created"}, [0]),
            ({"result": "refused"}, []),
            ({"since": "2026-11-23T06:16:15Z"}, [8, 7, 6]),
            ({"until": "2026-11-23T06:16:11"}, [1, 0]),
            ({"since": "2026-11-24"}, []),
            ({"until": "2026-11-24"}, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ],
    )
    def test_search_finds_what_was_asked_for(
        self, trail: Trail, query: dict[str, str], expected: list[int]
    ) -> None:
        trail.grow(8)
        found = trail.reader.search(**query).items

        assert expected == [one.index for one in found]

    @pytest.mark.parametrize("cursor", ["", "-1", "x", "1 OR 1=1", "9" * 40])
    def test_a_cursor_of_ours_is_a_number(self, trail: Trail, cursor: str) -> None:
        with pytest.raises(InvalidInputError):
            trail.reader.search(cursor=cursor)

    def test_an_edited_entry_is_not_shown(self, trail: Trail) -> None:
        trail.grow(3)
        tamper(
            trail,
            "log_entry",
            "UPDATE log_entry SET octets = (SELECT octets FROM log_entry "
            "WHERE position = 1) WHERE position = 2",
        )
        with pytest.raises(TrailBrokenError, match="entry 2"):
            trail.reader.newest()
        with pytest.raises(TrailBrokenError, match="entry 2"):
            trail.reader.entries(0, 4)

    @pytest.mark.parametrize("column", ["time", "action", "actor", "result"])
    def test_an_entry_found_by_an_edited_column_is_not_shown(
        self, trail: Trail, column: str
    ) -> None:
        trail.grow(3)
        tamper(
            trail,
            "log_entry",
            f"UPDATE log_entry SET {column} = 'forged' WHERE position = 2",
        )
        with pytest.raises(TrailBrokenError, match="entry 2"):
            trail.reader.newest()

    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM log_object WHERE position = 2",
            "INSERT INTO log_object VALUES (2, 'user:u9')",
            "UPDATE log_object SET object = 'user:u9' WHERE position = 2",
        ],
    )
    def test_an_entry_found_by_edited_objects_is_not_shown(
        self, trail: Trail, change: str
    ) -> None:
        trail.grow(3)
        tamper(trail, "log_object", change)
        with pytest.raises(TrailBrokenError, match="entry 2"):
            trail.reader.newest()

    def test_a_missing_entry_is_not_passed_over(self, trail: Trail) -> None:
        trail.grow(3)
        tamper(trail, "log_entry", "DELETE FROM log_entry WHERE position = 2")
        with pytest.raises(TrailBrokenError, match="entry 2 is missing"):
            trail.reader.entries(0, 4)
        with pytest.raises(TrailBrokenError, match="entry 4 is missing"):
            trail.reader.entries(3, 6)


class TestCheckpoints:
    def test_a_size_within_a_batch_has_no_checkpoint(self, trail: Trail) -> None:
        trail.grow(4, batch=4)
        with pytest.raises(NotFoundError):
            trail.reader.checkpoint(3)

    def test_a_head_without_its_checkpoint_is_said(self, trail: Trail) -> None:
        tamper(trail, "log_checkpoint", "DELETE FROM log_checkpoint")
        with pytest.raises(TrailBrokenError):
            trail.reader.checkpoint()

    def test_the_newest_checkpoint_is_of_the_head(self, trail: Trail) -> None:
        trail.grow(4)
        checkpoint = signer().verifier.open_checkpoint(
            trail.reader.checkpoint(), origin=ORIGIN
        )
        head = trail.reader.head()

        assert (head.size, head.root) == (checkpoint.size, checkpoint.root)


class TestProofs:
    def test_every_proof_satisfies_an_implementation_we_did_not_write(
        self, trail: Trail
    ) -> None:
        trail.grow(12)
        reader = trail.reader
        leaves = [tree.leaf_hash(one) for one in reader.entries(0, 13)]
        roots = [tree.root(leaves[:size]) for size in range(14)]
        for size in range(1, 14):
            for index in range(size):
                proof = reader.inclusion_proof(index, size)
                InclusionProof(index, size, proof).check(leaves[index], roots[size])
            for old in range(1, size + 1):
                proof = reader.consistency_proof(old, size)
                ConsistencyProof(old, size, proof).check(roots[old], roots[size])

    @pytest.mark.parametrize(("index", "size"), [(-1, 2), (2, 2), (0, 0), (0, 3)])
    def test_a_proof_beyond_the_log_is_not_found(
        self, trail: Trail, index: int, size: int
    ) -> None:
        trail.grow(1)
        with pytest.raises(NotFoundError):
            trail.reader.inclusion_proof(index, size)

    @pytest.mark.parametrize(("old", "new"), [(0, 1), (2, 1), (1, 3), (-1, 1)])
    def test_a_consistency_proof_beyond_the_log_is_not_found(
        self, trail: Trail, old: int, new: int
    ) -> None:
        trail.grow(1)
        with pytest.raises(NotFoundError):
            trail.reader.consistency_proof(old, new)

    def test_a_missing_node_is_said_and_not_made_up(self, trail: Trail) -> None:
        trail.grow(3)
        tamper(trail, "log_node", "DELETE FROM log_node WHERE level = 1")
        with pytest.raises(TrailBrokenError, match="node 1 of level 1"):
            trail.reader.inclusion_proof(0, 4)


class TestLateDelivery:
    def test_a_source_is_told_what_was_already_delivered(self, trail: Trail) -> None:
        trail.log.append([entry(n, source="tap-1", source_seq=n) for n in (1, 2, 4)])

        assert {1, 4} == trail.reader.delivered("tap-1", [1, 3, 4])
        assert set() == trail.reader.delivered("tap-2", [1])
