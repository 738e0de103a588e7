"""SRTP against packets that other implementations made."""

import json
from pathlib import Path

import pytest

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap import srtp
from vault.tap.slots import Slots
from vault.tap.srtp import InboundSession, OutboundSession, inbound

VECTORS = Path(__file__).parents[2] / "vectors/tap/srtp_libsrtp.json"
SUITE = {
    "AES128_CM_SHA1_80": SrtpSuite.AES_CM_128_HMAC_SHA1_80,
    "AEAD_AES_128_GCM": SrtpSuite.AEAD_AES_128_GCM,
}


def opened(session: InboundSession, packet: bytes, *, rtcp: bool = False) -> bytes:
    slots = Slots(0)
    slots.restore(0, packet)
    code = session.unprotect_rtcp(slots, 0) if rtcp else session.unprotect(slots, 0)
    assert code == srtp.STATUS_OK
    return bytes(slots.packet(0, slots.length(0)))


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text())["vectors"])
class TestVectorsOfLibsrtp:
    def test_open_to_the_packets_they_were_made_of(self, vector: dict[str, str]):
        key = SecretBytes(bytes.fromhex(vector["master"]))
        session = inbound(SUITE[vector["profile"]], key)

        rtp = opened(session, bytes.fromhex(vector["srtp"]))
        rtcp = opened(session, bytes.fromhex(vector["srtcp"]), rtcp=True)

        assert rtp.hex() == vector["rtp"]
        assert rtcp.hex() == vector["rtcp"]

    def test_are_what_our_sender_sends(self, vector: dict[str, str]):
        key = SecretBytes(bytes.fromhex(vector["master"]))
        sender = OutboundSession(SUITE[vector["profile"]], key)

        assert sender.protect(bytes.fromhex(vector["rtp"])).hex() == vector["srtp"]
        assert (
            sender.protect_rtcp(bytes.fromhex(vector["rtcp"])).hex() == vector["srtcp"]
        )


class TestVectorsOfFfmpeg:
    def test_open(self, shared: Path):
        vectors = json.loads((shared / "vectors/srtp_ffmpeg.json").read_text())
        ours = [v for v in vectors["vectors"] if v["profile"] == "AES128_CM_SHA1_80"]

        for vector in ours:
            key = SecretBytes(bytes.fromhex(vector["master"]))
            session = inbound(SrtpSuite.AES_CM_128_HMAC_SHA1_80, key)
            packet = bytes.fromhex(vector["srtp"])
            rtcp = vector["kind"] == "rtcp"

            assert len(opened(session, packet, rtcp=rtcp)) < len(packet)
        assert len(ours) >= 2


class TestSessions:
    def test_a_key_of_another_length_is_refused(self):
        with pytest.raises(ValueError, match="no master key"):
            inbound(SrtpSuite.AEAD_AES_256_GCM, SecretBytes(bytes(30)))

    def test_a_forgotten_ssrc_starts_anew(self):
        suite, key = SrtpSuite.AEAD_AES_256_GCM, SecretBytes(bytes(44))
        packet = OutboundSession(suite, key).protect(b"\x80\x00" + bytes(20))
        session = inbound(suite, key)

        once = opened(session, packet)
        session.forget(0)

        assert opened(session, packet) == once
        session.forget(12345)
