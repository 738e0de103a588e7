"""A stream of a small trail to whatever listens on a port of loopback."""

from pathlib import Path

from tests.simulators.ports import HERE
from tests.simulators.trail import Trail
from tests.simulators.waiting import wait_until
from vault.audit.checkpoint import Verifier
from vault.audit.entry import Draft
from vault.audit.formats.registry import FORMATS
from vault.auditor.stream_place import StreamPlaces
from vault.auditor.streaming import Connection, StreamConfig, Streaming
from vault.auditor.syslog import SyslogConfig
from vault.auditor.syslog_connection import (
    Patience,
    StreamTls,
    SyslogConnection,
    client_context,
)
from vault.auditor.syslog_server import SyslogServer
from vault.core.errors import UnavailableError


class Leaves:
    """What the stream says of itself to the trail."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def append(self, *drafts: Draft) -> None:
        self.drafts += drafts

    @property
    def said(self) -> list[str]:
        return [f"{draft.action} {draft.reason}".strip() for draft in self.drafts]


class Ticks:
    """Seconds that pass when a test says so, and a little with every look."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s

    def clock(self) -> int:
        return int(self.now_s * 1_000_000_000)


_opened: list[SyslogConnection] = []


def close_all() -> None:
    """Close what streams of a test left open, as the end of their process would."""
    while _opened:
        _opened.pop().close()


def stream_to(
    port: int,
    *,
    trail: Trail,
    folder: Path,
    ca: Path | None,
    ticks: Ticks,
    leaves: Leaves,
    host: str = "localhost",
    format: str = "json",
    client: tuple[Path, Path] | tuple[None, None] = (None, None),
    patience: Patience = Patience(connect_s=5.0, stall_s=5.0, confirm_s=5.0),  # noqa: B008 - frozen
    **changed: object,
) -> Streaming:
    """Return a stream of *trail*; *ca* None: without TLS."""
    server = SyslogServer(host=host if ca else HERE, port=port, is_tls=ca is not None)
    files = StreamTls(ca_file=ca, cert_file=client[0], key_file=client[1])
    context = client_context(files) if ca else None

    def connect() -> Connection:
        _opened.append(SyslogConnection.open(server, context, patience=patience))
        return _opened[-1]

    values = {"checkpoint_every_s": 0.0} | changed
    return Streaming(
        trail.reader,
        leaves,
        StreamPlaces(folder, "siem"),
        connect,
        StreamConfig(syslog=SyslogConfig(format=FORMATS[format]), **values),  # type: ignore[arg-type] # of StreamConfig
        verifier=Verifier.parse(trail.vkey),
        clock=ticks.clock,
        ticks=ticks,
    )


def run_until(streaming: Streaming, place: int, ticks: Ticks) -> None:
    """Run rounds, minutes apart by the stream's clock, until *place* is confirmed."""

    def arrived() -> bool:
        try_round(streaming, ticks)
        return streaming.facts()["next"] == place

    wait_until(arrived, f"{place} entries are confirmed")


def try_round(streaming: Streaming, ticks: Ticks) -> str:
    """Run a round a minute later; return what was wrong with it."""
    ticks.now_s += 61.0
    try:
        streaming.run()
    except UnavailableError as exc:
        return str(exc)
    return ""
