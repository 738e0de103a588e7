"""Our AES-CM: against RFC 6188, and packets of libsrtp and rtpengine."""

import json
from pathlib import Path

import pytest

from tests.simulators.srtp_peers import Sender, fresh_key, report, rtp, taken
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.srtp_cm import SUITES, CmInbound, CmOutbound, CmTransform
from vault.tap.srtp_keys import SessionKeys
from vault.tap.srtp_session import (
    STATUS_MALFORMED,
    STATUS_OK,
    STATUS_UNAUTHENTIC,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors/tap/srtp_aes256.json").read_text()
)
AES_256 = SrtpSuite.AES_256_CM_HMAC_SHA1_80


@pytest.mark.parametrize("vector", VECTORS["packets"], ids=lambda v: v["name"])
class TestVectorsAt256Bit:
    def test_open(self, vector: dict[str, str]):
        session = CmInbound(AES_256, SecretBytes(bytes.fromhex(vector["master"])))

        opened = taken(
            session, bytes.fromhex(vector["protected"]), rtcp=vector["kind"] == "rtcp"
        )

        assert opened == (STATUS_OK, bytes.fromhex(vector["packet"]))

    def test_are_what_we_send(self, vector: dict[str, str]):
        sender = CmOutbound(AES_256, SecretBytes(bytes.fromhex(vector["master"])))
        protect = sender.protect_rtcp if vector["kind"] == "rtcp" else sender.protect

        assert protect(bytes.fromhex(vector["packet"])).hex() == vector["protected"]


class TestTheTransform:
    def test_has_the_key_stream_of_rfc_6188(self):
        vector = VECTORS["key_stream"]
        # At session-key level; its IV is the salt alone: SSRC 0, index 0.
        keys = SessionKeys(
            encryption=bytes.fromhex(vector["session_key"]),
            authentication=b"",
            salt=bytes.fromhex(vector["session_salt"]),
        )

        stream = CmTransform(keys, tag_size=10).crypt(0, 0, bytes(48))

        assert stream.hex() == vector["blocks"]

    @pytest.mark.parametrize("suite", [SrtpSuite.AEAD_AES_256_GCM, SrtpSuite.PLAIN_RTP])
    def test_is_for_counter_mode_alone(self, suite: SrtpSuite):
        with pytest.raises(ValueError, match="counter mode"):
            CmTransform.derive(suite, fresh_key(suite))


@pytest.mark.parametrize("suite", sorted(SUITES))
class TestInbound:
    def test_leaves_a_packet_that_fails_as_it_was(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet = bytearray(Sender(suite, key).packet(5))
        packet[-1] ^= 1
        report_ = bytearray(Sender(suite, key).protected(report(), rtcp=True))
        report_[-1] ^= 1
        session = CmInbound(suite, key)

        assert taken(session, bytes(packet)) == (STATUS_UNAUTHENTIC, packet)
        assert taken(session, bytes(report_), rtcp=True) == (
            STATUS_UNAUTHENTIC,
            report_,
        )

    def test_tags_of_rtcp_have_80_bits_in_every_suite(self, suite: SrtpSuite):
        key = fresh_key(suite)

        assert len(CmOutbound(suite, key).protect_rtcp(report())) == len(report()) + 14

    def test_a_report_that_says_it_is_in_the_clear_is_refused(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet = bytearray(Sender(suite, key).protected(report(), rtcp=True))
        packet[-14] &= 0x7F

        status, _ = taken(CmInbound(suite, key), bytes(packet), rtcp=True)

        assert status == STATUS_MALFORMED

    def test_an_index_beyond_48_bits_is_refused(self, suite: SrtpSuite):
        key = fresh_key(suite)
        session = CmInbound(suite, key)
        session.fast_forward(7, 2**48 - 1)

        assert taken(session, rtp(0, bytes(20), ssrc=7))[0] == STATUS_MALFORMED


class TestOutbound:
    def test_never_uses_a_key_stream_twice(self):
        sender = CmOutbound(AES_256, fresh_key(AES_256))
        sender.protect(rtp(9))

        with pytest.raises(ValueError, match="sent before"):
            sender.protect(rtp(9, b"other speech"))

    def test_sends_rtp_only(self):
        with pytest.raises(ValueError, match="no RTP packet"):
            CmOutbound(AES_256, fresh_key(AES_256)).protect(b"\x80\x00")
