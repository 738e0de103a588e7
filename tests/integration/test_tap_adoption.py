"""Supervisors that die while calls go on, and those that come after them."""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.simulators.recorder import short_folder
from tests.simulators.tap_calls import TapCall, config, eventually, until
from tests.simulators.tap_supervisor import Supervisor, parts_in
from vault.core.flow import HowEnded
from vault.core.media import SrtpSuite
from vault.process import open_descriptors
from vault.sealing.chunks import CHUNK_SIZE
from vault.serving.descriptors import NoStore, NotifyStore, receive_all
from vault.serving.keeping import DescriptorKeeper
from vault.tap import meeting
from vault.tap.capture import Kind, parse_event
from vault.tap.config import TapConfig
from vault.tap.orders import StreamChange
from vault.tap.pool import MediaPool

pytestmark = pytest.mark.network

CM = SrtpSuite.AES_CM_128_HMAC_SHA1_80
GCM = SrtpSuite.AEAD_AES_256_GCM


def key(suite: SrtpSuite = CM) -> tuple[SrtpSuite, bytes]:
    return suite, os.urandom(suite.master_size_bytes)


def settings(folder: Path, **more: object) -> TapConfig:
    return config(run_folder=str(folder / "run"), **more)


def run(
    scene: Callable[[MediaPool], Awaitable[None]], given: TapConfig, folder: Path
) -> None:
    """Play *scene* with the supervisor that comes after."""

    async def play() -> None:
        pool = MediaPool(given)
        try:
            await pool.adopt(lambda one: lambda n: parts_in(folder, one, n))
            await pool.start()
            await scene(pool)
        finally:
            await pool.stop()

    asyncio.run(play())


def events(call: TapCall, plaintext: bytes) -> list[object]:
    records = call.records(plaintext, Kind.EVENT)
    return [parse_event(record)["event"] for record in records]


class TestASupervisorThatIsKilled:
    @pytest.mark.parametrize("suite", [CM, GCM])
    def test_costs_no_packet_and_no_part(
        self, tmp_path: Path, suite: SrtpSuite
    ) -> None:
        given = settings(tmp_path)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key(suite), key(suite)]])
            workers = first.workers
            call.talk(50)
            call.talk(50, 1)
            first.kill()
            call.talk(50)

        async def scene(pool: MediaPool) -> None:
            call.now_at(pool).talk(50)
            await call.counted(lambda c: c.authentic == 150)
            report = await call.close()

            assert list(pool.worker_pids) == workers
            assert report.complete
            assert [part.part for part in report.parts] == [1]
            assert [s.received for s in report.streams] == [150, 50]
            assert call.rtp(call.plaintext()) == call.sent[0]
            assert call.rtp(call.plaintext(), 1) == call.sent[1]

        run(scene, given, tmp_path)

    def test_again_and_again_costs_nothing_either(self, tmp_path: Path) -> None:
        given = settings(tmp_path)
        with Supervisor(given) as first:
            calls = first.open(tmp_path, [[key()], [key()]])
        for _ in range(2):
            with Supervisor(given) as next_one:
                for call in calls:
                    call.talk(20)

                assert sorted(next_one.adopt(tmp_path)) == sorted(c.id for c in calls)

        async def scene(pool: MediaPool) -> None:
            for call in calls:
                call.now_at(pool).talk(20)
                report = await call.close()

                assert report.complete
                assert report.streams[0].received == 60
                assert call.rtp(call.plaintext()) == call.sent[0]

        run(scene, given, tmp_path)

    def test_with_a_worker_leaves_the_calls_of_the_other(self, tmp_path: Path) -> None:
        given = settings(tmp_path, workers=2)
        with Supervisor(given) as first:
            calls = first.open(tmp_path, [[key()], [key()]])
            workers = first.workers
        os.kill(workers[0], signal.SIGKILL)

        async def scene(pool: MediaPool) -> None:
            alive = [c for c in calls if c.id in pool._calls]

            assert len(alive) == 1
            assert workers[1] in pool.worker_pids
            assert len(pool.worker_pids) == 2
            alive[0].now_at(pool).talk(20)
            report = await alive[0].close()
            assert (report.complete, report.streams[0].authentic) == (True, 20)

        run(scene, given, tmp_path)
        for call in calls:
            call.peer.close()

    def test_in_a_pause_leaves_the_call_paused(self, tmp_path: Path) -> None:
        given = settings(tmp_path)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])

        async def scene(pool: MediaPool) -> None:
            await pool.pause(call.id, True)
            call.now_at(pool).talk(5)
            await call.counted(lambda c: c.not_captured == 5)
            await pool.change_stream(call.id, StreamChange(index=0, held=True))
            report = await call.close()

            assert report.streams[0].not_captured == 5
            assert "hold" in events(call, call.plaintext())

        run(scene, given, tmp_path)


class TestBothKilled:
    def test_where_somebody_kept_the_descriptors_the_call_goes_on_in_the_next_part(
        self, tmp_path: Path
    ) -> None:
        given = settings(tmp_path, flush_age_s=0.2)
        folder = short_folder()
        keeper = DescriptorKeeper(folder / "store", beyond=NoStore())
        with Supervisor(given, keeper) as first:
            (call,) = first.open(tmp_path, [[key(), key(GCM)]])
            call.talk(30)
            call.talk(30, 1)
            asyncio.run(eventually(_grown(call.path(1))))
            first.kill()
            os.kill(first.workers[0], signal.SIGKILL)
            call.talk(20)
        kept = receive_all(keeper.hand_over())
        keeper.belongs_to(os.getpid())
        store = NotifyStore(str(keeper.path), handed_back=kept)

        async def play() -> None:
            pool = MediaPool(given, store=store)
            try:
                found = await pool.adopt(
                    lambda one: lambda n: parts_in(tmp_path, one, n)
                )
                await pool.start()

                assert [one.recording_id for one in found] == [call.id]
                call.now_at(pool).talk(30)
                await call.counted(lambda c: c.authentic == 80)
                report = await call.close()
                after = call.plaintext(2)

                assert [(p.part, p.final) for p in report.parts] == [
                    (1, False),
                    (2, True),
                ]
                assert report.streams[0].received == 80
                assert report.streams[1].received == 30
                assert call.rtp(call.prefix(1)) == call.sent[0][:30]
                assert call.rtp(after) == call.sent[0][30:]
                assert events(call, after)[:3] == ["stream-added", "gap", "end"]
                pool.forget(call.id)
            finally:
                await pool.stop()

        asyncio.run(play())
        store.close()
        asyncio.run(eventually(lambda: keeper.count == 0 or None))
        keeper.close()
        folder.rmdir()

    def test_where_nobody_did_the_call_is_not_adopted(self, tmp_path: Path) -> None:
        given = settings(tmp_path)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])
            first.kill()
            os.kill(first.workers[0], signal.SIGKILL)

        async def scene(pool: MediaPool) -> None:
            assert not pool._calls

        run(scene, given, tmp_path)
        call.peer.close()


def _grown(path: Path) -> Callable[[], bool | None]:
    return lambda: path.stat().st_size > CHUNK_SIZE or None


class TestWhatIsHandedBack:
    """The store says a name; only what is inside decides."""

    @pytest.mark.parametrize("kept", ["nothing", "sockets", "strange", "twice", "less"])
    def test_is_refused_whole_and_closed_unless_it_is_a_call(
        self, tmp_path: Path, kept: str
    ) -> None:
        given = settings(tmp_path)
        store = _Store()

        async def opened() -> None:
            first = MediaPool(given, store=store)
            await first.start()
            call = await TapCall(first, tmp_path, keys=[key()]).open()
            call.peer.close()
            store.handed = store.taken_apart(kept)
            await first.stop()

        async def adopted() -> None:
            second = MediaPool(given, store=store)
            found = await second.adopt(lambda one: lambda n: parts_in(tmp_path, one, n))
            await second.start()
            await second.stop()

            assert found == ()
            assert store.dropped[-1] == "name"

        asyncio.run(opened())
        gc.collect()  # what earlier tests left behind is not this one's
        before = open_descriptors() - len(store.handed["name"])
        asyncio.run(adopted())

        assert open_descriptors() == before

    def test_leaves_no_pair_behind_where_another_one_is_somebody_elses(
        self, tmp_path: Path
    ) -> None:
        given = settings(tmp_path)
        store = _Store()

        async def opened() -> None:
            first = MediaPool(given, store=store)
            await first.start()
            call = await TapCall(first, tmp_path, keys=[key(), key()]).open()
            call.peer.close()
            store.handed = {"name": list(store.kept)}
            await first.stop()

        async def adopted() -> None:
            second = MediaPool(given, store=store)
            theirs = [socket.socket(fileno=os.dup(fd)) for fd in store.kept[3:]]
            second._sockets.adopt(*theirs)
            found = await second.adopt(lambda one: lambda n: parts_in(tmp_path, one, n))
            used = second._sockets.used
            await second.stop()

            assert (found, used) == ((), 1)

        asyncio.run(opened())
        asyncio.run(adopted())


class _Store:
    """A store that hands back what a test wants."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.handed: dict[str, list[int]] = {}
        self.dropped: list[str] = []

    def keep(self, name: str, fds: Sequence[int]) -> None:
        self.kept += [os.dup(fd) for fd in fds]

    def drop(self, name: str) -> None:
        self.dropped.append(name)

    def handed_back(self) -> dict[str, list[int]]:
        return {name: list(fds) for name, fds in self.handed.items()}

    def taken_apart(self, which: str) -> dict[str, list[int]]:
        page, rtp, rtcp = self.kept
        if which == "sockets":
            os.close(page)
            return {"name": [rtp, rtcp]}
        if which == "strange":
            os.close(rtcp)
            return {"name": [page, rtp, os.open("/dev/null", os.O_RDONLY)]}
        if which == "twice":
            return {"name": [page, rtp, rtcp, os.dup(page)]}
        if which == "less":
            os.close(rtcp)
            return {"name": [page, rtp]}
        for fd in self.kept:
            os.close(fd)
        return {"name": []}


class TestAClose:
    def test_that_was_not_due_when_the_supervisor_died_is_off(
        self, tmp_path: Path
    ) -> None:
        given = settings(tmp_path, straggle_s=30.0)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])
            first.begin_to_close(call)
        short = settings(tmp_path, straggle_s=0.1, ports=given.ports)

        async def scene(pool: MediaPool) -> None:
            call.now_at(pool).talk(30)
            await call.counted(lambda c: c.authentic == 30)
            report = await call.close()

            assert report.complete
            assert call.rtp(call.plaintext()) == call.sent[0]

        run(scene, short, tmp_path)

    def test_that_nobody_heard_is_said_again_until_it_is_accounted_for(
        self, tmp_path: Path
    ) -> None:
        given = settings(tmp_path)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])
            call.talk(40)
            first.close(call)
        with Supervisor(given) as second:
            assert second.adopt(tmp_path) == [call.id]

        async def scene(pool: MediaPool) -> None:
            report = await pool.close_call(call.id, HowEnded.TIMEOUT)

            assert report.complete
            assert report.how is HowEnded.BYE
            assert report.streams[0].authentic == report.streams[0].received == 40
            assert call.rtp(call.plaintext()) == call.sent[0]
            pool.forget(call.id)

        run(scene, given, tmp_path)
        call.peer.close()

        async def nothing(pool: MediaPool) -> None:
            assert not pool._ended

        run(nothing, given, tmp_path)


class TestAnOrphan:
    def test_that_nobody_meets_writes_out_what_it_holds_and_ends(
        self, tmp_path: Path
    ) -> None:
        given = settings(tmp_path, orphan_s=0.5, flush_age_s=60.0)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])
            call.talk(30)
            workers = first.workers
        asyncio.run(_gone(workers))
        call.peer.close()

        assert call.rtp(call.prefix(1)) == call.sent[0]

    def test_of_another_version_writes_out_what_it_holds_and_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = settings(tmp_path, flush_age_s=60.0)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])
            call.talk(30)
        monkeypatch.setattr("vault.tap.control.PROTOCOL", 2)

        async def scene(pool: MediaPool) -> None:
            assert not pool._calls
            assert call.rtp(call.prefix(1)) == call.sent[0]

        run(scene, given, tmp_path)
        call.peer.close()

    def test_without_a_call_ends_at_once(self, tmp_path: Path) -> None:
        given = settings(tmp_path, orphan_s=600.0)
        with Supervisor(given) as first:
            first.open(tmp_path, [])
            workers = first.workers
        asyncio.run(_gone(workers))

    def test_names_that_nobody_listens_at_are_removed(self, tmp_path: Path) -> None:
        given = settings(tmp_path)
        folder = Path(given.run_folder)
        with Supervisor(given) as first:
            first.open(tmp_path, [])
            workers = first.workers
        asyncio.run(_gone(workers))
        left = meeting.names(folder)

        async def scene(pool: MediaPool) -> None:
            assert len(meeting.names(folder)) == 1

        run(scene, given, tmp_path)

        assert len(left) == 1
        assert meeting.names(folder) == []

    def test_that_is_stopped_is_ended_and_its_call_is_not_adopted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vault.tap.crew._LET_IN_S", 0.5)
        given = settings(tmp_path)
        with Supervisor(given) as first:
            (call,) = first.open(tmp_path, [[key()]])
            workers = first.workers
            os.kill(workers[0], signal.SIGSTOP)

        async def scene(pool: MediaPool) -> None:
            assert not pool._calls
            assert pool.worker_pids != tuple(workers)

        run(scene, given, tmp_path)
        asyncio.run(_gone(workers))
        call.peer.close()


class TestAPeer:
    def test_is_turned_away_while_there_is_a_supervisor(self, tmp_path: Path) -> None:
        given = settings(tmp_path)

        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            (path,) = meeting.names(Path(given.run_folder))
            end = meeting.meet(path)
            assert end is not None
            end.settimeout(10)

            assert await asyncio.to_thread(end.recv, 100) == b""
            end.close()
            report = await call.close()
            assert report.complete

        run(scene, given, tmp_path)

    def test_of_another_user_is_turned_away(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can be somebody else")
        folder = short_folder()
        listener, path = meeting.listen(folder)
        meeting.await_peers(listener)
        for place in (folder, path):
            place.chmod(0o777)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                stranger.connect(str(path))
                os._exit(0 if stranger.recv(1) == b"" else 1)
            except OSError:
                os._exit(2)
        deadline = time.monotonic() + 10
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline

            assert meeting.accept(listener) is None
        listener.close()
        path.unlink()
        folder.rmdir()

        assert os.waitstatus_to_exitcode(ended[1]) == 0


class TestAWorkerThatHangs:
    def test_is_replaced_and_its_call_goes_on(self, tmp_path: Path) -> None:
        given = settings(tmp_path, hung_s=2.0)

        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            call.talk(50)
            await call.counted(lambda c: c.authentic == 50)
            (worker,) = pool.worker_pids
            os.kill(worker, signal.SIGSTOP)
            call.talk(50)
            await eventually(lambda: worker not in pool.worker_pids or None)
            await call.counted(lambda c: c.authentic == 100)
            report = await call.close()

            assert [part.final for part in report.parts] == [False, True]
            assert report.streams[0].received == 100
            assert call.rtp(call.plaintext(2))[-50:] == call.sent[0][-50:]

        run(scene, given, tmp_path)


async def _gone(pids: list[int]) -> None:
    async def look() -> bool | None:
        return not any(_runs(pid) for pid in pids) or None

    await until(look)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
