"""Negotiation: what a new offer changes in a running call, and what it does not."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from vault.core.errors import InvalidInputError, UnsupportedOfferError
from vault.core.flow import Allowance, CallFacts, Device, Direction, Participant
from vault.core.ids import DeviceId, KeyId, WorkgroupId, new_recording_id
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.recorder.facts import (
    MOST_ATTRIBUTES,
    MOST_METADATA_OCTETS,
    MOST_PARTICIPANTS,
    MOST_REVISIONS,
    replaced,
    seal_metadata,
)
from vault.recorder.leaves import offer_detail, started_draft
from vault.recorder.placing import Place
from vault.recorder.session import Session, begin_streams, renegotiate, take_over
from vault.sealing.chunks import context
from vault.sealing.metadata import SessionMetadata
from vault.sealing.padding import unpad
from vault.sealing.reader import open_sealed
from vault.sip.offer import read_offer
from vault.spool.config import SpoolConfig
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool
from vault.tap.orders import MkiKey, PortPair, StreamChange
from vault.trust.messages import MAX_METADATA_BYTES

SHA80 = "AES_CM_128_HMAC_SHA1_80"
GCM = "AEAD_AES_128_GCM"


def section(key: int = 1, suite: str = SHA80, *more: str) -> str:
    size = SrtpSuite(suite).master_size_bytes
    inline = base64.b64encode(bytes([key]) * size).decode()
    lines = [f"a=crypto:1 {suite} inline:{inline}", *more]
    return "m=audio 9 RTP/SAVP 0\r\n" + "".join(f"{line}\r\n" for line in lines)


def sdp(*sections: str) -> str:
    return "v=0\r\n" + "".join(sections)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    offer = read_offer(sdp(section(1), section(2)))
    order = SpoolOrder(
        recording_id=new_recording_id(),
        device_id=DeviceId("d"),
        workgroup_id=WorkgroupId("w"),
        agent_id=None,
        kid=KeyId("ab" * 16),
        tap="tap",
        started="2026-11-23T06:16:09.123456789Z",
    )
    config = SpoolConfig(directory=tmp_path / "spool", reserve_bytes=0)
    with Spool(config) as spool:
        folder = spool.create(order)
        ports = [
            PortPair(address="127.0.0.1", rtp=rtp, rtcp=rtp + 1)
            for rtp in (40_000, 40_002)
        ]
        yield Session(
            order=order,
            device=Device(id=DeviceId("d"), name="pbx"),
            dek=SecretBytes(bytes(32)),
            folder=folder,
            facts=CallFacts(caller="+4930123456"),
            place=Place(
                facts=CallFacts(caller="+4930123456"),
                workgroup_id=WorkgroupId("w"),
                workgroup_known=True,
                agent_id=None,
            ),
            origin="192.0.2.7",
            address="192.0.2.9",
            started_ns=1_795_414_569 * 10**9,
            began_s=0.0,
            offer=offer,
            streams=begin_streams(offer.streams, ports),
        )


def changes(session: Session, *sections: str) -> tuple[StreamChange, ...]:
    return renegotiate(session, read_offer(sdp(*sections))).changes


class TestRenegotiate:
    def test_the_same_offer_changes_nothing(self, session: Session) -> None:
        assert () == changes(session, section(1), section(2))

    def test_a_new_key_is_a_rekey_of_its_stream_alone(self, session: Session) -> None:
        (change,) = changes(session, section(1), section(7))

        assert (1, SrtpSuite.AES_CM_128_HMAC_SHA1_80, SecretBytes(b"\7" * 30)) == (
            change.index,
            change.suite,
            change.key,
        )

    def test_hold_is_only_hold(self, session: Session) -> None:
        assert (StreamChange(index=0, held=True),) == changes(
            session, section(1, SHA80, "a=inactive"), section(2)
        )

    def test_a_stream_switched_off_is_held_and_comes_back(
        self, session: Session
    ) -> None:
        off = section(2).replace("m=audio 9", "m=audio 0")
        assert (StreamChange(index=1, held=True),) == changes(session, section(1), off)

        asked = renegotiate(session, read_offer(sdp(section(1), off)))
        take_over(session, asked, {})
        ports = [line for line in session.answer().split("\r\n") if line[:2] == "m="]

        assert ["m=audio 40000 RTP/SAVP 0", "m=audio 0 RTP/SAVP 0"] == ports
        take_over(
            session, renegotiate(session, read_offer(sdp(section(1), section(2)))), {}
        )
        assert "m=audio 40002 RTP/SAVP 0" in session.answer()

    def test_new_names_for_the_same_keys_are_a_rekey(self, session: Session) -> None:
        first, crypto, rest = section(1).split("\r\n", 2)
        named = "\r\n".join([first, f"{crypto}|2^31|5:2", rest])
        (change,) = changes(session, named, section(2))

        assert (0, SecretBytes(b"\1" * 30)) == (change.index, change.key)
        assert (MkiKey(mki=b"\0\5", key=SecretBytes(b"\1" * 30)),) == change.mkis

    def test_fewer_sections_are_refused(self, session: Session) -> None:
        with pytest.raises(UnsupportedOfferError) as caught:
            changes(session, section(1))

        assert 2 == caught.value.line

    def test_more_sections_are_new_streams(self, session: Session) -> None:
        asked = renegotiate(
            session, read_offer(sdp(section(1), section(2), section(3)))
        )

        assert [2] == [stream.index for stream in asked.added]


class TestUnsafeMedia:
    PLAIN: Final = "m=audio 5004 RTP/AVP 0\r\nc=IN IP4 192.0.2.44\r\n"
    MAY: Final = frozenset({Allowance.PLAIN_RTP})

    def turned_plain(self, session: Session) -> None:
        offer = read_offer(
            sdp(section(1), self.PLAIN),
            allowed=self.MAY,
            media_addresses=["192.0.2.44"],
        )
        take_over(session, renegotiate(session, offer), {})

    def test_plain_rtp_has_no_key_and_comes_from_where_the_offer_says(
        self, session: Session
    ) -> None:
        offer = read_offer(
            sdp(section(1), self.PLAIN),
            allowed=self.MAY,
            media_addresses=["192.0.2.44"],
        )
        (change,) = renegotiate(session, offer).changes
        self.turned_plain(session)
        order = session.streams[1].order()

        assert (SrtpSuite.PLAIN_RTP, SecretBytes(b""), ("192.0.2.44", 5004)) == (
            change.suite,
            change.key,
            change.remote,
        )
        assert order is not None
        assert (SrtpSuite.PLAIN_RTP, ("192.0.2.44", 5004)) == (
            order.suite,
            order.remote,
        )

    def test_a_device_that_may_no_more_is_refused_and_its_call_goes_on(
        self, session: Session
    ) -> None:
        self.turned_plain(session)
        before = session.answer()

        with pytest.raises(UnsupportedOfferError, match="plain-rtp") as caught:
            changes(session, section(1), self.PLAIN)
        assert 4 == caught.value.line
        assert before == session.answer()

    def test_a_plain_stream_may_be_switched_off_by_whoever_may_no_more(
        self, session: Session
    ) -> None:
        self.turned_plain(session)
        off = self.PLAIN.replace("5004", "0")

        assert (StreamChange(index=1, held=True),) == changes(session, section(1), off)

    def test_what_once_came_plain_stays_marked(self, session: Session) -> None:
        self.turned_plain(session)
        take_over(
            session, renegotiate(session, read_offer(sdp(section(1), section(2)))), {}
        )

        assert [
            SrtpSuite.AES_CM_128_HMAC_SHA1_80,
            SrtpSuite.PLAIN_RTP,
        ] == [stream.weakest for stream in session.streams.values()]
        assert "none" == offer_detail(session)["protection"]

    def test_the_leaf_of_a_well_protected_call_says_nothing_of_it(
        self, session: Session
    ) -> None:
        assert "protection" not in (started_draft(session).detail)
        assert {"part": "offer"} == offer_detail(session)


class TestAnswer:
    def test_our_key_stays_while_the_suite_does_and_the_version_grows(
        self, session: Session
    ) -> None:
        first = session.answer()
        take_over(
            session,
            renegotiate(session, read_offer(sdp(section(9), section(2, GCM)))),
            {},
        )
        second = session.answer()
        ours = [
            [
                line.split("inline:")[1]
                for line in text.split("\r\n")
                if "inline:" in line
            ]
            for text in (first, second)
        ]

        assert ours[0][0] == ours[1][0]
        assert ours[0][1] != ours[1][1]
        assert ["1", "2"] == [
            text.split("\r\n")[1].split()[2] for text in (first, second)
        ]


def opened(session: Session, name: str) -> SessionMetadata:
    plain = open_sealed(
        session.folder.read(name),
        key=session.dek,
        context=context(session.recording_id, name),
    )

    assert 0 == len(plain) % 256
    return SessionMetadata.parse(unpad(plain))


class TestFacts:
    def test_what_rests_is_sealed_padded_and_opens_with_the_key(
        self, session: Session
    ) -> None:
        seal_metadata(session)
        seal_metadata(session, ended_ns=session.started_ns + 1)
        found = opened(session, "session/0002")

        assert ("+4930123456", "2026-11-23T06:16:09.000000001Z") == (
            found.caller,
            found.ended,
        )
        for path in session.folder.path.iterdir():
            assert b"4930123456" not in path.read_bytes()

    def test_changes_replace_facts_and_merge_attributes(self) -> None:
        facts = CallFacts(caller="1", attributes={"a": "1", "b": "2"})
        found = replaced(
            facts,
            {"direction": "inbound", "attributes": {"b": "3"}, "agent": "eve"},
            now_ns=7,
        )

        assert ("1", "eve", Direction.INBOUND, {"a": "1", "b": "3"}) == (
            found.caller,
            found.agent,
            found.direction,
            dict(found.attributes),
        )

    def test_the_end_is_sealed_however_often_a_device_changed_its_mind(
        self, session: Session
    ) -> None:
        session.revision = MOST_REVISIONS
        seal_metadata(session)
        seal_metadata(session, ended_ns=session.started_ns)

        assert [f"session/{MOST_REVISIONS + 1}"] == session.folder.objects()

    def test_attributes_that_are_new_with_every_change_fill_no_call(
        self, session: Session
    ) -> None:
        facts = CallFacts()
        for number in range(MOST_ATTRIBUTES + 5):
            said = {f"name-{number}": "\0" * 1024, "name-0": str(number)}
            facts = replaced(facts, {"attributes": said}, now_ns=7)
        session.settle(facts, replace(session.place, facts=facts))
        seal_metadata(session)

        assert MOST_ATTRIBUTES == len(facts.attributes)
        assert str(MOST_ATTRIBUTES + 4) == facts.attributes["name-0"]
        assert opened(session, "session/0001").attributes
        assert session.metadata_octets < MAX_METADATA_BYTES

    def test_a_device_fills_no_disk_with_facts(self, session: Session) -> None:
        session.metadata_octets = MOST_METADATA_OCTETS
        seal_metadata(session)
        seal_metadata(session, ended_ns=session.started_ns)

        assert ["session/0001"] == session.folder.objects()

    def test_whoever_is_not_named_any_more_has_left_and_stays_known(self) -> None:
        anna, bob = Participant(id="1", name="Anna"), Participant(id="2", left_ns=3)
        carl = Participant(id="3")
        facts = CallFacts(participants=(anna, bob))
        found = replaced(facts, {"participants": (carl,)}, now_ns=7)

        assert (carl, replace(anna, left_ns=7), bob) == found.participants

    def test_participants_that_are_new_with_every_update_fill_no_call(self) -> None:
        facts = CallFacts()
        for number in range(MOST_PARTICIPANTS + 5):
            named = (Participant(id=str(number)),)
            facts = replaced(facts, {"participants": named}, now_ns=7)

        assert MOST_PARTICIPANTS == len(facts.participants)
        assert str(MOST_PARTICIPANTS + 4) == facts.participants[0].id

    def test_octets_that_are_no_text_are_sealed_as_such(self, session: Session) -> None:
        facts = CallFacts(
            caller="gro\udcdf", participants=(Participant(id="\ud800", name="Zoë"),)
        )
        session.settle(facts, replace(session.place, facts=facts))
        seal_metadata(session)
        found = opened(session, "session/0001")

        assert "gro\ufffd" == found.caller
        assert [("\ufffd", "Zoë")] == [(p.id, p.name) for p in found.participants]

    @pytest.mark.parametrize(
        "change",
        [
            {"secret": "x"},
            {"caller": 7},
            {"direction": "up"},
            {"participants": ["anna"]},
            {"participants": [Participant(id="1")]},
        ],
    )
    def test_what_is_no_fact_is_refused(self, change: dict[str, object]) -> None:
        with pytest.raises(InvalidInputError):
            replaced(CallFacts(), change, now_ns=7)


def test_a_key_is_good_for_as_many_packets_as_its_lifetime_says(
    session: Session,
) -> None:
    def offered(key: int) -> str:
        return sdp(section(key).rstrip() + "|2^3\r\n")

    def renew(key: int) -> None:
        offer = read_offer(offered(key) + section(2))
        take_over(session, renegotiate(session, offer), {})

    first = session.streams[0]
    renew(1)
    first.authentic = 8
    within = first.outlives_key
    first.authentic = 9
    beyond, first.key_spent = first.outlives_key, True
    renew(1)
    same = (first.outlives_key, first.key_spent)
    renew(3)
    fresh = (first.outlives_key, first.key_spent)

    assert (False, True) == (within, beyond)
    assert (True, True) == same
    assert (False, False) == fresh
    assert not session.streams[1].outlives_key
