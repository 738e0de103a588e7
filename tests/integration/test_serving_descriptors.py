"""Descriptors of a process that dies, given to the next one by a service manager."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.simulators.service_manager import ServiceManager

pytestmark = pytest.mark.network

REPOSITORY: Final = Path(__file__).parents[2]
NAME: Final = "call-0e7d8f3a-6a3f-4a0e-9d0a-2f4c8a1b9c77"
# Says what it was given, keeps one memfd and two sockets for each word, stays.
PROGRAM: Final = r"""
import json, os, signal, socket, sys
from vault.serving.service_manager import service_manager
from vault.serving.descriptors import Notifier, store_of

manager = service_manager()
store = store_of(manager)
notifier = Notifier(manager.notify, watchdog_s=manager.watchdog_s)
given = store.handed_back()
report = {
    "names": {name: len(fds) for name, fds in given.items()},
    "inherited": [os.get_inheritable(fd) for fds in given.values() for fd in fds],
    "left": [v for v in os.environ if v.startswith(("LISTEN", "NOTIFY", "WATCHDOG"))],
    "pages": [],
    "ports": [],
}
for fds in given.values():
    for fd in fds:
        try:
            report["ports"].append(socket.socket(fileno=fd).getsockname()[1])
        except OSError:
            report["pages"].append(os.pread(fd, 100, 0).decode())
open(sys.argv[1], "w").write(json.dumps(report))
kept = []
for word in sys.argv[2:]:
    verb, name = word.split("=")
    if verb == "drop":
        store.drop(name)
        continue
    if verb == "poke":
        nobody, one = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "12")
        nobody.bind(("127.0.0.1", 0))
        one.connect(nobody.getsockname())
        nobody.close()
        if name == "polled":
            store._line.send(b"FDSTORE=1\nFDNAME=polled\n", [one.fileno()])
        else:
            store.keep(name, [one.fileno()])
        one.send(b"to a closed port")
        kept.append(one)
        continue
    page = os.memfd_create("page")
    os.pwrite(page, b"of " + name.encode(), 0)
    pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in pair:
        one.bind(("127.0.0.1", 0))
    fds = [page, *(one.fileno() for one in pair)]
    store.keep(name, fds)
    store.keep(name, fds)
notifier.ready()
notifier.beat()
while True:
    signal.pause()
"""


class Unit:
    def __init__(self, folder: Path) -> None:
        self.manager = ServiceManager(folder)
        self._report = folder / "report"
        self._program = folder / "program.py"
        self._program.write_text(PROGRAM)

    def start(self, *words: str, **environment: str) -> dict[str, object]:
        self.manager.start(
            *(sys.executable, str(self._program), str(self._report), *words),
            environment={
                "PYTHONPATH": str(REPOSITORY),
                "PATH": os.environ["PATH"],
                **environment,
            },
        )
        self.manager.eventually(lambda: "READY=1" in self.manager.said, "ready")
        report: dict[str, object] = json.loads(self._report.read_text())
        return report


@pytest.fixture
def unit() -> Iterator[Unit]:
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        made = Unit(Path(folder))
        yield made
        made.manager.close()


def test_what_a_process_kept_comes_back_after_it_was_killed(unit: Unit) -> None:
    first = unit.start(f"keep={NAME}", "keep=other")
    unit.manager.eventually(lambda: 6 == len(unit.manager.names), "six descriptors")
    unit.manager.crash()
    second = unit.start()

    assert {} == first["names"]
    names = second["names"]
    assert isinstance(names, dict)
    assert [3, 3] == list(names.values())
    assert {f"of {NAME}", "of other"} == set(second["pages"])  # type: ignore[call-overload] # JSON
    assert 4 == len(set(second["ports"]))  # type: ignore[call-overload] # JSON


def test_what_came_back_is_hidden_from_children(unit: Unit) -> None:
    unit.start("keep=one")
    unit.manager.eventually(lambda: 3 == len(unit.manager.names), "three descriptors")
    unit.manager.crash()
    second = unit.start(WATCHDOG_USEC="60000000")

    assert [False] * 3 == second["inherited"]
    assert [] == second["left"]


def test_a_name_is_dropped_by_its_full_name_after_a_restart(unit: Unit) -> None:
    unit.start(f"keep={NAME}", "keep=other")
    unit.manager.eventually(lambda: 6 == len(unit.manager.names), "six descriptors")
    unit.manager.crash()
    unit.start(f"drop={NAME}")
    unit.manager.eventually(lambda: 3 == len(unit.manager.names), "three descriptors")

    assert {"other"} == set(unit.manager.names)


def test_a_name_is_dropped_by_the_short_name_that_came_back(unit: Unit) -> None:
    unit.start(f"keep={NAME}")
    unit.manager.eventually(lambda: 3 == len(unit.manager.names), "three descriptors")
    unit.manager.crash()
    (short,) = unit.start()["names"]  # type: ignore[misc] # JSON
    unit.manager.crash()
    unit.start(f"drop={short}")
    unit.manager.eventually(lambda: not unit.manager.names, "an empty store")


def test_another_process_is_not_heard(unit: Unit) -> None:
    unit.start("keep=one")
    unit.manager.eventually(lambda: 3 == len(unit.manager.names), "three descriptors")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(str(unit.manager.path))
        stranger.send(b"FDSTOREREMOVE=1\nFDNAME=one\n")
    unit.manager.crash()

    assert {"one": 3} == unit.start()["names"]


def test_the_watchdog_is_fed_where_it_is_asked_for(unit: Unit) -> None:
    unit.start(WATCHDOG_USEC="60000000")
    unit.manager.eventually(lambda: "WATCHDOG=1" in unit.manager.said, "a beat")


def test_a_socket_with_an_error_stays_in_the_store(unit: Unit) -> None:
    """systemd forgets what hangs up; an ICMP error must not cost a call its socket."""
    unit.start("poke=ours", "poke=polled")
    unit.manager.eventually(
        lambda: "polled" not in unit.manager.names, "the negative control is gone"
    )

    assert ["ours"] == unit.manager.names
