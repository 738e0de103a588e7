import json
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from vault.serving.logs import _without_secrets


def logged(script: str) -> list[dict[str, Any]]:
    """Run *script* in a process that logs, and return its lines."""
    preamble = """
        import logging, threading
        import structlog
        from vault.serving import logs
        log = structlog.get_logger()
        logs.configure("web")
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(preamble) + dedent(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_says_its_process_its_time_and_its_level() -> None:
    lines = logged(
        """
        log.info("one", count=1)
        thread = threading.Thread(target=lambda: log.error("two"))
        thread.start(); thread.join()
        """
    )

    assert [("one", "info"), ("two", "error")] == [
        (line["event"], line["level"]) for line in lines
    ]
    assert {"web"} == {line["process"] for line in lines}
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_what_came_from_outside_cannot_forge_a_line() -> None:
    (line,) = logged(
        r"""
        log.info("asked", path='/x\n{"event": "all is well"}', name="a\u2028b\u202ec")
        """
    )

    assert line["event"] == "asked"
    assert "\n" not in line["path"]
    assert line["name"] == "a\ufffdb\ufffdc"


def test_a_bug_shows_where_it_was_and_not_with_what() -> None:
    (line,) = logged(
        """
        def open_it(passphrase):
            raise RuntimeError("misused")
        try:
            open_it("nobody guesses this")
        except RuntimeError:
            log.exception("bug")
        """
    )

    assert "misused" in line["exception"]
    assert "open_it" in line["exception"]
    # The source line that was executed is shown, values of variables are not.
    assert "passphrase =" not in line["exception"]


def test_libraries_speak_without_what_they_were_given() -> None:
    (line,) = logged('logging.getLogger("driver").warning("url %s", "s3cret")')

    assert {"level": "WARNING", "event": "library", "logger": "driver"} == line


def test_a_command_is_quiet_until_something_is_wrong() -> None:
    lines = logged(
        """
        logs.configure("cli", quiet=True)
        log.info("fine")
        log.warning("not fine")
        """
    )

    assert ["not fine"] == [line["event"] for line in lines]


@pytest.mark.parametrize(
    "name",
    [
        "passphrase", "password", "device_token", "secret_key", "Authorization",
        "cookie", "inline", "dek", "otp", "key",
    ],
)  # fmt: skip
def test_a_value_whose_name_smells_of_a_secret_is_hidden(name: str) -> None:
    shown = _without_secrets(None, "info", {"event": "e", name: b"\x00secret"})

    assert {"event": "e", name: "[hidden]"} == shown


def test_ordinary_members_are_left_as_they_are() -> None:
    event = {"event": "token.added", "recording": "r", "count": 3, "process": "tap"}

    assert event == _without_secrets(None, "info", dict(event))
