"""Sessions of every suite, against packets that other implementations made."""

import json
import tracemalloc
from pathlib import Path

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
from vault.core.secrets import SecretBytes
from vault.tap.orders import MkiKey
from vault.tap.slots import ROOM, Slots
from vault.tap.srtp import (
    REPLAY_WINDOW,
    STATUS_OK,
    InboundSession,
    OutboundSession,
    inbound,
)
from vault.tap.srtp_session import STATUS_REPLAYED, STATUS_TOO_OLD

VECTORS = Path(__file__).parents[2] / "vectors/tap"
LIBSRTP = json.loads((VECTORS / "srtp_libsrtp.json").read_text())["vectors"]
FFMPEG = json.loads((VECTORS / "srtp_ffmpeg.json").read_text())["vectors"]
SUITE = {
    "AES128_CM_SHA1_80": SrtpSuite.AES_CM_128_HMAC_SHA1_80,
    "AES128_CM_SHA1_32": SrtpSuite.AES_CM_128_HMAC_SHA1_32,
    "AEAD_AES_128_GCM": SrtpSuite.AEAD_AES_128_GCM,
}
SIZES = (0, 1, 11, 12, 13, 1500, 1501, ROOM)
"Of datagrams (M14); what is longer than a slot never gets as far as a session."


@pytest.mark.parametrize("vector", LIBSRTP, ids=lambda v: v["name"])
class TestVectorsOfLibsrtp:
    def test_open_to_the_packets_they_were_made_of(self, vector: dict[str, str]):
        key = SecretBytes(bytes.fromhex(vector["master"]))
        session = inbound(SUITE[vector["profile"]], key)

        rtp = taken(session, bytes.fromhex(vector["srtp"]))
        rtcp = taken(session, bytes.fromhex(vector["srtcp"]), rtcp=True)

        assert rtp == (STATUS_OK, bytes.fromhex(vector["rtp"]))
        assert rtcp == (STATUS_OK, bytes.fromhex(vector["rtcp"]))

    def test_are_what_our_sender_sends(self, vector: dict[str, str]):
        key = SecretBytes(bytes.fromhex(vector["master"]))
        sender = OutboundSession(SUITE[vector["profile"]], key)

        assert sender.protect(bytes.fromhex(vector["rtp"])).hex() == vector["srtp"]
        assert (
            sender.protect_rtcp(bytes.fromhex(vector["rtcp"])).hex() == vector["srtcp"]
        )


@pytest.mark.parametrize("vector", FFMPEG, ids=lambda v: v["name"])
class TestVectorsOfFfmpeg:
    def test_open_if_their_tag_is_of_a_standard(self, vector: dict[str, str]):
        """A 32-bit tag on RTCP is FFmpeg's own: RFC 4568, 6.2 says 80 bits."""
        key = SecretBytes(bytes.fromhex(vector["master"]))
        packet, is_rtcp = bytes.fromhex(vector["srtp"]), vector["kind"] == "rtcp"
        short_report = is_rtcp and "32-bit RTCP tag" in vector["name"]

        status, left = taken(
            inbound(SUITE[vector["profile"]], key), packet, rtcp=is_rtcp
        )

        assert (status == STATUS_OK) is not short_report
        assert (len(left) < len(packet)) is not short_report


@pytest.mark.parametrize("suite", PROTECTED)
class TestEverySuite:
    def test_opens_what_libsrtp_sends(self, suite: SrtpSuite):
        key = fresh_key(suite)
        session, sender = inbound(suite, key), Sender(suite, key)

        media = [taken(session, sender.packet(i)) for i in range(3)]
        reports = taken(session, sender.protected(report(), rtcp=True), rtcp=True)

        assert media == [(STATUS_OK, rtp(i)) for i in range(3)]
        assert reports == (STATUS_OK, report())

    def test_sends_what_libsrtp_sends(self, suite: SrtpSuite):
        key = fresh_key(suite)
        ours, theirs = OutboundSession(suite, key), Sender(suite, key)

        for index in (65533, 65535, 65536, 65540):
            assert ours.protect(rtp(index)) == theirs.packet(index)
        for _ in range(3):
            assert ours.protect_rtcp(report()) == theirs.protected(report(), rtcp=True)

    def test_opens_a_batch_as_it_opens_one_by_one(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, slots = Sender(suite, key), Slots(0)
        packets = [sender.packet(i) for i in range(5)]
        for i, packet in enumerate([*packets, packets[0]]):
            slots.restore(i, packet)

        statuses = inbound(suite, key).unprotect_batch(slots, 6)

        assert statuses == [STATUS_OK] * 5 + [STATUS_REPLAYED]
        assert [bytes(slots.packet(i, slots.length(i))) for i in range(5)] == [
            rtp(i) for i in range(5)
        ]

    def test_takes_a_late_packet_once_within_the_window(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        oldest, late, newest = (sender.packet(i) for i in (0, 1, REPLAY_WINDOW))

        statuses = [taken(session, p)[0] for p in (newest, late, late, oldest)]

        assert statuses == [STATUS_OK, STATUS_OK, STATUS_REPLAYED, STATUS_TOO_OLD]

    def test_takes_any_index_of_rtcp(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        reports = [sender.protected(report(), rtcp=True) for _ in range(300)]

        order = (250, 252, 251, 252, 299, 100)
        statuses = [taken(session, reports[i], rtcp=True)[0] for i in order]

        assert statuses == [0, 0, 0, STATUS_REPLAYED, 0, STATUS_TOO_OLD]

    def test_a_forgotten_ssrc_starts_anew(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet, session = Sender(suite, key).packet(0), inbound(suite, key)
        once = taken(session, packet)
        session.forget(SSRC)

        assert taken(session, packet) == once == (STATUS_OK, rtp(0))
        session.forget(12345)

    def test_takes_several_ssrcs_under_one_key(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)

        statuses = [
            taken(session, sender.packet(i, ssrc=ssrc))[0]
            for ssrc, i in ((1, 9), (2, 60000), (3, 5), (1, 10), (2, 60001))
        ]

        assert statuses == [STATUS_OK] * 5

    def test_a_key_of_another_length_is_refused(self, suite: SrtpSuite):
        for size in (0, 16, 29, 31, 47):
            with pytest.raises(ValueError, match="no master key"):
                inbound(suite, SecretBytes(bytes(size)))
            with pytest.raises(ValueError, match="no master key"):
                OutboundSession(suite, SecretBytes(bytes(size)))

    def test_says_what_it_is(self, suite: SrtpSuite):
        session = inbound(suite, fresh_key(suite))

        assert session.suite is suite
        assert session.authenticates
        assert session.spoils == suite.is_aead
        assert session.can_trial is not suite.has_short_tag

    @pytest.mark.parametrize("size", SIZES)
    def test_answers_garbage_of_any_size_with_a_status(
        self, suite: SrtpSuite, size: int
    ):
        """pylibsrtp raises two kinds of exceptions here; the C function none."""
        session = inbound(suite, fresh_key(suite))
        garbage = (b"\x80\x00" + bytes(range(256)) * 8)[:size]
        reports = (b"\x80\xc8" + bytes(range(256)) * 8)[:size]

        assert taken(session, garbage)[0] != STATUS_OK
        assert taken(session, reports, rtcp=True)[0] != STATUS_OK

    @pytest.mark.parametrize("size", [1500, 1501, ROOM])
    def test_opens_packets_longer_than_pylibsrtp_takes(
        self, suite: SrtpSuite, size: int
    ):
        key = fresh_key(suite)
        sender = Sender(suite, key)
        overhead = len(sender.packet(0, b"")) - 12
        packet = sender.packet(1, bytes(size - 12 - overhead))

        status, left = taken(inbound(suite, key), packet)

        assert len(packet) == size
        assert (status, len(left)) == (STATUS_OK, size - overhead)

    @pytest.mark.parametrize(
        "header",
        [
            b"\x8f\x00",  # 15 CSRCs
            b"\x90\x00",  # an extension of 0xffff words
            b"\x9f\x00",
            b"\xbf\x00",
            b"\x00\x00",  # other versions: none of a session's business
            b"\x40\x00",
            b"\xc0\x00",
        ],
    )
    def test_survives_headers_that_promise_more_than_there_is(
        self, suite: SrtpSuite, header: bytes
    ):
        session = inbound(suite, fresh_key(suite))

        for size in range(12, 90):
            packet = header + b"\xff" * (size - 2)

            assert taken(session, packet)[0] != STATUS_OK

    @pytest.mark.parametrize("padding", [0, 1, 255])
    def test_keeps_padding_for_those_who_read_packets(
        self, suite: SrtpSuite, padding: int
    ):
        """A count that lies is authentic: the sender's, and kept as it was sent."""
        key = fresh_key(suite)
        packet = b"\xa0" + rtp(7, b"abc" + bytes([padding]))[1:]

        opened = taken(inbound(suite, key), Sender(suite, key).protected(packet))

        assert opened == (STATUS_OK, packet)

    def test_leaves_csrcs_and_extensions_in_the_clear(self, suite: SrtpSuite):
        key = fresh_key(suite)
        header = b"\x9f" + rtp(7)[1:12] + bytes(range(60)) + b"\xbe\xde\x00\x01abcd"
        protected = Sender(suite, key).protected(header + b"speech")

        assert protected.startswith(header)
        assert taken(inbound(suite, key), protected) == (STATUS_OK, header + b"speech")

    def test_forged_packets_move_nothing(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        first, second = sender.packet(1000), sender.packet(1001)
        taken(session, first)

        for seq in (1001, 1002, 20000, 33000, 65535, 0):
            forged = first[:2] + seq.to_bytes(2) + first[4:]
            assert taken(session, forged)[0] != STATUS_OK

        assert taken(session, second) == (STATUS_OK, rtp(1001))

    def test_unauthentic_ssrcs_cost_nothing(self, suite: SrtpSuite):
        session = inbound(suite, fresh_key(suite))
        garbage = rtp(0)[:8]
        taken(session, garbage + bytes(40))
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for ssrc in range(500):
            taken(session, garbage + ssrc.to_bytes(4) + bytes(36))
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()

        assert grown < 5000


class TestFastForward:
    @pytest.mark.parametrize("suite", PROTECTED)
    @pytest.mark.parametrize(
        "extended",
        [
            *(0, 1, 500, REPLAY_WINDOW, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF),
            *(0x10000, 0x10001, 0x17FFF, 0x18000, 0x1FFFF, 0x20000),
            *(100 * 65536 + 5, 4096 * 65536 + 40000),
        ],
    )
    def test_goes_on_where_another_session_was(self, suite: SrtpSuite, extended: int):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        indexes = sorted(
            {
                i
                for d in (-1200, -REPLAY_WINDOW, 1 - REPLAY_WINDOW, -1, 0, 1, 2)
                if (i := extended + d) >= 0
            }
        )
        packets = {i: sender.packet(i) for i in indexes}
        assert session.fast_forward(SSRC, extended)

        # The next first, then those behind it.
        order = sorted(indexes, key=lambda i: (i <= extended, i))
        statuses = {i - extended: taken(session, packets[i])[0] for i in order}

        # 1 and 2 have moved the window by two.
        model = {
            1: STATUS_OK,
            2: STATUS_OK,
            0: STATUS_REPLAYED,
            -1: STATUS_OK,
            1 - REPLAY_WINDOW: STATUS_TOO_OLD,
            -REPLAY_WINDOW: STATUS_TOO_OLD,
            -1200: STATUS_TOO_OLD,
        }
        assert statuses == {i - extended: model[i - extended] for i in indexes}

    @pytest.mark.parametrize("suite", PROTECTED)
    @pytest.mark.parametrize("extended", [70000, 65536 + 2000, 5 * 65536 + 33000])
    def test_leaves_the_whole_window_open(self, suite: SrtpSuite, extended: int):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        behind = range(extended - REPLAY_WINDOW + 1, extended)
        packets = [sender.packet(i) for i in behind]
        session.fast_forward(SSRC, extended)

        assert {taken(session, p)[0] for p in packets} == {STATUS_OK}
        assert {taken(session, p)[0] for p in packets} == {STATUS_REPLAYED}

    @pytest.mark.parametrize("suite", PROTECTED)
    def test_touches_no_other_ssrc(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        first, second = sender.packet(7, ssrc=1), sender.packet(8, ssrc=1)
        taken(session, first)
        session.fast_forward(2, 300_000)

        assert taken(session, first)[0] == STATUS_REPLAYED
        assert taken(session, second)[0] == STATUS_OK
        assert taken(session, sender.packet(300_001, ssrc=2))[0] == STATUS_OK

    @pytest.mark.parametrize("suite", PROTECTED)
    def test_to_before_the_first_packet_forgets(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet, session = Sender(suite, key).packet(0), inbound(suite, key)
        taken(session, packet)

        assert session.fast_forward(SSRC, -1)
        assert taken(session, packet) == (STATUS_OK, rtp(0))

    @pytest.mark.parametrize("suite", PROTECTED)
    def test_goes_back_as_well(self, suite: SrtpSuite):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        packet = sender.packet(100_000)
        session.fast_forward(SSRC, 900_000)

        assert taken(session, packet)[0] != STATUS_OK
        assert session.fast_forward(SSRC, 99_999)
        assert taken(session, packet)[0] == STATUS_OK

    @pytest.mark.parametrize("suite", PROTECTED)
    def test_beyond_what_can_be_reached_changes_nothing(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet, session = Sender(suite, key).packet(0), inbound(suite, key)
        taken(session, packet)

        assert not session.fast_forward(SSRC, 2**48)
        assert taken(session, packet)[0] == STATUS_REPLAYED


class TestInbound:
    def test_refuses_two_keys_of_one_name(self):
        suite = SrtpSuite.AES_CM_128_HMAC_SHA1_80
        twice = tuple(MkiKey(mki=b"\1", key=fresh_key(suite)) for _ in range(2))

        with pytest.raises(ValueError, match="one MKI"):
            inbound(suite, twice[0].key, twice)

    @pytest.mark.parametrize("suite", PROTECTED)
    def test_a_session_shows_no_key(self, suite: SrtpSuite):
        key = fresh_key(suite)
        session: InboundSession = inbound(suite, key)

        assert key.reveal().hex() not in repr(session)
        assert repr(key.reveal()) not in repr(session)
