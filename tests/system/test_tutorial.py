"""The tutorial's commands, run as they are written, so that the page cannot rot."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.simulators.hearing import RATE_HZ, decoded, tone_hz
from tests.simulators.installation import END_STATES, ROOT, until
from tests.simulators.ports import free_port

pytestmark = [
    pytest.mark.network,
    pytest.mark.peer,
    pytest.mark.xdist_group("system-tutorial"),
    pytest.mark.timeout(300),
]

PAGE = ROOT / "docs" / "tutorial" / "record-your-first-call.md"
LEARNT = {8080: "WEB", 8081: "FORKS", 9090: "METRICS"}
STEPS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Followed:
    """Where a reader stands who did everything on the page."""

    folder: Path
    web: str
    said: str
    recording: str


@pytest.fixture(scope="module")
def followed() -> Iterator[Followed]:
    """Somebody who ran every command of the page, in one shell."""
    for program in ("bash", "curl", "ffmpeg"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not _is_set_up():
        pytest.skip("the .venv is not up to date: ./scripts/setup would change it")
    folder = Path(tempfile.mkdtemp(prefix="cv-"))
    for part in ROOT.iterdir():
        (folder / part.name).symlink_to(part)
    ports = {port: _free(port) for port in LEARNT}
    script = "\n".join(_with_ports(step, ports) for step in _steps())
    environment = _environment(folder, ports)
    try:
        done = _run(folder, script, environment)
        log = folder / "serve.log"
        assert done.returncode == 0, (done.stderr, log.read_text(errors="replace"))
        answer = json.loads((folder / "answer.json").read_text())
        yield Followed(
            folder=folder,
            web=f"http://127.0.0.1:{ports[8080]}/api/v1",
            said=done.stdout,
            recording=answer["id"],
        )
    finally:
        for pid in (folder / "serve.pid").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            until(lambda: not Path(f"/proc/{pid}").exists(), "serve has stopped")  # noqa: B023 - called at once
        shutil.rmtree(folder, ignore_errors=True)


def _is_set_up() -> bool:
    """Whether ``scripts/setup`` would find that there is nothing to do."""
    asked = ". scripts/bootstrap.sh; stamp"
    now = subprocess.run(
        ["/bin/sh", "-c", asked, str(ROOT / "scripts" / "setup")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    stamp = ROOT / ".venv" / ".stamp"
    return stamp.is_file() and stamp.read_text().strip() == now.stdout.strip()


def _steps() -> list[str]:
    steps = STEPS.findall(PAGE.read_text())
    assert len(steps) >= 7
    return steps


def _free(port: int) -> int:
    with socket.socket() as probe:
        return free_port() if probe.connect_ex(("127.0.0.1", port)) == 0 else port


def _with_ports(step: str, ports: dict[int, int]) -> str:
    for learnt, ours in ports.items():
        step = step.replace(f"127.0.0.1:{learnt}", f"127.0.0.1:{ours}")
    return step


def _environment(folder: Path, ports: dict[int, int]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CALLVAULT_")}
    listens = {
        f"CALLVAULT_{name}_LISTEN": f"127.0.0.1:{ports[learnt]}"
        for learnt, name in LEARNT.items()
        if ports[learnt] != learnt
    }
    return kept | listens | {"HOME": str(folder)}


def _run(
    folder: Path, script: str, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    # As a shell's job control would: its number is kept, so that it can be ended.
    started = "callvault serve &"
    assert script.count(started) == 1
    script = script.replace(started, "callvault serve > serve.log 2>&1 & echo $! > serve.pid; true")  # fmt: skip
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_call_is_counted_ended_and_verified_as_the_page_says(
    followed: Followed,
) -> None:
    counted = re.search(r'\{"id":"[^"]+","state".*?\]\}', followed.said)

    assert counted is not None
    for stream in json.loads(counted.group())["streams"]:
        assert stream["packets_received"] == stream["packets_authentic"] >= 395
        assert stream["packets_lost"] == 0
    assert re.search(r"204$", followed.said, re.MULTILINE)
    # Both verifiers, one after the other.
    verdicts = re.findall(r"^(OK|VERIFIED): ", followed.said, re.MULTILINE)
    assert ["OK", "VERIFIED"] == verdicts


def test_sam_hears_the_agent_left_and_the_customer_right(followed: Followed) -> None:
    with httpx.Client(base_url=followed.web, timeout=30) as sam:
        made = sam.post(
            "/sessions", json={"user": "sam", "password": "correct-horse-battery"}
        )
        sam.cookies.clear()
        sam.headers["Authorization"] = f"Bearer {made.json()['token']}"
        path = f"/recordings/{followed.recording}"
        until(lambda: sam.get(path).json()["state"] in END_STATES, "it is rendered")
        shown = sam.get(path).json()
        audio = decoded(sam.get(f"{path}/audio").content)

    assert "ready" == shown["state"]
    assert shown["duration_s"] == pytest.approx(8.0, abs=0.5)
    middle = audio[:, 2 * RATE_HZ : 4 * RATE_HZ]
    assert [440, 660] == [pytest.approx(tone_hz(side), abs=2) for side in middle]


def test_every_step_is_in_the_export_that_the_page_makes(followed: Followed) -> None:
    lines = (followed.folder / "trail.jsonl").read_text().splitlines()
    entries = [line["entry"] for line in map(json.loads, lines) if "entry" in line]

    actions = [entry["action"] for entry in entries]
    assert {
        "access.user.added",
        "access.device.added",
        "recording.started",
        "recording.captured",
        "audit.trail.exported",
    } <= set(actions)
    assert actions.count("access.user.added") == 2
