import os
from pathlib import Path

import pytest

from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import HowEnded
from vault.core.ids import DeviceId, new_recording_id
from vault.spool import ledger
from vault.spool.config import SpoolConfig
from vault.spool.ledger import EndedNote, EndedNotes, SpoolState, read_status
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool

NOTE = EndedNote(device_id=DeviceId("d"), how=HowEnded.CUT, reason="cut")


class TestReadStatus:
    def test_a_session_runs_then_waits_then_fails_and_says_why(
        self, spool: Spool, config: SpoolConfig, order: SpoolOrder
    ) -> None:
        folder = spool.create(order)
        (running,) = read_status(config.directory)
        folder.write_once("manifest", b"m" * 1000)
        (waiting,) = read_status(config.directory)
        folder.tell_trouble("StoreUnavailableError: down")
        (failing,) = read_status(config.directory)

        assert [SpoolState.RECORDING, SpoolState.WAITING, SpoolState.FAILING] == [
            running.state,
            waiting.state,
            failing.state,
        ]
        assert "StoreUnavailableError: down" == failing.last_error
        assert waiting.bytes - running.bytes == 1000

    def test_what_is_not_a_session_is_not_listed(
        self, spool: Spool, config: SpoolConfig
    ) -> None:
        (config.directory / "lost+found").mkdir()
        (config.directory / new_recording_id()).mkdir()

        assert [] == read_status(config.directory)

    def test_a_spool_that_is_not_there_is_empty(self, tmp_path: Path) -> None:
        assert [] == read_status(tmp_path / "none")


class TestEndedNotes:
    def test_a_note_survives_and_may_be_written_again(self, tmp_path: Path) -> None:
        recording_id = new_recording_id()
        for _ in range(2):
            EndedNotes(tmp_path).write(recording_id, NOTE)

        assert NOTE == EndedNotes(tmp_path).read(recording_id)

    def test_only_the_newest_stay_however_long_a_tap_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger, "_MAX_NOTES", 2)
        monkeypatch.setattr(ledger, "_PRUNE_EVERY", 5)
        notes = EndedNotes(tmp_path)
        ids = [new_recording_id() for _ in range(5)]
        for age_s, recording_id in enumerate(reversed(ids[:4]), start=1):
            notes.write(recording_id, NOTE)
            os.utime(tmp_path / ".ended" / recording_id, (0, 1000 - age_s))

        notes.write(ids[4], NOTE)

        left = {path.name for path in (tmp_path / ".ended").iterdir()}
        assert left == {ids[3], ids[4]}

    def test_a_session_without_a_note_is_unknown(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            EndedNotes(tmp_path).read(new_recording_id())

    @pytest.mark.parametrize("octets", [b"", b"{}", b'{"device_id":"d","how":"no"}'])
    def test_what_is_no_note_is_refused(self, octets: bytes) -> None:
        with pytest.raises(InvalidInputError):
            EndedNote.parse(octets)
