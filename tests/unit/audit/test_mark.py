import multiprocessing
import os
from pathlib import Path

import pytest

from tests.simulators.trail import ORIGIN, signer
from vault.audit import mark as marks
from vault.audit.checkpoint import Checkpoint
from vault.audit.mark import NOTHING_YET, Mark, WriterLock
from vault.core.errors import AuditUnavailableError, ConflictError, TrailBrokenError

CHECKPOINT = Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32)))
MARK = Mark.of(CHECKPOINT, signer().sign_checkpoint(CHECKPOINT))


class TestMark:
    @pytest.mark.parametrize("mark", [MARK, NOTHING_YET])
    def test_a_mark_reads_back_as_itself(self, mark: Mark, tmp_path: Path) -> None:
        marks.write(tmp_path / "mark", mark)

        assert mark == marks.read(tmp_path / "mark")

    def test_a_new_mark_replaces_the_old_one_and_leaves_nothing_behind(
        self, tmp_path: Path
    ) -> None:
        marks.write(tmp_path / "mark", NOTHING_YET)
        marks.write(tmp_path / "mark", MARK)

        assert (MARK, ["mark"]) == (
            marks.read(tmp_path / "mark"),
            [path.name for path in tmp_path.iterdir()],
        )

    def test_no_file_is_no_mark(self, tmp_path: Path) -> None:
        assert marks.read(tmp_path / "mark") is None

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"{}",
            bytes(MARK)[:-1],
            bytes(MARK) + b"\n",
            bytes(MARK).replace(b'"size":7', b'"size":true'),
            bytes(MARK).replace(b'"size":7', b'"size":"7"'),
            bytes(MARK).replace(b'"size":7', b'"more":1,"size":7'),
            bytes(MARK).replace(b'"root":"AAEC', b'"root":"AA*C'),
        ],
    )
    def test_a_damaged_mark_is_refused_and_not_taken_for_none(
        self, octets: bytes, tmp_path: Path
    ) -> None:
        (tmp_path / "mark").write_bytes(octets)
        with pytest.raises(TrailBrokenError):
            marks.read(tmp_path / "mark")

    def test_a_mark_that_cannot_be_written_is_said_and_the_old_one_stands(
        self, tmp_path: Path
    ) -> None:
        marks.write(tmp_path / "mark", NOTHING_YET)
        (tmp_path / "mark.new").mkdir()
        with pytest.raises(AuditUnavailableError):
            marks.write(tmp_path / "mark", MARK)

        assert NOTHING_YET == marks.read(tmp_path / "mark")

    def test_a_mark_is_private(self, tmp_path: Path) -> None:
        os.umask(0)
        marks.write(tmp_path / "mark", MARK)

        assert 0o600 == (tmp_path / "mark").stat().st_mode & 0o777


def try_lock(path: Path, answer: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        WriterLock(path)
    except ConflictError:
        answer.put("refused")
    else:
        answer.put("taken")


class TestWriterLock:
    def test_another_process_waits_until_the_lock_is_released(
        self, tmp_path: Path
    ) -> None:
        context = multiprocessing.get_context("fork")
        answers = []
        lock = WriterLock(tmp_path / "mark")
        for _ in range(2):
            answer = context.SimpleQueue()
            child = context.Process(target=try_lock, args=(tmp_path / "mark", answer))
            child.start()
            answers.append(answer.get())
            child.join()
            if len(answers) == 1:
                lock.release()

        assert ["refused", "taken"] == answers

    def test_a_second_lock_in_the_same_process_is_refused_too(
        self, tmp_path: Path
    ) -> None:
        lock = WriterLock(tmp_path / "mark")
        with pytest.raises(ConflictError):
            WriterLock(tmp_path / "mark")
        lock.release()
