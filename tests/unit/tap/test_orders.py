import dataclasses

import pytest

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.config import TapConfig
from vault.tap.orders import (
    CallReport,
    PartReport,
    PortPair,
    SsrcSpan,
    StreamCounters,
    StreamOrder,
)

COUNTERS = StreamCounters(
    index=0, label="agent", media="audio", suite=SrtpSuite.AEAD_AES_256_GCM
)


class TestStreamCounters:
    def test_received_is_the_sum_of_what_became_of_packets(self):
        counters = dataclasses.replace(
            COUNTERS, authentic=5, rejected={"replayed": 2}, kernel_drops=3, rtcp=9
        )

        assert counters.received == 10

    def test_lost_counts_holes_and_never_below_zero(self):
        spans = (
            SsrcSpan(ssrc=1, first=10, last=19, packets=7),
            SsrcSpan(ssrc=2, first=1, last=1, packets=2),
        )

        assert dataclasses.replace(COUNTERS, ssrcs=spans).lost == 3


class TestStreamOrder:
    @pytest.mark.parametrize(("index", "size"), [(-1, 44), (32, 44), (0, 30)])
    def test_a_number_or_key_out_of_range_is_a_bug(self, index: int, size: int):
        with pytest.raises(ValueError, match=r"number|key"):
            StreamOrder(
                index=index,
                label="agent",
                media="audio",
                suite=SrtpSuite.AEAD_AES_256_GCM,
                key=SecretBytes(bytes(size)),
                payloads=(),
                ports=PortPair(address="::1", rtp=4000, rtcp=4001),
            )


class TestCallReport:
    @pytest.mark.parametrize(
        ("final", "failure", "complete"),
        [(True, "", True), (False, "", False), (False, "ENOSPC", False)],
    )
    def test_is_complete_when_every_part_has_its_end(
        self, final: bool, failure: str, complete: bool
    ):
        parts = (
            PartReport(part=1, final=True),
            PartReport(part=2, final=final, failure=failure),
        )
        report = CallReport(recording_id="x", parts=parts, streams=())

        assert report.complete is complete


class TestTapConfig:
    @pytest.mark.parametrize(
        "setting",
        [{"ports": (80, 90)}, {"ports": (5, 4)}, {"workers": -1}, {"tick_s": 0}],
    )
    def test_a_setting_out_of_range_stops_the_start(self, setting: dict[str, object]):
        with pytest.raises(ValueError, match=r"ports|workers"):
            TapConfig(**setting)

    def test_there_is_at_least_one_worker_and_by_default_at_most_four(self):
        assert 1 <= TapConfig().worker_count <= 4
        assert TapConfig(workers=7).worker_count == 7
