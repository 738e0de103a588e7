"""DTLS-SRTP in offers and answers."""

import re

import pytest

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.core.secrets import SecretBytes
from vault.sip.dtls import AnsweredDtls, Fingerprint, IceOffer
from vault.sip.offer import AnsweredStream, Offer, answer, read_offer

SHA256 = "sha-256 " + ":".join(f"{octet:02X}" for octet in range(32))
OTHER = "sha-256 " + ":".join(f"{octet:02X}" for octet in range(1, 33))
SHA512 = "sha-512 " + ":".join(f"{octet:02x}" for octet in range(64))
SHA1 = "sha-1 " + ":".join(f"{octet:02X}" for octet in range(20))
UFRAG = "a=ice-ufrag:F7gI"
PASSWORD = "a=ice-pwd:x9cml/YzichV2+XlhiMu8g"
OURS = AnsweredDtls(
    fingerprint=Fingerprint(algorithm="sha-256", digest=bytes(32)),
    ufrag="oursours",
    password=SecretBytes(b"p" * 32),
    tls_id="t" * 24,
)


def section(*lines: str, profile: str = "UDP/TLS/RTP/SAVPF", port: int = 9) -> str:
    body = "".join(f"{line}\r\n" for line in lines)
    return f"m=audio {port} {profile} 0\r\n{body}"


def offer(*sections: str, head: str = "") -> str:
    return f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{head}" + "".join(
        sections
    )


WHOLE = (
    f"a=fingerprint:{SHA256}",
    "a=setup:actpass",
    "a=mid:a1",
    UFRAG,
    PASSWORD,
    "a=rtcp-mux",
)


def without(prefix: str) -> tuple[str, ...]:
    return tuple(line for line in WHOLE if not line.startswith(prefix))


def answered(read: Offer, port: int = 40_000) -> str:
    streams = {
        stream.index: AnsweredStream(
            port=port + 2 * stream.index, key=SecretBytes(b""), dtls=OURS
        )
        for stream in read.streams
    }
    return str(answer(read, streams, address="192.0.2.9", session=7, version=1))


class TestWhatIsOffered:
    def test_a_browsers_section_is_taken_without_keys_of_its_own(self) -> None:
        (stream,) = read_offer(offer(section(*WHOLE))).streams

        assert stream.crypto is None
        assert stream.dtls is not None
        assert str(stream.dtls.fingerprints[0]) == SHA256
        assert stream.dtls.ice == IceOffer(
            ufrag="F7gI", password="x9cml/YzichV2+XlhiMu8g"
        )
        assert stream.dtls.is_checked is True
        assert stream.rtcp_mux is True

    def test_the_session_speaks_for_sections_that_say_nothing(self) -> None:
        head = f"a=fingerprint:{SHA256}\r\na=setup:active\r\n{UFRAG}\r\n{PASSWORD}\r\n"

        (stream,) = read_offer(offer(section("a=rtcp-mux"), head=head)).streams

        assert stream.dtls is not None
        assert stream.dtls.ice is not None

    def test_a_sections_own_fingerprint_goes_before_the_sessions(self) -> None:
        head = f"a=fingerprint:{OTHER}\r\n"

        (stream,) = read_offer(offer(section(*WHOLE), head=head)).streams

        assert stream.dtls is not None
        assert [str(one) for one in stream.dtls.fingerprints] == [SHA256]

    def test_of_several_hashes_the_strongest_counts_alone(self) -> None:
        lines = (f"a=fingerprint:{SHA1}", f"a=fingerprint:{SHA512}", *WHOLE)

        (stream,) = read_offer(offer(section(*lines))).streams

        assert stream.dtls is not None
        assert [one.algorithm for one in stream.dtls.fingerprints] == ["sha-512"]

    def test_several_certificates_by_one_hash_all_count(self) -> None:
        lines = (f"a=fingerprint:{OTHER}", *WHOLE)

        (stream,) = read_offer(offer(section(*lines))).streams

        assert stream.dtls is not None
        assert [str(one) for one in stream.dtls.fingerprints] == [OTHER, SHA256]

    def test_without_setup_the_offerer_is_active(self) -> None:
        read = read_offer(offer(section(*without("a=setup"))))

        assert len(read.streams) == 1

    def test_without_ice_an_address_proves_nothing_by_checks(self) -> None:
        (stream,) = read_offer(offer(section(*without("a=ice")))).streams

        assert stream.dtls is not None
        assert stream.dtls.ice is None
        assert stream.dtls.is_checked is False

    def test_two_lite_agents_check_nothing(self) -> None:
        (stream,) = read_offer(offer(section(*WHOLE), head="a=ice-lite\r\n")).streams

        assert stream.dtls is not None
        assert stream.dtls.is_checked is False

    def test_a_password_is_in_no_repr(self) -> None:
        read = read_offer(offer(section(*WHOLE)))

        assert "YzichV2" not in repr(read)

    @pytest.mark.parametrize("profile", ["RTP/SAVPF", "UDP/TLS/UDPTL", "RTP/AVP"])
    def test_other_profiles_are_not_keyed_by_dtls(self, profile: str) -> None:
        with pytest.raises(UnsupportedOfferError):
            read_offer(offer(section(*WHOLE, profile=profile)))

    def test_a_line_that_is_bundled_only_is_declined(self) -> None:
        bundled = section(*WHOLE, "a=bundle-only", port=0)

        read = read_offer(offer(section(*WHOLE), bundled))

        assert [stream.index for stream in read.streams] == [0]
        assert "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:a1" in answered(read)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("lines", "line", "says"),
        [
            ((f"a=fingerprint:{SHA1}", *without("a=fing")), 6, "without a=fingerprint"),
            (without("a=fingerprint"), 5, "without a=fingerprint"),
            (("a=setup:passive", *without("a=setup")), 6, "a=setup:passive"),
            (("a=setup:holdconn", *without("a=setup")), 6, "a=setup:holdconn"),
            (without("a=rtcp-mux"), 5, "rtcp-mux"),
        ],
    )
    def test_an_offer_that_we_could_not_trust_or_meet(
        self, lines: tuple[str, ...], line: int, says: str
    ) -> None:
        with pytest.raises(UnsupportedOfferError, match=says) as refused:
            read_offer(offer(section(*lines)))

        assert refused.value.line == line

    @pytest.mark.parametrize(
        "line",
        [
            "a=fingerprint:sha-256 00:11",
            "a=fingerprint:sha-256 " + "zz:" * 31 + "zz",
            "a=fingerprint:sha-256 " + "00" * 32,
            "a=fingerprint:",
            "a=fingerprint:sha-256",
            "a=setup:maybe",
            "a=ice-ufrag:abc",
            "a=ice-ufrag:ab c",
            "a=ice-pwd:short",
            "a=ice-pwd:" + "ä" * 22,
            "a=tls-id:short",
            "a=mid:two words",
        ],
    )
    def test_a_line_that_breaks_its_grammar_is_named(self, line: str) -> None:
        with pytest.raises(MalformedSignallingError) as refused:
            read_offer(offer(section(line, *WHOLE)))

        assert refused.value.line == 6

    def test_half_of_ice_is_none(self) -> None:
        with pytest.raises(MalformedSignallingError, match="come together"):
            read_offer(offer(section(*without("a=ice-pwd"))))

    def test_a_heap_of_fingerprints_is_not_worked_through(self) -> None:
        lines = [f"a=fingerprint:{SHA256}"] * 17

        with pytest.raises(MalformedSignallingError, match="more than 16"):
            read_offer(offer(section(*lines, *WHOLE)))


class TestOurAnswer:
    def test_we_are_passive_lite_and_at_one_candidate(self) -> None:
        text = answered(read_offer(offer(section(*WHOLE))))

        head, media = text.split("m=", 1)
        assert "a=ice-lite\r\n" in head
        assert media.splitlines() == [
            "audio 40000 UDP/TLS/RTP/SAVPF 0",
            "a=fingerprint:sha-256 " + ":".join(["00"] * 32),
            "a=setup:passive",
            "a=ice-ufrag:oursours",
            "a=ice-pwd:" + "p" * 32,
            "a=candidate:1 1 UDP 2130706431 192.0.2.9 40000 typ host",
            "a=end-of-candidates",
            "a=mid:a1",
            "a=rtcp-mux",
            "a=recvonly",
        ]

    def test_without_ice_there_is_none_of_ours(self) -> None:
        text = answered(read_offer(offer(section(*without("a=ice")))))

        assert "ice" not in text
        assert "candidate" not in text
        assert "a=setup:passive" in text

    def test_a_tls_id_is_answered_with_one(self) -> None:
        text = answered(read_offer(offer(section(*WHOLE, "a=tls-id:" + "x" * 24))))

        assert "a=tls-id:" + "t" * 24 in text

    def test_a_bundle_keeps_its_first_section_and_no_other(self) -> None:
        second = section(*without("a=mid"), "a=mid:b2")
        head = "a=group:BUNDLE a1 b2\r\n"

        text = answered(read_offer(offer(section(*WHOLE), second, head=head)))

        assert "a=group:BUNDLE a1\r\n" in text
        assert re.findall(r"m=audio (\d+)", text) == ["40000", "40002"]

    @pytest.mark.parametrize(
        "head", ["", "a=group:LS a1\r\n", "a=group\r\n", "a=group:BUNDLE\r\n"]
    )
    def test_what_was_not_bundled_stays_so(self, head: str) -> None:
        text = answered(read_offer(offer(section(*WHOLE), head=head)))

        assert "group" not in text

    def test_it_reads_as_sdp_again(self) -> None:
        read = read_offer(offer(section(*WHOLE)))

        text = answered(read)

        assert text == str(type(read.description).parse(text))


class TestLaterOffers:
    def test_the_same_certificate_is_the_same_association(self) -> None:
        (old,) = read_offer(offer(section(*WHOLE))).streams
        restarted = (*without("a=ice-ufrag"), "a=ice-ufrag:AnotherOne")
        (new,) = read_offer(offer(section(*restarted))).streams
        assert old.dtls is not None
        assert new.dtls is not None

        assert old.dtls.is_same_association(new.dtls)
        assert old.dtls.ice != new.dtls.ice

    @pytest.mark.parametrize(
        "lines",
        [
            (*without("a=fingerprint"), f"a=fingerprint:{OTHER}"),
            (*WHOLE, "a=tls-id:" + "x" * 24),
        ],
    )
    def test_another_certificate_or_tls_id_is_another(
        self, lines: tuple[str, ...]
    ) -> None:
        (old,) = read_offer(offer(section(*WHOLE))).streams
        (new,) = read_offer(offer(section(*lines))).streams
        assert old.dtls is not None
        assert new.dtls is not None

        assert not old.dtls.is_same_association(new.dtls)
