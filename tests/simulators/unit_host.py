"""A machine with users of its own, on which units run by hand (`service_sandbox`).

Its files lie in one folder that other users may enter; whatever it started is ended
when the block ends.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.simulators.service_sandbox import (
    REPOSITORY,
    Sandbox,
    foreign_python,
    missing,
)

WITHIN_S = 90.0
ANY_UID = 61990


@dataclass(slots=True, kw_only=True)
class UnitHost:
    """What runs on it, and where its files are."""

    python: str
    environment: Mapping[str, str]
    folder: Path
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def make_folder(self, name: str, uid: int, gid: int, mode: int = 0o700) -> Path:
        """Make a folder that belongs to *uid*."""
        made = self.folder / name
        made.mkdir(parents=True)
        made.chmod(mode)
        os.chown(made, uid, gid)
        return made

    def write(self, path: Path, text: str, uid: int, mode: int = 0o600) -> Path:
        """Write a file that belongs to *uid*."""
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, uid, uid)
        return path

    def operate(
        self, uid: int, environment: Mapping[str, str], *words: str, stdin: str = ""
    ) -> str:
        """Run a callvault command as *uid* outside of any unit, as `runuser -u`."""
        done = subprocess.run(
            [self.python, "-m", "vault", *words],
            env={**self.environment, **environment},
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=[],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def start(
        self, box: Sandbox, environment: Mapping[str, str], command: str
    ) -> "subprocess.Popen[bytes]":
        """Start ``callvault COMMAND`` in *box*; its log is ``COMMAND.log``."""
        with (self.folder / f"{command}.log").open("ab") as log:
            started = subprocess.Popen(
                box.command(self.python, "-m", "vault", command),
                env={**self.environment, **environment},
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o022,
            )
        self.running.append(started)
        return started

    def log(self, command: str) -> str:
        """Return what *command* logged."""
        return (self.folder / f"{command}.log").read_text(errors="replace")

    def eventually(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until *is_so*; else fail, with every log."""
        until = time.monotonic() + WITHIN_S
        while not is_so():
            ended = any(one.poll() is not None for one in self.running)
            if ended or time.monotonic() > until:
                logs = "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-3000:]}"
                    for path in sorted(self.folder.glob("*.log"))
                )
                pytest.fail(f"{what} never came\n{logs}")
            time.sleep(0.1)

    def stop(self, process: "subprocess.Popen[bytes]") -> int:
        """Ask *process* to end, as systemd does, and return its status."""
        self.running.remove(process)
        process.send_signal(signal.SIGTERM)
        return process.wait(WITHIN_S)


@contextmanager
def unit_host() -> Iterator[UnitHost]:
    """Yield a host, or skip the test with the reason."""
    if reason := missing():
        pytest.skip(f"units cannot be imitated here: {reason}")
    found = foreign_python(ANY_UID)
    if found is None:
        pytest.skip("another user can run no Python that has the vault's packages")
    # Not under pytest's own folder: that is root's alone.
    folder = Path(tempfile.mkdtemp(prefix="callvault-host-"))
    folder.chmod(0o755)
    made = UnitHost(python=found[0], environment=found[1], folder=folder)
    try:
        yield made
    finally:
        for process in reversed(made.running):
            process.terminate()
        for process in made.running:
            try:
                process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def answers(url: str) -> bool:
    """Return whether *url* answers 200."""
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def signed_in(web: str, user: str, password: str) -> httpx.Client:
    """Return a client of the API at *web* with a bearer session."""
    client = httpx.Client(base_url=f"http://{web}/api/v1", timeout=30)
    answer = client.post("/sessions", json={"user": user, "password": password})
    assert httpx.codes.CREATED == answer.status_code, answer.text
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client
