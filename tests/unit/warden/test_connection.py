import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.simulators.warden import USER, CatalogInMemory
from vault.audit.entry import Action, Draft
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.core import canonical
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    InvalidInputError,
)
from vault.core.flow import Purpose
from vault.core.ids import new_recording_id
from vault.sealing.keyring import Keyring
from vault.trust import frames
from vault.trust import messages as m
from vault.trust.client import WardenClient
from vault.warden.connection import Connection
from vault.warden.roles import Role
from vault.warden.service import WardenParts, WardenService
from vault.warden.writer import LeafWriter

SOON_S = 30.0
LISTED = Draft(action=Action.RECORDING_LISTED, caller=USER)


@pytest.fixture
def service(
    log: AuditLog, keyring: Keyring, catalog: CatalogInMemory, reader: TrailReader
) -> Iterator[WardenService]:
    writer = LeafWriter(log)
    writer.start()
    parts = WardenParts(keys=keyring, envelopes=catalog, rows=catalog, trail=reader)
    yield WardenService(parts, writer)
    writer.stop()


Connect = Callable[[Role], socket.socket]


@pytest.fixture
def connect(service: WardenService) -> Iterator[Connect]:
    opened: list[tuple[Connection, socket.socket]] = []

    def make(role: Role) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(SOON_S)
        connection = Connection(theirs, role, service)
        connection.start()
        opened.append((connection, ours))
        return ours

    yield make
    for connection, ours in opened:
        ours.close()
        connection.close(patience_s=SOON_S)


def answer_of(sock: socket.socket) -> tuple[int, object]:
    octets = frames.receive(sock)
    assert octets is not None
    return m.parse_reply(octets)


def test_a_call_is_answered_in_the_role_of_the_connection(connect: Connect) -> None:
    with WardenClient.over(connect(Role.WEB)) as web:
        web.append(LISTED)
        with pytest.raises(AccessDeniedError):
            web.release(new_recording_id(), caller=USER, purpose=Purpose.RENDER)


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack(">I", frames.MAX_FRAME_BYTES + 1) + b"x" * 100,
        struct.pack(">I", 0),
        frames.frame(b"not json at all"),
        frames.frame(b'{"id": 1}'),
        frames.frame(b'{"args":{},"call":"health","id":1,"v":7}'),
        b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n",
    ],
)
def test_a_peer_that_speaks_something_else_is_hung_up_on(
    connect: Connect, octets: bytes
) -> None:
    sock = connect(Role.WEB)
    sock.sendall(octets)

    # Closing with our octets unread is a reset: as good a refusal.
    with suppress(ConnectionResetError):
        assert sock.recv(1) == b""


def test_a_frame_that_never_ends_takes_nobody_with_it(connect: Connect) -> None:
    half = connect(Role.WEB)
    half.sendall(struct.pack(">I", 1000) + b"{")

    with WardenClient.over(connect(Role.TAP)) as tap:
        tap.append(LISTED)


@pytest.mark.parametrize(
    ("call", "args"), [("release", {}), ("rewrap", {}), ("append", {"drafts": [1]})]
)
def test_a_wrong_request_is_refused_and_the_connection_goes_on(
    connect: Connect, call: str, args: dict[str, object]
) -> None:
    sock = connect(Role.WEB)
    octets = canonical.dumps({"v": 1, "id": 5, "call": call, "args": args})
    sock.sendall(frames.frame(octets))
    id, error = answer_of(sock)
    assert id == 5
    assert isinstance(error, InvalidInputError)

    sock.sendall(frames.frame(m.encode_request(6, m.HealthRequest())))
    assert answer_of(sock)[0] == 6


def test_beyond_what_may_be_in_flight_calls_are_refused_and_health_is_answered(
    connect: Connect, service: WardenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads wait for a log that hangs; health comes all the same."""
    go_on = threading.Event()
    append = service._writer.append

    def hang(*args: object, **kwargs: object) -> None:
        go_on.wait(SOON_S)
        append(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(service._writer, "append", hang)
    sock = connect(Role.WEB)
    for id in range(1, 130):
        sock.sendall(
            frames.frame(m.encode_request(id, m.AppendRequest(drafts=(LISTED,))))
        )
    busy, error = answer_of(sock)
    sock.sendall(frames.frame(m.encode_request(500, m.HealthRequest())))
    health, _ = answer_of(sock)
    go_on.set()

    assert (129, 500) == (busy, health)
    assert isinstance(error, AuditUnavailableError)
    assert {answer_of(sock)[0] for _ in range(128)} == set(range(1, 129))


def test_a_broken_warden_says_so_and_nothing_else(
    connect: Connect, service: WardenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise KeyError("+49 30 9988776")

    monkeypatch.setattr(service, "answer", broken)
    sock = connect(Role.WEB)
    sock.sendall(frames.frame(m.encode_request(1, m.AppendRequest(drafts=(LISTED,)))))
    octets = frames.receive(sock)

    assert octets is not None
    assert b'"class":"UnavailableError"' in octets
    assert b"9988776" not in octets


def test_health_with_arguments_is_refused(connect: Connect) -> None:
    sock = connect(Role.WEB)
    sock.sendall(frames.frame(b'{"args":{"x":1},"call":"health","id":1,"v":1}'))

    assert isinstance(answer_of(sock)[1], InvalidInputError)
