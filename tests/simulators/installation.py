"""A whole installation, driven from outside: real processes, files and sockets.

Nothing of the vault is imported to run it: commands are run, HTTP is spoken, and
files are looked at.  Only calls come from the library (`vault.tap.simulate`), as they
would from a PBX.
"""

import itertools
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from tests.simulators.ports import free_port
from vault.core.media import SrtpSuite
from vault.tap.simulate import SimulatedCall

ROOT: Final = Path(__file__).resolve().parents[2]
CALLVAULT: Final = (sys.executable, "-m", "vault")
END_STATES: Final = frozenset({"ready", "partial", "failed"})
WITHIN_S: Final = 60.0
"How long anything may take on a machine that is busy with other things."

_CHEAP: Final = {
    "CALLVAULT_KEYRING_MEMORY_MIB": "19",
    "CALLVAULT_PASSWORD_MEMORY_MIB": "8",
    "CALLVAULT_MEDIA_WORKERS": "1",
}
_media_ports = itertools.count(os.getpid() % 6)
"By process: two runs of the tests on one machine rarely meet."
_T = TypeVar("_T")


def until(found: Callable[[], _T | None], what: str, within_s: float = WITHIN_S) -> _T:
    """Return what *found* returns once it is neither None nor False."""
    deadline = time.monotonic() + within_s
    while True:
        value = found()
        if value is not None and value is not False:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        threading.Event().wait(0.05)


def _fresh_media_ports() -> str:
    # Apart from those of other installations and other xdist workers: a stray
    # packet of an ended call must not be counted by another one.
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    low = 20_000 + lane * 3_000 + next(_media_ports) % 6 * 500
    return f"{low}-{low + 499}"


@dataclass(kw_only=True)
class Call:
    """One fork, as its PBX sees it."""

    id: str
    answer: str
    simulated: SimulatedCall
    packets: int = 0


class Pbx:
    """One device: its token and its way to the fork API."""

    def __init__(self, token: str, http: httpx.Client) -> None:
        self.token = token
        self.http = http
        http.headers["Authorization"] = f"Bearer {token}"

    def begin(
        self,
        *,
        suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
        encodings: tuple[str, str] = ("PCMU", "PCMU"),
        seconds: float = 2.0,
        **facts: Any,
    ) -> Call:
        """Offer a call; nothing is sent yet."""
        call = SimulatedCall(suite=suite, encodings=encodings, seconds=seconds)
        made = self.offer(call.build_offer(), **facts)
        assert made.status_code == 201, made.text
        body = made.json()
        return Call(id=body["id"], answer=body["sdp"], simulated=call)

    def offer(self, sdp: str, **facts: Any) -> httpx.Response:
        """Post an offer."""
        return self.http.post("/forks", json={"sdp": sdp, "call": facts})

    def speak(self, call: Call) -> None:
        """Send the call's packets; takes as long as the call."""
        call.packets = sum(one.packets for one in call.simulated.send(call.answer))

    def status(self, call: Call) -> dict[str, Any]:
        """Ask where the call stands."""
        answer = self.http.get(f"/forks/{call.id}")
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()
        return status

    def end(self, call: Call) -> None:
        """Hang up."""
        answer = self.http.delete(f"/forks/{call.id}")
        assert answer.status_code == 204, answer.text

    def place(self, **what: Any) -> Call:
        """Place a whole call and hang up."""
        call = self.begin(**what)
        self.speak(call)
        self.end(call)
        return call

    @contextmanager
    def speaking(self, call: Call) -> Iterator[None]:
        """Send the call in the background for the length of the block or longer."""
        thread = threading.Thread(target=self.speak, args=(call,))
        thread.start()
        try:
            yield
        finally:
            thread.join()


@dataclass
class Installation:
    """One data folder, its settings, and ``callvault serve`` on it."""

    settings: Mapping[str, str] = field(default_factory=dict)
    serve: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        # Short: the warden's socket has the 107 octets of a Unix path.
        self.place = Path(tempfile.mkdtemp(prefix="cv-"))
        self.folder = self.place / "data"
        self.log = self.place / "serve.log"
        self.web = f"127.0.0.1:{free_port()}"
        self.forks = f"127.0.0.1:{free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.sip = f"127.0.0.1:{free_port()}"
        self.passwords: dict[str, str] = {}
        self.tokens: list[str] = []
        self._clients: list[httpx.Client] = []
        self.scheme = "http"
        self._trusted = ssl.create_default_context()
        if certificate := self.settings.get("CALLVAULT_TLS_CERT"):
            self.scheme = "https"
            self._trusted.load_verify_locations(certificate)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CALLVAULT_")},
            **_CHEAP,
            "PYTHONUNBUFFERED": "1",
            # It looks after the trail for hours; tests of it say when it begins.
            "CALLVAULT_AUDIT_START_S": "3600",
            # Forty processes are started: compiling the vault for each costs minutes.
            "PYTHONDONTWRITEBYTECODE": "",
            "CALLVAULT_DATA_DIR": str(self.folder),
            "CALLVAULT_WEB_LISTEN": self.web,
            "CALLVAULT_FORKS_LISTEN": self.forks,
            "CALLVAULT_METRICS_LISTEN": self.metrics,
            # UDP and TCP; where there is a certificate, its tests say TLS, too.
            "CALLVAULT_SIP_LISTEN": f"udp:{self.sip},tcp:{self.sip}",
            "CALLVAULT_MEDIA_PORTS": _fresh_media_ports(),
            **self.settings,
        }

    # ------------------------------------------------------------- commands

    def run(
        self, *words: str | Path, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end, however it ends."""
        return subprocess.run(
            [*CALLVAULT, *map(str, words)],
            env=self.env | dict(env or {}),
            cwd=self.place,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=WITHIN_S,
            check=False,
        )

    def said(self, *words: str | Path, stdin: str = "") -> str:
        """Run one command that has to work, and return what it printed."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def json(self, *words: str | Path) -> Any:
        """Run one command with ``--json`` and parse what it printed."""
        return json.loads(self.said(*words, "--json"))

    # -------------------------------------------------------------- serving

    @contextmanager
    def running(self, process: str) -> Iterator[None]:
        """Run one process alone, for who needs neither calls nor pages."""
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                [*CALLVAULT, process], env=self.env, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            started.terminate()
            started.wait(20)

    def start(self) -> None:
        """Start ``serve`` and wait until it is ready."""
        with self.log.open("ab") as log:
            self.serve = subprocess.Popen(
                [*CALLVAULT, "serve"],
                env=self.env,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._is_up, "serve is ready")

    def _is_up(self) -> bool:
        assert self.serve is not None
        ended = self.serve.poll()
        assert ended is None, f"serve ended with {ended}:\n{self.logged()[-3000:]}"
        return self.is_ready() and self.takes_calls()

    def takes_calls(self) -> bool:
        """Ask the fork API's ``/healthz``."""
        return self._answers(f"{self.scheme}://{self.forks}/healthz")

    def is_ready(self) -> bool:
        """Ask ``/readyz``."""
        return self._answers(f"{self.scheme}://{self.web}/readyz")

    def _answers(self, url: str) -> bool:
        try:
            answer = httpx.get(url, timeout=5, verify=self._trusted)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def client(self, endpoint: str) -> httpx.Client:
        """Return an HTTP client of one of the two APIs."""
        client = httpx.Client(
            base_url=f"{self.scheme}://{endpoint}/api/v1",
            timeout=WITHIN_S,
            verify=self._trusted,
        )
        self._clients.append(client)
        return client

    def stop(self) -> int:
        """Stop ``serve`` in order and return its exit status."""
        assert self.serve is not None
        self.serve.send_signal(signal.SIGTERM)
        return self.serve.wait(WITHIN_S)

    def close(self) -> None:
        """End everything and remove the folder."""
        for client in self._clients:
            client.close()
        if self.serve is not None and self.serve.poll() is None:
            for child in self.descendants():
                # One that a test stopped could not end.
                child.signal(signal.SIGCONT)
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.serve.kill()
                self.serve.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def logged(self) -> str:
        """Return everything that the processes logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def told(self) -> str:
        """Return what is logged, requests left out."""
        lines = self.logged().splitlines()
        return "\n".join(line for line in lines if '"http-request"' not in line)

    def descendants(self) -> "Sequence[Process]":
        """Return the running processes below ``serve``."""
        assert self.serve is not None
        return Process.below(self.serve.pid)

    def parent(self) -> "Process":
        """Return ``serve`` itself."""
        assert self.serve is not None
        return Process(pid=self.serve.pid, words=("serve",))

    def process(self, name: str) -> "Process":
        """Return one running process: ``warden``, ``tap``, ``vault.tap.worker``…"""

        def find() -> Process | None:
            found = [one for one in self.descendants() if name in one.words]
            return found[0] if found else None

        return until(find, f"a process called {name}")

    # --------------------------------------------------------------- people

    def add_user(self, name: str, role: str, *workgroups: str) -> None:
        """Add a person with a random password."""
        self.passwords[name] = secrets.token_urlsafe(12)
        words = [word for group in workgroups for word in ("--workgroup", group)]
        self.said(
            "user", "add", name, "--role", role, *words, "--password-stdin",
            stdin=self.passwords[name] + "\n",
        )  # fmt: skip

    def add_pbx(self, name: str, *allowances: str) -> Pbx:
        """Add a device, and return it once the tap knows it."""
        words = [word for one in allowances for word in ("--allow", one)]
        token = self.json("device", "add", name, *words)["token"]
        self.tokens.append(token)
        pbx = Pbx(token, self.client(self.forks))

        def known() -> bool:
            answer = pbx.http.get("/forks/00000000-0000-4000-8000-000000000000")
            return answer.status_code == 404

        until(known, "the tap knows the device")
        return pbx

    def sign_in(self, name: str) -> httpx.Client:
        """Return an HTTP client that is signed in."""
        client = self.client(self.web)
        made = client.post(
            "/sessions", json={"user": name, "password": self.passwords[name]}
        )
        assert made.status_code == 201, made.text
        client.cookies.clear()
        token = made.json()["token"]
        self.tokens.append(token)
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    # ----------------------------------------------------------- recordings

    def finished(
        self, reader: httpx.Client, recording: str, within_s: float = WITHIN_S
    ) -> dict[str, Any]:
        """Wait until a recording is all that it will be, and return it."""
        last: dict[str, Any] = {}

        def ended() -> dict[str, Any] | None:
            answer = reader.get(f"/recordings/{recording}")
            last.clear()
            last.update(answer.json())
            return dict(last) if last.get("state") in END_STATES else None

        try:
            return until(ended, f"{recording} is finished", within_s)
        except AssertionError as exc:
            raise AssertionError(
                f"{exc}; it is {last}\n{self.told()[-6000:]}"
            ) from None

    def objects(self, recording: str) -> dict[str, Path]:
        """Return the stored objects of a recording: their names and files."""
        stored = {
            path
            for path in (self.folder / "objects" / "media").rglob("*")
            if path.is_file() and recording in str(path)
        }
        return {str(path).partition(recording)[2].lstrip("/"): path for path in stored}

    def trail(self) -> list[dict[str, Any]]:
        """Export the trail and return its entries, this export the last."""
        file = self.place / f"trail-{secrets.token_hex(4)}.jsonl"
        self.said("audit", "export", "--format", "jsonl", "--output", file)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        file.unlink()
        return [line["entry"] for line in lines if "entry" in line]

    def entries(self) -> list[bytes]:
        """Return the entries as the log's database has them."""
        place = self.folder / "audit" / "audit.sqlite"
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as log:
            rows = log.execute("SELECT octets FROM log_entry ORDER BY position")
            return [octets for (octets,) in rows]


@dataclass(frozen=True, kw_only=True)
class Process:
    """One running process."""

    pid: int
    words: tuple[str, ...]

    @staticmethod
    def below(parent: int) -> "Sequence[Process]":
        """Return the running descendants of *parent*."""
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = int(fields[1])
        found = {parent}
        while more := {pid for pid, above in parents.items() if above in found} - found:
            found |= more
        return [one for pid in sorted(found - {parent}) if (one := Process._of(pid))]

    @staticmethod
    def _of(pid: int) -> "Process | None":
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        return Process(pid=pid, words=tuple(word.decode() for word in words))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone has nothing to lose."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def kill(self) -> None:
        """End it as the kernel's memory killer does, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        until(lambda: not self.runs, f"{self.pid} is gone")

    def stop(self) -> None:
        """Stop it in its tracks, and wait until it stands."""
        self.signal(signal.SIGSTOP)
        until(lambda: self._state() in {"T", ""}, f"{self.pid} stands still")

    def go_on(self) -> None:
        """Let it run again."""
        self.signal(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        """Whether it is there and no zombie."""
        return self._state() not in {"Z", ""}

    def _state(self) -> str:
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return ""
        return stat.rpartition(")")[2].split()[0]


def media_ports(answer: str) -> list[int]:
    """Return the RTP ports of an SDP answer."""
    return [int(port) for port in re.findall(r"^m=\S+ (\d+) ", answer, re.MULTILINE)]
