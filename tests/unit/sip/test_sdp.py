import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.sdp import Line, SessionDescription

MINIMAL = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def line_of(text: str) -> int | None:
    with pytest.raises(MalformedSignallingError) as caught:
        SessionDescription.parse(text)
    return caught.value.line


class TestParse:
    def test_writing_and_reading_are_inverses(self) -> None:
        text = (
            MINIMAL + "m=audio 5000/2 RTP/SAVP 0 8\r\nb=AS:64\r\na=x-vendor:1\r\n"
            "a=sendonly\r\nm=video 0 RTP/AVP 96\r\n"
        )

        assert text == str(SessionDescription.parse(text))

    @pytest.mark.parametrize("ending", ["\r\n", "\n", "\r"])
    def test_any_line_ending_means_the_same(self, ending: str) -> None:
        text = MINIMAL + "m=audio 5000 RTP/AVP 0\r\n"

        assert SessionDescription.parse(text) == SessionDescription.parse(
            text.replace("\r\n", ending)
        )

    def test_what_ffmpeg_prints_in_front_and_blank_lines_are_skipped(self) -> None:
        found = SessionDescription.parse(
            "SDP:\n" + MINIMAL + "\n\nm=audio 9 RTP/AVP 0\n"
        )

        assert (1, 9) == (len(found.media), found.media[0].port)

    def test_an_unknown_attribute_is_kept(self) -> None:
        found = SessionDescription.parse(MINIMAL + "m=audio 9 RTP/AVP 0\na=zzz: 1 ;2\n")

        assert [Line(type="a", value="zzz: 1 ;2")] == list(found.media[0].lines)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("hello", 1),
            ("s=-\r\nv=0\r\n", 1),
            (MINIMAL + "nonsense\r\n", 5),
            (MINIMAL + "m=audio\r\n", 5),
            (MINIMAL + "m=audio 70000 RTP/AVP 0\r\n", 5),
            (MINIMAL + "m=audio 65535/3 RTP/AVP 0\r\n", 5),
            (MINIMAL + "m=audio 5000/0 RTP/AVP 0\r\n", 5),
            (MINIMAL + "m=audio -1 RTP/AVP 0\r\n", 5),
            (MINIMAL + "m=audio \u0665\u0660 RTP/AVP 0\r\n", 5),
            (MINIMAL + "c=IN IP4\r\n", 5),
            (MINIMAL + "c=IN IP4 a b\r\n", 5),
            (MINIMAL + "a=tool:\x00\r\n", 5),
            (MINIMAL + "a=tool:\x1b[2J\r\n", 5),
            (MINIMAL + "a=tool:\ud800\r\n", 5),
            (MINIMAL + "a=" + "x" * 5000 + "\r\n", 5),
            (MINIMAL + "m=audio 9 RTP/AVP 0\r\n" * 17, 21),
            (MINIMAL + "m=audio 9 RTP/AVP " + "0 " * 65 + "\r\n", 5),
            (MINIMAL + "a=x\r\n" * 20_000, 1),
            (MINIMAL + "a=x\r\n" * 3_000, 2001),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, text: str, line: int) -> None:
        assert line == line_of(text)

    def test_no_value_is_in_a_repr(self) -> None:
        found = SessionDescription.parse(
            MINIMAL + "m=audio 9 RTP/AVP 0\na=crypto:1 X inline:c2VjcmV0\n"
        )

        assert "c2VjcmV0" not in repr(found)
