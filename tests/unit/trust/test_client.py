import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from vault.audit.entry import Action, Draft
from vault.core import canonical
from vault.core.errors import (
    AuditUnavailableError,
    InvalidInputError,
    KeyUnavailableError,
    VaultError,
)
from vault.core.flow import Actor, ActorKind, Caller, Purpose
from vault.core.ids import new_recording_id
from vault.core.secrets import SecretBytes
from vault.trust import answers, frames
from vault.trust import messages as m
from vault.trust.client import WardenClient
from vault.trust.interfaces import IndexToken, SealedRow, Warden, WardenHealth

CALLER = Caller(actor=Actor(kind=ActorKind.USER, id="u1"))
Answer = Callable[[m.Request], canonical.JsonObject]


class WardenInAThread:
    """Speaks the protocol and answers what the test says."""

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self.requests: list[m.Request] = []
        self._answer = answer
        self._listener = listener
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                self._threads.append(threading.Thread(target=self._run, args=(sock,)))
                self._threads[-1].start()

    def _run(self, sock: socket.socket) -> None:
        with sock, suppress(OSError, InvalidInputError):
            while (octets := frames.receive(sock)) is not None:
                envelope = m.Envelope.parse(octets)
                request = envelope.request()
                self.requests.append(request)
                try:
                    octets = m.encode_answer(envelope.id, self._answer(request))
                except VaultError as exc:
                    octets = m.encode_refusal(envelope.id, exc)
                sock.sendall(frames.frame(octets))

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


Start = Callable[[Answer], WardenInAThread]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warden.sock"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    running: list[WardenInAThread] = []

    def begin(answer: Answer) -> WardenInAThread:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        running.append(WardenInAThread(listener, answer))
        return running[-1]

    yield begin
    for each in running:
        with suppress(OSError):
            each.stop()


@pytest.fixture
def client(path: Path) -> Iterator[WardenClient]:
    with WardenClient.at(path) as client:
        yield client


def test_the_client_is_a_warden_to_every_other_room(client: WardenClient) -> None:
    warden: Warden = client

    assert warden is client


def test_drafts_beyond_a_hundred_take_more_requests(
    start: Start, client: WardenClient
) -> None:
    peer = start(lambda _: {})
    drafts = [
        Draft(action=Action.RECORDING_LISTED, caller=CALLER, detail={"count": n})
        for n in range(205)
    ]

    client.append(*drafts)

    sent = [each.drafts for each in peer.requests if isinstance(each, m.AppendRequest)]
    assert [100, 100, 5] == [len(each) for each in sent]
    assert drafts == [draft for each in sent for draft in each]


def test_a_key_is_handed_over_as_a_secret(start: Start, client: WardenClient) -> None:
    key = SecretBytes(b"k" * 32)
    peer = start(lambda _: answers.key_answer(key))
    id = new_recording_id()

    released = client.release(id, caller=CALLER, purpose=Purpose.PLAY, reason="why")

    assert key == released
    assert peer.requests == [
        m.ReleaseRequest(
            recording_id=id, caller=CALLER, purpose=Purpose.PLAY, reason="why"
        )
    ]


def test_rows_that_did_not_fit_are_asked_for_again(
    start: Start, client: WardenClient
) -> None:
    ids = [new_recording_id() for _ in range(5)]

    def two_at_a_time(request: m.Request) -> canonical.JsonObject:
        assert isinstance(request, m.OpenRowsRequest)
        first, rest = request.recordings[:2], request.recordings[2:]
        return answers.OpenedRows(rows=dict.fromkeys(first, b"{}"), rest=rest).members()

    start(two_at_a_time)

    assert client.open_rows(CALLER, [*ids, ids[0]]) == dict.fromkeys(ids, b"{}")


def test_a_warden_that_opens_nothing_is_not_asked_for_ever(
    start: Start, client: WardenClient
) -> None:
    ids = (new_recording_id(),)
    start(lambda _: answers.OpenedRows(rows={}, rest=ids).members())

    with pytest.raises(AuditUnavailableError):
        client.open_rows(CALLER, ids)


def test_a_row_is_sealed_with_its_tokens(start: Start, client: WardenClient) -> None:
    row = SealedRow(sealed=b"s", wrapped_key=b"w", key_id="catalog-2026-11")
    tokens = (IndexToken(field="agent", month="2026-11", token=b"12345678"),)
    start(lambda _: answers.sealed_row_answer(row, tokens))

    sealed = client.seal_row(new_recording_id(), b"{}", month="2026-11")

    assert (row, tokens) == sealed


def test_tokens_are_asked_for_in_months(start: Start, client: WardenClient) -> None:
    peer = start(lambda _: answers.tokens_answer({"2026-11": b"12345678"}))

    tokens = client.tokens(
        CALLER, field="caller", value="1", months={"2026-11", "2026-10"}
    )

    assert tokens == {"2026-11": b"12345678"}
    assert peer.requests == [
        m.TokensRequest(
            caller=CALLER, field="caller", value="1", months=("2026-10", "2026-11")
        )
    ]


def test_health_is_what_the_warden_says(start: Start, client: WardenClient) -> None:
    health = WardenHealth(healthy=True, last_append_age_s=0.5, log_size=9)
    start(lambda _: answers.health_answer(health))

    assert health == client.health()


def test_without_a_warden_nothing_is_released_and_health_is_bad(
    client: WardenClient,
) -> None:
    with pytest.raises(AuditUnavailableError):
        client.release(new_recording_id(), caller=CALLER, purpose=Purpose.PLAY)
    assert not client.health().healthy


def test_a_refusal_comes_back_by_its_name(start: Start, client: WardenClient) -> None:
    def refuse(_: m.Request) -> canonical.JsonObject:
        raise KeyUnavailableError("sealed")

    start(refuse)

    with pytest.raises(KeyUnavailableError, match="sealed"):
        client.release(new_recording_id(), caller=CALLER, purpose=Purpose.PLAY)


@pytest.mark.parametrize(
    "answer",
    [{}, {"key": ""}, {"key": "AAAA"}, {"key": 5}, {"key": "A" * 43 + "=", "x": 1}],
)
def test_an_unreadable_answer_releases_nothing(
    start: Start, client: WardenClient, answer: canonical.JsonObject
) -> None:
    start(lambda _: answer)

    with pytest.raises(AuditUnavailableError):
        client.release(new_recording_id(), caller=CALLER, purpose=Purpose.PLAY)


def test_the_next_call_finds_a_warden_that_was_started_again(
    start: Start, client: WardenClient
) -> None:
    first = start(lambda _: {})
    client.append(Draft(action=Action.PROCESS_STARTED, caller=CALLER))
    first.stop()
    with pytest.raises(AuditUnavailableError):
        client.append(Draft(action=Action.PROCESS_STARTED, caller=CALLER))
    second = start(lambda _: {})

    client.append(Draft(action=Action.PROCESS_STOPPED, caller=CALLER))

    assert len(second.requests) == 1


def test_a_client_on_an_inherited_socket_ends_with_it() -> None:
    ours, theirs = socket.socketpair()
    with WardenClient.over(ours) as client:
        theirs.close()

        with pytest.raises(AuditUnavailableError):
            client.append(Draft(action=Action.PROCESS_STARTED, caller=CALLER))


def test_a_closed_client_stays_closed(start: Start, client: WardenClient) -> None:
    start(lambda _: {})
    client.close()

    with pytest.raises(AuditUnavailableError):
        client.append(Draft(action=Action.PROCESS_STARTED, caller=CALLER))


def test_a_door_gives_a_connection_to_each_warden_in_turn() -> None:
    """
    The door outlives wardens: what one of them took with it to the grave, the
    next call asks of the next one.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(10)
    seen: list[str] = []

    def three_wardens() -> None:
        for name in ("first", "second", "third"):
            said, descriptors, _, _ = socket.recv_fds(theirs, 8, 1)
            # Family and type are said because the guard of unit tests asks.
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptors[0]
            ) as sock:
                octets = frames.receive(sock)
                assert octets is not None
                id = m.Envelope.parse(octets).id
                sock.sendall(frames.frame(m.encode_answer(id, {})))
                seen.append(f"{said.decode()} {name}")

    thread = threading.Thread(target=three_wardens)
    thread.start()
    with ours, theirs, WardenClient.through(ours) as client:
        while len(seen) < 3 and thread.is_alive():
            # A warden may die before or after the next call reaches it.
            with suppress(AuditUnavailableError):
                client.append(Draft(action=Action.PROCESS_STARTED, caller=CALLER))
        thread.join()

    assert seen == ["c first", "c second", "c third"]


def test_a_door_whose_other_end_is_gone_refuses() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.close()
        with (
            WardenClient.through(ours) as client,
            pytest.raises(AuditUnavailableError, match="door"),
        ):
            client.append(Draft(action=Action.PROCESS_STARTED, caller=CALLER))
