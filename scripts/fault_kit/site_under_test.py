"""An installation under faults: a real tap, real senders, and who to kill.

``callvault tap`` is run by itself, as a service manager would: it records without
warden, worker and web.  Starting it again is this module's part.
"""

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from truth import Spool

from vault.core.ids import RecordingId
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes

ROOT = Path(__file__).resolve().parents[2]
SUITE = SrtpSuite.AES_CM_128_HMAC_SHA1_80
BEFORE_WRAP = 65_000
"Sequence numbers begin near their end, so that rollovers are among the faults."
WITHIN_S = 90.0
SETTLED_S = 30.0
Settings = dict[str, str]
"Environment of an installation's processes, beside what every one has."
_T = TypeVar("_T")


def until(found: Callable[[], _T | None], what: str, within_s: float = WITHIN_S) -> _T:
    """Return what *found* returns once it is neither None nor False."""
    deadline_s = time.monotonic() + within_s
    while True:
        value = found()
        if value is not None and value is not False:
            return value
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One stream of a call: where it goes and under which key."""

    port: int
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A fork that was answered."""

    id: RecordingId
    legs: tuple[Leg, ...]


class Sender:
    """The PBX's media of many calls."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sender.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        told = [
            {
                "port": leg.port,
                "key": base64.b64encode(leg.key).decode(),
                "suite": str(SUITE),
                "first": BEFORE_WRAP,
            }
            for call in calls
            for leg in call.legs
        ]
        self._say(json.dumps(told))
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "READY":
            raise RuntimeError("the sender did not start")

    def stop(self) -> dict[RecordingId, tuple[int, ...]]:
        """Stop sending; return the packets sent of every leg of every call."""
        self._say("stop")
        assert self._process.stdout is not None
        sent = iter(json.loads(self._process.stdout.readline()))
        self._process.wait()
        return {call.id: tuple(next(sent) for _ in call.legs) for call in self._calls}

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


class Site:
    """One installation and its tap process."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder / "data"
        self.log = folder.parent / f"{folder.name}.log"
        self._passphrase = folder.parent / f"{folder.name}.passphrase"
        self._passphrase.write_text(secrets.token_urlsafe(24))
        self._passphrase.chmod(0o600)
        self.forks = f"127.0.0.1:{_free_port()}"
        self.tap: subprocess.Popen[bytes] | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._spool: Spool | None = None
        self.deaths = 0
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CALLVAULT_")},
            "CALLVAULT_DATA_DIR": str(self.folder),
            "CALLVAULT_PASSPHRASE_FILE": str(self._passphrase),
            # The tap runs by itself, as the warden's own user.
            "CALLVAULT_WARDEN_ROLES": json.dumps({str(os.geteuid()): "tap"}),
            "CALLVAULT_FORKS_LISTEN": self.forks,
            "CALLVAULT_SIP_LISTEN": "off",
            # Not where tests have theirs: packets go on after a call has died.
            "CALLVAULT_MEDIA_PORTS": "10000-19999",
            "CALLVAULT_KEYRING_MEMORY_MIB": "19",
            "CALLVAULT_PASSWORD_MEMORY_MIB": "8",
            "PYTHONPATH": str(ROOT),
        }
        # Of the tap alone: one that is broken on purpose is set up by a sound one.
        self._of_tap = {**self.env, **(settings or {})}
        self._command("init", "--yes")
        token = json.loads(self._command("device", "add", "pbx", "--json"))["token"]
        self.http = httpx.Client(
            base_url=f"http://{self.forks}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            limits=httpx.Limits(max_connections=64),
        )

    def _command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "vault", *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr[-2000:]}")
        return done.stdout

    # ------------------------------------------------------------- processes

    def start(self) -> None:
        """Start the tap and wait until it takes calls."""
        with self.log.open("ab") as log:
            self.tap = subprocess.Popen(
                [sys.executable, "-m", "vault", "tap"],
                env=self._of_tap,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._takes_calls, f"the tap takes calls (see {self.log})")

    def start_warden(self) -> None:
        """Start a warden, without which nothing is freed."""
        with self.log.open("ab") as log:
            self._warden = subprocess.Popen(
                [sys.executable, "-m", "vault", "warden"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _takes_calls(self) -> bool:
        assert self.tap is not None
        if self.tap.poll() is not None:
            said = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the tap ended with {self.tap.returncode}: {said}")
        try:
            return httpx.get(f"http://{self.forks}/healthz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def media_workers(self) -> list[int]:
        """Return the pids of the media workers of this installation, orphans too."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                mine = str(self.folder).encode() in (path / "environ").read_bytes()
                if b"vault.tap.worker" in words and mine and not _is_zombie(path):
                    found.append(int(path.name))
        return found

    def kill_worker(self, choose: Callable[[Sequence[int]], int]) -> None:
        """Kill one media worker and wait until another has taken its place."""
        running = until(lambda: self.media_workers() or None, "a media worker runs")
        victim = choose(running)
        os.kill(victim, signal.SIGKILL)
        self.deaths += 1

        def replaced() -> bool:
            now = self.media_workers()
            return victim not in now and len(now) >= len(running)

        until(replaced, "the worker is replaced")

    def kill_tap(self) -> None:
        """Kill the supervisor alone, and start it again."""
        assert self.tap is not None
        self.tap.kill()
        self.tap.wait()
        self.deaths += 1
        self.start()

    def kill_all(self) -> None:
        """Kill supervisor and workers at once, as losing the machine would."""
        assert self.tap is not None
        # The supervisor first and stopped: it must not replace what dies next.
        self.tap.send_signal(signal.SIGSTOP)
        for pid in self.media_workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.tap.kill()
        self.tap.wait()
        self.deaths += 1
        until(self._no_worker, "no worker is left")

    def _no_worker(self) -> bool:
        return not self.media_workers()

    def stop(self) -> None:
        """End the tap in order."""
        if self.tap is not None and self.tap.poll() is None:
            self.tap.terminate()
            try:
                self.tap.wait(60)
            except subprocess.TimeoutExpired:
                self.tap.kill()
                self.tap.wait()
        for pid in self.media_workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._warden is not None:
            self._warden.terminate()
            self._warden.wait()
            self._warden = None

    # ----------------------------------------------------------------- calls

    def begin(self, count: int) -> list[Call]:
        """Have *count* calls answered, some at a time."""
        with ThreadPoolExecutor(8) as several:
            return list(several.map(lambda _: self._begin(), range(count)))

    def _begin(self) -> Call:
        answer, call = self._offered()
        while answer.status_code == 429:  # noqa: PLR2004 - a device may not ask faster
            time.sleep(float(answer.headers["Retry-After"]))
            answer, call = self._offered()
        if call is None:
            said = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"refused: {answer.status_code} {answer.text}: {said}")
        return call

    def try_begin(self) -> Call | None:
        """Offer a call once; return it if it was answered."""
        try:
            return self._offered()[1]
        except httpx.TransportError:
            return None

    def try_end(self, call: Call) -> bool:
        """Hang up once; return whether that was acknowledged."""
        try:
            return self.http.delete(f"/forks/{call.id}").is_success
        except httpx.TransportError:
            return False

    def _offered(self) -> tuple[httpx.Response, Call | None]:
        keys = [secrets.token_bytes(SUITE.master_size_bytes) for _ in range(2)]
        made = self.http.post("/forks", json={"sdp": _offer(keys), "call": {}})
        if made.status_code != 201:  # noqa: PLR2004 - Created
            return made, None
        lines = made.json()["sdp"].splitlines()
        ports = [int(line.split()[1]) for line in lines if line.startswith("m=")]
        legs = [Leg(port=p, key=k) for p, k in zip(ports, keys, strict=True)]
        return made, Call(id=RecordingId(made.json()["id"]), legs=tuple(legs))

    def end(self, calls: Sequence[Call]) -> None:
        """Hang up; a call that ended already is no error."""
        with ThreadPoolExecutor(8) as several:
            list(several.map(self._end, calls))

    def _end(self, call: Call) -> None:
        answer = until(lambda: self._asked("DELETE", call), "DELETE is answered")
        if answer.status_code not in (204, 404):
            raise RuntimeError(f"DELETE was refused: {answer.status_code}")

    def _asked(self, method: str, call: Call) -> httpx.Response | None:
        try:
            answer = self.http.request(method, f"/forks/{call.id}")
        except httpx.TransportError:
            return None
        return None if answer.status_code >= 500 else answer  # noqa: PLR2004 - it will come back

    def status(self, call: Call) -> dict[str, Any]:
        """Return what GET says of a call."""
        told = until(lambda: self._asked("GET", call), "GET is answered")
        body: dict[str, Any] = told.json()
        return body

    def settled(self) -> Spool:
        """Wait until every recording in the spool has a manifest; return the spool."""
        spool = self.spool()

        def done() -> bool:
            return spool.ended() == spool.recordings()

        # After that, whoever has none is unaccounted, and is counted as that.
        with contextlib.suppress(RuntimeError):
            until(done, "every recording has ended", SETTLED_S)
        return spool

    def spool(self) -> Spool:
        """Return the spool; its keyring is unlocked once, which takes much memory."""
        if self._spool is None:
            passphrase = SecretBytes(self._passphrase.read_bytes())
            self._spool = Spool(self.folder, passphrase)
        return self._spool

    def trail(self) -> list[dict[str, Any]]:
        """Return the entries of the audit trail."""
        file = self.folder.parent / "trail.jsonl"
        file.unlink(missing_ok=True)
        self._command("audit", "export", "--output", str(file))
        return [json.loads(line) for line in file.read_text().splitlines()]


@contextlib.contextmanager
def fresh_place() -> Iterator[Path]:
    """Give a folder, and remove it afterwards."""
    # Short: a Unix socket's path has 107 octets.
    place = Path(tempfile.mkdtemp(prefix="cvf-"))
    (place / "s").mkdir()
    try:
        yield place / "s"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def site_at(folder: Path, settings: Settings | None = None) -> Iterator[Site]:
    """Give an installation in *folder*, and end it afterwards."""
    site = Site(folder, settings)
    try:
        yield site
    finally:
        site.stop()
        site.http.close()


@contextlib.contextmanager
def fresh_site(settings: Settings | None = None) -> Iterator[Site]:
    """Give a new installation and remove it afterwards."""
    with fresh_place() as folder, site_at(folder, settings) as site:
        yield site


def _offer(keys: Sequence[bytes]) -> str:
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    for key in keys:
        inline = base64.b64encode(key).decode()
        lines += ["m=audio 4000 RTP/SAVP 0", f"a=crypto:1 {SUITE} inline:{inline}"]
    return "\r\n".join(lines) + "\r\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_zombie(path: Path) -> bool:
    return path.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
