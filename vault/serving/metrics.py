"""Metrics of an installation: read when somebody asks, never counted on the way.

Guarantees: a part that cannot be read is missing from the answer and named by
``callvault_part_readable 0``; the others are there.  Nothing here tells what a
recording is about or whose it is.

Spec: docs/reference/metrics-and-health.md; the Prometheus exposition format.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vault.access.emergency import Emergencies
from vault.catalog.recordings import Recordings
from vault.core.errors import VaultError
from vault.serving.auditor_metrics import auditor_metrics
from vault.serving.children import Child
from vault.serving.stream_metrics import stream_metrics
from vault.serving.tap_metrics import tap_metrics
from vault.serving.witness_metrics import witness_metrics
from vault.spool.ledger import SpoolState, read_status, read_totals
from vault.wiring import Installation

_Part = Callable[[], Iterator[Metric]]
_PART_READABLE: Final = "callvault_part_readable"


def serve_metrics(installation: Installation, children: Mapping[str, Child]) -> None:
    """Answer ``/metrics`` in a thread, on the configured loopback port.

    Raises:
        OSError: The port is taken.
    """
    registry = CollectorRegistry()
    registry.register(_Installation(installation, children))
    endpoint = installation.settings.metrics_listen
    start_http_server(endpoint.port, addr=endpoint.host, registry=registry)


class _Installation(Collector):
    """Reads processes, catalog, spool and log."""

    def __init__(
        self, installation: Installation, children: Mapping[str, Child]
    ) -> None:
        self._installation = installation
        self._children = children
        self._warden = installation.warden_client(None)

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: registering must not read a database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield what can be read now."""
        yield from self._processes()
        readable = GaugeMetricFamily(
            _PART_READABLE,
            "1 if this part of the metrics could be read",
            labels=["part"],
        )
        parts: dict[str, _Part] = {
            "catalog": self._recordings,
            "emergency": self._emergencies,
            "spool": self._spool,
            "log": self._log,
            "tap": self._tap,
            "auditor": self._auditor,
        }
        if self._installation.settings.audit_stream_url is not None:
            parts["stream"] = self._stream
        if self._installation.settings.audit_witnesses:
            parts["witnesses"] = self._witnesses
        for name, read in parts.items():
            try:
                found = list(read())
            except (VaultError, OSError):
                found = []
            readable.add_metric([name], float(bool(found)))
            yield from found
        yield readable

    def _processes(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "callvault_process_up", "1 while the process runs", labels=["process"]
        )
        restarts = GaugeMetricFamily(
            "callvault_process_restarts",
            "Restarts in a row since it last ran for a minute",
            labels=["process"],
        )
        for name, child in self._children.items():
            up.add_metric([name], float(child.alive))
            restarts.add_metric([name], child.restarts)
        yield up
        yield restarts

    def _emergencies(self) -> Iterator[Metric]:
        open_now = GaugeMetricFamily(
            "callvault_emergencies", "people who may hear everything: a broken glass"
        )
        count = len(Emergencies(self._installation.catalog).list())
        open_now.add_metric([], count)
        yield open_now

    def _recordings(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily(
            "callvault_recordings", "Recordings by state", labels=["state"]
        )
        catalog = Recordings(self._installation.catalog_as_it_is)
        for state, count in catalog.counts().items():
            gauge.add_metric([str(state)], count)
        yield gauge

    def _spool(self) -> Iterator[Metric]:
        folder = self._installation.settings.spool_folder
        waiting = read_status(folder)
        totals = read_totals(folder, waiting)
        sessions = GaugeMetricFamily(
            "callvault_spool_sessions", "Sessions in the spool", labels=["state"]
        )
        for state in SpoolState:
            count = sum(one.state is state for one in waiting)
            sessions.add_metric([str(state)], count)
        yield sessions
        yield GaugeMetricFamily(
            "callvault_spool_bytes",
            "Sealed octets in the spool",
            value=totals.bytes,
        )
        yield GaugeMetricFamily(
            "callvault_spool_oldest_seconds",
            "Age of the oldest ended session that is not in the store",
            value=totals.oldest_age_s,
        )
        yield GaugeMetricFamily(
            "callvault_spool_waiting_bytes",
            "Sealed octets of ended sessions that the store does not hold yet",
            value=totals.waiting_bytes,
        )
        yield GaugeMetricFamily(
            "callvault_spool_shipped_bytes_per_second",
            "What the store took over the last minute",
            value=totals.bytes_per_s,
        )
        yield GaugeMetricFamily(
            "callvault_spool_failed",
            "1 after a failed sync: no new call is taken until the tap starts anew",
            value=float(bool(totals.alarm)),
        )

    def _tap(self) -> Iterator[Metric]:
        return tap_metrics(self._installation.tap_status_path)

    def _stream(self) -> Iterator[Metric]:
        return stream_metrics(self._installation.auditor_status_path)

    def _witnesses(self) -> Iterator[Metric]:
        return witness_metrics(self._installation.auditor_status_path)

    def _auditor(self) -> Iterator[Metric]:
        return auditor_metrics(self._installation.auditor_status_path)

    def _log(self) -> Iterator[Metric]:
        health = self._warden.health()
        yield GaugeMetricFamily(
            "callvault_audit_healthy",
            "1 while the trail can be written: without it nothing is played",
            value=float(health.healthy),
        )
        yield GaugeMetricFamily(
            "callvault_audit_entries", "Entries in the trail", value=health.log_size
        )
