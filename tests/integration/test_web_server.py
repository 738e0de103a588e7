"""What only a real server and a real socket can show."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from tests.simulators.installation import until
from tests.simulators.raw_http import raw
from tests.simulators.web_server import serving
from tests.simulators.web_vault import PASSWORD, Call, WebVault, running

pytestmark = pytest.mark.network

LONG = Call(seconds=1500)
"Some 15 MB of FLAC: far more than sockets buffer."


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[WebVault]:
    with running(tmp_path) as vault:
        vault.crew()
        yield vault


class Wire:
    """Requests to one server; every connection is closed at the end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: list[http.client.HTTPConnection] = []

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: object = None,
        **headers: str,
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self._open.append(connection)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(
            method, path, body=json.dumps(body) if body else None, headers=headers
        )
        answer = connection.getresponse()
        self._open.append(answer)  # type: ignore[arg-type]  # - it closes, too
        return answer

    def token(self, name: str) -> str:
        credential = {"user": name, "password": PASSWORD}
        answer = self.ask("POST", "/api/v1/sessions", body=credential)
        token: str = json.loads(answer.read())["token"]
        return token

    def close(self) -> None:
        for one in reversed(self._open):
            one.close()


@pytest.fixture(params=["h11", "httptools"])
def parser(request: pytest.FixtureRequest) -> str:
    parser: str = request.param
    return parser


@pytest.fixture
def port(vault: WebVault, parser: Literal["h11", "httptools"]) -> Iterator[int]:
    with serving(vault.app(), parser=parser) as port:
        yield port


@pytest.fixture
def wire(vault: WebVault) -> Iterator[Wire]:
    with serving(vault.app()) as port:
        wire = Wire(port)
        yield wire
        wire.close()


POST = b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\n"


class TestSmuggling:
    """Research F8: neither parser is strict enough alone."""

    @pytest.mark.parametrize(
        "request_octets",
        [
            POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
            + b"".join(b"X-%d: y\r\n" % n for n in range(10_000))
            + b"\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
            POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
            POST + b"Content-Length: +4\r\n\r\nabcd",
            POST + b"Transfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
        ids=[
            "cl-te", "two-hosts", "no-host", "10000-headers", "1-MB-header",
            "two-lengths", "plus-length", "two-te", "asterisk",
        ],
    )  # fmt: skip
    def test_it_ends_with_400_and_one_answer(
        self, port: int, request_octets: bytes
    ) -> None:
        follower = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

        answer = raw(port, request_octets + follower)

        # A megabyte that nobody reads may be answered with a reset alone.
        assert answer[:13] in {b"HTTP/1.1 400 ", b""}
        assert answer.count(b"HTTP/1.1 ") <= 1


class TestStreams:
    def test_a_whole_recording_arrives_whole(self, vault: WebVault, wire: Wire) -> None:
        id = vault.record(Call(seconds=60))

        answer = wire.ask(
            "GET", f"/api/v1/recordings/{id}/audio", token=wire.token("ada")
        )

        assert answer.read() == vault.audio(60)

    @pytest.mark.parametrize(
        "how",
        [
            *("signed-out", "killed", "locked", "idle", "stepped-up"),
            *("disabled", "role-dropped", "moved", "no-warden"),
        ],
    )
    def test_h18_a_stream_ends_within_5_seconds_of_any_end_of_a_right(
        self, vault: WebVault, wire: Wire, how: str
    ) -> None:
        id = vault.record(LONG)
        token = wire.token("ada")
        answer = wire.ask("GET", f"/api/v1/recordings/{id}/audio", token=token)
        size = len(answer.read(65_536)) + answer.length
        assert _streams(vault)

        _take_away(vault, wire, token, how)
        # Nobody reads: the server has to notice by itself, and drop the key.
        until(lambda: not _streams(vault), "the stream has ended", within_s=5)
        got = 65_536
        with suppress(http.client.IncompleteRead, ConnectionError):
            while block := answer.read(65_536):
                got += len(block)

        assert got < size

    def test_h18_so_does_one_that_is_listened_to(
        self, vault: WebVault, wire: Wire
    ) -> None:
        id = vault.record(LONG)
        token = wire.token("ada")
        answer = wire.ask("GET", f"/api/v1/recordings/{id}/audio", token=token)
        size, got = answer.length, 0
        over = threading.Event()

        def listen() -> None:
            nonlocal got
            with suppress(OSError, http.client.IncompleteRead):
                while block := answer.read1(8192):
                    got += len(block)
                    over.wait(0.005)

        with ThreadPoolExecutor(1) as pool:
            listening = pool.submit(listen)
            vault.people.disable(vault.people.by_name("ada").id)
            until(lambda: not _streams(vault), "the stream has ended", within_s=5)
            over.set()
            listening.result()

        assert 0 < got < size

    def test_damage_midway_ends_the_connection_and_not_the_answer(
        self, vault: WebVault, wire: Wire
    ) -> None:
        id = vault.record(LONG)
        vault.damage(id, "rendition/0001", 4_000_000)

        answer = wire.ask(
            "GET", f"/api/v1/recordings/{id}/audio", token=wire.token("ada")
        )
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()

        assert answer.status == 200
        assert vault.audio(LONG.seconds).startswith(cut.value.partial)
        assert len(cut.value.partial) < 4_000_000

    def test_an_open_range_is_answered_in_pieces_of_4_mib(
        self, vault: WebVault, wire: Wire
    ) -> None:
        id = vault.record(LONG)

        answer = wire.ask(
            "GET",
            f"/api/v1/recordings/{id}/audio",
            token=wire.token("ada"),
            Range="bytes=0-",
        )

        assert answer.status == 206
        assert len(answer.read()) == 4 * 1024 * 1024


def _streams(vault: WebVault) -> bool:
    """Whether the application holds the key of anything that goes out."""
    return bool(vault.app().state.services.playback._leases)


def _take_away(vault: WebVault, wire: Wire, token: str, how: str) -> None:
    ada = vault.people.by_name("ada")
    if how == "signed-out":
        wire.ask("DELETE", "/api/v1/sessions/current", token=token).read()
    elif how == "killed":
        session = vault.services().sessions.list(ada.id)[0].id
        admin = wire.token("adam")
        wire.ask("DELETE", f"/api/v1/sessions/{session}", token=admin).read()
    elif how == "locked":
        wire.ask("POST", "/api/v1/sessions/current/lock", token=token).read()
    elif how == "idle":
        vault.clock.advance(901)
    elif how == "stepped-up":
        proof = {"password": PASSWORD}
        path = "/api/v1/sessions/current/step-up"
        wire.ask("POST", path, token=token, body=proof).read()
    elif how == "disabled":
        vault.people.disable(ada.id)
    elif how == "role-dropped":
        vault.people.change(ada.id, roles=[])
    elif how == "moved":
        vault.people.change(ada.id, workgroups=["support"])
    else:
        vault.stop_warden()
