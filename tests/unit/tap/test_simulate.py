import av
import numpy as np
import pytest

from vault.core.errors import MalformedSignallingError
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite
from vault.sip.offer import read_offer
from vault.tap.simulate import (
    _MU_TO_A,
    Destination,
    SimulatedCall,
    conversation,
    read_answer,
)


def decoded(codec: str, octets: bytes) -> np.ndarray:
    """Decode with FFmpeg's tables."""
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8000, "mono"
    frames = context.decode(av.Packet(octets))
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(int)


class TestTheConversation:
    @pytest.mark.parametrize("label", ["agent", "customer"])
    def test_is_about_twenty_seconds_of_speech(self, label: str):
        voice = decoded("pcm_mulaw", conversation(label))

        assert len(voice) == 171200
        assert 500 < np.sqrt(np.mean(voice**2.0)) < 5000

    def test_sounds_the_same_in_a_law(self):
        every = bytes(range(256))
        mu, a = (
            decoded("pcm_mulaw", every),
            decoded("pcm_alaw", every.translate(_MU_TO_A)),
        )

        # Half a step of the coarser law: 8 near silence, 1/32 of a loud sample.
        assert np.all(np.abs(mu - a) <= np.maximum(8, np.abs(mu) / 16))


class TestTheOffer:
    @pytest.mark.parametrize("suite", list(SrtpSuite))
    def test_is_one_that_the_vault_accepts(self, suite: SrtpSuite):
        call = SimulatedCall(suite=suite, encodings=("PCMU", "PCMA"))

        offer = read_offer(call.build_offer(), allowed=frozenset(Allowance))

        assert [(s.label, s.suite) for s in offer.streams] == [
            ("agent", suite),
            ("customer", suite),
        ]

    @pytest.mark.parametrize("size", [1, 2, 4, 128])
    def test_may_name_the_key_that_packets_name(self, size: int):
        offer = read_offer(SimulatedCall(mki_size_bytes=size).build_offer())

        names = [[one.mki for one in stream.mkis] for stream in offer.streams]

        assert names == [[bytes(size - 1) + b"\x01"]] * 2

    def test_of_plain_rtp_has_no_key_to_name(self):
        with pytest.raises(ValueError, match="names no key"):
            SimulatedCall(suite=SrtpSuite.PLAIN_RTP, mki_size_bytes=4)

    def test_an_encoding_that_is_not_simulated_is_refused(self):
        with pytest.raises(ValueError, match="opus"):
            SimulatedCall(encodings=("PCMU", "opus"))

    def test_a_call_has_the_length_asked_for(self):
        assert SimulatedCall(seconds=60.0).duration_s == pytest.approx(60.0)


class TestTheAnswer:
    def test_may_name_addresses_per_session_or_stream(self):
        answer = (
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 0\r\na=rtcp-mux\r\n"
            "m=audio 4002 RTP/SAVP 0\r\nc=IN IP6 ::1\r\n"
        )

        assert read_answer(answer) == [
            Destination(address="192.0.2.1", rtp=4000, rtcp=4000),
            Destination(address="::1", rtp=4002, rtcp=4003),
        ]

    @pytest.mark.parametrize(
        "answer",
        [
            "",
            "c=IN IP4 ::\r\n",
            "m=audio x RTP/SAVP\r\n",
            "m=audio 4 RTP/AVP\r\n",
            "c=\r\n",
        ],
    )
    def test_without_an_address_is_malformed(self, answer: str):
        with pytest.raises(MalformedSignallingError):
            read_answer(answer)
