import errno
import io

import pytest
import structlog

from vault.warden.journal import say


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "vault.warden.journal._logger",
        structlog.wrap_logger(structlog.PrintLogger(FullDisk())),
    )

    say("error", "warden.log.failed", trouble="disk full")


def test_a_line_says_its_event_and_facts() -> None:
    with structlog.testing.capture_logs() as lines:
        say("warning", "warden.release.alarm", actor="user:1")

    assert lines == [
        {"event": "warden.release.alarm", "actor": "user:1", "log_level": "warning"}
    ]
