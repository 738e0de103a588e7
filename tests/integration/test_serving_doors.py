"""Doors to the warden: real sockets, and descriptors that travel through them."""

import socket
import threading
from collections.abc import Iterator

import pytest

from vault.serving import doors
from vault.trust.client import WardenClient

pytestmark = pytest.mark.network

Door = tuple[socket.socket, socket.socket]


class Attached:
    """Stands where the warden stands: takes connections, and keeps them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, socket.socket]] = []
        self.came = threading.Semaphore(0)

    def attach(self, role: str, connection: socket.socket) -> None:
        self.taken.append((role, connection))
        self.came.release()

    def next(self) -> tuple[str, socket.socket]:
        assert self.came.acquire(timeout=30)
        return self.taken[-1]

    def close(self) -> None:
        for _, connection in self.taken:
            connection.close()


@pytest.fixture
def warden() -> Iterator[Attached]:
    warden = Attached()
    yield warden
    warden.close()


@pytest.fixture
def door() -> Iterator[Door]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs
        # The thread behind the door ends when the door does.
        theirs.shutdown(socket.SHUT_RDWR)


def knock(door: socket.socket) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        socket.send_fds(door, [b"c"], [theirs.fileno()])
    return ours


def test_a_connection_has_the_role_of_its_door(warden: Attached, door: Door) -> None:
    doors.answer(warden, "tap", door[0])  # type: ignore[arg-type] # attaches like one

    with knock(door[1]) as ours:
        role, theirs = warden.next()
        ours.sendall(b"who am I?")
        said = theirs.recv(100)

    assert ("tap", b"who am I?") == (role, said)


def test_a_client_opens_its_connections_through_the_door(
    warden: Attached, door: Door
) -> None:
    doors.answer(warden, "web", door[0])  # type: ignore[arg-type] # attaches like one

    with WardenClient.through(door[1]) as client:
        asking = threading.Thread(target=client.health)
        asking.start()
        role, connection = warden.next()
        asked = connection.recv(4096)
        asking.join()

    assert role == "web"
    assert b"health" in asked


def test_who_knocks_before_a_warden_is_there_is_let_in_by_the_next(
    warden: Attached, door: Door
) -> None:
    with knock(door[1]) as ours:
        ours.sendall(b"early")
        doors.answer(warden, "worker", door[0])  # type: ignore[arg-type] # attaches like one

        role, theirs = warden.next()

        assert ("worker", b"early") == (role, theirs.recv(100))


def test_a_message_without_a_connection_opens_nothing(
    warden: Attached, door: Door
) -> None:
    doors.answer(warden, "tap", door[0])  # type: ignore[arg-type] # attaches like one
    door[1].send(b"let me in")

    with knock(door[1]):
        warden.next()

    assert len(warden.taken) == 1
