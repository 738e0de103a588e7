import json
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.simulators.trail import ORIGIN, Trail, entry, signer
from vault.audit import mark as marks
from vault.audit import tree
from vault.audit.log import AuditLog
from vault.audit.mark import NOTHING_YET
from vault.audit.texts import seal_text
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    TrailBrokenError,
)
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine


class TestOpen:
    def test_a_new_log_begins_by_saying_so(self, trail: Trail) -> None:
        (first,) = trail.reader.newest(1)

        assert (0, "audit.log.created") == (first.index, first.entry.members["action"])
        assert 1 == trail.log.size

    def test_a_log_goes_on_where_it_was_closed(self, trail: Trail) -> None:
        trail.grow(4)
        trail.reopen()

        assert range(5, 6) == trail.log.append([entry(5)])

    def test_a_second_writer_is_refused(self, trail: Trail) -> None:
        with pytest.raises(ConflictError):
            trail.writer().open()

    def test_a_writer_that_was_refused_leaves_the_first_one_writing(
        self, trail: Trail
    ) -> None:
        with pytest.raises(ConflictError):
            trail.writer().open()

        assert range(1, 2) == trail.log.append([entry(1)])

    def test_a_log_is_opened_once(self, trail: Trail) -> None:
        with pytest.raises(RuntimeError):
            trail.log.open()

    def test_another_key_is_refused(self, trail: Trail) -> None:
        trail.log.close()
        other = AuditLog(
            trail.engine,
            signer=signer(bytes(32)),
            origin=ORIGIN,
            mark_path=trail.mark_path,
        )
        with pytest.raises(TrailBrokenError, match="not signed by"):
            other.open()

    def test_another_origin_is_refused(self, trail: Trail) -> None:
        trail.log.close()
        other = AuditLog(
            trail.engine, signer=signer(), origin="else", mark_path=trail.mark_path
        )
        with pytest.raises(TrailBrokenError, match="not of this log"):
            other.open()


class TestMark:
    def test_the_mark_stands_at_the_last_commit(self, trail: Trail) -> None:
        trail.grow(3)
        mark = marks.read(trail.mark_path)

        assert mark is not None
        assert (4, trail.reader.head().root, trail.reader.checkpoint()) == (
            mark.size,
            mark.root,
            mark.note,
        )

    def test_a_mark_behind_the_database_is_proved_and_moved_on(
        self, trail: Trail
    ) -> None:
        """A crash came between commit and mark."""
        trail.grow(3)
        old = trail.mark_path.read_bytes()
        trail.grow(2)
        trail.log.close()
        trail.mark_path.write_bytes(old)
        trail.log.open()
        mark = marks.read(trail.mark_path)

        assert mark is not None
        assert (6, 6) == (mark.size, trail.log.size)

    def test_a_crash_within_the_very_first_commit_is_recovered(
        self, trail: Trail
    ) -> None:
        trail.log.close()
        marks.write(trail.mark_path, NOTHING_YET)
        trail.log.open()

        assert 1 == trail.log.size

    def test_a_mark_ahead_of_the_database_refuses(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        """The database was restored from a backup, or cut."""
        trail.log.close()
        trail.engine.dispose()  # the last connection folds the WAL into the file
        backup = (tmp_path / "audit.sqlite").read_bytes()
        trail.log.open()
        trail.grow(3)
        trail.log.close()
        trail.engine.dispose()
        for name in ("audit.sqlite-wal", "audit.sqlite-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "audit.sqlite").write_bytes(backup)
        with pytest.raises(TrailBrokenError, match="1 entries, and 4 were signed"):
            trail.log.open()

    def test_a_log_of_the_same_size_with_another_root_refuses(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        trail.grow(3)
        mark = trail.mark_path.read_bytes()
        (tmp_path / "fork").mkdir()
        engine = open_engine(f"sqlite:///{tmp_path / 'fork'}", schema="audit")
        fork = Trail(engine=engine, folder=tmp_path / "fork")
        fork.grow(3)
        fork.log.close()
        fork.mark_path.write_bytes(mark)
        with pytest.raises(TrailBrokenError, match="two different trees"):
            fork.log.open()
        engine.dispose()

    def test_a_longer_fork_refuses(self, trail: Trail, tmp_path: Path) -> None:
        trail.grow(3)
        mark = trail.mark_path.read_bytes()
        (tmp_path / "fork").mkdir()
        engine = open_engine(f"sqlite:///{tmp_path / 'fork'}", schema="audit")
        fork = Trail(engine=engine, folder=tmp_path / "fork")
        fork.grow(9)
        fork.log.close()
        fork.mark_path.write_bytes(mark)
        with pytest.raises(TrailBrokenError, match="does not begin with"):
            fork.log.open()
        engine.dispose()

    def test_a_lost_mark_refuses(self, trail: Trail) -> None:
        trail.log.close()
        trail.mark_path.unlink()
        with pytest.raises(TrailBrokenError, match="no high-water mark"):
            trail.log.open()

    def test_a_lost_database_refuses_and_no_new_log_begins(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        trail.log.close()
        trail.engine.dispose()
        for file in tmp_path.glob("audit.sqlite*"):
            file.unlink()
        engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
        trail.engine = engine
        with pytest.raises(TrailBrokenError, match="0 entries, and 1 were signed"):
            trail.writer().open()
        engine.dispose()

    def test_a_mark_that_somebody_lowered_by_hand_refuses(self, trail: Trail) -> None:
        trail.grow(3)
        trail.log.close()
        mark = json.loads(trail.mark_path.read_bytes()) | {"size": 2}
        trail.mark_path.write_text(json.dumps(mark, separators=(",", ":")))
        with pytest.raises(TrailBrokenError):
            trail.log.open()

    def test_a_mark_that_cannot_be_written_fails_the_append_and_heals(
        self, trail: Trail
    ) -> None:
        blocker = trail.mark_path.with_name("log-mark.json.new")
        blocker.mkdir()
        with pytest.raises(AuditUnavailableError):
            trail.log.append([entry(1)])
        with pytest.raises(AuditUnavailableError):
            trail.log.append([entry(1)])
        blocker.rmdir()
        written = trail.log.append([entry(1)])

        # The first attempt did reach the database: written twice is honest.
        assert range(2, 3) == written


class TestAppend:
    def test_a_batch_is_one_commit_with_one_checkpoint(self, trail: Trail) -> None:
        indices = trail.log.append([entry(number) for number in range(1, 6)])
        with trail.engine.connect() as connection:
            sizes = connection.execute(
                text("SELECT size FROM log_checkpoint ORDER BY size")
            ).scalars()

            assert (range(1, 6), [1, 6]) == (indices, list(sizes))

    def test_every_checkpoint_is_signed_over_the_tree_of_its_size(
        self, trail: Trail
    ) -> None:
        trail.grow(8)
        leaves = [tree.leaf_hash(one) for one in trail.reader.entries(0, 9)]
        for size in range(1, 10):
            note = trail.reader.checkpoint(size)
            checkpoint = signer().verifier.open_checkpoint(note, origin=ORIGIN)

            assert (size, tree.root(leaves[:size])) == (
                checkpoint.size,
                checkpoint.root,
            )

    @pytest.mark.parametrize(
        "octets", [b"", b"{}", b"text", b'{"v": 1}', bytes(70_000), b'{"time":"t"}']
    )
    def test_one_bad_entry_refuses_the_batch(self, trail: Trail, octets: bytes) -> None:
        with pytest.raises(InvalidInputError):
            trail.log.append([entry(1), octets])

        assert 1 == trail.reader.head().size
        assert range(1, 2) == trail.log.append([entry(1)])

    def test_an_entry_delivered_twice_by_its_source_is_refused(
        self, trail: Trail
    ) -> None:
        late = entry(1, source="tap-1", source_seq=7)
        trail.log.append([late])
        with pytest.raises(ConflictError):
            trail.log.append([entry(2), late])

        assert 2 == trail.reader.head().size
        assert range(2, 3) == trail.log.append([entry(2)])

    def test_nothing_is_appended_before_open_or_after_close(self, trail: Trail) -> None:
        trail.log.close()
        with pytest.raises(RuntimeError):
            trail.log.append([entry(1)])

    def test_appending_nothing_is_misuse(self, trail: Trail) -> None:
        with pytest.raises(ValueError):
            trail.log.append([])

    def test_texts_must_match_entries(self, trail: Trail) -> None:
        with pytest.raises(ValueError):
            trail.log.append([entry(1), entry(2)], [{}])

    def test_64_threads_leave_no_gap_and_no_double(self, trail: Trail) -> None:
        given: list[int] = []
        threads = [
            threading.Thread(
                target=lambda n=n: given.extend(trail.log.append([entry(n)]))
            )
            for n in range(64)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert list(range(1, 65)) == sorted(given)
        assert 65 == len(trail.reader.entries(0, 65))

    def test_a_head_moved_by_somebody_else_refuses(self, trail: Trail) -> None:
        with trail.engine.begin() as connection:
            connection.execute(text("UPDATE log_head SET size = size + 1"))
        for _ in range(2):
            with pytest.raises(TrailBrokenError):
                trail.log.append([entry(1)])


class TestTexts:
    def test_free_text_is_kept_beside_the_log_and_can_be_forgotten(
        self, trail: Trail
    ) -> None:
        key = SecretBytes(bytes(32))
        kept = seal_text("why", key=key, entry_id="e1", field="reason")
        trail.log.append([entry(1), entry(2)], [{}, {"reason": kept}])
        before = trail.reader.sealed_texts([1, 2])
        export = trail.export()
        erased = trail.log.erase_text(2)

        assert {2: {"reason": kept.sealed}} == before
        assert (1, {}) == (erased, trail.reader.sealed_texts([1, 2]))
        assert export == trail.export()

    def test_one_of_two_texts_is_forgotten_alone(self, trail: Trail) -> None:
        key = SecretBytes(bytes(32))
        kept = {
            field: seal_text(field, key=key, entry_id="e1", field=field)
            for field in ("before", "after")
        }
        trail.log.append([entry(1)], [kept])
        trail.log.erase_text(1, "before")

        assert {"after"} == set(trail.reader.sealed_texts([1])[1])


class TestProbe:
    def test_a_probe_leaves_the_log_as_it_was(self, trail: Trail) -> None:
        before = trail.reader.head()
        trail.log.probe()

        assert before == trail.reader.head()

    def test_a_probe_sees_that_the_head_was_moved(self, trail: Trail) -> None:
        with trail.engine.begin() as connection:
            connection.execute(text("UPDATE log_head SET size = size + 1"))
        with pytest.raises(TrailBrokenError):
            trail.log.probe()
