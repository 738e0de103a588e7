import pytest

from vault.sip.connection import locked_to, remote_of
from vault.sip.sdp import SessionDescription


def remote(session: str, *section: str) -> tuple[str, int] | None:
    lines = ["v=0", *([f"c={session}"] if session else []), "m=audio 5000 RTP/AVP 0"]
    text = "\n".join([*lines, *(f"c={value}" for value in section)])
    description = SessionDescription.parse(text)
    return remote_of(description, description.media[0])


class TestRemoteOf:
    @pytest.mark.parametrize(
        ("session", "section", "expected"),
        [
            ("IN IP4 192.0.2.1", [], "192.0.2.1"),
            ("IN IP4 192.0.2.1", ["IN IP4 192.0.2.2"], "192.0.2.2"),
            ("", ["IN IP6 2001:DB8::1"], "2001:db8::1"),
            ("IN IP6 ::ffff:192.0.2.1", [], "192.0.2.1"),
            ("IN IP4 127.0.0.1", [], "127.0.0.1"),
        ],
    )
    def test_the_section_speaks_before_the_session(
        self, session: str, section: list[str], expected: str
    ) -> None:
        assert (expected, 5000) == remote(session, *section)

    @pytest.mark.parametrize(
        "said",
        [
            "",
            "IN IP4 0.0.0.0",
            "IN IP4 255.255.255.255",
            "IN IP4 224.2.1.1/127",
            "IN IP4 224.2.1.1",
            "IN IP4 pbx.example",
            "IN IP4 192.0.2.1/24",
            "IN IP4 192.0.2.300",
            "IN IP6 ::",
            "IN IP6 ff02::1",
            "IN IP6 fe80::1%eth0",
        ],
    )
    def test_what_no_packet_comes_from_is_no_address(self, said: str) -> None:
        assert remote(said) is None

    def test_an_unusable_line_of_the_section_hides_the_sessions(self) -> None:
        assert remote("IN IP4 192.0.2.1", "IN IP4 0.0.0.0") is None


class TestLockedTo:
    def test_the_offer_is_believed(self) -> None:
        assert ("192.0.2.1", 5000) == locked_to(
            ("192.0.2.1", 5000), origin="198.51.100.1"
        )

    def test_without_an_address_it_is_whoever_ordered(self) -> None:
        assert ("198.51.100.1", 0) == locked_to(None, origin="198.51.100.1")

    @pytest.mark.parametrize(
        ("origin", "expected"),
        [
            ("127.0.0.1", ("127.0.0.9", 5000)),
            ("::1", ("127.0.0.9", 5000)),
            ("198.51.100.1", ("198.51.100.1", 0)),
            ("", ("", 0)),
        ],
    )
    def test_loopback_is_believed_only_from_this_host(
        self, origin: str, expected: tuple[str, int]
    ) -> None:
        assert expected == locked_to(("127.0.0.9", 5000), origin=origin)
