"""Metrics of the tap, from the status that it writes.

Guarantees: nothing about single calls; a label is one of a few fixed words or a
small number.

Spec: docs/reference/metrics-and-health.md
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vault.recorder.hearing import Alarm
from vault.recorder.refusals import REASONS
from vault.serving.tap_status import TapStatus, read_status

_OUTCOMES: Final = {
    "authentic": "authentic",
    "rejected": "rejected",
    "kernel_drops": "dropped-by-kernel",
    "stray_drops": "dropped-of-strangers",
}
_OF_A_WORKER: Final = (
    ("streams", "callvault_tap_worker_streams", "Streams of a media worker"),
    (
        "late_s",
        "callvault_tap_worker_late_seconds",
        "How late the latest sweep of a worker within a second began",
    ),
    (
        "free_descriptors",
        "callvault_tap_worker_free_descriptors",
        "Descriptors that a worker may still open",
    ),
)

_OF_SIP: Final = (
    ("calls", "callvault_sip_calls", "Calls in progress that came by SIPREC"),
    ("dialogs", "callvault_sip_dialogs", "SIP dialogs, ending ones among them"),
    ("connections", "callvault_sip_connections", "TCP and TLS connections of SIP"),
    (
        "cut_off",
        "callvault_sip_cut_off_addresses",
        "Addresses that are not listened to now: they sent too much",
    ),
)
_COUNTED_BY_SIP: Final = (
    (
        "requests",
        "callvault_sip_requests_total",
        "method",
        "SIP requests received since the tap began",
    ),
    (
        "responses",
        "callvault_sip_responses_total",
        "status",
        "SIP responses sent since the tap began",
    ),
    (
        "refused",
        "callvault_sip_refused_total",
        "cause",
        "SIP requests refused for who sent them, since the tap began",
    ),
    (
        "dropped",
        "callvault_sip_dropped_total",
        "cause",
        "SIP messages and connections dropped without an answer, since the tap began",
    ),
)


def tap_metrics(path: Path) -> Iterator[Metric]:
    """Yield the metrics of the tap that writes *path*; none while it is dead."""
    status = read_status(path)
    if status is None or not status.is_alive:
        return
    reason, _ = status.trouble
    yield _gauge(
        "callvault_tap_ready", "1 while a call would be taken", float(not reason)
    )
    yield _gauge("callvault_tap_calls", "Calls in progress", status.number("calls"))
    yield _gauge(
        "callvault_tap_free_port_pairs",
        "Pairs of media ports neither in use nor cooling down",
        status.number("free_pairs"),
    )
    yield _gauge(
        "callvault_tap_kept_descriptors",
        "Descriptors in the store that outlives the tap",
        status.number("store_kept"),
    )
    yield from _workers(status)
    yield from _counters(status)
    yield from _sip(status.part("sip"))


def _workers(status: TapStatus) -> Iterator[Metric]:
    workers = status.workers()
    most = status.number("streams_per_worker")
    yield _gauge("callvault_tap_workers", "Media workers at work", len(workers))
    yield _gauge(
        "callvault_tap_workers_wanted",
        "Media workers that should be at work",
        status.number("workers_wanted"),
    )
    yield _gauge(
        "callvault_tap_room_streams",
        "Streams that the workers could still take",
        sum(max(0.0, most - worker.get("streams", 0.0)) for worker in workers),
    )
    for member, name, help_text in _OF_A_WORKER:
        gauge = GaugeMetricFamily(name, help_text, labels=["worker"])
        for number, worker in enumerate(workers, start=1):
            gauge.add_metric([str(number)], worker.get(member, 0.0))
        yield gauge


def _counters(status: TapStatus) -> Iterator[Metric]:
    totals, refused = status.numbers("totals"), status.numbers("refused")
    packets = CounterMetricFamily(
        "callvault_tap_packets_total",
        "RTP packets since the tap began, by outcome",
        labels=["outcome"],
    )
    for name, outcome in _OUTCOMES.items():
        packets.add_metric([outcome], totals.get(name, 0.0))
    yield packets
    yield CounterMetricFamily(
        "callvault_tap_source_moves_total",
        "Authentic packets that came from another source than those before",
        value=totals.get("source_moves", 0.0),
    )
    calls = CounterMetricFamily(
        "callvault_tap_refused_calls_total",
        "Calls refused with 503 since the tap began, by reason",
        labels=["reason"],
    )
    for reason in REASONS:
        calls.add_metric([reason], refused.get(reason, 0.0))
    yield calls
    raised = status.numbers("alarms")
    alarms = CounterMetricFamily(
        "callvault_tap_call_alarms_total",
        "Alarms about running calls since the tap began: nobody heard, or one party",
        labels=["alarm"],
    )
    for alarm in Alarm:
        alarms.add_metric([str(alarm)], raised.get(str(alarm), 0.0))
    yield alarms


def _sip(sip: TapStatus) -> Iterator[Metric]:
    yield _gauge(
        "callvault_sip_listeners",
        "Sockets that SIP listens on",
        float(len(sip.words("listeners"))),
    )
    for member, name, help_text in _OF_SIP:
        yield _gauge(name, help_text, sip.number(member))
    for member, name, label, help_text in _COUNTED_BY_SIP:
        counter = CounterMetricFamily(name, help_text, labels=[label])
        for value, count in sip.numbers(member).items():
            counter.add_metric([value], count)
        yield counter
    yield CounterMetricFamily(
        "callvault_sip_retransmissions_total",
        "SIP requests received again since the tap began",
        value=sip.number("retransmissions"),
    )


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)
