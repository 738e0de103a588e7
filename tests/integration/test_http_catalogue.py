"""The HTTP catalogue (H rows of the threat research) against the port that is shipped.

Rows that a unit test shows alone are named there: H11 in `tests/unit/edge`.
"""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
import pytest
import structlog

from tests.simulators.raw_http import answers_in, raw, smuggled, status_of
from tests.simulators.web_server import serving
from tests.simulators.web_vault import PASSWORD, Call, WebVault, running
from vault.core.ids import new_recording_id
from vault.edge import bodies
from vault.edge.config import EdgeConfig
from vault.serving import protocol
from vault.serving.listener import ConnectionLimits
from vault.web.config import WebConfig
from vault.web.edge import EVENT_REQUEST
from vault.web.identity import COOKIE, CSRF_HEADER
from vault.web.views import STATIC

pytestmark = pytest.mark.network

PATIENT = EdgeConfig(
    requests_per_minute=10**6,
    spares_loopback=True,
    trusted_proxies=("127.0.0.1",),
    deny=("203.0.113.0/24",),
)
FOLLOWER = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# httptools as it comes takes these for what they are; the shipped port does not.
LENIENT = {"absolute-form", "two-spaces", "line-first", "chunk-extension"}


@dataclass
class Running:
    vault: WebVault
    port: int
    client: httpx.Client
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **named: object) -> httpx.Response:
        """Ask as ada, a supervisor."""
        return self.ask_as("ada", method, path, **named)

    def ask_as(
        self, name: str, method: str, path: str, **named: object
    ) -> httpx.Response:
        headers = dict(named.pop("headers", {}))  # type: ignore[call-overload]
        headers["Authorization"] = f"Bearer {self.token(name)}"
        return self.client.request(method, path, headers=headers, **named)  # type: ignore[arg-type]

    def token(self, name: str) -> str:
        if name not in self.tokens:
            body = {"user": name, "password": PASSWORD}
            answer = self.client.post("/api/v1/sessions", json=body)
            self.client.cookies.clear()
            self.tokens[name] = answer.json()["token"]
        return self.tokens[name]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    config = WebConfig(edge=PATIENT, actor_requests_per_minute=10**6)
    with running(tmp_path_factory.mktemp("vault"), config) as vault:
        vault.crew()
        yield vault


@pytest.fixture(scope="module")
def served(vault: WebVault) -> Iterator[Running]:
    with (
        serving(vault.app()) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        yield Running(vault, port, client)


@pytest.fixture(scope="module")
def recording(vault: WebVault) -> str:
    return vault.record(Call(seconds=4.0))


@pytest.fixture(scope="module")
def browser(served: Running) -> Iterator[httpx.Client]:
    body = {"user": "ada", "password": PASSWORD}
    answer = served.client.post(
        "/api/v1/sessions", json=body, headers={"Sec-Fetch-Site": "same-origin"}
    )
    served.client.cookies.clear()
    secret = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    headers = {"Cookie": f"{COOKIE}={secret}"}
    with httpx.Client(base_url=served.client.base_url, headers=headers) as client:
        client.params = httpx.QueryParams()
        client.headers[CSRF_HEADER] = answer.json()["csrf"]
        yield client


@pytest.fixture(scope="module", params=["h11", "httptools"])
def parser(request: pytest.FixtureRequest) -> str:
    parser: str = request.param
    return parser


@pytest.fixture(scope="module")
def port(vault: WebVault, parser: Literal["h11", "httptools"]) -> Iterator[int]:
    with serving(vault.app(), parser=parser) as port:
        yield port


class TestH1Ranges:
    @pytest.mark.parametrize(
        ("ranges", "status", "length"),
        [
            (["bytes=0-0"], 206, 1),
            (["bytes=0-1"], 206, 2),
            (["bytes=-5"], 206, 5),
            (["bytes=-0"], 416, None),
            (["bytes=999999999-"], 416, None),
            (["bytes=999999999-9999999999"], 416, None),
            (["bytes=5-2"], 200, "all"),
            (["bytes=0-1,4-5"], 200, "all"),
            (["bytes=" + ",".join(["0-0"] * 2000)], 200, "all"),
            (["bytes=" + ",".join(["0-0"] * 20_000)], 400, None),
            (["bytes=1_0-2_0"], 200, "all"),
            (["bytes=\u0661-\u0662"], 200, "all"),
            (["bytes=+1-2"], 200, "all"),
            (["bytes= 1-2"], 200, "all"),
            (["bytes=" + "9" * 20 + "-"], 200, "all"),
            (["octets=0-1"], 200, "all"),
            (["bytes=0-1", "bytes=0-1"], 200, "all"),
            (["bytes=0-1\t"], 206, 2),
        ],
        ids=lambda value: str(value)[:24],
    )
    def test_h1_a_range_is_one_sound_range_or_none(
        self,
        served: Running,
        recording: str,
        ranges: list[str],
        status: int,
        length: int | Literal["all"] | None,
    ) -> None:
        path = f"/api/v1/recordings/{recording}/audio"
        whole = served.vault.audio(4.0)
        fields = b"".join(b"Range: %s\r\n" % one.encode() for one in ranges)
        answer = raw(
            served.port,
            f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            f"Authorization: Bearer {served.token('ada')}\r\n".encode()
            + fields
            + b"\r\n",
            finished=False,
        )
        body = answer.partition(b"\r\n\r\n")[2]

        if status_of(answer) == 416 and status == 200:
            # Twenty digits are a range for those who count so far.
            assert "9" * 20 in ranges[0]
            return
        assert status == status_of(answer)
        if length is not None:
            assert (len(whole) if length == "all" else length) == len(body)

    def test_h1_a_stale_validator_gets_all_of_it(
        self, served: Running, recording: str
    ) -> None:
        answer = served.ask(
            "GET",
            f"/api/v1/recordings/{recording}/audio",
            headers={"Range": "bytes=0-1", "If-Range": '"stale"'},
        )

        assert (200, served.vault.audio(4.0)) == (answer.status_code, answer.content)


class TestH2Paths:
    TRICKS = (
        "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%252e%252e%252f", "%00", "a%00",
        "..\\..\\", "%5c..%5c", "{id}.", "{id}%20", "{id}%00", "{id}%0a", "{upper}",
        "{braces}", "urn:uuid:{id}", "{bare}", "{id};x", "{id}%2f", "%c0%ae%c0%ae",
        "{v1}", "*", "1", "null", "-1", "\u2025",
    )  # fmt: skip

    @pytest.mark.parametrize("part", ["", "/audio", "/peaks", "/capture"])
    @pytest.mark.parametrize("trick", TRICKS)
    def test_h2_what_is_no_id_is_answered_like_one_that_never_was(
        self, served: Running, recording: str, trick: str, part: str
    ) -> None:
        named = trick.format(
            id=recording,
            upper=recording.upper(),
            braces="{" + recording + "}",
            bare=recording.replace("-", ""),
            v1="00000000-0000-1000-8000-000000000000",
        )
        path = f"/api/v1/recordings/{named}{part}".encode()
        authorization = f"Authorization: Bearer {served.token('ada')}\r\n".encode()
        head = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + authorization
        answer = raw(served.port, b"GET " + path + head + b"\r\n", finished=False)
        missing = served.ask("GET", f"/api/v1/recordings/{new_recording_id()}{part}")

        if not path.isascii():
            assert 400 == status_of(answer)
            return
        assert (404, missing.content) == (
            status_of(answer),
            answer.partition(b"\r\n\r\n")[2],
        )

    @pytest.mark.parametrize(
        "path",
        [
            "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py",
            "/static/dist/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static/%00",
            "/static//etc/passwd", "/static/dist", "/static/..\\app.py",
        ],
    )  # fmt: skip
    def test_h2_nothing_but_the_bundle_is_served_from_disk(
        self, served: Running, path: str
    ) -> None:
        head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = raw(served.port, head.encode(), finished=False)

        assert status_of(answer) in {400, 404}
        assert b"root:" not in answer


class TestH6CrossSite:
    """A browser of ada's, led by somebody else's page."""

    def test_h6_the_page_itself_may_ask(
        self, browser: httpx.Client, recording: str
    ) -> None:
        answer = browser.post(
            f"/api/v1/recordings/{recording}/grants",
            json={},
            headers={"Sec-Fetch-Site": "same-origin"},
        )

        assert 201 == answer.status_code

    @pytest.mark.parametrize(
        ("changed", "kind"),
        [
            ({"Sec-Fetch-Site": "cross-site"}, "application/json"),
            ({"Sec-Fetch-Site": "same-site"}, "application/json"),
            ({"Sec-Fetch-Site": "none"}, "application/json"),
            ({"Sec-Fetch-Site": "Same-Origin, cross-site"}, "application/json"),
            ({"Sec-Fetch-Site": "cross-site"}, "text/plain"),
            (
                {"Sec-Fetch-Site": "cross-site"},
                "application/x-www-form-urlencoded",
            ),
            ({"Sec-Fetch-Site": "cross-site"}, "multipart/form-data; boundary=x"),
            ({"Origin": "null"}, "application/json"),
            ({"Origin": "https://evil.test"}, "application/json"),
            ({"Origin": "http://sub.127.0.0.1"}, "application/json"),
            ({"Origin": "http://127.0.0.1"}, "application/json"),
            ({"Origin": "http://127.0.0.1:1@evil.test"}, "application/json"),
            ({CSRF_HEADER: ""}, "application/json"),
            ({CSRF_HEADER: "x" * 43}, "application/json"),
            ({CSRF_HEADER: "", "Sec-Fetch-Site": "same-origin"}, "text/plain"),
        ],
    )
    def test_h6_nobody_else_may(
        self,
        browser: httpx.Client,
        recording: str,
        changed: dict[str, str],
        kind: str,
    ) -> None:
        answer = browser.post(
            f"/api/v1/recordings/{recording}/grants",
            content=b"{}",
            headers={"Content-Type": kind} | changed,
        )

        assert 403 == answer.status_code

    @pytest.mark.parametrize(
        "kind",
        ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "*/*"],
    )
    def test_h6_what_is_not_said_to_be_json_is_415(
        self, served: Running, kind: str
    ) -> None:
        answer = served.client.post(
            "/api/v1/sessions", content=b"{}", headers={"Content-Type": kind}
        )

        assert 415 == answer.status_code

    @pytest.mark.parametrize("mode", ["no-cors", "cors", "websocket"])
    def test_h6_no_other_site_loads_a_part_of_ours(
        self, browser: httpx.Client, mode: str
    ) -> None:
        answer = browser.get(
            "/recordings",
            headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode},
        )

        assert 403 == answer.status_code


class TestH9Framing:
    @pytest.mark.parametrize("name", sorted(smuggled()))
    def test_h9_what_two_readers_could_part_in_two_ways_is_one_400(
        self, port: int, parser: str, name: str
    ) -> None:
        answer = raw(port, smuggled()[name] + FOLLOWER)

        if parser == "httptools" and name in LENIENT:
            assert answers_in(answer) <= 2
            return
        assert answers_in(answer) <= 1
        # What nobody reads may be answered with a reset alone.
        assert status_of(answer) in {400, 0}

    def test_h9_nothing_that_follows_a_refusal_is_answered(self, port: int) -> None:
        answer = raw(port, FOLLOWER.replace(b"Host: a", b"Host: a/") + FOLLOWER * 10)

        assert (400, 1) == (status_of(answer), answers_in(answer))
        assert b"connection: close" in answer.lower()

    def test_h9_sound_requests_in_one_go_are_answered_one_by_one(
        self, port: int
    ) -> None:
        sound = FOLLOWER.replace(b"Connection: close\r\n", b"")
        answer = raw(port, sound * 4 + FOLLOWER, finished=False)

        assert 5 == answers_in(answer) == answer.count(b"HTTP/1.1 200 OK")

    def test_h9_sound_chunks_are_a_body(self, port: int) -> None:
        body = b'{"user": "nobody", "password": "x"}'
        chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in body) + b"0\r\n\r\n"
        head = (
            b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

        assert 401 == status_of(raw(port, head + chunks, finished=False))


class TestH10Host:
    @pytest.mark.parametrize(
        "host",
        [
            "example.com/?", "example.com/", "a?b", "a#b", "a@b", "user:pw@127.0.0.1",
            "a b", "a,b", "127.0.0.1:8080:8080", "[::1", "a\\b", "%2e", "a;b", "a\tb",
        ],
    )  # fmt: skip
    def test_h10_a_host_that_is_none_is_400(self, served: Running, host: str) -> None:
        request = f"GET /api/v1/recordings HTTP/1.1\r\nHost: {host}\r\n\r\n"

        assert 400 == status_of(raw(served.port, request.encode()))

    @pytest.mark.parametrize("host", ["localhost", "evil.test", "127.0.0.1", "[::1]:1"])
    def test_h10_no_host_opens_anything_and_none_comes_back(
        self, served: Running, host: str
    ) -> None:
        closed = served.client.get("/api/v1/recordings", headers={"Host": host})
        page = served.client.get("/recordings", headers={"Host": host})

        assert (401, 303) == (closed.status_code, page.status_code)
        assert "/sign-in?next=/recordings" == page.headers["location"]
        assert host not in closed.text + page.text


class TestH11Proxies:
    """127.0.0.1 is trusted here, and 203.0.113.0/24 is shut out."""

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"X-Forwarded-For": "203.0.113.9"}, 403),
            ({"X-Forwarded-For": "198.51.100.9"}, 200),
            ({"X-Forwarded-For": "198.51.100.9, 203.0.113.9"}, 403),
            ({"X-Forwarded-For": "203.0.113.9, 198.51.100.9"}, 200),
            ({"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}, 403),
            ({"X-Forwarded-For": "::ffff:203.0.113.9"}, 403),
            ({"X-Forwarded-For": "[::ffff:cb00:7109]:443"}, 403),
            ({"X-Forwarded-For": "203.0.113.9:443"}, 403),
            ({"X-Forwarded-For": "0313.0.113.9"}, 400),
            ({"X-Forwarded-For": "0xcb007109"}, 400),
            ({"X-Forwarded-For": "unknown"}, 400),
            ({"X-Forwarded-For": ", ".join(["127.0.0.1"] * 11)}, 400),
            ({"Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}, 200),
        ],
    )
    def test_h11_the_hop_that_a_trusted_proxy_saw_is_who_comes(
        self, served: Running, headers: dict[str, str], status: int
    ) -> None:
        assert status == served.client.get("/healthz", headers=headers).status_code

    def test_h11_the_trail_says_that_hop(self, served: Running) -> None:
        served.client.post(
            "/api/v1/sessions",
            json={"user": "ada", "password": "wrong"},
            headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.33"},
        )

        assert "198.51.100.33" == served.vault.leaves()[-1]["origin"]

    def test_h11_only_a_trusted_proxy_makes_browsers_stay_with_tls(
        self, served: Running
    ) -> None:
        told = served.client.get("/healthz", headers={"X-Forwarded-Proto": "https"})

        assert "strict-transport-security" in told.headers
        assert "strict-transport-security" not in served.client.get("/healthz").headers


def resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


SIGN_IN = b'{"user": "nobody", "password": %s}'
BODIES = {
    "60-thousand-deep": b"[" * 60_000,
    "deep-objects": b'{"a":' * 10_000,
    "many-keys": b"{" + b",".join(b'"%d":1' % n for n in range(6000)) + b"}",
    "nan": SIGN_IN % b"NaN",
    "infinity": SIGN_IN % b"-Infinity",
    "overflow": SIGN_IN % b"1e999",
    "big-integer": SIGN_IN % (b"9" * 60_000),
    "twice": b'{"user": "nobody", "user": "ada", "password": "x"}',
    "half-a-pair": SIGN_IN % b'"\\ud800"',
    "utf-16": '{"user": "nobody", "password": "x"}'.encode("utf-16"),
    "quotes": b'"' + b'\\"' * 32_000,
    "nothing": b"",
    "gzip": b"\x1f\x8b\x08" + b"\0" * 60_000,
}


class TestH12Bodies:
    @pytest.mark.parametrize("name", sorted(BODIES))
    def test_h12_json_that_is_a_trick_is_422(self, served: Running, name: str) -> None:
        before = resident_mib()
        for _ in range(3):
            answer = served.client.post(
                "/api/v1/sessions",
                content=BODIES[name],
                headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
                if name == "gzip"
                else {"Content-Type": "application/json"},
            )

            assert 422 == answer.status_code
        assert resident_mib() - before < 20

    @pytest.mark.parametrize("octets", [65_537, 10**6, 10**9, 10**11])
    def test_h12_a_huge_body_is_refused_before_it_comes(
        self, served: Running, octets: int
    ) -> None:
        head = (
            "POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\n"
            f"Content-Type: application/json\r\nContent-Length: {octets}\r\n\r\n"
        )

        assert 413 == status_of(raw(served.port, head.encode(), finished=False))

    def test_h12_so_are_chunks_that_do_not_end(self, served: Running) -> None:
        head = (
            b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        before = resident_mib()
        answer = raw(served.port, head + (b"1000\r\n" + b"[" * 4096 + b"\r\n") * 1000)

        assert status_of(answer) in {413, 0}
        assert resident_mib() - before < 20

    def test_h12_a_body_octet_by_octet_ends_with_408(
        self, vault: WebVault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bodies, "MAX_BODY_WAIT_S", 0.2)
        head = (
            b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/json\r\nContent-Length: 40\r\n\r\n"
        )
        with serving(vault.app()) as port:
            answer = raw(port, head + b'{"user": ', finished=False)

        assert 408 == status_of(answer)

    @pytest.mark.parametrize("octets", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
    def test_h12_a_head_that_does_not_end_ends_the_connection(
        self, vault: WebVault, monkeypatch: pytest.MonkeyPatch, octets: bytes
    ) -> None:
        monkeypatch.setattr(protocol, "MAX_HEAD_WAIT_S", 0.2)
        with serving(vault.app()) as port:
            assert b"" == raw(port, octets, finished=False)

    def test_h12_an_answer_that_nobody_reads_ends(
        self, vault: WebVault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "MAX_STALL_S", 0.3)
        id = vault.record(Call(seconds=1500))
        body = {"user": "ada", "password": PASSWORD}
        with serving(vault.app()) as port, socket.socket() as peer:
            opened = httpx.post(f"http://127.0.0.1:{port}/api/v1/sessions", json=body)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", port))
            peer.settimeout(20)
            peer.sendall(
                f"GET /api/v1/recordings/{id}/audio HTTP/1.1\r\nHost: a\r\n"
                f"Authorization: Bearer {opened.json()['token']}\r\n\r\n".encode()
            )
            # Nothing is read until long after the vault has given it up.
            threading.Event().wait(1.5)
            found = 0
            with suppress(ConnectionResetError):
                while octets := peer.recv(65_536):
                    found += len(octets)

        assert found < 8_000_000

    def test_h12_one_address_has_so_many_connections_and_others_none_less(
        self, vault: WebVault
    ) -> None:
        limits = ConnectionLimits(total=6, per_address=3)
        with serving(vault.app(), limits=limits) as port:
            with (
                _connected(port) as first,
                _connected(port),
                _connected(port),
                _connected(port) as fourth,
                _connected(port, whence="127.0.0.2") as neighbour,
            ):
                fourth.settimeout(20)
                refused = _ended(fourth)
                neighbour.sendall(FOLLOWER)
                served = neighbour.recv(100)
                first.sendall(FOLLOWER)
                still = first.recv(100)
            again = _until_served(port)

        assert refused
        assert [200, 200, 200] == [status_of(one) for one in (served, still, again)]


def _connected(port: int, *, whence: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", port), timeout=20, source_address=(whence, 0)
    )


def _ended(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def _until_served(port: int) -> bytes:
    """Ask until places that were given back are there; the loop counts them late."""
    deadline = time.monotonic() + 20
    while not (answer := raw(port, FOLLOWER)):
        assert time.monotonic() < deadline
    return answer


class TestH15Logs:
    NASTY = '\x1b[31mred \u2028 forged=1 {"event": "x"}'

    def test_h15_what_is_asked_is_in_no_line_of_the_log(self, served: Running) -> None:
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                served.client.get(
                    "/nowhere/" + quote(self.NASTY),
                    params={"q": "canary-in-the-query"},
                    headers={
                        "User-Agent": "canary-in-a-header",
                        "Referer": "https://canary.test/",
                        "X-Forwarded-For": "203.0.113.1, 198.51.100.77",
                    },
                )
        asked = [one for one in lines if one["event"] == EVENT_REQUEST]

        assert {"198.51.100.77"} <= {one["origin"] for one in asked}
        assert "canary" not in json.dumps(lines)
        assert "forged" not in json.dumps(lines)


class TestH17Browsers:
    @pytest.mark.parametrize("path", ["/sign-in", "/api/v1/recordings", "/nowhere"])
    def test_h17_no_answer_is_framed_sniffed_or_kept(
        self, served: Running, path: str
    ) -> None:
        headers = served.client.get(path, headers={"Accept": "text/html"}).headers
        policy = headers["content-security-policy"]

        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "private, no-store" == headers["cache-control"]
        assert {
            "x-frame-options": "DENY",
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-embedder-policy": "require-corp",
        }.items() <= dict(headers).items()

    def test_h17_media_is_kept_by_nobody(self, served: Running, recording: str) -> None:
        headers = served.ask("GET", f"/api/v1/recordings/{recording}/audio").headers

        assert "private, no-store" == headers["cache-control"]
        assert "same-origin" == headers["cross-origin-resource-policy"]

    def test_h17_there_is_no_service_worker(self, served: Running) -> None:
        scripts = list((STATIC / "dist" / "assets").glob("*.js"))

        assert scripts
        assert not [one for one in scripts if "serviceWorker" in one.read_text()]
        for name in ("sw.js", "service-worker.js"):
            assert 404 == served.client.get(f"/{name}").status_code


class TestH19Methods:
    @pytest.mark.parametrize("method", ["TRACE", "TRACK", "BREW", "PROPFIND", "get"])
    @pytest.mark.parametrize("path", ["/", "/api/v1/recordings", "/nowhere"])
    def test_h19_a_method_that_nobody_knows_is_405(
        self, served: Running, method: str, path: str
    ) -> None:
        request = f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Secret: s\r\n\r\n"
        answer = raw(served.port, request.encode())

        assert 405 == status_of(answer)
        assert b"X-Secret" not in answer

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize(
        "path",
        [
            "/sign-out", "/api/v1/address-rules/x", "/extensions/x/remove",
            "/api/v1/extensions/x", "/api/v1/tokens/x",
        ],
    )  # fmt: skip
    def test_h19_what_changes_something_is_not_asked_for_by_a_safe_method(
        self, served: Running, method: str, path: str
    ) -> None:
        assert 405 == served.ask_as("adam", method, path).status_code

    def test_h19_connect_is_400(self, served: Running) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        with closing(connection):
            connection.request("CONNECT", "db.test:5432")

            assert 400 == connection.getresponse().status


class TestH20Queries:
    LIST = "/api/v1/recordings"

    @pytest.mark.parametrize(
        "query",
        [
            "limit=1000000000", "limit=0", "limit=-1", "limit=1e3", "limit=٤",
            "sort=name", "order=id;drop", "cursor=x", "cursor=" + "A" * 4000,
            "from=2026-13-01", "from=" + "9" * 3000, "state=%27%20or%201=1--",
            "limit=1&limit=2000000", "nonsense=1",
        ],
    )  # fmt: skip
    def test_h20_what_is_no_query_is_422(self, served: Running, query: str) -> None:
        assert 422 == served.ask("GET", f"{self.LIST}?{query}").status_code

    @pytest.mark.parametrize("term", ["%", "_", "%25", "+49%", "' or '1'='1", "*", "+"])
    @pytest.mark.parametrize("name", ["party", "agent", "workgroup"])
    def test_h20_a_wildcard_finds_nothing(
        self, served: Running, recording: str, name: str, term: str
    ) -> None:
        assert recording
        answer = served.ask("GET", self.LIST, params={name: term})

        assert answer.status_code in {200, 404, 422}
        assert [] == answer.json().get("items", [])

    @pytest.mark.parametrize(
        "text",
        ["a" * 7000 + "!", "(" * 3000, "actor:" * 1000, '"' * 3000, " :" * 2000],
        ids=["letters", "brackets", "fields", "quotes", "colons"],
    )
    def test_h20_a_long_search_of_the_trail_is_answered(
        self, served: Running, text: str
    ) -> None:
        answer = served.ask_as(
            "olga", "GET", "/api/v1/audit/entries", params={"query": text}
        )

        assert answer.status_code in {200, 400, 422}
