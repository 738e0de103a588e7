"""Processes killed inside infra/systemd's units, as a service manager sees to it.

The units say what happens to the others (``KillMode=``) and how many descriptors
are kept; tests/simulators/service_manager.py does it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.simulators.installation import CALLVAULT, Call, Installation, Pbx, until
from tests.simulators.service_manager import ServiceManager
from tests.simulators.service_sandbox import settings

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-troubled")]

UNITS: Final = Path(__file__).parents[2] / "infra" / "systemd"
SECOND: Final = 100
"Packets of both parties."


class Unit:
    """One of our units around an installation."""

    def __init__(self, vault: Installation, name: str) -> None:
        said = settings([UNITS / name])
        mode: Literal["mixed", "process"] = "mixed"
        if said["KillMode"] == ["process"]:
            mode = "process"
        self.vault = vault
        self.command = said["ExecStart"][0].split()[1]
        self.manager = ServiceManager(
            vault.place, most=int(said["FileDescriptorStoreMax"][0]), kill_mode=mode
        )

    def start(self) -> None:
        with self.vault.log.open("ab") as log:
            self.vault.serve = self.manager.start(
                *(*CALLVAULT, self.command),
                environment=self.vault.env,
                cwd=self.vault.place,
                log=log,
            )
        until(self._is_up, f"callvault {self.command} is ready")

    def _is_up(self) -> bool:
        process = self.manager.process
        assert process is not None
        assert process.poll() is None, self.vault.logged()[-3000:]
        return "READY=1" in self.manager.said

    def stop(self) -> int:
        process = self.manager.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        return process.wait(60)


@contextmanager
def unit(name: str) -> Iterator[Unit]:
    vault = Installation()
    made = Unit(vault, name)
    try:
        vault.said("init", "--yes")
        yield made
    finally:
        made.manager.close()
        vault.close()


def received(pbx: Pbx, call: Call) -> int:
    return sum(one["packets_received"] for one in pbx.status(call)["streams"])


def authentic(pbx: Pbx, call: Call) -> int:
    return sum(one["packets_authentic"] for one in pbx.status(call)["streams"])


def test_a_tap_killed_in_its_unit_costs_no_packet() -> None:
    with unit("callvault-tap.service") as tap:
        token = tap.vault.json("device", "add", "pbx")["token"]
        tap.start()
        pbx = Pbx(token, tap.vault.client(tap.vault.forks))
        call = pbx.begin(seconds=4.0)
        with pbx.speaking(call):
            until(lambda: received(pbx, call) > SECOND, "media flows")
            kept = len(tap.manager.names)
            tap.manager.crash()
            tap.start()
            until(tap.vault.takes_calls, "the new one takes calls")
        until(lambda: authentic(pbx, call) == call.packets, "every packet is counted")
        left = tap.vault.descendants()
        pbx.end(call)
        until(lambda: not tap.manager.names, "the store is empty")
        stopped = tap.stop()
        until(lambda: not any(one.runs for one in left), "no process is left")

        assert kept == 5
        assert stopped == 0
        assert "STOPPING=1" in tap.manager.said


def test_serve_killed_with_everything_in_its_unit_costs_a_second() -> None:
    with unit("callvault.service") as serve:
        vault = serve.vault
        serve.start()
        vault.add_user("sam", "supervisor", "Claims")
        pbx = vault.add_pbx("pbx")
        call = pbx.begin(seconds=6.0, workgroup="Claims")
        with pbx.speaking(call):
            until(lambda: received(pbx, call) > 1.5 * SECOND, "media flows")
            serve.manager.crash()
            serve.start()
        pbx.end(call)
        shown = vault.finished(vault.sign_in("sam"), call.id)
        told = vault.json("recordings", "show", call.id)
        heard = sum(one["packets_authentic"] for one in shown["streams"])
        stopped = serve.stop()

        assert shown["state"] in {"ready", "partial"}
        assert shown["how"] == "bye"
        assert {"capture/0001.recovered", "capture/0002"} <= {
            one["name"] for one in told["objects"]
        }
        assert heard > call.packets - 1.5 * SECOND
        assert stopped == 0
