import pytest
from sqlalchemy import text

from tests.simulators.trail import Trail
from vault.audit.entry import Entry
from vault.audit.rows import checkpoint_of, head_of, indexed_columns, nodes_of
from vault.core.errors import TrailBrokenError


class TestWhatAnIntruderMayLeave:
    """SQLite keeps any type in any column."""

    @pytest.mark.parametrize(
        "change",
        ["size = 'many'", "size = 1.5", "root = 'text'", "root = 7"],
    )
    def test_a_head_of_another_type_is_no_head(self, trail: Trail, change: str) -> None:
        with trail.engine.begin() as connection:
            connection.execute(text("DROP TRIGGER log_head_no_update"))
            connection.execute(text(f"UPDATE log_head SET {change}"))
            with pytest.raises(TrailBrokenError):
                head_of(connection)

    @pytest.mark.parametrize("note", ["7", "x'00'"])
    def test_a_note_of_another_type_is_no_checkpoint(
        self, trail: Trail, note: str
    ) -> None:
        with trail.engine.begin() as connection:
            connection.execute(text("DROP TRIGGER log_checkpoint_no_update"))
            connection.execute(text(f"UPDATE log_checkpoint SET note = {note}"))
            checkpoint = checkpoint_of(connection, 1)

        assert checkpoint is None or "\n" not in checkpoint

    @pytest.mark.parametrize("digest", ["7", "'text'", "x'00'", "zeroblob(33)"])
    def test_a_node_of_another_type_or_size_is_missing(
        self, trail: Trail, digest: str
    ) -> None:
        with trail.engine.begin() as connection:
            connection.execute(text("DROP TRIGGER log_node_no_update"))
            connection.execute(text(f"UPDATE log_node SET hash = {digest}"))
            with pytest.raises(TrailBrokenError, match="node 0 of level 0"):
                nodes_of(connection)([(0, 0)])


class TestNodes:
    def test_no_nodes_cost_no_query(self, trail: Trail) -> None:
        with trail.engine.connect() as connection:
            assert {} == nodes_of(connection)([])


class TestIndexedColumns:
    def test_only_text_is_repeated(self) -> None:
        entry = Entry(members={"time": "t", "action": 1, "detail": {}, "actor": None})

        assert {
            "time": "t",
            "action": None,
            "actor": None,
            "result": None,
        } == indexed_columns(entry)
