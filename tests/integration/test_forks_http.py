"""The fork API on a real port, in front of a real tap: what a PBX sees."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.simulators.recorder import LEGACY, LEGACY_TOKEN, OTHER_TOKEN, TOKEN, World
from vault.core.flow import NOTHING_ALLOWED
from vault.core.media import SrtpSuite
from vault.forks.app import create_forks_app
from vault.tap.simulate import SimulatedCall

_FORKS = "/api/v1/forks"


@dataclass
class Running:
    world: World
    client: httpx.Client


@pytest.fixture
def tap(tmp_path: Path) -> Iterator[Running]:
    world = World(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended = threading.Event()

    async def serve() -> None:
        async with world.tap() as service:
            app = create_forks_app(service.desk, world.directory)
            config = uvicorn.Config(app, log_config=None, lifespan="off")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.to_thread(ended.wait)
            server.should_exit = True
            await serving

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            _wait_for(client)
            yield Running(world, client)
    finally:
        ended.set()
        thread.join()
        listener.close()


def _wait_for(client: httpx.Client) -> None:
    limit_s = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/healthz", timeout=1).status_code == 200:
                return
        assert time.monotonic() < limit_s


def test_a_call_from_post_to_final_state(tap: Running) -> None:
    call = SimulatedCall(seconds=0.5)
    opened = tap.client.post(
        _FORKS,
        json={"sdp": call.build_offer(), "call": {"id": "c1", "workgroup": "sales"}},
    )
    path = opened.headers["location"]
    call.send(opened.json()["sdp"])
    running = tap.client.get(path).json()
    ended = tap.client.delete(path)
    final = tap.client.get(path).json()

    assert (201, f"{_FORKS}/{opened.json()['id']}") == (opened.status_code, path)
    assert ("recording", ["agent", "customer"]) == (
        running["state"],
        [stream["label"] for stream in running["streams"]],
    )
    assert (204, b"") == (ended.status_code, ended.content)
    assert ("captured", None, [25, 25]) == (
        final["state"],
        final["reason"],
        [stream["packets_authentic"] for stream in final["streams"]],
    )
    assert 204 == tap.client.delete(path).status_code
    assert 409 == tap.client.put(path, json={"sdp": call.build_offer()}).status_code


def test_a_suite_that_is_refused_and_sdp_that_is_none_name_their_line(
    tap: Running,
) -> None:
    offer = SimulatedCall(seconds=0.1).build_offer()
    weak = tap.client.post(
        _FORKS, json={"sdp": offer.replace("HMAC_SHA1_80", "HMAC_SHA1_32")}
    )
    broken = tap.client.post(_FORKS, json={"sdp": offer.replace("t=0 0", "nonsense")})

    assert (422, "/problems/unsupported-offer", 10) == (
        weak.status_code,
        weak.json()["type"],
        weak.json()["line"],
    )
    assert (400, "/problems/malformed-sdp", 5) == (
        broken.status_code,
        broken.json()["type"],
        broken.json()["line"],
    )


def test_what_is_unsafe_is_taken_from_whom_it_is_allowed_to_and_as_long(
    tap: Running,
) -> None:
    call = SimulatedCall(suite=SrtpSuite.PLAIN_RTP, seconds=0.3)
    body = {"sdp": call.build_offer()}
    refused = tap.client.post(_FORKS, json=body)
    legacy = {"Authorization": f"Bearer {LEGACY_TOKEN}"}
    opened = tap.client.post(_FORKS, json=body, headers=legacy)
    path = opened.headers["location"]
    tap.world.directory.legacy = replace(LEGACY, allowances=NOTHING_ALLOWED)
    later = tap.client.post(_FORKS, json=body, headers=legacy)
    renewed = tap.client.put(path, json=body, headers=legacy)
    call.send(opened.json()["sdp"])
    tap.client.delete(path, headers=legacy)
    final = tap.client.get(path, headers=legacy).json()

    for answer in (refused, later, renewed):
        assert (422, "/problems/unsupported-offer", 6) == (
            answer.status_code,
            answer.json()["type"],
            answer.json()["line"],
        )
        assert "callvault device allow NAME plain-rtp" in answer.json()["detail"]
    assert 201 == opened.status_code
    assert [("PLAIN_RTP", 15), ("PLAIN_RTP", 15)] == [
        (stream["suite"], stream["packets_authentic"]) for stream in final["streams"]
    ]


@pytest.mark.parametrize("mki", ["|1:0", "|1:129", "|256:1", ";inline:AAAA"])
def test_keys_that_are_named_badly_are_refused_with_their_line(
    tap: Running, mki: str
) -> None:
    offer = SimulatedCall(seconds=0.1).build_offer()
    crypto = next(text for text in offer.split("\r\n") if "a=crypto" in text)
    answer = tap.client.post(_FORKS, json={"sdp": offer.replace(crypto, crypto + mki)})

    assert (400, "/problems/malformed-sdp") == (
        answer.status_code,
        answer.json()["type"],
    )
    assert offer.split("\r\n").index(crypto) + 1 == answer.json()["line"]


def test_another_device_sees_nothing_of_a_fork(tap: Running) -> None:
    opened = tap.client.post(
        _FORKS, json={"sdp": SimulatedCall(seconds=0.1).build_offer()}
    )
    path = opened.headers["location"]
    other = {"Authorization": f"Bearer {OTHER_TOKEN}"}

    assert [404, 404, 404] == [
        tap.client.request(method, path, headers=other, json=body).status_code
        for method, body in (
            ("GET", None),
            ("DELETE", None),
            ("PATCH", {"state": "paused"}),
        )
    ]
    assert 200 == tap.client.get(path).status_code


def test_with_no_recipient_key_a_call_is_refused_with_503(tap: Running) -> None:
    tap.world.directory.has_keys = False
    answer = tap.client.post(
        _FORKS, json={"sdp": SimulatedCall(seconds=0.1).build_offer()}
    )

    assert (503, "/problems/no-recipient-key") == (
        answer.status_code,
        answer.json()["type"],
    )
    assert int(answer.headers["retry-after"]) > 0
