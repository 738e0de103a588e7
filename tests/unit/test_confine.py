"""What a domain allows and refuses, each in a child: there is no way back."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vault import confine
from vault.confine import Domain, enter, outside

needs_landlock = pytest.mark.skipif(
    confine.landlock_version() < 6, reason="needs Linux 6.12"
)
NOTHING = Domain()


def in_child(act: Callable[[], Any]) -> Any:
    """Return what *act* returns in a child of this process, or how it failed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = act()
        except OSError as exc:
            said = os.strerror(exc.errno or 0)
        except BaseException as exc:  # noqa: BLE001 - a child never goes back into pytest
            said = repr(exc)
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = json.loads(pipe.read())
    os.waitpid(child, 0)
    return said


def confined(domain: Domain, act: Callable[[], Any]) -> Any:
    def inside() -> Any:
        gaps = enter(domain)
        assert gaps == (), gaps
        return act()

    return in_child(inside)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("open/file", "open/deep/file", "closed/secret", "other/file"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def renamed(old: Path, new: Path) -> str:
    fresh = new.with_name("fresh")
    fresh.write_text("new")
    fresh.replace(new)
    old.unlink()
    return new.read_text()


@needs_landlock
class TestFiles:
    def test_what_it_may_read_it_reads_and_nothing_else(self, folder: Path) -> None:
        domain = Domain(reads=(folder / "open",))
        inside, outside_it = (
            folder / "open" / "deep" / "file",
            folder / "other" / "file",
        )

        assert confined(domain, inside.read_text) == "open/deep/file"
        assert confined(domain, outside_it.read_text) == "Permission denied"
        assert confined(domain, lambda: inside.write_text("x")) == "Permission denied"

    def test_a_file_that_is_replaced_in_its_folder_is_read_again(
        self, folder: Path
    ) -> None:
        read, write = os.pipe()
        other = folder / "open" / "file"

        def act() -> str:
            os.read(read, 1)
            return other.read_text()

        threading.Timer(
            0.05,
            lambda: (renamed(folder / "other" / "file", other), os.write(write, b".")),
        ).start()

        assert confined(Domain(reads=(folder / "open",)), act) == "new"
        os.close(read)
        os.close(write)

    def test_it_changes_what_is_its_own(self, folder: Path) -> None:
        domain = Domain(changes=(folder / "open",))

        def act() -> str:
            (folder / "open" / "made").mkdir()
            (folder / "open" / "made" / "file").write_text("x")
            # Into another folder of the same rule, as a store publishes.
            os.link(folder / "open" / "made" / "file", folder / "open" / "linked")
            os.truncate(folder / "open" / "linked", 0)
            return renamed(folder / "open" / "file", folder / "open" / "deep" / "file")

        assert confined(domain, act) == "new"

    def test_it_lists_names_and_no_more(self, folder: Path) -> None:
        domain = Domain(lists=(folder,))

        def names() -> list[str]:
            return sorted(path.name for path in folder.iterdir())

        assert confined(domain, names) == ["closed", "open", "other"]
        assert confined(domain, (folder / "open/file").read_text) == "Permission denied"

    def test_sockets_are_made_only_where_they_are_meant_to_be(
        self, folder: Path
    ) -> None:
        def bind(place: str) -> str:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(folder / place / "s"))
            return "bound"

        domain = Domain(changes=(folder / "other",), meets=(folder / "open",))

        assert confined(domain, lambda: bind("open")) == "bound"
        assert confined(domain, lambda: bind("other")) == "Permission denied"

    def test_what_is_never_allowed_stays_closed_in_a_folder_that_is_open(
        self, folder: Path
    ) -> None:
        secret = folder / "closed" / "secret"
        domain = Domain(reads=(folder,), never=(secret,))

        assert confined(domain, secret.read_text) == "Permission denied"
        assert confined(domain, (folder / "other/file").read_text) == "other/file"

    def test_a_secret_that_can_still_be_opened_is_said(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whatever the reason: `enter` believes what it sees and not what it did.
        """
        secret = folder / "closed" / "secret"
        monkeypatch.setattr(confine, "_restrict", lambda *_: None)

        assert in_child(lambda: list(enter(Domain(never=(secret,))))) == [
            f"not confined from {secret}"
        ]


@needs_landlock
class TestTheRest:
    def test_it_starts_what_it_may_and_nothing_else(self) -> None:
        domain = Domain(
            reads=confine.interpreter_reads(),
            writes=(Path("/dev/null"),),
            runs=confine.interpreter_runs(),
        )

        def python() -> int:
            return subprocess.run([sys.executable, "-c", ""], check=False).returncode

        assert confined(domain, python) == 0
        assert (
            confined(domain, lambda: subprocess.run(["/bin/true"], check=True))
            == "Permission denied"
        )

    @pytest.mark.enable_socket
    def test_it_listens_and_connects_where_it_may(self, socket_enabled: None) -> None:
        # What a socket needs of Python's modules, it loads when it needs it.
        python = confine.interpreter_reads()
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

            def connect() -> str:
                socket.create_connection(("127.0.0.1", port)).close()
                return "connected"

            assert (
                confined(Domain(reads=python, connects=(port,)), connect) == "connected"
            )
            assert confined(Domain(reads=python), connect) == "Permission denied"

        def listen() -> str:
            socket.create_server(("127.0.0.1", 0)).close()
            return "listens"

        assert confined(Domain(reads=python, binds=None), listen) == "listens"
        assert confined(Domain(reads=python, binds=(0,)), listen) == "listens"
        assert confined(Domain(reads=python, binds=(1,)), listen) == "Permission denied"

    def test_it_signals_nobody_outside_unless_it_may(self) -> None:
        def signal_us() -> str:
            os.kill(os.getppid(), 0)
            return "sent"

        assert confined(NOTHING, signal_us) == "Operation not permitted"
        assert confined(Domain(signals=True), signal_us) == "sent"

    def test_it_reads_no_memory_and_no_environment_of_others(self) -> None:
        """
        As root, too, whose capabilities see past a domain.
        """
        domain = Domain(reads=(Path("/proc"),))
        parent = os.getpid()

        assert {
            name: confined(domain, lambda: len(_first(parent, name)))  # noqa: B023 - called at once
            for name in ("environ", "mem", "maps")
        } == dict.fromkeys(("environ", "mem", "maps"), "Permission denied")
        assert in_child(lambda: len(_first(parent, "environ"))) == 1


def _first(pid: int, name: str) -> bytes:
    with Path(f"/proc/{pid}/{name}").open("rb") as file:
        return file.read(1)


class TestWhatIsMissing:
    def test_without_landlock_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confine, "landlock_version", lambda: 0)

        (gap,) = in_child(lambda: list(enter(NOTHING)))

        assert gap.startswith("not confined: no Landlock")

    @needs_landlock
    def test_an_older_one_confines_what_it_knows(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(confine, "landlock_version", lambda: 2)
        gaps = in_child(lambda: list(enter(NOTHING)))

        def act() -> str:
            enter(NOTHING)
            return (folder / "other" / "file").read_text()

        assert gaps == [gap for _, gap in confine._LATER]
        assert in_child(act) == "Permission denied"

    @needs_landlock
    def test_a_thread_that_ran_before_is_said(self) -> None:
        def act() -> list[str]:
            done = threading.Event()
            thread = threading.Thread(target=done.wait)
            thread.start()
            gaps = list(enter(NOTHING))
            done.set()
            return gaps

        assert in_child(act) == ["threads that ran before are not confined"]


class TestOutside:
    def test_a_folder_without_anything_closed_is_one_rule(self, folder: Path) -> None:
        assert list(outside(folder, (Path("/elsewhere"),))) == [folder.resolve()]

    def test_one_that_leads_to_something_closed_is_spelled_out(
        self, folder: Path
    ) -> None:
        (folder / "closed" / "beside").touch()
        found = outside(folder, (folder / "closed" / "secret",))

        assert [path.relative_to(folder).as_posix() for path in found] == [
            "closed/beside",
            "open",
            "other",
        ]

    def test_what_is_closed_gives_nothing(self, folder: Path) -> None:
        assert list(outside(folder / "closed" / "secret", (folder / "closed",))) == []


def test_the_interpreter_names_its_loader() -> None:
    program, loader = confine.interpreter_runs()

    assert program == Path(sys.executable)
    assert loader.name.startswith("ld")
