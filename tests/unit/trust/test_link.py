import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vault.core.errors import AuditUnavailableError, ThrottledError
from vault.core.flow import Actor, ActorKind, Caller, Purpose
from vault.core.ids import new_recording_id
from vault.trust import frames
from vault.trust import messages as m
from vault.trust.link import Link

Pair = tuple[socket.socket, socket.socket]
SOON_S = 10.0


def soon() -> float:
    return time.monotonic() + SOON_S


def receive(sock: socket.socket) -> m.Envelope:
    octets = frames.receive(sock)
    assert octets is not None
    return m.Envelope.parse(octets)


def reply(sock: socket.socket, id: int, n: int = 0) -> None:
    sock.sendall(frames.frame(m.encode_answer(id, {"n": n})))


def big_request() -> m.ReleaseRequest:
    return m.ReleaseRequest(
        recording_id=new_recording_id(),
        caller=Caller(actor=Actor(kind=ActorKind.USER, id="u")),
        purpose=Purpose.PLAY,
        reason="x" * 4000,
    )


def test_answers_find_their_callers_in_any_order(pair: Pair) -> None:
    ours, theirs = pair
    link = Link(ours)

    def warden() -> None:
        ids = [receive(theirs).id for _ in range(8)]
        for id in reversed(ids):
            reply(theirs, id, n=id)

    with ThreadPoolExecutor(9) as pool:
        pool.submit(warden)
        found = list(
            pool.map(
                lambda _: link.ask(m.HealthRequest(), deadline=soon()).count("n"),
                range(8),
            )
        )
    link.close()

    assert sorted(found) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_refusal_is_raised_as_itself(pair: Pair) -> None:
    ours, theirs = pair
    link = Link(ours)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(link.ask, m.HealthRequest(), deadline=soon())
        id = receive(theirs).id
        theirs.sendall(frames.frame(m.encode_refusal(id, ThrottledError("slow"))))

        with pytest.raises(ThrottledError, match="slow"):
            asked.result()
    link.close()


def test_an_answer_before_its_question_belongs_to_nobody(pair: Pair) -> None:
    ours, theirs = pair
    reply(theirs, 99)
    link = Link(ours)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(link.ask, m.HealthRequest(), deadline=soon())
        reply(theirs, receive(theirs).id, n=3)

        assert asked.result().count("n") == 3
    link.close()


def test_an_answer_that_comes_too_late_is_dropped(pair: Pair) -> None:
    ours, theirs = pair
    link = Link(ours)
    with pytest.raises(AuditUnavailableError):
        link.ask(m.HealthRequest(), deadline=time.monotonic() + 0.01)
    late = receive(theirs)
    reply(theirs, late.id)

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(link.ask, m.HealthRequest(), deadline=soon())
        reply(theirs, receive(theirs).id, n=5)

        assert second.result().count("n") == 5
    link.close()


def test_a_peer_that_does_not_read_never_sees_half_a_frame(pair: Pair) -> None:
    """
    A stopped warden's socket fills up; when it goes on, the stream must make
    sense, because `serve` has given this process no other socket.
    """
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    link = Link(ours)
    for _ in range(20):
        with pytest.raises(AuditUnavailableError):
            link.ask(big_request(), deadline=time.monotonic() + 0.01)

    with ThreadPoolExecutor(2) as pool:
        last = pool.submit(link.ask, m.HealthRequest(), deadline=soon())
        while (envelope := receive(theirs)).call != "health":
            envelope.request()
        reply(theirs, envelope.id, n=1)

        assert last.result().count("n") == 1
    link.close()


def test_everyone_who_waits_is_refused_when_the_peer_goes(pair: Pair) -> None:
    ours, theirs = pair
    link = Link(ours)
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(link.ask, m.HealthRequest(), deadline=soon()) for _ in range(4)
        ]
        for _ in range(4):
            receive(theirs)
        theirs.close()

        for each in asked:
            with pytest.raises(AuditUnavailableError):
                each.result()
    assert link.is_broken
    with pytest.raises(AuditUnavailableError):
        link.ask(m.HealthRequest(), deadline=soon())


@pytest.mark.parametrize("octets", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}"])
def test_a_peer_that_does_not_speak_our_language_is_left(
    pair: Pair, octets: bytes
) -> None:
    ours, theirs = pair
    link = Link(ours)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(link.ask, m.HealthRequest(), deadline=soon())
        receive(theirs)
        theirs.sendall(octets)

        with pytest.raises(AuditUnavailableError):
            asked.result()
    link.close()


def test_many_threads_never_mix_their_frames(pair: Pair) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    link = Link(ours)
    seen: list[str] = []

    def warden() -> None:
        for _ in range(64):
            envelope = receive(theirs)
            envelope.request()
            seen.append(envelope.call)
            reply(theirs, envelope.id)

    thread = threading.Thread(target=warden)
    thread.start()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: link.ask(big_request(), deadline=soon()), range(64)))
    thread.join()
    link.close()

    assert seen == ["release"] * 64
