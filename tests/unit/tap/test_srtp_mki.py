import pytest

from tests.simulators.srtp_peers import (
    PROTECTED,
    SSRC,
    Sender,
    fresh_key,
    report,
    rtp,
    taken,
)
from vault.core.media import SrtpSuite
from vault.tap.orders import MkiKey, Rejection
from vault.tap.rollover import find_rollover, join, likely_rollovers
from vault.tap.slots import Slots
from vault.tap.srtp import InboundSession, OutboundSession, inbound, rejection_of
from vault.tap.srtp_session import (
    STATUS_OK,
    STATUS_REPLAYED,
    STATUS_UNKNOWN_MKI,
    tag_size_bytes,
)

CM = SrtpSuite.AES_CM_128_HMAC_SHA1_80
GCM = SrtpSuite.AEAD_AES_128_GCM


class Named:
    """libsrtp's sender, with an MKI put into its packets."""

    def __init__(self, suite: SrtpSuite, mki: bytes) -> None:
        self.suite = suite
        self.key = MkiKey(mki=mki, key=fresh_key(suite))
        self._sender = Sender(suite, self.key.key)

    def packet(self, index: int, payload: bytes = b"speech") -> bytes:
        return self._named(self._sender.packet(index, payload))

    def report(self) -> bytes:
        return self._named(self._sender.protected(report(), rtcp=True), rtcp=True)

    def _named(self, packet: bytes, *, rtcp: bool = False) -> bytes:
        at = len(packet) - tag_size_bytes(self.suite, rtcp=rtcp)
        return packet[:at] + self.key.mki + packet[at:]


def session_of(*senders: Named) -> InboundSession:
    keys = tuple(sender.key for sender in senders)
    return inbound(senders[0].suite, keys[0].key, keys)


@pytest.mark.parametrize("suite", PROTECTED)
@pytest.mark.parametrize("size", [1, 2, 4, 128])
class TestAnMki:
    def test_is_taken_out(self, suite: SrtpSuite, size: int):
        sender = Named(suite, bytes(size))
        session = session_of(sender)

        assert taken(session, sender.packet(3)) == (STATUS_OK, rtp(3))
        assert taken(session, sender.report(), rtcp=True) == (STATUS_OK, report())

    def test_is_where_our_sender_puts_it(self, suite: SrtpSuite, size: int):
        theirs = Named(suite, b"\1" * size)
        ours = OutboundSession(suite, theirs.key.key, theirs.key.mki)

        assert ours.protect(rtp(3)) == theirs.packet(3)
        assert ours.protect_rtcp(report()) == theirs.report()

    def test_that_is_unknown_is_no_attempt_at_any_key(
        self, suite: SrtpSuite, size: int
    ):
        sender, session = (
            Named(suite, b"\1" * size),
            session_of(Named(suite, b"\2" * size)),
        )
        packet, report_ = sender.packet(3), sender.report()

        assert taken(session, packet) == (STATUS_UNKNOWN_MKI, packet)
        assert taken(session, report_, rtcp=True) == (STATUS_UNKNOWN_MKI, report_)
        assert rejection_of(STATUS_UNKNOWN_MKI) is Rejection.UNKNOWN_MKI

    def test_that_was_offered_and_is_not_sent_is_missed(
        self, suite: SrtpSuite, size: int
    ):
        sender = Named(suite, b"\1" * size)
        bare = Sender(suite, sender.key.key).packet(3, bytes(160))

        assert taken(session_of(sender), bare)[0] != STATUS_OK

    def test_and_the_packet_are_as_they_were_if_it_fails(
        self, suite: SrtpSuite, size: int
    ):
        sender = Named(suite, bytes(range(size)))
        session = session_of(sender)
        packet, report_ = bytearray(sender.packet(3)), bytearray(sender.report())
        packet[13] ^= 1
        report_[9] ^= 1

        status, left = taken(session, bytes(packet))
        status_, left_ = taken(session, bytes(report_), rtcp=True)

        assert STATUS_OK not in (status, status_)
        assert len(left) == len(packet)
        assert len(left_) == len(report_)
        if not session.spoils:
            assert (left, left_) == (packet, report_)

    def test_of_a_packet_too_short_for_it_is_not_read(
        self, suite: SrtpSuite, size: int
    ):
        sender = Named(suite, bytes(size))
        session, packet = session_of(sender), sender.packet(3)

        for cut in range(12 + size + tag_size_bytes(suite)):
            assert taken(session, packet[:cut])[0] != STATUS_OK
            assert taken(session, packet[:cut], rtcp=True)[0] != STATUS_OK


@pytest.mark.parametrize("suite", [CM, GCM, SrtpSuite.AES_256_CM_HMAC_SHA1_80])
class TestSeveralKeys:
    def test_take_turns_within_one_number_space(self, suite: SrtpSuite):
        """RFC 3711, 3.2.3: the rollover counter is the SSRC's, not the key's."""
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        session = session_of(one, two)
        turns = [
            *((one, i) for i in (65_000, 65_530)),
            *((two, i) for i in (65_531, 65_537, 90_000, 120_000, 140_000)),
            *((one, i) for i in (140_001, 170_000, 200_000)),
            *((two, i) for i in (200_001, 200_002)),
        ]

        statuses = [taken(session, s.packet(i))[0] for s, i in turns]

        assert statuses == [STATUS_OK] * len(turns)

    def test_may_be_mixed_up_on_the_way(self, suite: SrtpSuite):
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        session = session_of(one, two)
        old = {i: one.packet(i) for i in (65_530, 70_000, 70_001, 70_002)}
        new = {i: two.packet(i) for i in (70_003, 70_004)}

        order = [old[65_530], old[70_000], new[70_004], old[70_002], new[70_003]]
        statuses = [taken(session, p)[0] for p in (*order, old[70_001], new[70_003])]

        assert statuses == [STATUS_OK] * 6 + [STATUS_REPLAYED]

    def test_are_not_led_astray_by_forged_packets(self, suite: SrtpSuite):
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        session = session_of(one, two)
        for index in (10, 30_000, 60_000, 70_000):
            taken(session, one.packet(index))
        forged = rtp(5000, bytes(40)) + b"\2" + bytes(tag_size_bytes(suite))

        assert taken(session, forged)[0] != STATUS_OK
        assert taken(session, two.packet(70_001))[0] == STATUS_OK
        assert taken(session, one.packet(70_002))[0] == STATUS_OK

    def test_go_on_together_after_a_restart(self, suite: SrtpSuite):
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        last, next_, then = (
            one.packet(300_000),
            one.packet(300_001),
            two.packet(300_002),
        )
        session = session_of(one, two)
        assert session.fast_forward(SSRC, 300_000)

        assert [taken(session, p)[0] for p in (last, then, next_)] == [
            STATUS_REPLAYED,
            STATUS_OK,
            STATUS_OK,
        ]
        assert not session.fast_forward(SSRC, 2**48)

    def test_can_be_forgotten(self, suite: SrtpSuite):
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        packets = [one.packet(5), two.packet(6)]
        session = session_of(one, two)
        before = [taken(session, p)[0] for p in packets]
        session.forget(SSRC)
        again = [taken(session, p)[0] for p in packets]
        session.fast_forward(SSRC, -1)

        assert before == again == [taken(session, p)[0] for p in packets] == [0, 0]

    def test_can_be_joined_late(self, suite: SrtpSuite):
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        session = session_of(one, two)
        packet = two.packet(5 * 65536 + 7)
        assert taken(session, packet)[0] != STATUS_OK

        tried = session.trial(packet)
        assert tried is not None
        roc = find_rollover(suite, *tried, likely_rollovers())
        assert roc == 5
        assert join(session, packet, roc)

        assert taken(session, packet) == (STATUS_OK, rtp(5 * 65536 + 7))
        assert taken(session, one.packet(5 * 65536 + 6))[0] == STATUS_OK

    def test_come_in_batches_as_well(self, suite: SrtpSuite):
        one, two = Named(suite, b"\1"), Named(suite, b"\2")
        slots = Slots(0)
        slots.restore(0, one.packet(1))
        slots.restore(1, two.packet(2))

        assert session_of(one, two).unprotect_batch(slots, 2) == [STATUS_OK] * 2
        assert bytes(slots.packet(1, slots.length(1))) == rtp(2)


class TestTrials:
    def test_are_not_for_unknown_names_and_short_packets(self):
        one, two = Named(CM, b"\1"), Named(CM, b"\2")
        session = session_of(one)

        assert session.trial(two.packet(1)) is None
        assert session.trial(one.packet(1)[:22]) is None

    def test_are_not_for_short_tags(self):
        sender = Named(SrtpSuite.AES_CM_128_HMAC_SHA1_32, b"\1")

        assert session_of(sender).trial(sender.packet(1)) is None


class TestNames:
    @pytest.mark.parametrize(
        "names", [(b"",), (bytes(129),), (b"\1", b"\1\2")], ids=str
    )
    def test_have_one_length_of_up_to_128_octets(self, names: tuple[bytes, ...]):
        with pytest.raises(ValueError, match="1 to 128 octets"):
            session_of(*(Named(CM, name) for name in names))
