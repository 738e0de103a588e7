"""One real call, from the wire to the browser, with embedded defaults.

Makes an installation in ``var/demo``, starts ``callvault serve``, lets a simulated
PBX place a two-party SRTP call, plays it back over HTTP as the supervisor, verifies
the audit trail, and prints how to look at it in a browser.  With ``--once`` it stops
there and exits 0, or 1 with the reason.
"""

import argparse
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
from contextlib import closing
from pathlib import Path

import httpx
from rich.console import Console
from rich.panel import Panel

ROOT = Path(__file__).resolve().parents[1]
CALLVAULT = [sys.executable, "-m", "vault"]
MARK = ".callvault-demo"
READY_WITHIN_S = 60
RENDERED_WITHIN_S = 60

out = Console(highlight=False)


class DemoFailedError(Exception):
    """A step did not work; the message says which."""


def free_port(wanted: int) -> int:
    """Return *wanted*, or another port when something else listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise DemoFailedError("no free port on 127.0.0.1")


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web = f"127.0.0.1:{free_port(8080)}"
        self.forks = f"127.0.0.1:{free_port(8081)}"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CALLVAULT_")},
            "CALLVAULT_DATA_DIR": str(folder),
            "CALLVAULT_WEB_LISTEN": self.web,
            "CALLVAULT_FORKS_LISTEN": self.forks,
            "CALLVAULT_METRICS_LISTEN": f"127.0.0.1:{free_port(9090)}",
            "CALLVAULT_SIP_LISTEN": f"127.0.0.1:{free_port(5060)}",
        }
        self.passwords: dict[str, str] = {}
        self.serve: subprocess.Popen[bytes] | None = None

    def run(self, *words: str, stdin: str = "") -> str:
        """Run one callvault command and return what it printed."""
        done = subprocess.run(
            [*CALLVAULT, *words],
            env=self.env,
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise DemoFailedError(
                f"callvault {' '.join(words)}: {done.stderr.strip() or 'failed'}"
            )
        return done.stdout

    def start(self) -> None:
        self.run("init", "--yes")
        log = (self.folder / "serve.log").open("wb")
        self.serve = subprocess.Popen(
            [*CALLVAULT, "serve"], env=self.env, stdout=log, stderr=log
        )
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.serve.poll() is not None:
                break
            try:
                if httpx.get(f"http://{self.web}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        tail = (self.folder / "serve.log").read_text(errors="replace")[-2000:]
        raise DemoFailedError(f"callvault serve did not become ready:\n{tail}")

    def add_people(self) -> None:
        for name, role in (
            ("admin", "administrator"),
            ("sam", "supervisor"),
            ("olivia", "officer"),
        ):
            self.passwords[name] = secrets.token_urlsafe(12)
            workgroup = ["--workgroup", "Claims"] if role == "supervisor" else []
            self.run(
                "user", "add", name, "--role", role, *workgroup, "--password-stdin",
                stdin=self.passwords[name] + "\n",
            )  # fmt: skip

    def place_call(self) -> str:
        token = json.loads(self.run("device", "add", "demo-pbx", "--json"))["token"]
        token_file = self.folder / "demo-pbx.token"
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        # Not captured: its progress bar is what a person watches for 20 s.
        done = subprocess.run(
            [
                *CALLVAULT, "simulate", "--forks", f"http://{self.forks}",
                "--token-file", str(token_file), "--workgroup", "Claims",
                "--agent", "ada", "--caller", "+44 20 7946 0123",
                "--callee", "+44 20 7946 0100", "--json",
            ],
            env=self.env, stdout=subprocess.PIPE, check=False,
        )  # fmt: skip
        if done.returncode:
            raise DemoFailedError("the simulated PBX could not place its call")
        return json.loads(done.stdout)["id"]

    def sign_in(self, name: str) -> httpx.Client:
        client = httpx.Client(base_url=f"http://{self.web}/api/v1", timeout=30)
        answer = client.post(
            "/sessions", json={"user": name, "password": self.passwords[name]}
        )
        if answer.status_code != httpx.codes.CREATED:
            raise DemoFailedError(f"{name} could not sign in: {answer.text}")
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    def play(self, recording: str) -> str:
        with closing(self.sign_in("sam")) as sam:
            deadline = time.monotonic() + RENDERED_WITHIN_S
            state = {"state": "?"}
            while time.monotonic() < deadline:
                state = sam.get(f"/recordings/{recording}").json()
                if state.get("state") in {"ready", "partial", "failed"}:
                    break
                time.sleep(0.3)
            if state.get("state") != "ready":
                raise DemoFailedError(f"the recording is {state}, not ready")
            whole = sam.get(f"/recordings/{recording}/audio")
            part = sam.get(
                f"/recordings/{recording}/audio", headers={"Range": "bytes=0-3"}
            )
        if (whole.status_code, part.status_code) != (200, 206):
            raise DemoFailedError(f"playback answered {whole.status_code}")
        if part.content != b"fLaC" or whole.content[:4] != part.content:
            raise DemoFailedError("what came back is not FLAC")
        streams = state["streams"]
        lost = sum(stream["packets_lost"] for stream in streams)
        authentic = sum(stream["packets_authentic"] for stream in streams)
        return (
            f"{state['duration_s']:.1f} s, {len(whole.content) / 1024:.0f} KiB FLAC, "
            f"{authentic} packets authentic, {lost} lost"
        )

    def refused(self, recording: str) -> None:
        with closing(self.sign_in("admin")) as admin:
            answer = admin.get(f"/recordings/{recording}/audio")
        if answer.status_code != httpx.codes.NOT_FOUND:
            raise DemoFailedError(f"an administrator got {answer.status_code}")

    def verify(self) -> str:
        export = self.folder / "trail.jsonl"
        with closing(self.sign_in("olivia")) as olivia:
            answer = olivia.get("/audit/export", params={"format": "jsonl"})
            answer.raise_for_status()
            export.write_bytes(answer.content)
        key = self.run("audit", "key").strip()
        said = self.run("audit", "verify", str(export), "--key", key)
        apart = subprocess.run(
            [sys.executable, "-I", ROOT / "scripts/verify-trail", export, "--key", key],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if apart.returncode:
            raise DemoFailedError(f"verify-trail: {apart.stderr or apart.stdout}")
        return f"{said.strip()}; a verifier that shares no code agrees"

    def watch(self) -> None:
        """Return when `callvault serve` ends."""
        assert self.serve is not None
        status = self.serve.wait()
        raise DemoFailedError(
            f"callvault serve ended with status {status}; see {self.folder}/serve.log"
        )

    def stop(self) -> None:
        if self.serve is not None and self.serve.poll() is None:
            self.serve.send_signal(signal.SIGTERM)
            try:
                self.serve.wait(90)
            except subprocess.TimeoutExpired:
                self.serve.kill()
                out.print("[bold red]callvault serve did not stop and was killed.[/]")


def step(text: str) -> None:
    out.print(f"[bold cyan]▸[/] {text}")


def tell(demo: Demo, recording: str) -> None:
    people = "\n".join(
        f"  {name:8} {password}" for name, password in demo.passwords.items()
    )
    out.print(
        Panel(
            f"Open   [bold]http://{demo.web}/[/]\n"
            f"Call   http://{demo.web}/recordings/{recording}\n\n"
            f"Passwords, made for this demo and shown only here:\n{people}\n\n"
            "sam plays the call, olivia reads the audit trail, admin can do neither.\n"
            f"Everything lies in {demo.folder}; Ctrl-C stops it.",
            title="Callvault is serving",
            expand=False,
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after the checks")
    once = parser.parse_args().once
    folder = (
        Path(tempfile.mkdtemp(prefix="callvault-demo-")) if once else fresh_folder()
    )
    demo = Demo(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        step("Making an installation and starting its four processes")
        demo.start()
        step("Adding an administrator, a supervisor and a compliance officer")
        demo.add_people()
        step("A simulated PBX places a call: two parties, SRTP, in real time")
        recording = demo.place_call()
        step(f"Playing it back as the supervisor: {demo.play(recording)}")
        demo.refused(recording)
        step("An administrator asking for the same audio gets 404")
        step(f"Verifying the audit trail offline: {demo.verify()}")
        if not once:
            tell(demo, recording)
            demo.watch()
    except DemoFailedError as exc:
        out.print(f"[bold red]The demo failed:[/] {exc}", markup=True)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        demo.stop()
        if once:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def fresh_folder() -> Path:
    folder = ROOT / "var" / "demo"
    if folder.exists():
        if not (folder / MARK).exists():
            raise SystemExit(f"{folder} is not the demo's: move it away first")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700)
    (folder / MARK).touch()
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
