"""The trail of a whole installation, streamed to a real receiver."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.installation import Installation
from tests.simulators.syslog_servers import (
    SyslogServerProcess,
    missing,
    syslog_server,
)
from tests.simulators.waiting import wait_until

pytestmark = [pytest.mark.network]


@pytest.fixture
def siem(tmp_path: Path) -> Iterator[SyslogServerProcess]:
    if reason := missing("rsyslog"):
        pytest.skip(reason)
    with syslog_server("rsyslog", tmp_path) as siem:
        yield siem


@pytest.fixture
def vault(siem: SyslogServerProcess) -> Iterator[Installation]:
    vault = Installation(
        {
            # The auditor is confined, and known by its user alone.
            "CALLVAULT_WARDEN_ROLES": json.dumps({str(os.getuid()): "auditor"}),
            "CALLVAULT_AUDIT_STREAM_URL": f"tls://localhost:{siem.port}",
            "CALLVAULT_AUDIT_STREAM_CA": str(siem.ca),
        }
    )
    try:
        vault.said("init", "--yes")
        with vault.running("warden"), vault.running("auditor"):
            yield vault
    finally:
        vault.close()


def arrived(siem: SyslogServerProcess) -> list[tuple[int, object]]:
    """Return index and entry of each message about an entry, as they came."""
    return [
        (int(line["index"]), json.loads(line["msg"])["entry"])
        for line in siem.lines()
        if line["index"]
    ]


def stands(vault: Installation) -> tuple[object, object]:
    """Return whether the stream runs, and what is wrong with it."""
    status = vault.json("audit", "stream", "status")
    return status["running"], status["problem"]


def test_a_siem_has_the_trail_entry_by_entry_and_gets_it_again_on_demand(
    vault: Installation, siem: SyslogServerProcess
) -> None:
    wait_until(lambda: len(arrived(siem)) > 2, "the SIEM has the beginning")

    # The auditor may have asked before the warden was there, and says so until the
    # end of the round in which that is over.
    wait_until(
        lambda: stands(vault) == (True, None), "the stream runs, and nothing is wrong"
    )

    vault.said("audit", "stream", "rewind", "--to", "0")
    wait_until(
        lambda: [index for index, _ in arrived(siem)].count(0) == 2,
        "entry 0 came again",
    )
    logged = [json.loads(octets) for octets in vault.entries()]

    assert [logged[index] for index, _ in arrived(siem)] == [
        entry for _, entry in arrived(siem)
    ]
    assert f"os:{os.getuid()}" in {
        one["actor"] for one in logged if one["action"] == "audit.stream.rewound"
    }
