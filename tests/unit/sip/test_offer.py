import base64
from typing import Final

import pytest

from vault.core.errors import (
    InvalidInputError,
    MalformedSignallingError,
    UnsupportedOfferError,
)
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite
from vault.sip.offer import AnsweredStream, Offer, answer, read_offer
from vault.sip.sdes import choose, fresh_key
from vault.sip.sdp import SessionDescription

KEY = base64.b64encode(bytes(range(1, 31))).decode()
CRYPTO = f"a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
HOST = "192.0.2.1"
HEAD = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]


def sdp(*lines: str) -> str:
    return "\r\n".join([*HEAD, *lines, ""])


def audio(*lines: str, crypto: str = CRYPTO, profile: str = "RTP/SAVP") -> list[str]:
    return [f"m=audio 5000 {profile} 0 101", *([crypto] if crypto else []), *lines]


def answered(offer: Offer, address: str = "198.51.100.7") -> SessionDescription:
    ours = {
        stream.index: AnsweredStream(
            port=40_000 + 2 * stream.index, key=fresh_key(stream.crypto.suite)
        )
        for stream in offer.streams
    }
    return answer(offer, ours, address=address, session=1, version=1)


def attributes(text: str) -> list[str]:
    return [line for line in text.split("\r\n") if line.startswith("a=")]


class TestReadOffer:
    @pytest.mark.parametrize(
        "profile", ["RTP/AVP", "RTP/SAVP", "RTP/SAVPF", "RTP/AVPF", "rtp/savp"]
    )
    def test_keys_make_srtp_whatever_the_profile_says(self, profile: str) -> None:
        (stream,) = read_offer(sdp(*audio(profile=profile))).streams

        assert SrtpSuite.AES_CM_128_HMAC_SHA1_80 == stream.crypto.suite

    def test_static_and_dynamic_payload_types_are_described(self) -> None:
        offer = read_offer(
            sdp(
                *audio(
                    "a=rtpmap:101 telephone-event/8000",
                    "a=fmtp:101 0-15",
                    "a=rtpmap:96 opus/48000/2",
                )
            )
        )

        found = [
            (p.payload_type, p.encoding, p.fmtp) for p in offer.streams[0].payloads
        ]

        assert [(0, "PCMU", ""), (101, "telephone-event", "0-15")] == found

    def test_labels_come_from_the_offer_then_the_order_then_the_place(self) -> None:
        offer = read_offer(
            sdp(*audio(), *audio("a=label:1"), *audio(), *audio(), *audio()),
            labels=["", "ignored", "third"],
        )

        assert ["agent", "1", "third", "stream4", "stream5"] == [
            stream.label for stream in offer.streams
        ]

    def test_two_parties_without_labels_are_agent_and_customer(self) -> None:
        offer = read_offer(sdp(*audio(), "m=video 6000 RTP/AVP 96", *audio()))

        assert [(0, "agent"), (2, "customer")] == [
            (stream.index, stream.label) for stream in offer.streams
        ]

    def test_a_label_given_twice_stays_apart(self) -> None:
        offer = read_offer(sdp(*audio("a=label:x"), *audio("a=label:x")))

        assert ["x", "x-2"] == [stream.label for stream in offer.streams]

    @pytest.mark.parametrize(
        ("lines", "line"),
        [
            ([], 1),
            (["m=text 6000 RTP/SAVP 96", CRYPTO], 6),
            (["m=video 0 RTP/SAVP 96", CRYPTO], 6),
            (["m=video 6000 RTP/AVP 96"], 6),
            (["m=audio 0 RTP/SAVP 0", CRYPTO], 6),
            (audio(crypto=""), 6),
            (audio(profile="UDP/TLS/RTP/SAVPF"), 6),
            (audio(crypto=CRYPTO.replace("SHA1_80", "SHA1_32")), 7),
            ([*audio(), *audio(crypto="a=crypto:1 NULL_HMAC_SHA1_80 inline:AA")], 9),
        ],
    )
    def test_what_we_refuse_is_said_with_its_line(
        self, lines: list[str], line: int
    ) -> None:
        with pytest.raises(UnsupportedOfferError) as caught:
            read_offer(sdp(*lines))

        assert line == caught.value.line

    @pytest.mark.parametrize(
        "line",
        [
            "a=rtpmap:101",
            "a=rtpmap:101 x/0",
            "a=rtpmap:300 PCMU/8000",
            "a=fmtp:101",
            "a=fmtp:101 " + "x" * 600,
            "a=label:two words",
            "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        ],
    )
    def test_a_broken_attribute_is_malformed_with_its_line(self, line: str) -> None:
        with pytest.raises(MalformedSignallingError) as caught:
            read_offer(sdp(*audio(line)))

        assert 8 == caught.value.line

    def test_a_payload_type_that_is_none_is_malformed(self) -> None:
        with pytest.raises(InvalidInputError) as caught:
            read_offer(sdp("m=audio 5000 RTP/SAVP 0 128", CRYPTO))

        assert 6 == caught.value.line


class TestVideo:
    def test_screens_are_streams_named_by_what_they_are(self) -> None:
        video = ["m=video 6000 RTP/SAVPF 96", CRYPTO, "a=rtpmap:96 VP8/90000"]
        offer = read_offer(sdp(*audio(), *video, *video))

        assert [
            ("audio", "agent"),
            ("video", "screen"),
            ("video", "screen-2"),
        ] == [(stream.media, stream.label) for stream in offer.streams]
        assert ["VP8"] == [p.encoding for p in offer.streams[1].payloads]

    def test_a_screen_without_a_voice_is_taken(self) -> None:
        (stream,) = read_offer(sdp("m=video 6000 RTP/SAVP 96", CRYPTO)).streams

        assert ("video", "screen") == (stream.media, stream.label)

    def test_a_screen_that_the_order_names_has_that_name(self) -> None:
        offer = read_offer(
            sdp(*audio(), "m=video 6000 RTP/SAVP 96", CRYPTO), labels=["", "desk"]
        )

        assert ["agent", "desk"] == [stream.label for stream in offer.streams]


class TestPlainRtp:
    MAY: Final = frozenset({Allowance.PLAIN_RTP})

    @pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/AVPF", "rtp/avp"])
    def test_a_device_that_may_sends_it_without_a_key(self, profile: str) -> None:
        offer = read_offer(
            sdp(*audio(crypto="", profile=profile)), allowed=self.MAY, origin=HOST
        )
        (stream,) = offer.streams

        assert SrtpSuite.PLAIN_RTP == stream.crypto.suite
        assert 0 == len(stream.crypto.key)
        assert "a=crypto" not in str(answered(offer))
        assert [(40_000, profile)] == [
            (section.port, section.profile) for section in answered(offer).media
        ]

    def test_other_devices_are_told_the_way_out(self) -> None:
        short_tag = frozenset({Allowance.SHORT_TAG})

        with pytest.raises(UnsupportedOfferError, match="allow NAME plain-rtp") as it:
            read_offer(sdp(*audio(crypto="", profile="RTP/AVP")), allowed=short_tag)
        assert 6 == it.value.line

    @pytest.mark.parametrize("profile", ["RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"])
    def test_a_profile_that_promises_srtp_is_never_plain(self, profile: str) -> None:
        with pytest.raises(UnsupportedOfferError):
            read_offer(sdp(*audio(crypto="", profile=profile)), allowed=self.MAY)

    def test_keys_that_we_refuse_never_make_a_stream_plain(self) -> None:
        weak = CRYPTO.replace("SHA1_80", "SHA1_32")

        with pytest.raises(UnsupportedOfferError) as caught:
            read_offer(sdp(*audio(crypto=weak, profile="RTP/AVP")), allowed=self.MAY)
        assert 7 == caught.value.line

    def test_each_section_stands_for_itself(self) -> None:
        lines = [*audio(profile="RTP/AVP"), *audio(crypto="", profile="RTP/AVP")]

        assert [SrtpSuite.AES_CM_128_HMAC_SHA1_80] == [
            stream.crypto.suite for stream in read_offer(sdp(*lines)).streams
        ]
        assert [SrtpSuite.AES_CM_128_HMAC_SHA1_80, SrtpSuite.PLAIN_RTP] == [
            stream.crypto.suite
            for stream in read_offer(sdp(*lines), allowed=self.MAY, origin=HOST).streams
        ]

    def test_where_it_comes_from_is_what_its_section_says(self) -> None:
        first, second = read_offer(
            sdp(
                *audio(crypto="", profile="RTP/AVP"),
                *audio("c=IN IP4 192.0.2.9", crypto="", profile="RTP/AVP"),
            ),
            allowed=self.MAY,
            media_addresses=["192.0.2.0/24"],
        ).streams

        assert ("192.0.2.1", 5000) == first.remote
        assert ("192.0.2.9", 5000) == second.remote


class TestKeysByName:
    def test_the_mkis_of_an_offer_are_not_in_the_answer(self) -> None:
        offer = read_offer(sdp(*audio(crypto=f"{CRYPTO}|2^31|1:4")))
        (crypto,) = [
            line for line in attributes(str(answered(offer))) if "crypto" in line
        ]

        assert [b"\0\0\0\1"] == [one.mki for one in offer.streams[0].mkis]
        assert "|" not in crypto


class TestAnswer:
    def test_sections_keep_number_order_and_profile(self) -> None:
        offer = read_offer(
            sdp(
                *audio(profile="RTP/AVP"),
                "m=video 6000 RTP/SAVPF 96 97",
                "m=application 7000 TCP/X *",
                *audio(crypto=""),
                *audio(),
            )
        )

        found = [(s.media, s.port, s.profile) for s in answered(offer).media]

        assert found == [
            ("audio", 40_000, "RTP/AVP"),
            ("video", 0, "RTP/SAVPF"),
            ("application", 0, "TCP/X"),
            ("audio", 0, "RTP/SAVP"),
            ("audio", 40_008, "RTP/SAVP"),
        ]

    def test_codecs_labels_and_the_chosen_tag_come_back_with_a_key_of_ours(
        self,
    ) -> None:
        offer = read_offer(
            sdp(
                *audio(
                    "a=rtpmap:0 PCMU/8000",
                    "a=rtpmap:101 telephone-event/8000",
                    "a=fmtp:101 0-15",
                    "a=label:7",
                    "a=sendonly",
                )
            )
        )
        text = str(answered(offer))
        crypto = choose(
            [
                line
                for line in SessionDescription.parse(text).media[0].lines
                if line.attribute[0] == "crypto"
            ]
        )

        assert crypto is not None
        assert 4 == crypto.tag
        assert KEY not in text
        assert [
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=label:7",
            "a=recvonly",
        ] == [line for line in attributes(text) if not line.startswith("a=crypto")]

    def test_rtcp_mux_is_answered_only_where_it_was_offered(self) -> None:
        offer = read_offer(sdp(*audio("a=rtcp-mux"), *audio()))

        first, second = answered(offer).media

        assert "a=rtcp-mux\r\n" in str(first)
        assert "rtcp-mux" not in str(second)

    @pytest.mark.parametrize(
        ("said", "answer_says"),
        [
            ("a=sendrecv", "a=recvonly"),
            ("a=sendonly", "a=recvonly"),
            ("a=inactive", "a=inactive"),
            ("a=recvonly", "a=inactive"),
        ],
    )
    def test_we_never_send(self, said: str, answer_says: str) -> None:
        assert (
            answer_says == attributes(str(answered(read_offer(sdp(*audio(said))))))[-1]
        )

    def test_a_direction_of_the_session_is_that_of_its_sections(self) -> None:
        offer = read_offer(sdp("a=inactive", *audio(), *audio("a=sendrecv")))

        assert [True, False] == [stream.held for stream in offer.streams]

    @pytest.mark.parametrize(
        ("address", "line"),
        [
            ("198.51.100.7", "c=IN IP4 198.51.100.7"),
            ("2001:db8::1", "c=IN IP6 2001:db8::1"),
        ],
    )
    def test_the_address_names_its_family(self, address: str, line: str) -> None:
        text = str(answered(read_offer(sdp(*audio())), address))

        assert line in text.split("\r\n")

    def test_it_is_sdp_that_we_would_read(self) -> None:
        found = answered(read_offer(sdp(*audio())))

        assert found == SessionDescription.parse(str(found))
