"""What the field writes into offers, item by item, and what we answer."""

import base64
from typing import Final

import pytest

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite
from vault.sip.offer import AnsweredStream, Offer, answer, read_offer
from vault.sip.sdes import fresh_key
from vault.sip.sdp import SessionDescription

MAY: Final = frozenset({Allowance.PLAIN_RTP})
HOST: Final = "192.0.2.1"


def key(size: int) -> str:
    return base64.b64encode(bytes(range(1, size + 1))).decode()


CRYPTO: Final = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key(30)}"


def sdp(*sections: str, head: str = f"c=IN IP4 {HOST}") -> str:
    return "\r\n".join(["v=0", "o=- 1 1 IN IP4 x", "s=-", head, "t=0 0", *sections, ""])


def section(
    *lines: str, profile: str = "RTP/SAVP", media: str = "audio", port: str = "5000"
) -> str:
    return "\r\n".join([f"m={media} {port} {profile} 0 101", *lines])


def answered(offer: Offer) -> SessionDescription:
    ours = {
        stream.index: AnsweredStream(
            port=40_000 + 2 * stream.index, key=fresh_key(stream.crypto.suite)
        )
        for stream in offer.streams
        if stream.crypto is not None
    }
    return answer(offer, ours, address="198.51.100.7", session=1, version=1)


def ports(offer: Offer) -> list[tuple[int, str]]:
    return [(one.port, one.profile) for one in answered(offer).media]


class TestMixedProfiles:
    """Gotcha 12: each line is decided by itself, under the profile it came with."""

    MIXED: Final = (
        section(CRYPTO, profile="RTP/SAVP"),
        section(profile="RTP/AVP"),
        section(CRYPTO, profile="RTP/SAVPF"),
        section(CRYPTO, profile="RTP/AVP"),
    )

    def test_of_a_device_that_must_encrypt_decline_what_does_not(self) -> None:
        offer = read_offer(sdp(*self.MIXED), origin=HOST)

        assert [
            (40_000, "RTP/SAVP"),
            (0, "RTP/AVP"),
            (40_004, "RTP/SAVPF"),
            (40_006, "RTP/AVP"),
        ] == ports(offer)

    def test_of_a_device_that_need_not_are_all_taken(self) -> None:
        offer = read_offer(sdp(*self.MIXED), allowed=MAY, origin=HOST)

        assert [False, True, False, False] == [
            stream.crypto is not None and stream.crypto.suite.is_plain
            for stream in offer.streams
        ]
        assert 0 not in [port for port, _ in ports(offer)]


class TestOpportunistic:
    """RFC 8643: ``a=crypto`` under ``RTP/AVP``."""

    def test_is_srtp_and_answered_as_it_came(self) -> None:
        (found,) = answered(read_offer(sdp(section(CRYPTO, profile="RTP/AVP")))).media

        assert "RTP/AVP" == found.profile
        assert any(one.value.startswith("crypto:1 ") for one in found.lines)

    def test_is_never_plain_where_its_keys_will_not_do(self) -> None:
        null = "a=crypto:1 NULL_HMAC_SHA1_80 inline:" + key(30)
        text = sdp(section(null, profile="RTP/AVP"))

        with pytest.raises(UnsupportedOfferError):
            read_offer(text, allowed=MAY, origin=HOST)

    @pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/SAVP"])
    def test_with_a_fingerprint_beside_it_has_the_keys_of_the_sdp(
        self, profile: str
    ) -> None:
        """As rtpengine offers without ``DTLS: off``."""
        print_ = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
        lines = [CRYPTO, print_, "a=setup:actpass"]
        offer = read_offer(sdp(section(*lines, profile=profile)))
        text = str(answered(offer))

        assert offer.streams[0].dtls is None
        assert "a=crypto:1 " in text
        assert "fingerprint" not in text


class TestKeys:
    def test_our_order_counts_among_the_twelve_of_rtpengine(self) -> None:
        sizes = {"GCM": {"256": 44, "128": 28}, "CM": {"256": 46, "192": 38}}
        suites = [
            ("AEAD_AES_128_GCM", sizes["GCM"]["128"]),
            ("AES_CM_128_HMAC_SHA1_32", 30),
            ("NULL_HMAC_SHA1_80", 30),
            ("F8_128_HMAC_SHA1_80", 30),
            ("AES_192_CM_HMAC_SHA1_80", sizes["CM"]["192"]),
            ("AES_256_CM_HMAC_SHA1_80", sizes["CM"]["256"]),
            ("AEAD_AES_256_GCM", sizes["GCM"]["256"]),
            ("AES_CM_128_HMAC_SHA1_80", 30),
        ]
        lines = [
            # Without padding, as rtpengine writes them.
            f"a=crypto:{number} {suite} inline:{key(size).rstrip('=')}"
            for number, (suite, size) in enumerate(suites, start=1)
        ]
        (stream,) = read_offer(sdp(section(*lines))).streams

        assert stream.crypto is not None
        assert (7, SrtpSuite.AEAD_AES_256_GCM) == (
            stream.crypto.tag,
            stream.crypto.suite,
        )

    def test_lifetimes_and_mkis_are_read_and_not_repeated(self) -> None:
        line = f"{CRYPTO}|2^20|1:4;inline:{base64.b64encode(bytes(30)).decode()}|2:4"
        offer = read_offer(sdp(section(line)))
        (stream,) = offer.streams
        (ours,) = [
            one.value
            for one in answered(offer).media[0].lines
            if one.value.startswith("crypto")
        ]

        assert [b"\0\0\0\1", b"\0\0\0\2"] == [one.mki for one in stream.mkis]
        assert stream.crypto is not None
        assert 2**20 == stream.crypto.lifetime_packets
        assert "|" not in ours

    def test_ours_are_fresh_each_time(self) -> None:
        offer = read_offer(sdp(section(CRYPTO), section(CRYPTO)))
        text = str(answered(offer)) + str(answered(offer))
        keys = {line for line in text.split("\r\n") if line.startswith("a=crypto")}

        assert len(keys) == 4
        assert not any(key(30) in line for line in keys)


class TestAnswer:
    def test_keeps_label_mid_and_every_payload_type(self) -> None:
        """rtpengine refuses an answer that lacks one of its codecs."""
        lines = [
            CRYPTO,
            "a=label:1",
            "a=mid:a0",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-16",
        ]
        (found,) = answered(read_offer(sdp(section(*lines)))).media
        said = [one.value for one in found.lines]

        assert ("0", "101") == found.formats
        for kept in ("label:1", "mid:a0", "rtpmap:101 telephone-event/8000"):
            assert kept in said
        assert "recvonly" == said[-1]

    def test_refuses_a_bundle_line_by_line(self) -> None:
        """Without its group each line has ports of its own (RFC 9143, 7.3.1)."""
        offer = read_offer(
            sdp(
                section(CRYPTO, "a=mid:0"),
                section(CRYPTO, "a=mid:1", "a=bundle-only", port="0"),
                section(CRYPTO, "a=mid:2", media="video"),
                head=f"c=IN IP4 {HOST}\r\na=group:BUNDLE 0 1 2",
            )
        )
        text = str(answered(offer))

        assert "BUNDLE" not in text
        assert [40_000, 0, 40_004] == [port for port, _ in ports(offer)]

    def test_gives_one_port_where_several_are_asked_for(self) -> None:
        (found,) = answered(read_offer(sdp(section(CRYPTO, port="5000/2")))).media

        assert (40_000, 1) == (found.port, found.port_count)

    @pytest.mark.parametrize(
        "line", ["a=rtcp:5005", "a=rtcp:5005 IN IP4 192.0.2.1", "a=rtcp:what"]
    )
    def test_takes_no_notice_of_where_their_reports_go(self, line: str) -> None:
        offer = read_offer(sdp(section(CRYPTO, line, "a=rtcp-mux")))
        said = [one.value for one in answered(offer).media[0].lines]

        assert "rtcp-mux" in said
        assert not any(one.startswith("rtcp:") for one in said)

    @pytest.mark.parametrize("text", ["message", "application", "text", "image"])
    def test_declines_what_is_no_audio_and_no_video(self, text: str) -> None:
        offer = read_offer(
            sdp(section(CRYPTO), section(CRYPTO, media=text, profile="TCP/MSRP"))
        )

        assert [(40_000, "RTP/SAVP"), (0, "TCP/MSRP")] == ports(offer)

    def test_of_a_hold_is_inactive_line_by_line(self) -> None:
        offer = read_offer(
            sdp(
                section(CRYPTO, "a=sendonly"),
                section(CRYPTO, "a=inactive"),
                section(CRYPTO, port="0"),
            )
        )
        ways = [
            one.lines[-1].value if one.port else "" for one in answered(offer).media
        ]

        assert ["recvonly", "inactive", ""] == ways
        assert [False, True] == [stream.held for stream in offer.streams]

    def test_of_the_hold_of_old_depends_on_the_direction(self) -> None:
        """``c=0.0.0.0`` says where nothing is to be sent; we never send."""
        offer = read_offer(sdp(section(CRYPTO, "c=IN IP4 0.0.0.0", "a=sendonly")))

        assert not offer.streams[0].held


class TestMediaAddresses:
    LISTED: Final = ("192.0.2.0/28", "2001:db8::/64")

    def taken(
        self,
        *lines: str,
        listed: tuple[str, ...] = (),
        plain: bool = False,
        origin: str = HOST,
    ) -> bool:
        given = lines if plain else (CRYPTO, *lines)
        profile = "RTP/AVP" if plain else "RTP/SAVP"
        try:
            offer = read_offer(
                sdp(section(*given, profile=profile)),
                allowed=MAY,
                origin=origin,
                media_addresses=listed,
            )
        except UnsupportedOfferError as exc:
            return exc.line is None  # a refusal says where
        return len(offer.streams) == 1

    @pytest.mark.parametrize(
        "line",
        [
            "c=IN IP4 224.2.1.1/127",
            "c=IN IP4 239.1.1.1/127/2",
            "c=IN IP4 224.2.1.1",
            "c=IN IP6 ff15::101",
            "c=IN IP6 ff15::101/3",
            "a=rtcp:5001 IN IP4 239.1.1.1",
        ],
    )
    @pytest.mark.parametrize("listed", [(), ("0.0.0.0/0", "::/0")])
    def test_groups_are_always_refused(
        self, line: str, listed: tuple[str, ...]
    ) -> None:
        assert not self.taken(line, listed=listed)

    @pytest.mark.parametrize(
        ("line", "taken"),
        [
            ("c=IN IP4 192.0.2.15", True),
            ("c=IN IP4 192.0.2.16", False),
            ("c=IN IP6 2001:db8::9", True),
            ("c=IN IP6 2001:db8:0:1::9", False),
            ("c=IN IP6 ::ffff:192.0.2.3", True),
            ("c=IN IP4 media.example.com", False),
            ("c=IN IP4 0.0.0.0", True),
            ("c=IN IP6 ::", True),
            ("a=rtcp:5001 IN IP4 192.0.2.99", False),
            ("a=rtcp:5001 IN IP4 192.0.2.9", True),
            ("a=rtcp:5001", True),
        ],
    )
    @pytest.mark.parametrize("plain", [False, True])
    def test_a_list_is_all_there_is(self, line: str, taken: bool, plain: bool) -> None:
        assert taken == self.taken(line, listed=self.LISTED, plain=plain)

    @pytest.mark.parametrize(
        "line", ["c=IN IP4 203.0.113.9", "c=IN IP4 media.example.com", "a=x"]
    )
    def test_srtp_of_a_device_without_a_list_comes_from_anywhere(
        self, line: str
    ) -> None:
        assert self.taken(line, origin="198.51.100.1")

    @pytest.mark.parametrize(
        ("line", "origin", "taken"),
        [
            (f"c=IN IP4 {HOST}", HOST, True),
            (f"c=IN IP4 {HOST}", "::ffff:192.0.2.1", True),
            ("c=IN IP4 203.0.113.9", HOST, False),
            ("c=IN IP4 203.0.113.9", "", False),
            ("c=IN IP4 media.example.com", HOST, True),
            ("c=IN IP4 0.0.0.0", HOST, True),
            ("c=IN IP4 127.0.0.1", HOST, True),
            ("c=IN IP4 127.0.0.2", "127.0.0.1", True),
        ],
    )
    def test_plain_rtp_without_a_list_comes_from_who_signals(
        self, line: str, origin: str, taken: bool
    ) -> None:
        assert taken == self.taken(line, plain=True, origin=origin)

    def test_a_refusal_names_the_way_out_and_its_line(self) -> None:
        text = sdp(section(CRYPTO, "c=IN IP4 203.0.113.9"))

        with pytest.raises(UnsupportedOfferError, match="--media-address") as caught:
            read_offer(text, media_addresses=self.LISTED)
        assert 8 == caught.value.line

    def test_a_line_that_is_declined_may_name_anything(self) -> None:
        group = section("c=IN IP4 239.1.1.1/5", CRYPTO, media="text")
        offer = read_offer(sdp(section(CRYPTO), group), media_addresses=self.LISTED)

        assert [0] == [stream.index for stream in offer.streams]


@pytest.mark.parametrize("line", ["c=IN IP4", "c=IN IP4 a b", "c=IN IP9 x", "c=x"])
def test_a_broken_connection_is_malformed_and_nothing_else(line: str) -> None:
    with pytest.raises(MalformedSignallingError):
        read_offer(sdp(section(CRYPTO, line)))
