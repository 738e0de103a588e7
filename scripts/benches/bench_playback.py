"""What listening costs: the real web application against a plain file.

A child process serves the web application (sign-in, grant, warden with a real log,
chunk-wise decryption) and, beside it, the same octets as a plain file by FastAPI's
``FileResponse``.  The client here reads whole recordings and spans of 64 KiB over one
kept connection, the variants taking turns; CPU is what the kernel charges the server
process.  *First octet* is timed by the client: with a new grant (one durable leaf)
and within a listening session that has one.
"""

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SPAN = 64 * 1024
SECONDS = 600


def serve(folder: Path) -> None:
    """Be the server: say where, then serve until standard input ends."""
    import structlog  # noqa: PLC0415 - only the child needs the web application
    from fastapi import FastAPI  # noqa: PLC0415
    from fastapi.responses import FileResponse  # noqa: PLC0415

    from tests.simulators.web_server import serving  # noqa: PLC0415
    from tests.simulators.web_vault import PASSWORD, Call, running  # noqa: PLC0415
    from vault.edge.config import EdgeConfig  # noqa: PLC0415
    from vault.web.config import WebConfig  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    plain = FastAPI()
    file = folder / "plain.flac"

    @plain.get("/plain")
    def _plain() -> FileResponse:
        return FileResponse(file, media_type="audio/flac")

    # All requests come from one address here: its limit is not what is measured.
    unlimited = WebConfig(
        edge=EdgeConfig(requests_per_minute=10**7),
        actor_requests_per_minute=10**7,
    )
    with running(folder, unlimited) as vault:
        vault.crew()
        recordings = [vault.record(Call(seconds=SECONDS)) for _ in range(12)]
        file.write_bytes(vault.audio(SECONDS))
        with serving(vault.app()) as port, serving(plain) as plain_port:
            said = {"port": port, "plain": plain_port, "recordings": recordings}
            print(json.dumps({**said, "password": PASSWORD}), flush=True)
            sys.stdin.read()


class Peer:
    """One kept connection to one server."""

    def __init__(self, port: int, pid: int, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = headers
        self._pid = pid

    def get(self, path: str, span: tuple[int, int] | None = None) -> tuple[int, float]:
        """Return octets read and seconds until the first of them."""
        headers = dict(self._headers)
        if span:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        started = time.perf_counter()
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        first = answer.read(1)
        first_s = time.perf_counter() - started
        octets = len(first) + len(answer.read())
        if answer.status not in {200, 206}:
            raise SystemExit(f"{path}: {answer.status}")
        return octets, first_s

    def cost(self, work: Callable[[], object]) -> tuple[float, float]:
        """Return the server's CPU and the wall time of *work*, in seconds."""
        # The server closes a connection that idled while the other one was measured.
        self._connection.close()
        cpu, wall = self._cpu_s(), time.perf_counter()
        work()
        wall = time.perf_counter() - wall
        return self._cpu_s() - cpu, wall

    def _cpu_s(self) -> float:
        # The CPU clock of another process, threads that ended included
        # (clock_getcpuclockid(3), which Python does not offer).
        return time.clock_gettime(~self._pid << 3 | 2)


def sign_in(port: int, password: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"user": "ada", "password": password})
    connection.request(
        "POST", "/api/v1/sessions", body, {"Content-Type": "application/json"}
    )
    token: str = json.loads(connection.getresponse().read())["token"]
    return token


def main(*, quick: bool) -> None:
    rounds, spans = (3, 50) if quick else (9, 300)
    with tempfile.TemporaryDirectory() as name:
        child = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            said = json.loads(child.stdout.readline())
            measure(said, child.pid, rounds=rounds, spans=spans)
        finally:
            child.stdin.close()
            child.wait(timeout=60)


def measure(said: dict, pid: int, *, rounds: int, spans: int) -> None:
    token = sign_in(said["port"], said["password"])
    vault = Peer(said["port"], pid, {"Authorization": f"Bearer {token}"})
    plain = Peer(said["plain"], pid, {})
    paths = [f"/api/v1/recordings/{each}/audio" for each in said["recordings"]]
    size, _ = plain.get("/plain")
    params = {"size_bytes": size, "rounds": rounds}
    new = [vault.get(path, (0, 2))[1] for path in paths]
    held = [vault.get(path, (0, 2))[1] for path in paths]
    files = [plain.get("/plain", (0, 2))[1] for _ in paths]
    say("first_octet_new_grant", statistics.median(new) * 1000, "ms", params)
    against(
        "first_octet",
        "ms",
        1000,
        params,
        statistics.median(held),
        statistics.median(files),
    )
    whole(vault, plain, paths[0], size, rounds, params)
    ranges(vault, plain, paths[0], size, rounds, {**params, "ranges": spans})


def whole(
    vault: Peer, plain: Peer, path: str, size: int, rounds: int, params: dict
) -> None:
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(vault.cost(lambda: vault.get(path)))
        theirs.append(plain.cost(lambda: plain.get("/plain")))
    wall_s = statistics.median(wall for _, wall in ours)
    say("full_throughput", size / wall_s / 1e6, "MB/s", params)
    cpu, plain_cpu = (statistics.median(c for c, _ in each) for each in (ours, theirs))
    against("full_cpu", "ms CPU", 1000, params, cpu, plain_cpu)


def ranges(
    vault: Peer, plain: Peer, path: str, size: int, rounds: int, params: dict
) -> None:
    chance = random.Random(7)  # noqa: S311 - the same spans in every run
    starts = chance.choices(range(size - SPAN), k=params["ranges"])

    def read(peer: Peer, path: str) -> None:
        for start in starts:
            peer.get(path, (start, start + SPAN))

    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(vault.cost(lambda: read(vault, path)))
        theirs.append(plain.cost(lambda: read(plain, "/plain")))
    count = len(starts)
    wall_s = statistics.median(wall for _, wall in ours)
    say("range_throughput", count * SPAN / wall_s / 1e6, "MB/s", params)
    cpu, plain_cpu = (statistics.median(c for c, _ in each) for each in (ours, theirs))
    against("range_cpu", "ms CPU", 1000, params, cpu / count, plain_cpu / count)


def against(
    metric: str, unit: str, scale: float, params: dict, ours: float, theirs: float
) -> None:
    ratio = round(ours / theirs, 3)
    say(metric, ours * scale, unit, params, against="fileresponse", ratio=ratio)


def say(metric: str, value: float, unit: str, params: dict, **more: object) -> None:
    line = {"bench": "playback", "metric": metric, "value": round(value, 3)}
    print(json.dumps({**line, "unit": unit, "params": params, **more}), flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    if "--serve" in sys.argv:
        serve(Path(sys.argv[-1]))
    else:
        main(quick="--quick" in sys.argv)
