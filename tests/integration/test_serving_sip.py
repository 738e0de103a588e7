"""SIP in the tap's process: what a taken port does, and what is said of it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.simulators.recording_desk import MemoryDesk, MemoryDevices
from vault.config import Settings
from vault.core.errors import ConfigurationError
from vault.serving.sip import SipService, sip_config

pytestmark = pytest.mark.network


@contextmanager
def taken(port: int) -> Iterator[int]:
    """Make sure that somebody listens there."""
    with socket.socket() as holder:
        with contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", port))
            holder.listen()
        yield holder.getsockname()[1] or port


def settings(folder: Path, **told: object) -> Settings:
    return Settings(data_dir=folder, **told)  # type: ignore[arg-type]


def stands(told: Settings) -> Mapping[str, object]:
    """Start SIP, look, and stop it."""

    async def inside() -> Mapping[str, object]:
        sip = SipService(told, MemoryDesk(), MemoryDevices(), why_not=lambda: "")
        try:
            await sip.start()
            return sip.members()
        finally:
            await sip.stop()

    return asyncio.run(inside())


def test_a_default_port_that_is_taken_stops_nothing_and_is_said(tmp_path: Path) -> None:
    with taken(5060):
        found = stands(settings(tmp_path))

    assert [] == found["listeners"]
    assert "5060" in str(found["problem"])


def test_a_port_that_was_asked_for_and_is_taken_stops_the_tap(tmp_path: Path) -> None:
    with (
        taken(0) as port,
        pytest.raises(ConfigurationError, match=f"tcp:127.0.0.1:{port}"),
    ):
        stands(settings(tmp_path, sip_listen=f"tcp:127.0.0.1:{port}"))


def test_off_is_no_problem(tmp_path: Path) -> None:
    found = stands(settings(tmp_path, sip_listen="off"))

    assert ([], "", 0) == (found["listeners"], found["problem"], found["calls"])


def test_what_listens_is_told_with_the_ports_that_it_has(tmp_path: Path) -> None:
    found = stands(settings(tmp_path, sip_listen="udp:127.0.0.1:0,tcp:[::1]:0"))
    listeners = found["listeners"]

    assert isinstance(listeners, list)
    assert ["udp:127.0.0.1", "tcp:[::1]"] == [
        one.rpartition(":")[0] for one in listeners
    ]
    assert all(int(one.rpartition(":")[2]) for one in listeners)


def test_settings_reach_the_user_agent(tmp_path: Path) -> None:
    told = settings(
        tmp_path,
        sip_listen="127.0.0.1:5070",
        sip_tls_cert=tmp_path / "cert.pem",
        sip_tls_key=tmp_path / "key.pem",
        sip_advertise="192.0.2.7",
        sip_max_connections=7,
        sip_address_rate=9,
    )
    config = sip_config(told)

    assert [("udp", 5070), ("tcp", 5070), ("tls", 5071)] == [
        (str(transport), port) for transport, _, port in config.listen
    ]
    assert ("192.0.2.7", 7, 9) == (
        config.advertise,
        config.max_connections,
        config.address_rate,
    )
