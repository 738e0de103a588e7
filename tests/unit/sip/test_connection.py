import pytest

from vault.sip.connection import remote_of
from vault.sip.sdp import SessionDescription


def remote(session: str, *section: str, origin: str = "") -> tuple[str, int] | None:
    lines = ["v=0", *([f"c={session}"] if session else []), "m=audio 5000 RTP/AVP 0"]
    text = "\n".join([*lines, *(f"c={value}" for value in section)])
    description = SessionDescription.parse(text)
    return remote_of(description, description.media[0], origin=origin)


class TestRemoteOf:
    @pytest.mark.parametrize(
        ("session", "section", "expected"),
        [
            ("IN IP4 192.0.2.1", [], "192.0.2.1"),
            ("IN IP4 192.0.2.1", ["IN IP4 192.0.2.2"], "192.0.2.2"),
            ("", ["IN IP6 2001:DB8::1"], "2001:db8::1"),
            ("IN IP6 ::ffff:192.0.2.1", [], "192.0.2.1"),
        ],
    )
    def test_the_section_speaks_before_the_session(
        self, session: str, section: list[str], expected: str
    ) -> None:
        assert (expected, 5000) == remote(session, *section, origin="198.51.100.1")

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
    def test_what_no_packet_comes_from_gives_way_to_whoever_offered(
        self, said: str
    ) -> None:
        assert ("198.51.100.1", 0) == remote(said, origin="198.51.100.1")
        assert remote(said, origin="") is None

    def test_an_unusable_line_of_the_section_hides_the_sessions(self) -> None:
        assert ("2001:db8::1", 0) == remote(
            "IN IP4 192.0.2.1", "IN IP4 0.0.0.0", origin="2001:db8::1"
        )

    @pytest.mark.parametrize(
        ("origin", "expected"),
        [
            ("127.0.0.1", ("127.0.0.9", 5000)),
            ("::1", ("127.0.0.9", 5000)),
            ("198.51.100.1", ("198.51.100.1", 0)),
            ("", None),
            ("unknown", None),
        ],
    )
    def test_loopback_is_believed_only_from_this_host(
        self, origin: str, expected: tuple[str, int] | None
    ) -> None:
        assert expected == remote("IN IP4 127.0.0.9", origin=origin)
