import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulators.waiting import wait_until
from vault.serving.children import Child
from vault.serving.descriptors import (
    NAME_BYTES,
    NoStore,
    NotifyStore,
    receive_all,
    short_name,
)
from vault.serving.keeping import DescriptorKeeper

REPOSITORY: Final = Path(__file__).parents[3]
NAME: Final = "call-0e7d8f3a-6a3f-4a0e-9d0a-2f4c8a1b9c77"


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder: a Unix socket's path has 107 octets."""
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        yield Path(folder)


@pytest.fixture
def keeper(place: Path) -> Iterator[DescriptorKeeper]:
    made = DescriptorKeeper(place / "store.sock", beyond=NoStore())
    made.belongs_to(os.getpid())
    yield made
    made.close()


@pytest.fixture
def at() -> Iterator[Callable[..., NotifyStore]]:
    """Makes stores, and closes them."""
    made: list[NotifyStore] = []

    def store(path: Path, **options: Any) -> NotifyStore:
        made.append(NotifyStore(str(path), **options))
        return made[-1]

    yield store
    for one in made:
        one.close()


At = Callable[..., NotifyStore]


def page(octets: bytes) -> int:
    descriptor = os.memfd_create("page", os.MFD_CLOEXEC)
    os.pwrite(descriptor, octets, 0)
    return descriptor


def held(keeper: DescriptorKeeper) -> dict[str, list[bytes]]:
    found = {}
    for name, fds in receive_all(keeper.hand_over()).items():
        found[name] = sorted(os.pread(fd, 100, 0) for fd in fds)
        for fd in fds:
            os.close(fd)
    return found


class TestKeeping:
    def test_what_is_kept_is_handed_over_by_name(
        self, at: At, keeper: DescriptorKeeper
    ) -> None:
        store = at(keeper.path)
        store.keep("one", [page(b"first"), page(b"second")])
        store.keep("other", [page(b"third")])

        assert held(keeper) == {"one": [b"first", b"second"], "other": [b"third"]}

    def test_it_is_handed_over_as_often_as_a_child_starts(
        self, at: At, keeper: DescriptorKeeper
    ) -> None:
        at(keeper.path).keep("one", [page(b"first")])

        assert held(keeper) == held(keeper) == {"one": [b"first"]}

    def test_a_duplicate_is_held_once(self, at: At, keeper: DescriptorKeeper) -> None:
        store = at(keeper.path)
        descriptor = page(b"first")
        store.keep("one", [descriptor, descriptor])
        store.keep("one", [os.dup(descriptor)])

        assert held(keeper) == {"one": [b"first"]}

    def test_what_is_dropped_is_gone(self, at: At, keeper: DescriptorKeeper) -> None:
        store = at(keeper.path)
        store.keep(NAME, [page(b"first")])
        store.keep("other", [page(b"second")])
        store.drop(NAME)

        assert held(keeper) == {"other": [b"second"]}

    def test_more_than_one_message_can_carry_is_kept(
        self, at: At, keeper: DescriptorKeeper
    ) -> None:
        store = at(keeper.path)
        pages = [page(b"%04d" % number) for number in range(600)]
        store.keep("many", pages)
        for descriptor in pages:
            os.close(descriptor)
        wait_until(lambda: keeper.count == 600)

        assert held(keeper)["many"] == [b"%04d" % number for number in range(600)]

    def test_another_process_is_not_heard(
        self, at: At, keeper: DescriptorKeeper
    ) -> None:
        store = at(keeper.path)
        store.keep("one", [page(b"first")])
        program = (
            "from vault.serving.descriptors import NotifyStore; import sys, os;"
            "s = NotifyStore(sys.argv[1]); s.drop('one');"
            "s.keep('foreign', [os.memfd_create('x')])"
        )
        subprocess.run(
            [sys.executable, "-c", program, str(keeper.path)],
            check=True,
            cwd=REPOSITORY,
        )

        assert held(keeper) == {"one": [b"first"]}

    @pytest.mark.parametrize(
        "message",
        [b"", b"FDSTORE=1\n", b"FDSTOREREMOVE=1\n", b"\xff\x00=\n", b"FDNAME=one"],
    )
    def test_nonsense_is_ignored_and_its_descriptors_closed(
        self, keeper: DescriptorKeeper, message: bytes
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as tap:
            tap.connect(str(keeper.path))
            socket.send_fds(tap, [message], [page(b"first")])

        assert held(keeper) == {}

    def test_its_socket_is_private(self, keeper: DescriptorKeeper) -> None:
        assert keeper.path.stat().st_mode & 0o777 == 0o600

    def test_what_serves_own_store_has_kept_is_held_from_the_start(
        self, at: At, place: Path
    ) -> None:
        beyond = at(place / "nobody", handed_back={"one": [page(b"first")]})
        keeper = DescriptorKeeper(place / "store.sock", beyond=beyond)

        assert held(keeper) == {"one": [b"first"]}
        assert keeper.survives
        keeper.close()

    def test_everything_is_kept_beyond_too(
        self, at: At, place: Path, keeper: DescriptorKeeper
    ) -> None:
        """`serve` under systemd: its own store is another keeper here."""
        inner = DescriptorKeeper(place / "inner.sock", beyond=at(keeper.path))
        inner.belongs_to(os.getpid())
        store = at(inner.path)
        store.keep(NAME, [page(b"first")])
        store.keep("other", [page(b"second")])
        store.drop("other")
        wait_until(lambda: inner.count == 1)
        inner.close()

        assert held(keeper) == {short_name(NAME): [b"first"]}


# Writes what it was given, keeps one page of its own, and stays.
CHILD: Final = """
import json, os, signal, socket, sys
from vault.serving.descriptors import NotifyStore, receive_all
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
given = receive_all(socket.socket(fileno=int(words["--kept-fd"])))
store = NotifyStore(words["--store"], handed_back=given)
pages = {n: [os.pread(f, 100, 0).decode() for f in fds] for n, fds in given.items()}
mine = os.memfd_create("mine")
os.pwrite(mine, b"of %d" % os.getpid(), 0)
store.keep(f"call-{os.getpid()}", [mine])
open(words["--folder"] + f"/{os.getpid()}", "w").write(json.dumps(pages))
os.write(int(words["--ready-fd"]), b"ready")
while True:
    signal.pause()
"""


def test_a_child_that_was_killed_leaves_its_pages_to_the_next_one(
    place: Path,
) -> None:
    keeper = DescriptorKeeper(place / "store.sock", beyond=NoStore())
    ends: list[socket.socket] = []
    (place / "child.py").write_text(CHILD)
    before = os.environ.get("PYTHONPATH")

    def descriptors() -> list[int]:
        ends.append(keeper.hand_over())
        return [ends[-1].fileno()]

    def spawned(pid: int) -> None:
        ends.pop().close()
        keeper.belongs_to(pid)

    child = Child(
        name="small",
        program=(sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); sys.argv[0] = ''; exec(open({str(place / 'child.py')!r}).read())"),
        arguments=lambda: [
            *("--folder", str(place), "--store", str(keeper.path)),
            *("--kept-fd", str(ends[-1].fileno())),
        ],
        descriptors=descriptors,
        spawned=spawned,
    )  # fmt: skip
    pids = []
    for _ in range(3):
        child.start()
        assert child.process is not None
        pids.append(child.process.pid)
        child.process.kill()
        child.process.wait()
    keeper.close()
    given = [json.loads((place / str(pid)).read_text()) for pid in pids]

    assert before == os.environ.get("PYTHONPATH")
    assert given[0] == {}
    assert given[1] == {f"call-{pids[0]}": [f"of {pids[0]}"]}
    assert set(given[2]) == {f"call-{pids[0]}", f"call-{pids[1]}"}


class TestNames:
    def test_a_short_name_stays(self) -> None:
        assert short_name("twelve-chars") == "twelve-chars"

    def test_a_long_one_is_shortened_once(self) -> None:
        short = short_name(NAME)

        assert len(short) == NAME_BYTES
        assert short_name(short) == short
        assert short_name(NAME[:-1] + "8") != short


class TestNoStore:
    def test_it_keeps_nothing(self) -> None:
        store = NoStore()
        store.keep("one", [0])
        store.drop("one")

        assert store.handed_back() == {}
        assert store.kept == 0


class TestWithoutAManager:
    def test_nobody_listening_raises_nothing(self, at: At, place: Path) -> None:
        store = at(place / "nobody")
        store.keep("one", [page(b"first")])
        store.drop("one")

        assert store.kept == 0

    def test_a_manager_that_is_started_again_is_found(
        self, at: At, place: Path
    ) -> None:
        store = at(place / "store.sock")
        DescriptorKeeper(place / "store.sock", beyond=NoStore()).close()
        store.keep("lost", [page(b"first")])
        keeper = DescriptorKeeper(place / "store.sock", beyond=NoStore())
        keeper.belongs_to(os.getpid())
        store.keep("one", [page(b"second")])

        assert held(keeper) == {"one": [b"second"]}
        keeper.close()

    def test_what_a_slow_manager_does_not_take_waits_in_order(
        self, at: At, place: Path
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
            slow.bind(str(place / "slow.sock"))
            store = at(place / "slow.sock")
            for number in range(1000):
                store.drop(f"{number}")
            names = [slow.recv(100).split(b"=")[-1] for _ in range(1000)]

        assert names == [b"%d\n" % number for number in range(1000)]

    def test_a_full_store_is_asked_for_no_more(self, at: At, place: Path) -> None:
        store = at(place / "nobody", most=2)
        for name in ("one", "other"):
            store.keep(name, [page(b""), page(b"")])
        full = store.kept
        store.drop("one")
        store.keep("third", [page(b"")])

        assert (full, store.kept) == (2, 1)
