"""uvicorn as the processes run it: how it ends, and what it refuses to start with."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.simulators.ports import free_port

pytestmark = pytest.mark.network

SERVER = """
import asyncio, sys
from fastapi import FastAPI
from vault.config import Settings
from vault.core.errors import VaultError
from vault.serving import http

app = FastAPI()

@app.get("/slow")
async def slow():
    print("asked", flush=True)
    await asyncio.sleep(1)
    return "slow"

@app.get("/quick")
async def quick():
    return "quick"

async def drain():
    print("draining", flush=True)
    await asyncio.sleep(float(sys.argv[3]))

async def main():
    settings = Settings(data_dir=sys.argv[1], web_listen=sys.argv[2])
    await http.serve(
        app,
        settings,
        "web",
        started=lambda: print("ready", flush=True),
        drain=drain if sys.argv[3:] else None,
    )
    await asyncio.sleep(0)
    print("ended in order", flush=True)

try:
    asyncio.run(main())
except VaultError as exc:
    print(exc, flush=True)
    sys.exit(1)
"""


@contextmanager
def server(folder: Path, port: int, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder), f"127.0.0.1:{port}", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_called_serve_goes_on_after_the_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    with server(tmp_path, free_port()) as process:
        started = line(process)
        process.send_signal(number)
        ended, status = line(process), process.wait(30)

    assert ("ready", "ended in order", 0) == (started, ended, status)


def test_while_it_drains_it_answers_and_then_it_ends(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port, "1") as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        said = line(process)
        answer = httpx.get(f"http://127.0.0.1:{port}/quick", timeout=30)
        ended, status = line(process), process.wait(30)

    assert ("draining", 200, "ended in order", 0) == (
        said,
        answer.status_code,
        ended,
        status,
    )


def test_a_second_signal_ends_the_draining(tmp_path: Path) -> None:
    with server(tmp_path, free_port(), "600") as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert line(process) == "draining"
        process.send_signal(signal.SIGTERM)
        ended, status = line(process), process.wait(30)

    assert ("ended in order", 0) == (ended, status)


def test_an_answer_in_progress_is_finished(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port) as process, httpx.Client(timeout=30) as client:
        assert line(process) == "ready"
        with client.stream("GET", f"http://127.0.0.1:{port}/quick"):
            pass
        asked = socket.create_connection(("127.0.0.1", port))
        with asked:
            asked.sendall(b"GET /slow HTTP/1.1\r\nHost: vault\r\n\r\n")
            assert line(process) == "asked"
            process.send_signal(signal.SIGTERM)
            answer = b"".join(iter(lambda: asked.recv(4096), b""))
        status = process.wait(30)

    assert answer.endswith(b'"slow"')
    assert status == 0


def test_a_client_that_stays_connected_is_not_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port) as process:
        assert line(process) == "ready"
        with socket.create_connection(("127.0.0.1", port)) as silent:
            # Half a request: it is neither idle nor answered, and never will be.
            silent.sendall(b"GET /quick HTTP/1.1\r\nHos")
            process.send_signal(signal.SIGTERM)
            ended = line(process)

    assert ended == "ended in order"


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with server(tmp_path, port) as process:
            said, status = line(process), process.wait(30)

    assert said.startswith(f"web_listen 127.0.0.1:{port}: Address already in use")
    assert status == 1
