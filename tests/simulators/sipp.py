"""SIPp as a recording client: a real peer that plays our scenarios, and its captures.

SIPp knows neither TLS nor SRTP.  TLS comes from socat in front of it; SRTP from a
capture whose key stands in ``a=crypto``: `play_pcap_audio` sends the datagrams of a
capture untouched, through a raw socket, which only root may open.
"""

import base64
import itertools
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.simulators.installation import until
from tests.simulators.ports import free_port
from tests.simulators.srtp_peers import Sender
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.messages import Request, Response, parse_message
from vault.tap.rtp import RtpPacket

SCENARIOS: Final = Path(__file__).resolve().parents[1] / "peers/sipp"
SPEECH: Final = "speech.pcap"
"The name by which scenarios play a capture."
SCREEN: Final = "screen.pcap"
_PCAP: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
_PORT: Final = 46_000
_blocks = itertools.count(os.getpid())
"Of ports: runs beside each other never try the same."
_ENTRY: Final = re.compile(rb"-{47} [^\n]*\n\w+ message [^\n]*\[(\d+)\] bytes\s*:\n\n")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How one run of SIPp ended, and what it was sent."""

    status: int
    "0: every step of the scenario happened."
    messages: tuple[Request | Response, ...]
    "What the recorder sent, in order."
    errors: str

    @property
    def answers(self) -> list[int]:
        """Return the status of each answer that it got, 100 left out."""
        return [one.status for one in self.responses() if one.status != 100]

    def octets(self, status: int, method: str) -> list[bytes]:
        """Return the answers with *status* to *method*, as they came."""
        return [
            bytes(one)
            for one in self.responses(status)
            if one.headers.one("CSeq").endswith(method)
        ]

    def responses(self, status: int | None = None) -> list[Response]:
        """Return the answers that it got."""
        found = (one for one in self.messages if isinstance(one, Response))
        return [one for one in found if status is None or one.status == status]


@dataclass(kw_only=True)
class Sipp:
    """SIPp in a folder of its own, against one recorder."""

    folder: Path
    target: str
    "``ADDRESS:PORT`` of the recorder, or of what stands before it."
    transport: str = "u1"
    address: str = "127.0.0.1"
    keys: Mapping[str, str] = field(default_factory=dict)

    def play(self, capture: Path, name: str = SPEECH) -> None:
        """Have scenarios find *capture* by its *name*."""
        shutil.copy(capture, self.folder / name)

    def run(
        self,
        scenario: str,
        *options: str,
        variables: Mapping[str, object] | None = None,
        within_s: int = 60,
        **keys: str,
    ) -> Ran:
        """Run *scenario* once, to its end.

        Args:
            scenario: Name of a file of `SCENARIOS`, without its ending.
            options: More options of SIPp.
            variables: Global variables of the scenario.
            within_s: How long it may take.
            keys: Texts that the scenario names in brackets.
        """
        trace, errors = self.folder / "messages", self.folder / "errors"
        port = _free_ports()
        named = [
            word
            for option, items in (
                ("-key", {**self.keys, **keys}),
                ("-set", variables or {}),
            )
            for name, value in items.items()
            for word in (option, name, str(value))
        ]
        command = [
            *("sipp", self.target, "-i", self.address, "-t", self.transport),
            *("-sf", str(SCENARIOS / f"{scenario}.xml"), "-m", "1", "-nostdin"),
            *("-cid_str", f"{scenario}-{secrets.token_hex(6)}-%u"),
            *("-p", str(port), "-cp", str(port + 1)),
            *("-mi", self.address, "-mp", str(port + 2)),
            *("-trace_msg", "-message_file", str(trace)),
            *("-trace_err", "-error_file", str(errors)),
            *("-timeout", f"{within_s}s", "-timeout_error"),
            *options,
            *named,
        ]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=within_s + 30,
            check=False,
        )
        return Ran(
            status=done.returncode,
            messages=tuple(_messages(trace)),
            errors=done.stderr.decode(errors="replace") + _text(errors),
        )


@contextmanager
def over_tls(target: str, certificate: Path) -> Iterator[str]:
    """Yield an address of this machine where TCP becomes TLS to *target*."""
    if shutil.which("socat") is None:
        pytest.skip("needs socat")
    port = free_port()
    with subprocess.Popen(
        [
            "socat",
            f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr",
            f"OPENSSL:{target},cafile={certificate},commonname=127.0.0.1",
        ],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: _listens(port), "socat listens")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def crypto(suite: SrtpSuite, key: bytes) -> str:
    """Return the value of ``a=crypto`` after its tag."""
    return f"{suite} inline:{base64.b64encode(key).decode()}"


def write_capture(
    file: Path,
    payloads: Iterable[tuple[int, bytes]],
    *,
    suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
    clock_stops: bool = False,
) -> bytes:
    """Write SRTP to *file* as tcpdump would have seen it, and return its key.

    Args:
        file: To be written.
        payloads: Of one stream of PCMU in packets of 20 ms: the number of the packet
            in time, and its octets.  Sequence numbers have no gaps.
        suite: To protect it under.
        clock_stops: Timestamps of the sender have no gaps, either.
    """
    key = SecretBytes(os.urandom(suite.master_size_bytes))
    sender, written = Sender(suite, key), [_PCAP]
    for sequence, (number, payload) in enumerate(payloads):
        packet = RtpPacket(
            payload_type=0,
            sequence=sequence,
            timestamp=160 * (sequence if clock_stops else number),
            ssrc=0x5151,
            payload=payload,
        )
        frame = _frame(sender.protected(bytes(packet)))
        at_s, part = divmod(20_000 * number, 1_000_000)
        written += [struct.pack("<IIII", at_s, part, len(frame), len(frame)), frame]
    file.write_bytes(b"".join(written))
    return key.reveal()


def _frame(datagram: bytes) -> bytes:
    udp = struct.pack(">HHHH", _PORT + 2, _PORT, 8 + len(datagram), 0)
    length = 20 + 8 + len(datagram)
    ip = struct.pack(
        ">BBHHHBBH4s4s",
        *(0x45, 0, length, 0, 0, 64, 17, 0),
        *(bytes((127, 0, 0, 1)), bytes((127, 0, 0, 1))),
    )
    return bytes(12) + b"\x08\x00" + ip + udp + datagram


def _free_ports() -> int:
    """Return the first of eight free ports: signalling, control, media."""
    # Below the ephemeral ones, and apart from those of installations.
    while True:
        first = 6_000 + 8 * (next(_blocks) % 375)
        with ExitStack() as probes:
            try:
                for port in range(first, first + 8):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        probe = probes.enter_context(socket.socket(type=kind))
                        probe.bind(("", port))
            except OSError:
                continue
        return first


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def _listens(port: int) -> bool:
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A"
        for row in rows
    )


def _messages(trace: Path) -> Iterator[Request | Response]:
    """Read SIPp's message log."""
    if not trace.exists():
        return
    logged = trace.read_bytes()
    for entry in _ENTRY.finditer(logged):
        octets = logged[entry.end() : entry.end() + int(entry[1])]
        if octets.strip():
            yield parse_message(octets)
