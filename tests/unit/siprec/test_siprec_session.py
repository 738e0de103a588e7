import json
from dataclasses import replace

import pytest

from tests.simulators.recording_desk import PBX
from vault.core.errors import InvalidInputError
from vault.core.ids import RecordingId
from vault.sip.dialogs import Dialog
from vault.sip.messages import Request, parse_message, respond
from vault.sip.peers import Peer, Transport
from vault.siprec.interfaces import KeptSession
from vault.siprec.session import _NEXT, Call, Event, State, Tell
from vault.siprec.simulated_bodies import Speaker, metadata_of

ID = RecordingId("00000000-0000-4000-8000-00000000000a")
PEER = Peer(transport=Transport.TCP, address="192.0.2.1", port=5062, connection=3)
INVITE = (
    b"INVITE sip:srs@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.1:5062;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    b"From: <sip:src@192.0.2.1>;tag=theirs\r\nTo: <sip:srs@127.0.0.1>\r\n"
    b"Contact: <sip:src@192.0.2.1:5062;transport=tcp>\r\n"
    b"Call-ID: abc\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)
ADA = Speaker(label="agent", aor="sip:ada@example.net", name="Ada \N{SNOWMAN}")
BOB = Speaker(label="customer", aor="sip:bob@example.net")


def dialog() -> Dialog:
    invite = parse_message(INVITE)
    assert isinstance(invite, Request)
    made = Dialog.of(
        invite, local_tag="ours", contact="<sip:127.0.0.1>;+sip.srs", peer=PEER
    )
    made.settle(invite, respond(invite, 200), PEER, 10.0)
    return made


def call(state: State = State.RECORDING) -> Call:
    return Call(
        key=("abc", "theirs"),
        device=PBX,
        state=state,
        recording_id=ID,
        dialog=dialog(),
        labels=("agent", "customer"),
    )


def kept(signalling: bytes) -> KeptSession:
    return KeptSession(recording_id=ID, device=PBX, signalling=signalling)


class TestStates:
    def test_from_everywhere_an_end_is_reached_and_somebody_is_told_once(self) -> None:
        ends = {
            (state, event): tell
            for (state, event), (reached, tell) in _NEXT.items()
            if reached is State.ENDED
        }
        told = {
            state: {tell for (one, _), tell in ends.items() if one is state}
            for state in State
            if state is not State.ENDED
        }

        assert {Tell.DESK, Tell.PEER} == told[State.RECORDING]
        # The BYE of a call that was not acknowledged waits.
        assert {Tell.DESK} == told[State.ANSWERED]
        assert {Tell.NOBODY, Tell.PEER} == told[State.OWED]
        assert {Tell.NOBODY} == told[State.OPENING]

    @pytest.mark.parametrize(
        ("state", "event", "tell"),
        [
            (State.RECORDING, Event.BYE, Tell.DESK),
            (State.RECORDING, Event.LOST, Tell.DESK),
            (State.RECORDING, Event.DESK_ENDED, Tell.PEER),
            (State.ANSWERED, Event.BYE, Tell.DESK),
            (State.OPENING, Event.REFUSED, Tell.NOBODY),
        ],
    )
    def test_whoever_ended_it_the_other_side_hears_of_it_and_nobody_twice(
        self, state: State, event: Event, tell: Tell
    ) -> None:
        one = call(state)

        assert tell is one.step(event)
        assert {Tell.NOBODY} == {one.step(again) for again in Event}

    def test_a_bye_of_ours_waits_for_the_ack(self) -> None:
        one = call(State.ANSWERED)
        told = [one.step(Event.DESK_ENDED), one.step(Event.ACK)]

        assert [Tell.NOBODY, Tell.PEER] == told

    def test_where_no_ack_comes_the_peer_is_not_told_twice(self) -> None:
        one = call(State.ANSWERED)
        told = [one.step(Event.DESK_ENDED), one.step(Event.LOST)]

        assert [Tell.NOBODY, Tell.NOBODY] == told
        assert not one.is_due

    def test_what_cannot_happen_is_a_bug(self) -> None:
        with pytest.raises(RuntimeError):
            call(State.OPENING).step(Event.ACK)


class TestMetadata:
    def test_what_cannot_be_read_changes_nothing(self) -> None:
        one = call()
        one.learn(metadata_of((ADA,)), 1)
        before = one.metadata

        assert one.learn(b"<!DOCTYPE x []><x/>", 2)
        assert before == one.metadata

    def test_a_partial_document_adds_to_what_was_known(self) -> None:
        one = call()
        one.learn(metadata_of((ADA,)), 1)
        one.learn(metadata_of((BOB,), mode="partial"), 2)

        assert one.metadata is not None
        assert {ADA.aor, BOB.aor} == {each.aor for each in one.metadata.parties}


class TestKept:
    def test_a_call_is_resumed_as_it_was(self) -> None:
        one = call()
        one.learn(metadata_of((ADA, BOB), extension="<x xmlns='y'>z</x>"), 5)
        again = Call.resumed(kept(one.signalling()))

        assert replace(one, facts=None) == again

    def test_one_that_was_never_answered_has_no_dialog(self) -> None:
        one = Call(key=("abc", "theirs"), device=PBX)

        assert Call.resumed(kept(one.signalling())).dialog is None

    def test_metadata_without_end_is_forgotten_and_the_dialog_is_not(self) -> None:
        one = call()
        crowd = [
            Speaker(label=f"l{i}", aor=f"sip:{i}@example.net", name=f"{i}" * 200)
            for i in range(250)
        ]
        one.learn(metadata_of(crowd), 1)
        octets = one.signalling()
        again = Call.resumed(kept(octets))

        assert one.metadata is not None
        assert len(octets) < 16_384
        assert again.metadata is None
        assert one.dialog == again.dialog

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"{}",
            b"null",
            b"[]",
            b'{"v": 2}',
            b"\xff",
            json.dumps({"v": 1, "key": ["a", "b"], "state": "?"}).encode(),
        ],
    )
    def test_what_is_not_ours_is_refused(self, octets: bytes) -> None:
        with pytest.raises(InvalidInputError):
            Call.resumed(kept(octets))

    def test_every_state_with_one_member_less_is_refused(self) -> None:
        members = json.loads(call().signalling())
        for name in members:
            less = {key: value for key, value in members.items() if key != name}
            with pytest.raises(InvalidInputError):
                Call.resumed(kept(json.dumps(less).encode()))
