"""A receiver of syslog over TLS that can be killed, made to hang, or to be slow.

What it does, and its faults: `tests.simulators.syslog_receiving`.
"""

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.simulators.ports import free_port
from tests.simulators.tls_certificates import Certified

_LENGTH = re.compile(rb"([1-9][0-9]{0,8}) ")
_INDEX = re.compile(rb'^<\d+>1 \S+ \S+ callvault - \S+ \[callvault@\d+ index="(\d+)"')
_WITHIN_S = 20.0


@dataclass(kw_only=True)
class SyslogReceiver:
    """A receiver in a process of its own; what it got lies in a folder."""

    folder: Path
    ca: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def make(cls, folder: Path, **certificate: object) -> "SyslogReceiver":
        """Make its certificate, for ``localhost`` unless it says else."""
        folder.mkdir(exist_ok=True)
        root = Certified.make("stream root", is_ca=True)
        values = {"name": "localhost", "issuer": root} | certificate
        Certified.make(**values).write(folder, "server")  # type: ignore[arg-type] # of make
        Certified.make(
            "callvault", issuer=root, usage=ExtendedKeyUsageOID.CLIENT_AUTH
        ).write(folder, "client")
        (folder / "got").mkdir(exist_ok=True)
        return cls(folder=folder, ca=root.write(folder, "ca")[0])

    def start(self, fault: str = "ok", *, tls: bool = True) -> None:
        """Start it with a *fault*; return when it listens."""
        words = [sys.executable, "-m", "tests.simulators.syslog_receiving"]
        self.process = subprocess.Popen(
            [*words, str(self.folder), str(self.port), fault, "tls" if tls else "tcp"],
            start_new_session=True,
        )
        deadline = time.monotonic() + _WITHIN_S
        while not self._listens():
            assert self.process.poll() is None
            assert time.monotonic() < deadline

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def connections(self) -> list[list[bytes]]:
        """Return the whole messages of each connection, in order."""
        files = sorted((self.folder / "got").iterdir(), key=lambda one: int(one.name))
        return [messages_in(file.read_bytes()) for file in files]

    def indices(self) -> list[list[int]]:
        """Return the indices of the entries of each connection, in order."""
        return [
            [int(found[1]) for one in messages if (found := _INDEX.match(one))]
            for messages in self.connections()
        ]

    def _listens(self) -> bool:
        return (self.folder / f"listens-{self.process and self.process.pid}").exists()


def messages_in(octets: bytes) -> list[bytes]:
    """Return the whole messages in a stream of frames; a cut one is left out."""
    found, at = [], 0
    while match := _LENGTH.match(octets, at):
        start, stop = match.end(), match.end() + int(match[1])
        if stop > len(octets):
            break
        found.append(octets[start:stop])
        at = stop
    return found
