import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulators.tap_line import Line
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap import control
from vault.tap.orders import (
    IceCredentials,
    PartReport,
    PortPair,
    SsrcSpan,
    StreamChange,
    StreamCounters,
    StreamOrder,
)

ORDER = StreamOrder(
    index=3,
    label="agent",
    media="audio",
    suite=SrtpSuite.AEAD_AES_128_GCM,
    key=SecretBytes(bytes(range(28))),
    payloads=(STATIC_PAYLOADS[0], STATIC_PAYLOADS[10]),
    ports=PortPair(address="::1", rtp=40000, rtcp=40001),
    rtcp_mux=True,
    ice=IceCredentials(ufrag="ours", password=SecretBytes(b"p" * 22)),
    relays=True,
    remote=("192.0.2.1", 5004),
    held=True,
    keeps_digits=True,
)
CHANGE = StreamChange(
    index=3,
    suite=ORDER.suite,
    key=ORDER.key,
    ice=ORDER.ice,
    relays=False,
    payloads=(STATIC_PAYLOADS[8],),
    remote=("192.0.2.1", 5004),
    held=False,
)


def carried(fields: control.Fields) -> control.Fields:
    return control.unpack(control.pack(fields))


class TestOrders:
    def test_a_stream_is_read_as_it_was_written(self):
        assert control.stream_of(carried(control.stream_fields(ORDER))) == ORDER

    @pytest.mark.parametrize("change", [CHANGE, StreamChange(index=0)])
    def test_a_change_is_read_as_it_was_written(self, change: StreamChange):
        assert control.change_of(carried(control.change_fields(change))) == change


class TestTheSocket:
    def test_carries_messages_with_their_descriptors(self, tmp_path: Path):
        ours, theirs = control.pair()
        fd = os.open(tmp_path / "part", os.O_CREAT | os.O_WRONLY)
        with ours, theirs:
            sent = control.send(ours, b"{}", [fd])
            received = control.receive(theirs)
            nothing = control.receive(theirs)
        os.close(fd)

        assert sent
        assert received is not None
        assert received[0] == b"{}"
        assert nothing is None
        (copy,) = received[1]
        os.write(copy, b"x")
        os.close(copy)
        assert (tmp_path / "part").read_bytes() == b"x"

    def test_says_when_the_other_end_is_gone_or_does_not_keep_up(self):
        ours, theirs = control.pair()
        with ours:
            with theirs:
                while control.send(ours, bytes(1000)):
                    pass
            with pytest.raises(ConnectionError):
                control.receive(ours)


class TestCounters:
    def test_of_streams_are_read_as_they_were_written(self, lines: Callable[..., Line]):
        line = lines()
        line.send_rtp(5, 6, 8)
        line.send(b"\x80\x00" + bytes(170))
        line.send(b"")
        line.sweep.tick()

        (message,) = control.pack_counters([line.stream])
        (snapshot,) = control.unpack_counters(message)

        found = {
            f.name: getattr(snapshot, f.name) for f in dataclasses.fields(snapshot)
        }

        assert found == {
            "recording_id": line.id,
            "part": 1,
            "index": 0,
            "authentic": 3,
            "rtcp": 0,
            "undecryptable_kept": line.stream.count.kept,
            "not_captured": 0,
            "checks": 0,
            "source_moves": 0,
            "over_budget": 0,
            "stray_drops": 0,
            "discarded": 0,
            "rejected": {"unauthenticated": 1, "too-short": 1},
            "ssrcs": (SsrcSpan(ssrc=7, first=5, last=8, packets=3),),
        }

    def test_of_many_streams_take_several_messages(self, lines: Callable[..., Line]):
        line = lines()
        messages = list(control.pack_counters([line.stream] * 2000))

        assert len(messages) > 1
        assert max(map(len, messages)) < control.MESSAGE_BYTES
        assert sum(len(list(control.unpack_counters(m))) for m in messages) == 2000

    def test_are_those_of_the_stream_that_they_name(self, lines: Callable[..., Line]):
        line = lines()
        line.send_rtp(5, 6, 8)
        line.sweep.tick()
        (message,) = control.pack_counters([line.stream])
        (snapshot,) = control.unpack_counters(message)
        named = StreamCounters(index=0, label="agent", media="audio", suite=ORDER.suite)

        found = snapshot.of(named)

        assert found.ssrcs == (SsrcSpan(ssrc=7, first=5, last=8, packets=3),)
        assert (found.label, found.authentic, found.received) == ("agent", 3, 3)


class TestParts:
    @pytest.mark.parametrize(
        "report",
        [
            PartReport(part=1, final=True, size_bytes=72, sha256=bytes(range(32))),
            PartReport(part=70, final=False, failure="ENOSPC"),
        ],
    )
    def test_are_read_as_they_were_written(self, report: PartReport):
        assert control.part_of(carried(control.part_fields(report))) == report
