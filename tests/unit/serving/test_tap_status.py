import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from vault.serving.tap_metrics import tap_metrics
from vault.serving.tap_status import STALE_S, StatusWriter, TapStatus, read_status
from vault.tap.capacity import WorkerLoad
from vault.tap.standing import TapStanding, Totals

STANDING = TapStanding(
    calls=3,
    workers=(
        WorkerLoad(pid=11, streams=6, late_s=0.25, free_descriptors=900),
        WorkerLoad(pid=12, streams=120, late_s=0.0, free_descriptors=800),
    ),
    workers_wanted=2,
    streams_per_worker=100,
    free_pairs=4990,
    totals=Totals(authentic=1000, rejected=7, kernel_drops=2, source_moves=1),
)


def written(
    path: Path,
    *,
    standing: Callable[[], TapStanding] = lambda: STANDING,
    trouble: tuple[str, str] = ("", ""),
    kept: int | None = 15,
    sip: Mapping[str, object] = MappingProxyType({}),
) -> StatusWriter:
    """Let a writer look once."""

    async def look() -> tuple[str, str]:
        return trouble

    writer = StatusWriter(
        path=path,
        standing=standing,
        trouble=look,
        refused=lambda: {"media": 4},
        alarms=lambda: {"silent": 3},
        kept=lambda: kept,
        sip=lambda: sip,
    )

    asyncio.run(writer.tell())
    return writer


def status(path: Path) -> TapStatus:
    found = read_status(path)
    assert found is not None
    return found


def metrics(path: Path) -> list[str]:
    class Read(Collector):
        def collect(self):  # type: ignore[no-untyped-def] # of the library
            return tap_metrics(path)

    registry = CollectorRegistry()
    registry.register(Read())
    return generate_latest(registry).decode().splitlines()


class TestTheStatus:
    def test_it_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        path = tmp_path / "run" / "status.json"
        writer = written(path)
        read = status(path)

        assert read.is_alive
        assert read.trouble == ("", "")
        assert writer.reason == ""
        assert read.number("calls") == 3
        assert [worker["streams"] for worker in read.workers()] == [6, 120]
        assert read.numbers("totals")["source_moves"] == 1

    def test_a_trouble_has_a_word_and_a_text(self, tmp_path: Path) -> None:
        writer = written(tmp_path / "s", trouble=("clock", "it is behind"))

        assert status(tmp_path / "s").trouble == ("clock", "it is behind")
        assert writer.reason == "clock"

    def test_it_is_private(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        written(tmp_path / "s")
        os.umask(before)

        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600

    def test_an_old_one_is_of_a_dead_tap(self, tmp_path: Path) -> None:
        old = {"v": 1, "at_s": time.monotonic() - STALE_S - 1}
        (tmp_path / "s").write_text(json.dumps(old))

        assert not status(tmp_path / "s").is_alive

    def test_one_from_before_a_reboot_is_of_a_dead_tap(self, tmp_path: Path) -> None:
        later = {"v": 1, "at_s": time.monotonic() + 1000}
        (tmp_path / "s").write_text(json.dumps(later))

        assert not status(tmp_path / "s").is_alive

    @pytest.mark.parametrize(
        "octets",
        [b"", b"[]", b"{", b"\xff", b'{"v": 2, "at_s": 1}', b'{"v": 1, "at_s": "x"}'],
    )
    def test_what_is_none_is_not_read(self, tmp_path: Path, octets: bytes) -> None:
        (tmp_path / "s").write_bytes(octets)

        assert read_status(tmp_path / "s") is None

    def test_figures_of_the_wrong_kind_are_left_out(self, tmp_path: Path) -> None:
        strange = {
            "v": 1,
            "at_s": time.monotonic(),
            "calls": "many",
            "workers": [7, {"streams": "x", "late_s": 1}],
            "totals": [],
            "trouble": "none",
        }
        (tmp_path / "s").write_text(json.dumps(strange))
        read = status(tmp_path / "s")

        assert read.number("calls") == 0
        assert read.workers() == ({"late_s": 1.0},)
        assert read.numbers("totals") == {}
        assert read.trouble == ("", "")

    def test_a_look_that_fails_leaves_a_writer_that_knows_nothing(
        self, tmp_path: Path
    ) -> None:
        def broken() -> TapStanding:
            raise KeyError("a call that ended just now")

        assert written(tmp_path / "s", standing=broken).reason == "unknown"
        assert read_status(tmp_path / "s") is None


class TestMetrics:
    def test_all_of_it_is_counted(self, tmp_path: Path) -> None:
        written(tmp_path / "s")
        lines = metrics(tmp_path / "s")

        for line in (
            "callvault_tap_ready 1.0",
            "callvault_tap_calls 3.0",
            "callvault_tap_workers 2.0",
            "callvault_tap_workers_wanted 2.0",
            "callvault_tap_room_streams 94.0",
            "callvault_tap_free_port_pairs 4990.0",
            "callvault_tap_kept_descriptors 15.0",
            'callvault_tap_worker_streams{worker="2"} 120.0',
            'callvault_tap_worker_late_seconds{worker="1"} 0.25',
            'callvault_tap_worker_free_descriptors{worker="1"} 900.0',
            'callvault_tap_packets_total{outcome="authentic"} 1000.0',
            'callvault_tap_packets_total{outcome="rejected"} 7.0',
            'callvault_tap_packets_total{outcome="dropped-by-kernel"} 2.0',
            "callvault_tap_source_moves_total 1.0",
            'callvault_tap_refused_calls_total{reason="media"} 4.0',
            'callvault_tap_refused_calls_total{reason="clock"} 0.0',
            'callvault_tap_call_alarms_total{alarm="silent"} 3.0',
            'callvault_tap_call_alarms_total{alarm="one-way"} 0.0',
        ):
            assert line in lines

    def test_a_tap_that_takes_no_calls_is_not_ready(self, tmp_path: Path) -> None:
        written(tmp_path / "s", trouble=("spool", "the disk is full"), kept=None)
        lines = metrics(tmp_path / "s")

        assert "callvault_tap_ready 0.0" in lines
        assert not [line for line in lines if "disk is full" in line]

    def test_a_dead_tap_has_none(self, tmp_path: Path) -> None:
        assert metrics(tmp_path / "absent") == []


class TestSip:
    STANDS = MappingProxyType(
        {
            "listeners": ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"],
            "problem": "",
            "calls": 2,
            "dialogs": 3,
            "requests": {"INVITE": 5},
            "responses": {"200": 4},
            "refused": {"challenged": 1},
            "dropped": {"budget": 9},
            "retransmissions": 6,
        }
    )

    def test_it_is_read_as_a_part_of_its_own(self, tmp_path: Path) -> None:
        written(tmp_path / "s", sip=self.STANDS)
        sip = status(tmp_path / "s").part("sip")

        assert ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060") == sip.words("listeners")
        assert ("", 2) == (sip.word("problem"), sip.number("calls"))
        assert {"INVITE": 5.0} == sip.numbers("requests")

    def test_a_status_of_before_there_was_sip_has_an_empty_part(
        self, tmp_path: Path
    ) -> None:
        old = {"v": 1, "at_s": time.monotonic(), "sip": "none"}
        (tmp_path / "s").write_text(json.dumps(old))
        sip = status(tmp_path / "s").part("sip")

        assert ((), "", 0) == (
            sip.words("listeners"),
            sip.word("problem"),
            sip.number("calls"),
        )

    def test_its_metrics_have_few_labels(self, tmp_path: Path) -> None:
        written(tmp_path / "s", sip=self.STANDS)
        found = [line for line in metrics(tmp_path / "s") if "callvault_sip" in line]

        assert {
            "callvault_sip_listeners 2.0",
            "callvault_sip_calls 2.0",
            "callvault_sip_dialogs 3.0",
            "callvault_sip_connections 0.0",
            "callvault_sip_cut_off_addresses 0.0",
            'callvault_sip_requests_total{method="INVITE"} 5.0',
            'callvault_sip_responses_total{status="200"} 4.0',
            'callvault_sip_refused_total{cause="challenged"} 1.0',
            'callvault_sip_dropped_total{cause="budget"} 9.0',
            "callvault_sip_retransmissions_total 6.0",
        } == {line for line in found if not line.startswith("#")}
