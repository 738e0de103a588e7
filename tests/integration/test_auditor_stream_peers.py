"""The stream, read back by receivers that we did not write."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.streaming import Leaves, Ticks, close_all, run_until, stream_to
from tests.simulators.syslog_servers import (
    PROGRAMS,
    SyslogServerProcess,
    missing,
    syslog_server,
)
from tests.simulators.trail import ORIGIN, Trail
from tests.simulators.waiting import wait_until
from vault.audit.formats.registry import FORMATS
from vault.audit.query import EVERYTHING
from vault.audit.source import LoggedEntry
from vault.auditor.syslog import timestamp
from vault.database.engine import open_engine

SIZE = 60


@pytest.fixture(params=PROGRAMS)
def server(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[SyslogServerProcess]:
    if reason := missing(request.param):
        pytest.skip(reason)
    (tmp_path / "server").mkdir()
    with syslog_server(request.param, tmp_path / "server") as server:
        yield server


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    trail = Trail(engine=engine, folder=tmp_path)
    trail.grow(SIZE - trail.log.size, batch=20)
    yield trail
    close_all()
    trail.log.close()
    engine.dispose()


def logged(trail: Trail) -> list[LoggedEntry]:
    page = trail.reader.page(EVERYTHING, limit=200)
    return sorted(page.items, key=lambda one: one.index)


@pytest.mark.parametrize("format", ["json", "cef", "leef", "ocsf"])
def test_a_real_receiver_reads_every_entry_back(
    trail: Trail, server: SyslogServerProcess, tmp_path: Path, format: str
) -> None:
    ticks = Ticks()
    stream = stream_to(
        server.port,
        trail=trail,
        folder=tmp_path,
        ca=server.ca,
        ticks=ticks,
        leaves=Leaves(),
        format=format,
    )
    run_until(stream, SIZE, ticks)
    wait_until(lambda: len(server.lines()) >= SIZE, "everything is written down")

    expected = [
        {
            "pri": "110",
            "time": timestamp(str(one.entry.members["time"])),
            "action": one.entry.members["action"],
            "index": str(one.index),
            "id": one.entry.members["id"],
            "origin": ORIGIN,
            "checkpoint": str(SIZE),
            "msg": FORMATS[format].line(one, origin=ORIGIN),
        }
        for one in logged(trail)
    ]

    assert expected == [read_back(line) for line in server.lines()]


def read_back(line: Mapping[str, Any]) -> dict[str, str]:
    # One writes UTC as Z, the other as an offset.
    return {
        name: str(value).removesuffix("+00:00") + "Z"
        if name == "time" and str(value).endswith("+00:00")
        else str(value)
        for name, value in line.items()
    }
