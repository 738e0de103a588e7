"""Calls in real media workers over real UDP on loopback."""

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.tap_calls import TapCall, config, eventually, until
from vault.core.errors import NotFoundError, SpoolFullError, UnavailableError
from vault.core.flow import HowEnded
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.process import open_descriptors
from vault.tap.capture import Kind, parse_event
from vault.tap.orders import StreamChange, StreamOrder
from vault.tap.pool import MediaPool
from vault.tap.srtp import OutboundSession

pytestmark = pytest.mark.network

CM = SrtpSuite.AES_CM_128_HMAC_SHA1_80


def key(suite: SrtpSuite = CM) -> tuple[SrtpSuite, bytes]:
    return suite, os.urandom(suite.master_size_bytes)


def run(scene: Callable[[MediaPool], Awaitable[None]], **settings: object) -> None:
    """Play *scene* with a pool of real workers."""

    async def play() -> None:
        pool = MediaPool(config(**settings))
        await pool.start()
        try:
            await scene(pool)
        finally:
            await pool.stop()

    asyncio.run(play())


def events(call: TapCall, plaintext: bytes) -> list[object]:
    records = call.records(plaintext, Kind.EVENT)
    return [parse_event(record)["event"] for record in records]


class TestACall:
    @pytest.mark.parametrize("suite", list(SrtpSuite))
    def test_of_two_parties_is_captured_packet_by_packet(
        self, tmp_path: Path, suite: SrtpSuite
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key(suite), key(suite)]).open()
            for _ in range(5):
                call.talk(40, 0)
                call.talk(40, 1)
                await asyncio.sleep(0.05)
            await call.counted(lambda c: c.authentic == 200)
            report = await call.close()
            plaintext = call.plaintext()

            assert report.complete
            assert [s.authentic for s in report.streams] == [200, 200]
            assert [s.received for s in report.streams] == [200, 200]
            assert [s.lost for s in report.streams] == [0, 0]
            assert call.rtp(plaintext, 0) == call.sent[0]
            assert call.rtp(plaintext, 1) == call.sent[1]
            assert events(call, plaintext)[-1] == "end"

        run(scene)

    def test_takes_what_is_still_in_the_kernel_when_it_ends(
        self, tmp_path: Path
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            call.talk(100)
            closing = asyncio.create_task(call.close())
            await asyncio.sleep(0.05)
            call.talk(20)
            report = await closing

            assert report.streams[0].authentic == 120
            assert call.rtp(call.plaintext()) == call.sent[0]

        run(scene, straggle_s=0.4)

    def test_in_which_nothing_was_sent_has_a_part_that_says_so(
        self, tmp_path: Path
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            report = await call.close()

            assert report.complete
            assert report.streams[0].received == 0
            assert events(call, call.plaintext()) == ["stream-added", "end"]

        run(scene)

    def test_that_ended_is_not_found_again(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            first, second = await asyncio.gather(
                call.close(), call.close(), return_exceptions=True
            )
            assert {type(first).__name__, type(second).__name__} == {
                "CallReport",
                "NotFoundError",
            }
            with pytest.raises(NotFoundError):
                await pool.counters(call.id)

        run(scene)

    def test_over_ipv6_is_captured(self, tmp_path: Path) -> None:
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")

        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()], address="::1").open()
            call.talk(10)
            await call.counted(lambda c: c.authentic == 10)
            await call.close()

            assert call.rtp(call.plaintext()) == call.sent[0]

        run(scene, listen="::1")

    @pytest.mark.parametrize("midway", [False, True])
    def test_whose_opener_gives_up_leaves_nothing(
        self, tmp_path: Path, midway: bool
    ) -> None:
        begun, goes_on = threading.Event(), threading.Event()

        class Slow(TapCall):
            def open_part(self, part: int) -> int:
                begun.set()
                goes_on.wait(10)
                return super().open_part(part)

        async def scene(pool: MediaPool) -> None:
            gc.collect()  # what earlier tests left behind is not this one's
            before = open_descriptors()
            call = Slow(pool, tmp_path, keys=[key()])
            opening = asyncio.create_task(call.open())
            await asyncio.sleep(0)
            if midway:
                await eventually(lambda: begun.is_set() or None)
            opening.cancel()
            goes_on.set()
            with pytest.raises(asyncio.CancelledError):
                await opening
            call.peer.close()

            assert (pool._calls, pool._ended) == ({}, {})
            await eventually(lambda: open_descriptors() == before or None)
            with pytest.raises(NotFoundError):
                await pool.counters(call.id)

        run(scene)

    def test_goes_to_the_worker_with_fewer_streams(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            keys = [[key()] * 3, [key()], [key()], [key()]]
            calls = [await TapCall(pool, tmp_path, keys=each).open() for each in keys]
            placed = [pool._calls[call.id].link for call in calls]

            assert placed[0] is not placed[1]
            assert placed[1] is placed[2] is placed[3]
            assert [3, 3] == [load.streams for load in pool.standing().workers]
            for call in calls:
                await call.close()
            assert [0, 0] == [load.streams for load in pool.standing().workers]

        run(scene, workers=2)

    def test_is_at_a_worker_with_a_core_of_its_own(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            cores = [os.sched_getaffinity(pid) for pid in pool.worker_pids]

            assert cores[0].isdisjoint(cores[1])
            assert [len(core) for core in cores] == [1, 1]

        if len(os.sched_getaffinity(0)) < 2:
            pytest.skip("there is one core only")
        run(scene, workers=2)

    def test_spreads_over_all_workers(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            calls = [
                await TapCall(pool, tmp_path, keys=[key()]).open() for _ in range(4)
            ]
            for call in calls:
                call.talk(10)
            reports = [await call.close() for call in calls]

            assert len(pool.worker_pids) == 2
            assert [r.streams[0].authentic for r in reports] == [10] * 4

        run(scene, workers=2)


class TestChanges:
    def test_a_rekey_a_pause_and_an_added_stream(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            call.talk(10)
            _, fresh = key()
            await pool.change_stream(
                call.id, StreamChange(index=0, suite=CM, key=SecretBytes(fresh))
            )
            call.talk(10)
            call.senders[0] = OutboundSession(CM, SecretBytes(fresh))
            call.talk(10)
            await pool.pause(call.id, True)
            before = list(call.sent[0])
            call.talk(10)
            await pool.pause(call.id, False)
            paused = len(call.sent[0])
            call.talk(10)
            (ports,) = pool.reserve(1)
            suite, added = key()
            order = StreamOrder(
                index=1,
                label="customer",
                media="audio",
                suite=suite,
                key=SecretBytes(added),
                payloads=(STATIC_PAYLOADS[8],),
                ports=ports,
            )
            await pool.add_streams(call.id, (order,))
            call.ports.append(ports)
            call.senders.append(OutboundSession(suite, order.key))
            call.sent.append([])
            call._next.append(5)
            call.talk(7, 1)
            report = await call.close()
            plaintext = call.plaintext()

            assert call.rtp(plaintext) == before + call.sent[0][paused:]
            assert call.rtp(plaintext, 1) == call.sent[1]
            assert [s.authentic for s in report.streams] == [50, 7]
            assert report.streams[0].not_captured == 10
            names = [n for n in events(call, plaintext) if n != "source"]
            assert names == ["stream-added", "rekey", "pause", "resume", "end"]

        run(scene)

    def test_of_a_stream_that_is_not_there_are_refused(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            with pytest.raises(NotFoundError):
                await pool.change_stream(call.id, StreamChange(index=5, held=True))
            await call.close()

        run(scene)


class TestGarbage:
    def test_a_hundred_thousand_bad_packets_do_not_end_a_call(
        self, tmp_path: Path
    ) -> None:
        kinds = [
            b"",
            b"\x80",
            b"\x16\xfe\xfd" + bytes(60),
            b"\x80\x00" + bytes(170),
            b"\x80\xc8" + bytes(60),
            b"\x80\x00" + bytes(5000),
            os.urandom(172),
            b"\xbf\xff" + b"\xff" * 100,
        ]

        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            call.talk(50)
            await call.counted(lambda c: c.authentic == 50)
            for number in range(100_000):
                call.send(kinds[number % len(kinds)])
                if number % 2000 == 0:
                    await asyncio.sleep(0)
            await call.counted(lambda c: sum(c.rejected.values()) > 0)
            settled = await until(_settled(call))
            call.talk(50)
            await call.counted(lambda c: c.authentic == 100)
            report = await call.close()

            stream = report.streams[0]
            assert report.complete
            assert call.rtp(call.plaintext()) == call.sent[0]
            # Not one datagram is unaccounted for, flood or not.
            assert stream.received == 100_100
            assert settled.received == 100_050
            assert 0 < stream.undecryptable_kept <= 500

        run(scene, kept_packets=500)


def _settled(call: TapCall) -> Callable[[], Awaitable[object]]:
    async def look() -> object:
        counters = (await call.pool.counters(call.id))[0]
        return counters if counters.received == 100_050 else None

    return look


class TestAWrongKey:
    def test_keeps_what_it_could_not_open(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            call.senders[0] = OutboundSession(CM, SecretBytes(bytes(30)))
            call.talk(30)
            await call.counted(lambda c: c.undecryptable_kept == 30)
            report = await call.close()
            plaintext = call.plaintext()
            kept = call.records(plaintext, Kind.UNDECRYPTABLE)

            assert report.streams[0].authentic == 0
            assert dict(report.streams[0].rejected) == {"unauthenticated": 30}
            assert [record.octets[:12] for record in kept] == [
                packet[:12] for packet in call.sent[0]
            ]

        run(scene)


class TestAWorkerThatIsKilled:
    def test_is_replaced_and_its_calls_go_on_in_the_next_part(
        self, tmp_path: Path
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key(), key()]).open()
            call.talk(200)
            call.talk(200, 1)
            await call.counted(lambda c: c.authentic == 200)
            await call.counted(lambda c: c.authentic == 200, 1)
            # Everything older than about a second is on disk.
            await eventually(_flushed(call.path(1)))
            first = len(call.sent[0])
            os.kill(pool.worker_pids[0], signal.SIGKILL)
            call.talk(50)
            call.talk(50, 1)
            await call.counted(lambda c: c.authentic >= 50)
            await eventually(_exists(call.path(2)))
            call.talk(50)
            report = await call.close()
            before, after = call.prefix(1), call.plaintext(2)

            assert [(p.part, p.final, p.failure) for p in report.parts] == [
                (1, False, "media-worker-died"),
                (2, True, ""),
            ]
            assert call.rtp(before) == call.sent[0][:first]
            assert call.rtp(after) == call.sent[0][first:]
            assert call.rtp(before, 1) + call.rtp(after, 1) == call.sent[1]
            assert events(call, after)[:2] == ["stream-added", "gap"]
            assert not report.complete

        run(scene, flush_age_s=0.3)

    @pytest.mark.parametrize("suite", [CM, SrtpSuite.AEAD_AES_256_GCM])
    def test_twice_after_70_000_packets_costs_none_of_those_that_follow(
        self, tmp_path: Path, suite: SrtpSuite
    ) -> None:
        """
        A receiver that is begun anew after the first rollover would refuse the rest
        of the call.  The numbers begin just before it, so that they need not all be
        sent.
        """

        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key(suite)]).open()
            call._next = [65_000]
            sent = 0
            for part in range(3):
                while call._next[0] < 70_000 + 300 * part:
                    call.talk(300)
                    sent += 300
                    await call.counted(lambda c, n=sent: c.authentic == n)
                if part < 2:
                    os.kill(pool.worker_pids[0], signal.SIGKILL)
                    call.talk(300)
                    sent += 300
                    await eventually(_exists(call.path(part + 2)))
            report = await call.close()
            (stream,) = report.streams
            (span,) = stream.ssrcs

            assert stream.authentic == stream.received == sent
            assert (span.first, span.last) == (65_000, 65_000 + sent - 1)
            assert [part.final for part in report.parts] == [False, False, True]
            assert call.rtp(call.plaintext(3))[-300:] == call.sent[0][-300:]

        run(scene)

    def test_while_paused_leaves_the_call_paused(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            await pool.pause(call.id, True)
            os.kill(pool.worker_pids[0], signal.SIGKILL)
            await eventually(_exists(call.path(2)))
            call.talk(10)
            await call.counted(lambda c: c.authentic == 10)
            report = await call.close()
            plaintext = call.plaintext(2)

            assert call.rtp(plaintext) == []
            assert events(call, plaintext)[:3] == ["stream-added", "gap", "pause"]
            assert report.streams[0].not_captured == 10

        run(scene)


def _exists(path: Path) -> Callable[[], bool | None]:
    return lambda: path.exists() or None


def _flushed(path: Path) -> Callable[[], bool | None]:
    """Return a look that succeeds once the file has not grown for a second."""
    sizes: list[tuple[float, int]] = []

    def look() -> bool | None:
        now_s, size = time.monotonic(), path.stat().st_size
        if not sizes or sizes[-1][1] != size:
            sizes.append((now_s, size))
        return (size > 56 and now_s - sizes[-1][0] > 1.0) or None

    return look


class TestASupervisorThatIsGone:
    def test_takes_its_workers_along_and_they_write_out_what_they_hold(
        self, tmp_path: Path
    ) -> None:
        calls: list[TapCall] = []

        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            calls.append(call)
            call.talk(30)
            await call.counted(lambda c: c.authentic == 30)

        run(scene, flush_age_s=60.0)
        (call,) = calls
        call.peer.close()

        assert call.rtp(call.prefix(1)) == call.sent[0]


class TestNoRoom:
    def test_for_the_first_part_refuses_the_call_and_frees_its_ports(
        self, tmp_path: Path
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = TapCall(pool, tmp_path, keys=[key()])
            call.refusals = 1
            with pytest.raises(UnavailableError):
                await call.open()
            with pytest.raises(NotFoundError):
                await pool.counters(call.id)
            call.peer.close()

        run(scene)

    def test_on_the_disk_stops_the_part_and_another_one_is_tried(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vault.tap.placement._RETRIES_S", (0.1, 0.1, 0.1))

        class FullAtFirst(TapCall):
            def open_part(self, part: int) -> int:
                if part == 1:
                    return os.open("/dev/full", os.O_WRONLY)
                return super().open_part(part)

        async def scene(pool: MediaPool) -> None:
            call = await FullAtFirst(pool, tmp_path, keys=[key()]).open()
            call.talk(10)
            await eventually(_exists(call.path(2)))
            await call.counted(lambda c: c.authentic == 10)
            call.talk(10)
            report = await call.close()

            assert [(p.part, p.final, p.failure) for p in report.parts] == [
                (1, False, "ENOSPC"),
                (2, True, ""),
            ]
            assert call.rtp(call.plaintext(2))[-10:] == call.sent[0][-10:]

        run(scene)

    def test_among_the_ports_refuses_and_takes_none(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            with pytest.raises(SpoolFullError):
                pool.reserve(3)
            pairs = pool.reserve(2)

            assert len(pairs) == 2
            pool.release(pairs)

        low = _two_free_pairs()
        run(scene, ports=(low, low + 3), cool_down_s=0.0)


def _two_free_pairs() -> int:
    """Return an even port so that it and the next three are free."""
    for low in range(20000, 30000, 4):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", low + offset))
        except OSError:
            continue
        else:
            return low
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no four free ports in a row")


class TestAReport:
    def test_says_how_the_call_ended(self, tmp_path: Path) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            report = await pool.close_call(call.id, HowEnded.TIMEOUT)
            call.peer.close()
            (end,) = call.records(call.plaintext(), Kind.EVENT)[-1:]

            assert report.how == HowEnded.TIMEOUT
            assert parse_event(end)["how"] == "timeout"

        run(scene)

    def test_of_a_call_that_its_worker_does_not_know_any_more_says_so(
        self, tmp_path: Path
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            call.talk(10)
            await call.counted(lambda c: c.authentic == 10)
            link = pool._calls[call.id].link
            assert link is not None
            close = {"do": "close", "how": "bye", "straggle_s": 0.0}
            await link.request({"call": call.id, **close})

            report = await pool.close_call(call.id, HowEnded.BYE)
            pool.forget(call.id)
            call.peer.close()

            assert report.how == HowEnded.CUT
            assert [p.failure for p in report.parts] == ["media-worker-refused"]
            assert [s.authentic for s in report.streams] == [10]
            assert pool.standing().totals.authentic == 10

        run(scene)


class TestStreamsThatAWorkerRefuses:
    def test_are_not_the_calls_and_leave_their_ports_to_whoever_asked(
        self, tmp_path: Path
    ) -> None:
        async def scene(pool: MediaPool) -> None:
            call = await TapCall(pool, tmp_path, keys=[key()]).open()
            link = pool._calls[call.id].link
            assert link is not None
            close = {"do": "close", "how": "bye", "straggle_s": 0.0}
            await link.request({"call": call.id, **close})
            (ports,) = pool.reserve(1)
            order = replace(call.streams[0], index=1, ports=ports)
            with pytest.raises(UnavailableError):
                await pool.add_streams(call.id, (order,))
            used = pool._sockets.used
            pool.release([ports])
            report = await pool.close_call(call.id)
            call.peer.close()

            assert [s.index for s in report.streams] == [0]
            assert (used, pool._sockets.used) == (2, 0)

        run(scene)
