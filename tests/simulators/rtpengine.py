"""rtpengine as we configure it, the control protocol of it, and calls that it relays.

Left to others: who is told of a fork, and how (`tests.simulators.siprec_client`).

Spec: https://rtpengine.readthedocs.io/en/mr10.5/ng_control_protocol.html
"""

import itertools
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.simulators.installation import ROOT, until
from tests.simulators.ports import free_port
from vault.tap.rtp import RtpPacket
from vault.tap.simulate import PACKET_S, SAMPLES_PER_PACKET

CONFIG: Final = ROOT / "infra" / "rtpengine" / "rtpengine.conf"
FORK_CALLS: Final = CONFIG.parent / "fork-calls"
PROGRAM: Final = "rtpengine"
HERE: Final = "127.0.0.1"
Value = str | int | Sequence["Value"] | Mapping[str, "Value"]
_ports = itertools.count()


def bencode(value: Value) -> bytes:
    """Write *value* in bencoding."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        octets = value.encode()
        return b"%d:%s" % (len(octets), octets)
    if isinstance(value, Mapping):
        pairs = (bencode(key) + bencode(each) for key, each in sorted(value.items()))
        return b"d" + b"".join(pairs) + b"e"
    return b"l" + b"".join(map(bencode, value)) + b"e"


def bdecode(octets: bytes) -> Value:
    """Read one value that fills *octets*."""
    value, rest = _value(octets)
    assert not rest
    return value


def _value(octets: bytes) -> tuple[Value, bytes]:
    kind = octets[:1]
    if kind == b"i":
        number, _, rest = octets[1:].partition(b"e")
        return int(number), rest
    if kind in b"ld":
        items: list[Value] = []
        rest = octets[1:]
        while not rest.startswith(b"e"):
            item, rest = _value(rest)
            items.append(item)
        if kind == b"l":
            return items, rest[1:]
        pairs = zip(map(str, items[::2]), items[1::2], strict=True)
        return dict(pairs), rest[1:]
    length, _, rest = octets.partition(b":")
    return rest[: int(length)].decode(), rest[int(length) :]


@dataclass(frozen=True, kw_only=True)
class Rtpengine:
    """A running one."""

    control: int
    "Its port for the ng protocol."

    def ask(self, command: str, **members: Value) -> Mapping[str, Value]:
        """Send one command; return what it said to it."""
        cookie = secrets.token_hex(6).encode()
        said = {name.replace("_", "-"): value for name, value in members.items()}
        with socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.settimeout(10)
            asking.connect((HERE, self.control))
            asking.send(cookie + b" " + bencode({"command": command, **said}))
            answer = asking.recv(65_535)
        mine, _, octets = answer.partition(b" ")
        found = bdecode(octets)
        assert mine == cookie
        assert isinstance(found, Mapping)
        assert found["result"] in {"ok", "pong"}, found
        return found

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self.ask("ping")["result"] == "pong"
        except OSError:
            return False


@contextmanager
def rtpengine(folder: Path) -> Iterator[Rtpengine]:
    """Run one with our configuration, on ports of its own, for the block."""
    assert shutil.which(PROGRAM)
    first = 44_000 + next(_ports) % 4 * 500
    running = Rtpengine(control=free_port())
    words = [
        f"--config-file={CONFIG}",
        f"--interface={HERE}",
        f"--listen-ng={HERE}:{running.control}",
        f"--port-min={first}",
        f"--port-max={first + 499}",
        "--foreground",
        "--log-stderr",
        "--log-level=5",
        f"--pidfile={folder / 'rtpengine.pid'}",
    ]
    with (folder / "rtpengine.log").open("ab") as log:
        process = subprocess.Popen([PROGRAM, *words], stdout=log, stderr=log)
    try:
        until(lambda: running.is_up or process.poll(), "rtpengine answers")
        assert process.poll() is None, (folder / "rtpengine.log").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def fork_calls(
    folder: Path, engine: Rtpengine, *, forks: Sequence[str], token: str
) -> Iterator[str]:
    """Run our program that has calls recorded; yield where it listens."""
    at = f"{HERE}:{free_port()}"
    (folder / "token").write_text(token)
    log = folder / "fork-calls.log"
    log.unlink(missing_ok=True)
    words = ["--listen", at, "--rtpengine", f"{HERE}:{engine.control}"]
    words += [word for one in forks for word in ("--callvault", one)]
    words += ["--token-file", str(folder / "token")]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-I", str(FORK_CALLS), *words], stdout=out, stderr=out
        )
    try:
        until(
            lambda: "listening" in log.read_text() or process.poll() is not None,
            "fork-calls listens",
        )
        assert process.poll() is None, log.read_text()
        yield at
    finally:
        process.terminate()
        process.wait(30)


@dataclass(kw_only=True)
class Phone:
    """One side of a call: what it says, and a socket for it."""

    says: bytes
    "G.711 mu-law."
    line: socket.socket = field(init=False)
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))

    def __post_init__(self) -> None:
        self.line = socket.socket(type=socket.SOCK_DGRAM)
        self.line.bind((HERE, 0))

    @property
    def sdp(self) -> str:
        """What it offers, or answers with."""
        port = self.line.getsockname()[1]
        return (
            f"v=0\r\no=- {self.ssrc} 1 IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {HERE}\r\n"
            f"t=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\n"
            "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        )

    def speak(self, to: str) -> None:
        """Say it all to where the SDP *to* wants it, in real time."""
        port = int(to.partition("m=audio ")[2].split()[0])
        start_s = time.monotonic()
        for number in range(len(self.says) // SAMPLES_PER_PACKET):
            at = number * SAMPLES_PER_PACKET
            packet = RtpPacket(
                payload_type=0,
                sequence=number,
                timestamp=at,
                ssrc=self.ssrc,
                payload=self.says[at : at + SAMPLES_PER_PACKET],
            )
            time.sleep(max(0.0, start_s + number * PACKET_S - time.monotonic()))
            self.line.sendto(bytes(packet), (HERE, port))


@dataclass(kw_only=True)
class RelayedCall:
    """A call of two phones that rtpengine relays."""

    engine: Rtpengine
    phones: tuple[Phone, Phone]
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        caller, callee = self.phones
        what = {"call_id": self.id, "from_tag": "caller", "ICE": "remove"}
        offered = self.engine.ask("offer", **what, sdp=caller.sdp, label="agent")
        answered = self.engine.ask(
            "answer", **what, to_tag="callee", sdp=callee.sdp, label="customer"
        )
        self._to = str(answered["sdp"]), str(offered["sdp"])

    def speak(self) -> None:
        """Let both say what they have to say, at the same time."""
        said = [
            threading.Thread(target=phone.speak, args=(to,))
            for phone, to in zip(self.phones, self._to, strict=True)
        ]
        for each in said:
            each.start()
        for each in said:
            each.join()

    def forked(self) -> "Fork":
        """Have both sides forked with keys, formatted for SIPREC."""
        made = self.engine.ask(
            "subscribe request",
            call_id=self.id,
            flags=["all", "siprec"],
            transport_protocol="RTP/SAVP",
            ICE="remove",
            DTLS="off",
        )
        medias = made["media-labels"]
        assert isinstance(medias, Mapping)
        labels = {
            str(media["label"]): label
            for label, media in medias.items()
            if isinstance(media, Mapping)
        }
        return Fork(name=str(made["to-tag"]), offer=str(made["sdp"]), labels=labels)

    def accept(self, fork: "Fork", answer: str) -> None:
        """Tell it the answer to the offer of *fork*."""
        self.engine.ask(
            "subscribe answer", call_id=self.id, to_tag=fork.name, sdp=answer
        )

    def end(self) -> None:
        """Hang up, and have the relay forget it."""
        self.engine.ask("delete", call_id=self.id, from_tag="caller")


@dataclass(frozen=True, kw_only=True)
class Fork:
    """A copy of a call's media that waits for who takes it."""

    name: str
    offer: str
    labels: Mapping[str, str]
    "Of the streams in the offer, by the labels that the sides have at rtpengine."


@contextmanager
def relayed(engine: Rtpengine, *says: bytes) -> Iterator[RelayedCall]:
    """Set up a call of two phones for the length of the block."""
    with ExitStack() as open_lines:
        caller, callee = (Phone(says=octets) for octets in says)
        for phone in (caller, callee):
            open_lines.enter_context(phone.line)
        call = RelayedCall(engine=engine, phones=(caller, callee))
        yield call
        call.end()
