"""The fork API on a real port, in front of a real tap: what a PBX sees."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.simulators.raw_http import answers_in, raw, smuggled, status_of
from tests.simulators.recorder import LEGACY, LEGACY_TOKEN, OTHER_TOKEN, TOKEN, World
from tests.simulators.web_server import MANY, serving
from vault.core.flow import NOTHING_ALLOWED
from vault.core.media import SrtpSuite
from vault.core.prefixes import AddressLists, Prefixes
from vault.edge.config import EdgeConfig
from vault.forks.app import create_forks_app
from vault.serving.http import Announced, http_config
from vault.serving.listener import CountedListener
from vault.tap.simulate import SimulatedCall

_FORKS = "/api/v1/forks"


@dataclass
class Running:
    world: World
    client: httpx.Client


@pytest.fixture
def tap(tmp_path: Path) -> Iterator[Running]:
    world = World(tmp_path)
    listener = CountedListener.bound("127.0.0.1", 0, MANY)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended = threading.Event()

    async def serve() -> None:
        async with world.tap() as service:
            app = create_forks_app(service.desk, world.directory)
            server = Announced(http_config(app), lambda: None)
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


EDGE = EdgeConfig(
    requests_per_minute=10**6,
    max_body_bytes=None,
    trusted_proxies=("127.0.0.1",),
    deny=("203.0.113.0/24",),
)
RULES = AddressLists(deny=Prefixes.parse(["198.51.100.66"]))
FOLLOWER = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a tap that takes no call: what is refused gets no further."""
    world = World(tmp_path_factory.mktemp("tap"))
    desk = world.service().desk
    app = create_forks_app(desk, world.directory, edge=EDGE, rules=lambda: RULES)
    with serving(app) as port:
        yield port


@pytest.fixture(scope="module")
def asking(port: int) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize("name", sorted(smuggled()))
def test_h9_what_two_readers_could_part_in_two_ways_is_one_400(
    port: int, name: str
) -> None:
    answer = raw(port, smuggled()[name] + FOLLOWER)

    assert answers_in(answer) <= 1
    # What nobody reads may be answered with a reset alone.
    assert status_of(answer) in {400, 0}


@pytest.mark.parametrize("host", ["example.com/?", "a@b", "a b", "[::1", ""])
def test_h10_a_host_that_is_none_is_400(port: int, host: str) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"

    assert 400 == status_of(raw(port, request.encode()))


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("192.0.2.7", 200),
        ("203.0.113.9", 403),
        ("192.0.2.7, 203.0.113.9", 403),
        ("203.0.113.9, 192.0.2.7", 200),
        ("198.51.100.66", 403),
        ("::ffff:198.51.100.66", 403),
        ("0xcb007109", 400),
    ],
)
def test_h11_settings_and_rules_are_about_whom_the_proxy_saw(
    asking: httpx.Client, forwarded: str, status: int
) -> None:
    answer = asking.get("/healthz", headers={"X-Forwarded-For": forwarded})

    assert status == answer.status_code
    if status == 403:
        assert "/problems/address-refused" == answer.json()["type"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000, b'{"sdp":' * 30_000, b'{"sdp": NaN}', b'{"sdp": 1e999}',
        b'{"sdp": "a", "sdp": "b"}', b'{"sdp": "\\ud800"}', b"9" * 200_000,
        b'{"sdp": "a", "more": 1}', b'{"sdp": 1}', b"", b"null", b"\xff",
        b'"' + b'\\"' * 120_000,
    ],
    ids=range(13),
)  # fmt: skip
def test_h12_json_that_is_a_trick_is_422(asking: httpx.Client, body: bytes) -> None:
    assert 422 == asking.post(_FORKS, content=body).status_code


@pytest.mark.parametrize("octets", [262_145, 10**9])
def test_h12_a_huge_body_is_413(asking: httpx.Client, octets: int) -> None:
    head = (
        f"POST {_FORKS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {octets}\r\n\r\n"
    )
    port = asking.base_url.port
    assert port is not None
    answer = raw(port, head.encode() + b" " * 262_145, finished=False)

    assert status_of(answer) in {413, 0}


@pytest.mark.parametrize("method", ["TRACE", "BREW", "OPTIONS", "HEAD"])
def test_h19_another_method_is_405(asking: httpx.Client, method: str) -> None:
    answer = asking.request(method, _FORKS)

    assert 405 == answer.status_code


@pytest.mark.parametrize(
    "id", ["%2e%2e", "..%2f..", "%00", "A" * 36, "urn:uuid:x", "*", "1;x"]
)
def test_h2_what_is_no_id_is_answered_like_one_that_never_was(
    asking: httpx.Client, id: str
) -> None:
    missing = asking.get(f"{_FORKS}/11111111-1111-4111-8111-111111111111")
    found = asking.get(f"{_FORKS}/{id}")

    assert (404, missing.content) == (found.status_code, found.content)


def test_h17_no_answer_is_kept_or_framed(asking: httpx.Client) -> None:
    headers = asking.get("/healthz").headers

    assert "no-store" == headers["cache-control"]
    assert (
        "default-src 'none'; frame-ancestors 'none'"
        == headers["content-security-policy"]
    )
