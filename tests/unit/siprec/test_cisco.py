import pytest

from vault.core.flow import Participant
from vault.sip.messages import Headers
from vault.siprec.cisco import ends_of, recording_participants

NEAR = (
    '"Agent Smith" <sip:2000@ucm.example;{which};x-refci=26528012;'
    "x-nearendclusterid=c1;x-nearenddevice=SEP0025;x-nearendaddr=1001;"
    "x-farendrefci=26528013;x-farendclusterid=c2;x-farenddevice=SEPF029;"
    "x-farendaddr=1000>;tag=8"
)
PARTICIPANT = "X-Cisco-Recording-Participant"


class TestCallManager:
    @pytest.mark.parametrize(
        ("which", "streams"),
        [("x-nearend", [("audio",), ()]), ("x-farend", [(), ("audio",)])],
    )
    def test_one_of_two_calls_carries_one_of_two_ends(
        self, which: str, streams: list[tuple[str, ...]]
    ) -> None:
        ends = ends_of(Headers((("From", NEAR.format(which=which)),)))

        assert ends is not None
        near, far = ends.participants(("audio",))
        assert [
            ("x-nearend", "1001", "Agent Smith"),
            ("x-farend", "1000", ""),
            *streams,
        ] == [
            (near.id, near.aor, near.name),
            (far.id, far.aor, far.name),
            near.streams,
            far.streams,
        ]

    def test_its_identifiers_are_attributes(self) -> None:
        ends = ends_of(Headers((("From", NEAR.format(which="x-nearend")),)))

        assert ends is not None
        assert dict(ends.attributes) == {
            "cisco_refci": "26528012",
            "cisco_near_cluster": "c1",
            "cisco_near_device": "SEP0025",
            "cisco_far_refci": "26528013",
            "cisco_far_cluster": "c2",
            "cisco_far_device": "SEPF029",
        }

    def test_parameters_behind_the_uri_count_and_the_uri_names_the_near_end(
        self,
    ) -> None:
        ends = ends_of(
            Headers((("From", "<sip:2000@ucm1>;x-farend;x-farendaddr=1000;tag=1"),))
        )

        assert ends is not None
        assert ("sip:2000@ucm1", "1000") == (ends.near, ends.far)

    @pytest.mark.parametrize(
        "sender",
        [
            "<sip:2000@ucm1>;tag=1",
            "<sip:2000@ucm1;x-nearend;x-farend>;tag=1",
            "nonsense",
            "",
            '"unclosed <sip:a@b>',
        ],
    )
    def test_other_calls_are_none_of_its(self, sender: str) -> None:
        assert ends_of(Headers((("From", sender),))) is None


class TestCube:
    def test_each_media_section_has_its_participant(self) -> None:
        headers = Headers(
            (
                (PARTICIPANT, 'sip:708090@192.0.2.5;media-index="1"'),
                (PARTICIPANT, '"Bob" <sip:10000@192.0.2.32>;media-index="0"'),
            )
        )

        assert (
            Participant(
                id="media-index-1-0", aor="sip:708090@192.0.2.5", streams=("b",)
            ),
            Participant(
                id="media-index-0-1",
                aor="sip:10000@192.0.2.32",
                name="Bob",
                streams=("a",),
            ),
        ) == recording_participants(headers, ("a", "b"))

    @pytest.mark.parametrize("index", ['"7"', "-1", "x", "9" * 5_000, '"'])
    def test_an_index_of_no_section_gives_no_stream_or_its_place(
        self, index: str
    ) -> None:
        headers = Headers(((PARTICIPANT, f"sip:1@x;media-index={index}"),))

        found = recording_participants(headers, ("a",))

        assert all(each.streams in {(), ("a",)} for each in found)

    def test_what_is_no_address_is_passed_over(self) -> None:
        headers = Headers(((PARTICIPANT, "nonsense, sip:1@x"),))

        assert len(recording_participants(headers, ())) == 1
