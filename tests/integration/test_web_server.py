"""What only a real server and a real socket can show."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

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


def raw(port: int, request: bytes) -> bytes:
    """Return all that comes back; a reset ends it like an end does."""
    found = b""
    peer = socket.create_connection(("127.0.0.1", port), timeout=10)
    with peer, suppress(ConnectionError):
        peer.sendall(request)
        peer.shutdown(socket.SHUT_WR)
        while chunk := peer.recv(65_536):
            found += chunk
    return found


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

    @pytest.mark.parametrize("how", ["signed-out", "disabled", "moved", "no-warden"])
    def test_a_stream_is_cut_off_once_it_may_not_go_on(
        self, vault: WebVault, wire: Wire, how: str
    ) -> None:
        id = vault.record(LONG)
        token = wire.token("ada")
        answer = wire.ask("GET", f"/api/v1/recordings/{id}/audio", token=token)
        got = len(answer.read(65_536))
        size = got + answer.length

        _take_away(vault, wire, token, how)
        # The second in which a stream may go on unasked has to go by, with the
        # rest of the answer still unread in the server.
        threading.Event().wait(1.5)
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()

        assert got + len(cut.value.partial) < size

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


def _take_away(vault: WebVault, wire: Wire, token: str, how: str) -> None:
    ada = vault.people.by_name("ada")
    if how == "signed-out":
        wire.ask("DELETE", "/api/v1/sessions/current", token=token).read()
    elif how == "disabled":
        vault.people.disable(ada.id)
    elif how == "moved":
        vault.people.change(ada.id, workgroups=["support"])
    else:
        vault.stop_warden()
