"""An installation under ``callvault serve``, its devices, and who is charged what.

The tap with its media worker has the first core, and comes first on it; everything
else (warden, worker, web, and whoever calls) has the others.  Devices are known by an
address of loopback each, so that a call is INVITE, 200, ACK, BYE and no challenge.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.simulators.certificates import make_certificate
from tests.simulators.installation import Installation, Process, free_port, until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
GATEWAYS = [f"127.0.1.{number}" for number in range(1, 9)]
BAD = "127.0.2.1"
_SETTLED_S = 0.5
_FIRST = -15
"Before what else runs on the machine, where that may be asked for (root)."
_COUNTED_S = 15.0
_AUTHENTIC = re.compile(
    r'^callvault_tap_packets_total\{outcome="authentic"\} (\S+)$', re.MULTILINE
)


class Place:
    """A vault that serves, with its tap on one core."""

    def __init__(self, folder: Path) -> None:
        self.certificate, key = make_certificate(folder)
        self.vault = Installation(
            {
                "CALLVAULT_SIP_TLS_CERT": str(self.certificate),
                "CALLVAULT_SIP_TLS_KEY": str(key),
                # Below the ephemeral ports, and room for calls that are still held.
                "CALLVAULT_MEDIA_PORTS": "12000-27999",
            }
        )
        host, _, port = self.vault.sip.rpartition(":")
        tls = free_port()
        self.at = {
            "udp": (host, int(port)),
            "tcp": (host, int(port)),
            "tls": (host, tls),
        }
        self.vault.env["CALLVAULT_SIP_LISTEN"] = (
            f"udp:{host}:{port},tcp:{host}:{port},tls:{host}:{tls}"
        )
        self.vault.said("init", "--yes")
        for number, address in enumerate(GATEWAYS, 1):
            self._device(f"gateway{number}", address)
        self.bad_token = self._device("bad", BAD, by_address=False)
        self.vault.add_user("sam", "supervisor", "default")
        self.vault.start()
        self._pin()

    def close(self) -> None:
        """End everything."""
        self.vault.close()

    @property
    def tap(self) -> Process:
        """The process whose cost this is about."""
        return self.vault.process("tap")

    def cpu_s(self) -> float:
        """Return the CPU that the tap's own process has used, all threads."""
        # The CPU clock of another process (clock_getcpuclockid(3)).
        return time.clock_gettime(~self.tap.pid << 3 | 2)

    def media_cpu_s(self) -> float:
        """Return the CPU that its media worker has used."""
        worker = self.vault.process("vault.tap.worker")
        return time.clock_gettime(~worker.pid << 3 | 2)

    def authentic_packets(self, expected: int = 0) -> int:
        """Return how many packets of media were authentic, as the metrics say.

        They are seconds old: it waits until there are *expected*, but not for long.
        """
        found = 0

        def counted() -> bool:
            nonlocal found
            told = httpx.get(f"http://{self.vault.metrics}/metrics", timeout=10)
            match = _AUTHENTIC.search(told.text)
            found = int(float(match[1])) if match else 0
            return found >= expected

        with contextlib.suppress(AssertionError):
            until(counted, "all packets are counted", _COUNTED_S)
        return found

    def settle(self) -> None:
        """Wait until the tap has nothing left to do."""

        def idle() -> bool:
            before = self.cpu_s()
            time.sleep(_SETTLED_S)
            return self.cpu_s() - before < 0.1 * _SETTLED_S

        until(idle, "the tap has nothing to do")

    def _device(self, name: str, address: str, *, by_address: bool = True) -> str:
        words = ["--address", f"{address}/32"] if by_address else []
        words += ["--allow", "sip-by-address"] if by_address else []
        token: str = self.vault.json("device", "add", name, *words)["token"]
        return token

    def _pin(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        below = Process.below(self.tap.pid)
        mine = {self.tap.pid, *(one.pid for one in below)}
        others = {one.pid for one in self.vault.descendants()} - mine
        for pid, where in [
            *((one, {cores[0]}) for one in mine),
            *((one, set(cores[1:] or cores)) for one in others),
        ]:
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.sched_setaffinity(int(task.name), where)
                    if pid in mine:
                        os.setpriority(os.PRIO_PROCESS, int(task.name), _FIRST)
        os.sched_setaffinity(0, set(cores[1:] or cores))
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
        # Rendering what was recorded is not what is measured.
        with contextlib.suppress(AssertionError):
            os.setpriority(os.PRIO_PROCESS, self.vault.process("worker").pid, 19)


@contextlib.contextmanager
def serving() -> Iterator[Place]:
    """Give a place, and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="cvb-") as folder:
        place = Place(Path(folder))
        try:
            yield place
        finally:
            place.close()


class Script:
    """A script of this folder: told by lines, asked by lines."""

    def __init__(self, name: str, told: dict[str, object]) -> None:
        path = f"{ROOT}{os.pathsep}{HERE}"
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )
        self.go(json.dumps(told))
        if self._line() != "READY":
            raise RuntimeError(f"{name} did not start")

    def go(self, line: str = "go") -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def said(self) -> dict[str, object]:
        """Wait for what it has to say."""
        found: dict[str, object] = json.loads(self._line())
        return found

    def close(self) -> None:
        """Wait for its end."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
