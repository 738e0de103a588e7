import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.simulators.waiting import wait_until
from vault.core.errors import UnavailableError
from vault.core.secrets import SecretBytes
from vault.serving import children
from vault.serving.children import Child, read_piped, say_ready

PREAMBLE = """
import json, os, signal, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
def ready():
    os.write(int(options["--ready-fd"]), b"ready")
    os.close(int(options["--ready-fd"]))
def stay():
    while True:
        signal.pause()
"""

OPEN = Path("/proc/self/fd")
Make = Callable[..., Child]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Child] = []

    def child(script: str, **members: object) -> Child:
        file = tmp_path / f"child-{len(made)}.py"
        file.write_text(PREAMBLE + dedent(script))
        one = Child(
            name="small",
            program=(sys.executable, "-I", str(file)),
            arguments=lambda: ["--folder", str(tmp_path)],
            **members,  # type: ignore[arg-type] # what the test wants
        )
        made.append(one)
        return one

    yield child
    for one in made:
        one.stop(within_s=5)


class TestStarting:
    def test_a_child_that_says_so_is_ready(self, make: Make) -> None:
        child = make("ready(); stay()")

        child.start()

        assert child.alive

    def test_one_that_ends_first_could_not_start(self, make: Make) -> None:
        child = make("sys.exit(3)")

        with pytest.raises(UnavailableError, match="status 3"):
            child.start()

        assert not child.alive

    def test_one_that_stays_silent_is_ended(self, make: Make) -> None:
        child = make("stay()")
        child.spawn()

        with pytest.raises(UnavailableError, match="not ready within 0 s"):
            child.await_ready(within_s=0.2)

        assert not child.alive

    def test_waiting_ends_when_nobody_wants_it_any_more(self, make: Make) -> None:
        child = make("stay()")
        child.spawn()

        child.await_ready(wanted=lambda: False)

        assert child.alive

    def test_the_passphrase_comes_through_a_pipe_and_shows_nowhere(
        self, make: Make, tmp_path: Path
    ) -> None:
        child = make(
            """
            said = os.read(int(options["--passphrase-fd"]), 4096).decode()
            shown = [sys.argv, dict(os.environ)]
            with open(options["--folder"] + "/seen", "w") as file:
                json.dump([said, shown], file)
            ready(); stay()
            """,
            passphrase=SecretBytes(b"nobody guesses this"),
        )

        child.start()

        said, shown = json.loads((tmp_path / "seen").read_text())
        assert said == "nobody guesses this"
        assert "nobody" not in json.dumps(shown)
        assert "nobody" not in repr(child)

    def test_it_inherits_what_it_is_given_and_nothing_else(
        self, make: Make, tmp_path: Path
    ) -> None:
        given, other = os.pipe()
        os.set_inheritable(other, True)  # the mistake that must not matter
        child = make(
            """
            mine = sorted(int(name) for name in os.listdir("/proc/self/fd"))
            with open(options["--folder"] + "/seen", "w") as file:
                json.dump([mine, int(options["--ready-fd"])], file)
            ready(); stay()
            """,
            descriptors=lambda: [given],
        )
        try:
            child.start()
        finally:
            os.close(given)
            os.close(other)

        mine, ready = json.loads((tmp_path / "seen").read_text())
        assert {0, 1, 2, given, ready} <= set(mine)
        # And the one that listdir has open while it looks.
        assert len(mine) == 6

    def test_no_descriptor_is_left_open_in_the_parent(self, make: Make) -> None:
        before = len(list(OPEN.iterdir()))
        child = make("ready(); stay()", passphrase=SecretBytes(b"secret"))

        child.start()

        assert before == len(list(OPEN.iterdir()))


class TestKeepingAlive:
    def test_one_that_died_is_started_again_at_once(self, make: Make) -> None:
        child = make("ready(); stay()")
        child.start()
        assert child.process is not None
        first = child.process.pid
        child.process.kill()
        child.process.wait()

        child.keep_alive()

        assert child.alive
        assert first != child.process.pid
        assert child.restarts == 1

    def test_one_that_dies_again_waits_longer_each_time(self, make: Make) -> None:
        child = make("sys.exit(1)")
        child.spawn()
        waits = []
        for _ in range(4):
            assert child.process is not None
            child.process.wait()
            child.keep_alive()
            again = child._again
            waits.append(0.0 if again is None else again - time.monotonic())
            if again is not None:
                child._again = time.monotonic()
                child.keep_alive()

        assert [0, 1, 2, 4] == [round(wait) for wait in waits]
        assert child.restarts == 4

    def test_one_that_packets_wait_for_is_never_left_dead_for_long(
        self, make: Make
    ) -> None:
        child = make("sys.exit(1)")
        child.longest_wait_s = 1.0
        child.spawn()
        assert child.process is not None
        child.process.wait()
        child.restarts = 9

        child.keep_alive()

        assert child._again is not None
        assert child._again - time.monotonic() <= 1.0

    def test_a_minute_of_life_is_forgiven(self, make: Make) -> None:
        child = make("sys.exit(1)")
        child.spawn()
        assert child.process is not None
        child.process.wait()
        child.restarts = 5
        child._started -= 61

        child.keep_alive()

        assert child.restarts == 1

    def test_one_that_does_not_get_ready_is_ended_and_nobody_waits_for_it(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child = make("stay()")
        child.spawn()
        child.keep_alive()
        before = child.alive
        monkeypatch.setattr(children, "_START_S", 0.0)

        child.keep_alive()

        assert (True, False) == (before, child.alive)
        child.keep_alive()
        assert child.restarts == 1

    def test_one_that_was_never_started_stays_so(self, make: Make) -> None:
        child = make("ready(); stay()")

        child.keep_alive()

        assert not child.alive


class TestStopping:
    def test_it_is_asked_first(self, make: Make, tmp_path: Path) -> None:
        child = make(
            """
            def end(*_):
                open(options["--folder"] + "/in-order", "w").close()
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            ready(); stay()
            """
        )
        child.start()

        child.stop(within_s=30)

        assert (tmp_path / "in-order").exists()
        assert child.process is not None
        assert child.process.returncode == 0

    def test_one_that_does_not_listen_is_ended(self, make: Make) -> None:
        child = make("signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); stay()")
        child.start()

        child.stop(within_s=0.2)

        assert not child.alive

    def test_stopping_what_is_dead_is_no_error(self, make: Make) -> None:
        child = make("ready()")
        child.start()
        wait_until(lambda: not child.alive)

        child.stop(within_s=1)

        assert not child.alive


def test_ready_is_said_once_and_only_where_somebody_listens() -> None:
    read, write = os.pipe()

    say_ready(None)
    say_ready(write)

    assert os.read(read, 100) == b"ready"
    assert os.read(read, 100) == b""
    os.close(read)


def test_a_piped_secret_is_read_to_its_end() -> None:
    read, write = os.pipe()
    os.write(write, b"a secret")
    os.close(write)

    assert read_piped(read).reveal() == b"a secret"
