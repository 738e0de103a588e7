import json
from itertools import islice
from pathlib import Path

import pytest

from tests.simulators.srtp_peers import LONG_TAGS, Sender, fresh_key, rtp, taken
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.rollover import (
    MOST_CANDIDATES,
    _aead,
    find_rollover,
    join,
    likely_rollovers,
)
from vault.tap.srtp import inbound
from vault.tap.srtp_keys import SessionKeys
from vault.tap.srtp_session import STATUS_OK, STATUS_REPLAYED

VECTORS = Path(__file__).parents[2] / "vectors/tap/rfc7714.json"
RTP_VECTORS = [
    v for v in json.loads(VECTORS.read_text())["vectors"] if v["kind"] == "rtp"
]


@pytest.mark.parametrize("vector", RTP_VECTORS, ids=lambda v: v["alg"])
class TestVectorsOfRfc7714:
    def test_are_authentic_under_their_rollover_counter_alone(
        self, vector: dict[str, str | int]
    ):
        keys = SessionKeys(
            encryption=bytes.fromhex(str(vector["session_key"])),
            authentication=b"",
            salt=bytes.fromhex(str(vector["session_salt"])),
        )
        roc = int(vector["index"]) >> 16
        is_authentic = _aead(keys, bytes.fromhex(str(vector["protected"])), 12)

        found = [r for r in range(50) if is_authentic(r.to_bytes(4, "big"))]

        assert found == [roc]


class TestFindRollover:
    @pytest.mark.parametrize("suite", LONG_TAGS)
    @pytest.mark.parametrize("roc", [0, 1, 2, 100, 1000])
    def test_finds_the_one_of_libsrtp(self, suite: SrtpSuite, roc: int):
        key = fresh_key(suite)
        packet = Sender(suite, key).packet(roc << 16 | 40000)

        assert find_rollover(suite, key, packet, likely_rollovers()) == roc

    @pytest.mark.parametrize("suite", LONG_TAGS)
    def test_finds_none_for_a_forged_packet_or_another_key(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet = Sender(suite, key).packet(3 << 16)
        forged = packet[:-1] + bytes([packet[-1] ^ 1])

        assert find_rollover(suite, key, forged, range(10)) is None
        assert find_rollover(suite, fresh_key(suite), packet, range(10)) is None
        assert find_rollover(suite, key, packet, ()) is None
        assert find_rollover(suite, key, packet, (-1, 2**32, 4)) is None

    @pytest.mark.parametrize("suite", LONG_TAGS)
    def test_finds_none_that_would_turn_an_ssrc_back(self, suite: SrtpSuite):
        key, index = fresh_key(suite), 3 << 16 | 40000
        packet = Sender(suite, key).packet(index)

        def found(after: int) -> int | None:
            return find_rollover(suite, key, packet, range(9), after=after)

        assert [found(index + d) for d in (-70_000, -1, 0, 1)] == [3, 3, None, None]

    @pytest.mark.parametrize("suite", LONG_TAGS)
    def test_reads_no_octet_outside_a_packet(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet = b"\x9f" + Sender(suite, key).packet(3)[1:]

        for size in range(len(packet) + 1):
            assert find_rollover(suite, key, packet[:size], range(3)) is None

    @pytest.mark.parametrize("suite", LONG_TAGS)
    def test_knows_extensions(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet = b"\x91" + rtp(7)[1:12] + b"CSRC\xbe\xde\x00\x01abcdspeech"
        protected = Sender(suite, key).protected(packet)

        assert find_rollover(suite, key, protected, range(3)) == 0

    @pytest.mark.parametrize("suite", sorted(set(SrtpSuite) - set(LONG_TAGS)))
    def test_is_refused_where_it_proves_nothing(self, suite: SrtpSuite):
        with pytest.raises(ValueError, match="proves nothing"):
            find_rollover(suite, fresh_key(suite), rtp(0), range(3))

    def test_needs_a_key_of_the_suite(self):
        suite = SrtpSuite.AEAD_AES_128_GCM
        with pytest.raises(ValueError, match="no master key"):
            find_rollover(suite, SecretBytes(b"short"), rtp(0), range(3))


class TestCandidates:
    def test_come_in_the_order_of_their_likelihood(self):
        some = list(islice(likely_rollovers(current=7, before=3), 9))

        assert some == [7, 3, 0, 8, 6, 4, 2, 1, 9]

    def test_are_distinct_and_bounded(self):
        every = list(likely_rollovers(current=2, before=5))

        assert len(every) == len(set(every)) == MOST_CANDIDATES
        assert min(every) == 0

    def test_without_a_hint_begin_at_zero(self):
        assert list(likely_rollovers(most=4)) == [0, 1, 2, 3]

    def test_do_not_leave_32_bits(self):
        some = list(likely_rollovers(current=2**32 - 1, most=5))

        assert some == [2**32 - 1, 0, 2**32 - 2, 1, 2**32 - 3]


@pytest.mark.parametrize("suite", LONG_TAGS)
class TestJoin:
    @pytest.mark.parametrize("index", [0, 3, 65535, 65536, 3 * 65536 + 5, 9_999_999])
    def test_makes_a_packet_the_next_one(self, suite: SrtpSuite, index: int):
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        packets = [sender.packet(i) for i in range(max(0, index - 2), index + 3)]
        packet = packets[min(index, 2)]

        assert join(session, packet, index >> 16)
        assert taken(session, packet) == (STATUS_OK, rtp(index))
        late = [taken(session, p)[0] for p in packets]
        assert late.count(STATUS_OK) == len(packets) - 1
        assert {taken(session, p)[0] for p in packets} == {STATUS_REPLAYED}

    def test_fails_beyond_what_can_be_reached(self, suite: SrtpSuite):
        session = inbound(suite, fresh_key(suite))

        assert join(session, rtp(5), 2**33) is False
