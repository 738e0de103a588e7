"""The session recording server over real sockets; the desk is in memory."""

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulators.recording_desk import OTHER, PBX, MemoryDesk, MemoryDevices
from tests.simulators.siprec_room import Room, blocking, serving
from tests.simulators.waiting import until
from vault.core.errors import (
    ConflictError,
    SpoolFullError,
    UnavailableError,
    UnsupportedOfferError,
)
from vault.core.flow import Allowance, HowEnded
from vault.core.media import SrtpSuite
from vault.sip.interfaces import Incoming
from vault.sip.messages import Headers, Request, Response
from vault.sip.peers import Peer, Transport
from vault.siprec.simulated_bodies import Speaker, metadata_of
from vault.tap.simulate import SimulatedCall

pytestmark = pytest.mark.network

SPEAKERS = (
    Speaker(label="agent", aor="sip:ada@example.net", name="Ada"),
    Speaker(label="customer", aor="sip:+442079460123@example.net"),
)


def offer() -> str:
    return SimulatedCall(seconds=0.1).build_offer()


def run(room_test: Callable[[Room], object], desk: MemoryDesk | None = None) -> None:
    """Run *room_test*, a coroutine function, in a room of its own."""

    async def inside() -> None:
        async with serving(desk) as room:
            await room_test(room)  # type: ignore[misc]

    asyncio.run(inside())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_call_is_recorded_from_its_invite_to_its_bye(transport: Transport) -> None:
    async def call(room: Room) -> None:
        def talk() -> tuple[Response, Response]:
            with room.client(transport) as client:
                answer = client.invite(offer(), metadata_of(SPEAKERS))
                return answer, client.bye()

        answer, goodbye = await blocking(talk)
        session = room.desk.only

        assert (200, 200) == (answer.status, goodbye.status)
        assert "application/sdp" == answer.headers.get("Content-Type")
        assert session.sdp.encode() == answer.body
        assert b"a=recvonly" in answer.body
        assert b"a=label:agent" in answer.body
        assert HowEnded.BYE is session.ended
        assert ["rs-metadata", "invite-headers"] == [
            one.kind for one in session.documents
        ]
        assert metadata_of(SPEAKERS) == session.documents[0].octets
        assert ["sip:ada@example.net", "sip:+442079460123@example.net"] == [
            one.aor for one in session.facts.participants
        ]
        assert 0 == room.server.calls

    run(call)


def test_the_contact_of_an_answer_says_that_we_record() -> None:
    async def call(room: Room) -> None:
        def talk() -> Response:
            with room.client() as client:
                return client.invite(offer())

        answer = await blocking(talk)

        assert ";+sip.srs" in (answer.headers.get("Contact") or "")
        assert "siprec" in answer.headers.values("Supported")

    run(call)


def test_no_credential_reaches_the_recording() -> None:
    async def call(room: Room) -> None:
        def talk() -> None:
            with room.client() as client:
                client.invite(offer())

        await blocking(talk)
        (headers,) = room.desk.only.documents

        assert b"Call-ID" in headers.octets
        assert b"Authorization" not in headers.octets

    run(call)


def test_who_does_not_know_the_token_records_nothing() -> None:
    async def call(room: Room) -> None:
        def talk() -> Response:
            with room.client(password=None) as client:
                return client.invite(offer())

        answer = await blocking(talk)

        assert 401 == answer.status
        assert {} == room.desk.sessions

    run(call)


def test_nothing_is_held_for_a_request_that_is_admitted_and_never_answered() -> None:
    async def call(room: Room) -> None:
        room.devices.address_is_enough = PBX
        with room.client() as client:
            request = client.request("PRACK", body=bytes(1024))
        incoming = Incoming(
            request=request,
            peer=Peer(transport=Transport.TCP, address="127.0.0.1", port=5060),
        )
        held = weakref.ref(incoming)

        assert room.server.admit(incoming) is None
        del incoming
        assert held() is None

    run(call)


@pytest.mark.parametrize(
    ("refusal", "status", "retry"),
    [
        (SpoolFullError("no room", retry_after_s=7), 503, "7"),
        (UnsupportedOfferError('only "null" ciphers', line=3), 488, None),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once_with_its_cause(
    refusal: UnavailableError, status: int, retry: str | None
) -> None:
    async def call(room: Room) -> None:
        room.desk.refusal = refusal

        def talk() -> Response:
            with room.client() as client:
                return client.invite(offer())

        answer = await blocking(talk)

        assert (status, retry) == (answer.status, answer.headers.get("Retry-After"))
        assert str(refusal).replace('"', '\\"') in (answer.headers.get("Warning") or "")

    run(call)


def test_an_invite_without_sdp_is_refused_with_a_warning() -> None:
    async def call(room: Room) -> None:
        def talk() -> Response:
            with room.client() as client:
                return client.invite("")

        answer = await blocking(talk)

        assert 488 == answer.status
        assert "offers SDP" in (answer.headers.get("Warning") or "")

    run(call)


def test_a_body_that_nobody_reads_is_said_with_those_that_are_read() -> None:
    async def call(room: Room) -> None:
        def talk() -> Response:
            with room.client() as client:
                return client.ask("INVITE", (), b"hello", "text/plain")

        answer = await blocking(talk)

        assert 415 == answer.status
        assert "application/sdp" in (answer.headers.get("Accept") or "")

    run(call)


def test_metadata_that_cannot_be_read_is_kept_and_stops_nothing() -> None:
    async def call(room: Room) -> None:
        def talk() -> Response:
            with room.client() as client:
                return client.invite(offer(), b"<recording><unclosed></recording>")

        answer = await blocking(talk)
        session = room.desk.only

        assert 200 == answer.status
        assert b"<recording><unclosed></recording>" == session.documents[0].octets
        assert "unreadable" == session.facts.attributes["siprec_metadata"]

    run(call)


class TestChanges:
    def test_a_new_offer_inside_the_dialog_gets_a_new_answer(self) -> None:
        async def call(room: Room) -> None:
            second = offer()

            def talk() -> Response:
                with room.client() as client:
                    client.invite(offer())
                    return client.invite(second)

            answer = await blocking(talk)

            assert 200 == answer.status
            assert [second] == room.desk.only.renewals
            assert room.desk.only.sdp.encode() == answer.body

        run(call)

    def test_an_offer_that_is_refused_leaves_the_call_as_it_was(self) -> None:
        async def call(room: Room) -> None:
            def talk() -> tuple[Response, Response]:
                with room.client() as client:
                    client.invite(offer())
                    refused = client.invite("v=0\r\nrubbish\r\n")
                    return refused, client.update()

            refused, later = await blocking(talk)

            assert (400, 200) == (refused.status, later.status)
            assert room.desk.only.ended is None

        run(call)

    def test_late_metadata_replaces_facts_and_is_kept(self) -> None:
        async def call(room: Room) -> None:
            def talk() -> Response:
                with room.client() as client:
                    client.invite(offer())
                    return client.update("", metadata_of(SPEAKERS))

            answer = await blocking(talk)
            (change,) = room.desk.only.changes

            assert (200, b"") == (answer.status, answer.body)
            assert ["rs-metadata"] == [one.kind for one in change.documents]
            assert change.call is not None
            assert {"participants", "caller", "callee"} <= set(change.call)

        run(call)

    def test_metadata_that_cannot_be_kept_does_not_undo_an_offer(self) -> None:
        async def call(room: Room) -> None:
            room.desk.change_refusal = SpoolFullError("no room")

            def talk() -> tuple[Response, Response]:
                with room.client() as client:
                    client.invite(offer())
                    both = client.invite(offer(), metadata_of(SPEAKERS))
                    return both, client.update("", metadata_of(SPEAKERS[:1]))

            both, alone = await blocking(talk)

            assert (200, 503) == (both.status, alone.status)
            assert 1 == len(room.desk.only.renewals)

        run(call)

    def test_a_re_invite_without_an_offer_is_offered_what_stands(self) -> None:
        async def call(room: Room) -> None:
            theirs = offer()

            def talk() -> Response:
                with room.client() as client:
                    client.invite(offer())
                    request = client.request("INVITE")
                    client.send(request)
                    answer = client.receive()
                    while answer.status < 200:  # type: ignore[union-attr]
                        answer = client.receive()
                    assert isinstance(answer, Response)
                    client.acknowledge(request, answer, theirs.encode())
                    return answer

            answer = await blocking(talk)
            session = room.desk.only
            await until(lambda: session.renewals, "the answer in the ACK is taken")

            assert 200 == answer.status
            assert b"m=audio 40000" in answer.body
            assert [theirs] == session.renewals

        run(call)

    def test_a_digit_is_acknowledged_and_kept_nowhere(self) -> None:
        async def call(room: Room) -> None:
            def talk() -> Response:
                with room.client() as client:
                    client.invite(offer())
                    digit = b"Signal=7\r\nDuration=160\r\n"
                    return client.ask("INFO", (), digit, "application/dtmf-relay")

            answer = await blocking(talk)
            session = room.desk.only

            assert 200 == answer.status
            assert ([], [], []) == (
                session.changes,
                session.renewals,
                [one for one in session.documents if b"Signal" in one.octets],
            )

        run(call)

    def test_an_info_package_that_was_not_announced_is_refused(self) -> None:
        async def call(room: Room) -> None:
            def talk() -> Response:
                with room.client() as client:
                    client.invite(offer())
                    return client.ask("INFO", (("Info-Package", "conference"),))

            assert 469 == (await blocking(talk)).status

        run(call)


class TestEnds:
    def test_a_call_that_the_desk_ends_is_hung_up(self) -> None:
        async def call(room: Room) -> None:
            client = room.client()
            await blocking(lambda: client.invite(offer()))
            await until(lambda: b'"recording"' in room.desk.only.signalling)
            room.desk.end_only(HowEnded.TIMEOUT)
            bye = await blocking(client.receive)
            client._take(bye)  # type: ignore[arg-type]
            await until(lambda: room.agent.counts().dialogs == 0)
            client.close()

            assert "BYE" == bye.method  # type: ignore[union-attr]
            assert "no media" in (bye.headers.get("Reason") or "")
            assert 0 == room.server.calls

        run(call)

    def test_a_cancelled_invite_leaves_no_recording_running(self) -> None:
        async def call(room: Room) -> None:
            room.desk.gate = asyncio.Event()
            room.devices.address_is_enough = PBX
            client = room.client()

            body = offer().encode()
            invite = client.request("INVITE", (), body, "application/sdp")
            client.send(invite)
            await until(lambda: room.desk.asked, "the desk is at work")

            def give_up() -> list[int]:
                rows = client.request("CANCEL", cseq=1).headers.without("Via")
                via = ("Via", invite.headers.one("Via"))
                client.send(
                    Request(
                        method="CANCEL", uri=invite.uri, headers=Headers([via, *rows])
                    )
                )
                answers: list[int] = []
                while len(answers) < 2:
                    answer = client.receive()
                    assert isinstance(answer, Response)
                    if answer.status == 487:
                        client.acknowledge(invite, answer)
                    if answer.status >= 200:
                        answers.append(answer.status)
                return sorted(answers)

            answers = await blocking(give_up)
            room.desk.gate.set()
            await until(lambda: room.desk.sessions and room.desk.only.ended)
            client.close()

            assert [200, 487] == answers
            assert HowEnded.BYE is room.desk.only.ended
            assert 0 == room.server.calls

        run(call)

    def test_a_session_of_another_device_does_not_exist(self) -> None:
        async def call(room: Room) -> None:
            owner = room.client()
            await blocking(lambda: owner.invite(offer()))
            thief = room.client(username=OTHER.name)
            thief.call_id, thief.local_tag = owner.call_id, owner.local_tag
            thief.remote_tag, thief.cseq = owner.remote_tag, 50
            thief.remote_target = owner.remote_target
            answer = await blocking(thief.bye)
            mine = await blocking(owner.bye)
            owner.close()
            thief.close()

            assert (481, 200) == (answer.status, mine.status)

        run(call)


class TestHealth:
    def test_options_says_whether_a_call_would_be_taken(self) -> None:
        async def call(room: Room) -> None:
            room.devices.expected.add("127.0.0.1")

            def ask() -> Response:
                with room.client(password=None) as client:
                    return client.options()

            well = await blocking(ask)
            room.trouble.append("spool")
            full = await blocking(ask)
            room.trouble.clear()
            room.server.drain()
            going = await blocking(ask)

            assert [200, 503, 503] == [one.status for one in (well, full, going)]
            assert "INVITE" in (well.headers.get("Allow") or "")
            assert ["5", "30"] == [
                one.headers.get("Retry-After") for one in (full, going)
            ]
            assert "spool" in (full.headers.get("Warning") or "")
            assert "going down" in (going.headers.get("Warning") or "")

        run(call)

    def test_while_draining_calls_go_on_and_new_ones_go_elsewhere(self) -> None:
        async def call(room: Room) -> None:
            running = room.client()
            await blocking(lambda: running.invite(offer()))
            room.server.drain()

            def late() -> Response:
                with room.client() as client:
                    return client.invite(offer())

            refused = await blocking(late)
            held = await blocking(lambda: running.invite(offer()))
            goodbye = await blocking(running.bye)
            running.close()

            assert [503, 200, 200] == [one.status for one in (refused, held, goodbye)]
            assert HowEnded.BYE is room.desk.only.ended

        run(call)


def test_the_next_process_goes_on_with_the_dialog() -> None:
    desk = MemoryDesk()

    async def both() -> tuple[int, int, HowEnded | None]:
        devices = MemoryDevices(by_address=PBX)
        async with serving(desk, devices=devices) as room:
            first = room.client()
            await blocking(lambda: first.invite(offer(), metadata_of(SPEAKERS)))
            await until(lambda: b'"recording"' in desk.only.signalling)
        # The process is gone, and with it every connection; the desk has kept it.
        desk.kept_sessions = desk.survivors()
        desk._told.clear()
        async with serving(desk, devices=devices) as room:
            again = room.client()
            again.call_id, again.local_tag = first.call_id, first.local_tag
            again.remote_tag, again.cseq = first.remote_tag, first.cseq
            held = await blocking(lambda: again.invite(offer()))
            goodbye = await blocking(again.bye)
            again.close()
        first.close()
        return held.status, goodbye.status, desk.only.ended

    assert (200, 200, HowEnded.BYE) == asyncio.run(both())


def test_a_call_whose_ack_met_no_process_is_hung_up_like_any_other() -> None:
    desk = MemoryDesk()

    async def both() -> None:
        async with serving(desk) as room:
            with room.client() as client:
                await blocking(lambda: client.invite(offer()))
            await until(lambda: b'"recording"' in desk.only.signalling)
        kept = desk.only.signalling.replace(b'"recording"', b'"answered"')
        desk.only.signalling = kept
        desk.kept_sessions = desk.survivors()
        desk._told.clear()
        async with serving(desk) as room:
            assert 1 == room.agent.counts().dialogs
            desk.end_only(HowEnded.TIMEOUT)
            await until(lambda: room.agent.counts().dialogs == 0)

    asyncio.run(both())


def test_a_call_whose_2xx_was_never_made_ends_with_its_process() -> None:
    desk = MemoryDesk()

    async def both() -> HowEnded | None:
        async with serving(desk) as room:
            with room.client() as client:
                await blocking(lambda: client.invite(offer()))
        order = desk.only.order
        desk.only.signalling = order.signalling
        desk.kept_sessions = desk.survivors()
        desk._told.clear()
        async with serving(desk):
            await until(lambda: desk.only.ended)
        return desk.only.ended

    assert HowEnded.CUT is asyncio.run(both())


def test_a_race_between_bye_and_the_end_by_the_desk_ends_once() -> None:
    async def call(room: Room) -> None:
        client = room.client()
        await blocking(lambda: client.invite(offer()))
        room.desk.end_only(HowEnded.CUT)

        def cross() -> Response:
            return client.bye()

        answer = await blocking(cross)
        client.close()

        assert answer.status in {200, 481}
        assert HowEnded.CUT is room.desk.only.ended
        await until(lambda: room.agent.counts().dialogs == 0)

    run(call)


def test_a_session_that_has_ended_is_no_more() -> None:
    async def call(room: Room) -> None:
        room.desk.change_refusal = ConflictError("the session has ended")

        def talk() -> Response:
            with room.client() as client:
                client.invite(offer())
                return client.update("", metadata_of(SPEAKERS))

        assert 481 == (await blocking(talk)).status

    run(call)


def test_what_was_taken_back_counts_in_calls_that_run() -> None:
    plain = SimulatedCall(seconds=0.1, suite=SrtpSuite.PLAIN_RTP).build_offer()
    allowed = replace(PBX, allowances=frozenset({Allowance.PLAIN_RTP}))

    async def call(room: Room) -> None:
        room.devices.devices["pbx"] = allowed

        def talk() -> tuple[Response, Response, Response]:
            with room.client() as client:
                answer = client.invite(plain)
                before = client.update(plain)
                room.devices.devices["pbx"] = replace(allowed, allowances=frozenset())
                return answer, before, client.update(plain)

        answers = await blocking(talk)

        assert [200, 200, 488] == [one.status for one in answers]

    run(call)
