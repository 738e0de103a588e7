from datetime import UTC, datetime

import pytest

from vault.core.errors import MalformedSignallingError
from vault.siprec.metadata import read_metadata, read_or_flag
from vault.siprec.model import Extension, Mode, Party, RecordingMetadata

NS = 'xmlns="urn:ietf:params:xml:ns:recording:1"'


def document(*elements: str, mode: str = "complete", attributes: str = NS) -> bytes:
    return (
        f"<recording {attributes}><datamode>{mode}</datamode>"
        + "".join(elements)
        + "</recording>"
    ).encode()


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 10**9


def party(identifier: str, aor: str = "", *inside: str) -> str:
    return (
        f'<participant participant_id="{identifier}">'
        f'<nameID aor="{aor}"/>{"".join(inside)}</participant>'
    )


def stream(identifier: str, label: str) -> str:
    return f'<stream stream_id="{identifier}"><label>{label}</label></stream>'


def sends(identifier: str, *streams: str) -> str:
    told = "".join(f"<send>{each}</send>" for each in streams)
    return (
        f'<participantstreamassoc participant_id="{identifier}">{told}'
        "</participantstreamassoc>"
    )


def joined(identifier: str, *times: str) -> str:
    return (
        f'<participantsessionassoc participant_id="{identifier}" session_id="s">'
        f"{''.join(times)}</participantsessionassoc>"
    )


def labels(found: RecordingMetadata) -> dict[str, tuple[str, ...]]:
    return {each.id: each.labels for each in found.parties}


A, B = party("a", "sip:a@x"), party("b", "sip:b@x")
ONE, TWO = stream("1", "one"), stream("2", "two")


class TestSpellings:
    @pytest.mark.parametrize(
        "octets",
        [
            document(A, ONE, sends("a", "1")),
            document(
                A,
                ONE,
                sends("a", "1"),
                attributes='xmlns="urn:ietf:params:xml:ns:recording"',
            ),
            document(A, ONE, sends("a", "1"), attributes=""),
            (
                b'<t:recording xmlns:t="urn:ietf:params:xml:ns:recording">'
                b'<t:participant participant_id="a"><t:nameID aor="sip:a@x"/></t:participant>'
                b'<t:stream stream_id="1"><t:label>one</t:label></t:stream>'
                b'<t:participantstreamassoc participant_id="a"><t:send>1</t:send>'
                b"</t:participantstreamassoc></t:recording>"
            ),
            (
                b'<recording xmlns="urn:ietf:params:xml:ns:recording">'
                b'<participant id="a" session="s"><nameID aor="sip:a@x"/><send>1</send>'
                b'</participant><stream id="1" session="s"><label>one</label></stream>'
                b"</recording>"
            ),
            (
                b'<recording_metadata xmlns="urn:ietf:params:xml:ns:siprec">'
                b"<dataMode>complete</dataMode>"
                b'<participant id="a" session="s"><aor>sip:a@x</aor>'
                b"<send><id>1</id></send></participant>"
                b'<stream id="1" session="s"><label>one</label><mode>mixed</mode></stream>'
                b"</recording_metadata>"
            ),
            (
                b"<recording><participant id='a'><nameID><aor>sip:a@x</aor></nameID>"
                b"<send> 1 </send></participant><stream id='1'><label> one\n</label></stream>"
                b"</recording>"
            ),
        ],
        ids=["1", "0", "none", "prefixed", "oracle", "broadworks", "nested-aor"],
    )
    def test_every_spelling_says_the_same(self, octets: bytes) -> None:
        assert (Party(id="a", aor="sip:a@x", sends=("1",), labels=("one",)),) == (
            read_metadata(octets).parties
        )

    @pytest.mark.parametrize(
        ("said", "mode"),
        [
            ("complete", Mode.COMPLETE),
            ("partial", Mode.PARTIAL),
            ("Partial", Mode.PARTIAL),
            ("", Mode.COMPLETE),
        ],
    )
    def test_whether_it_is_all_is_read_in_any_case(self, said: str, mode: Mode) -> None:
        assert mode is read_metadata(document(A, mode=said)).mode

    def test_the_session_has_its_group_and_its_session_id(self) -> None:
        found = read_metadata(
            document(
                '<group group_id="g"/><session session_id="s"><group-ref>g</group-ref>'
                "<sipSessionID>ab;remote=cd</sipSessionID></session>"
            )
        )

        assert (("g",), "s", "g", "ab;remote=cd") == (
            found.groups,
            found.sessions[0].id,
            found.sessions[0].group,
            found.sessions[0].sip_session_id,
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("octets", "flaw"),
        [
            (b"<html/>", "XML that is no recording metadata"),
            (b"<recording/>", "recording metadata without any element of it"),
            (
                b"<recording>text</recording>",
                "recording metadata without any element of it",
            ),
            (document(*[A] * 257), "recording metadata with too many participants"),
            (document(*[ONE] * 257), "recording metadata with too many streams"),
            (
                document(*["<session/>"] * 65),
                "recording metadata with too many sessions",
            ),
            (
                document(A, *["<x>1</x>"] * 257),
                "recording metadata with too many extensions",
            ),
            (
                document(*[joined(str(each)) for each in range(257)], mode="partial"),
                "recording metadata with too many participants",
            ),
        ],
    )
    def test_what_is_none_is_told_and_never_raised_by_the_one_that_flags(
        self, octets: bytes, flaw: str
    ) -> None:
        with pytest.raises(MalformedSignallingError):
            read_metadata(octets)

        assert (None, flaw) == read_or_flag(octets)

    def test_long_texts_are_cut(self) -> None:
        found = read_metadata(document(party("a" * 999, "sip:" + "b" * 999)))

        assert [(256, 256)] == [(len(each.id), len(each.aor)) for each in found.parties]

    def test_nobody_is_in_a_repr(self) -> None:
        assert "sip:a@x" not in repr(read_metadata(document(A)))


class TestTimes:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("2024-05-13T03:29:05Z", ns("2024-05-13T03:29:05+00:00")),
            ("2024-05-13T03:29:05+02:00", ns("2024-05-13T01:29:05+00:00")),
            ("2024-05-13T03:29:05.250Z", ns("2024-05-13T03:29:05+00:00") + 250_000_000),
            ("2024-05-13T03:29:05", 0),
            ("1970-05-13T03:29:05Z", 0),
            ("yesterday", 0),
            ("", 0),
            ("9" * 5_000, 0),
            ("2199-12-31T23:59:59Z", ns("2199-12-31T23:59:59+00:00")),
            # In UTC this would be the year 10000, which nobody can seal.
            ("9999-12-31T23:59:59-23:59", 0),
            ("0001-01-01T00:00:00+23:59", 0),
        ],
    )
    def test_a_time_without_offset_or_sense_is_none(
        self, said: str, expected: int
    ) -> None:
        time = f"<associate-time>{said}</associate-time>"

        found = read_metadata(document(A, joined("a", time))).parties[0]

        assert expected == found.joined_ns

    def test_who_is_in_one_session_still_has_not_left(self) -> None:
        left = "<disassociate-time>2024-05-13T03:29:05Z</disassociate-time>"

        found = read_metadata(document(A, joined("a", left), joined("a")))

        assert found.parties[0].left_ns == 0


class TestStreams:
    def test_a_stream_may_carry_two(self) -> None:
        found = read_metadata(document(A, B, ONE, sends("a", "1"), sends("b", "1")))

        assert ({"a": ("one",), "b": ("one",)}, ()) == (labels(found), found.remarks)

    def test_a_party_may_send_two(self) -> None:
        found = read_metadata(
            document(
                A,
                B,
                ONE,
                TWO,
                stream("3", "screen"),
                sends("a", "1", "3"),
                sends("b", "2"),
            )
        )

        assert labels(found) == {"a": ("one", "screen"), "b": ("two",)}

    @pytest.mark.parametrize(
        ("elements", "expected"),
        [
            ((A, B, ONE, TWO), {"a": ("one",), "b": ("two",)}),
            ((A, B, ONE, TWO, sends("a"), sends("b")), {"a": ("one",), "b": ("two",)}),
            (
                (A, B, ONE, TWO, sends("a", "y"), sends("b", "x")),
                {"a": ("one",), "b": ("two",)},
            ),
            ((A, B, ONE, TWO, sends("a", "2")), {"a": ("two",), "b": ("one",)}),
            ((A, B, ONE), {"a": ("one",), "b": ("one",)}),
        ],
        ids=["opensips", "hold", "jambonz", "left-over", "mixed"],
    )
    def test_what_no_reference_says_is_said_by_order_and_remarked(
        self, elements: tuple[str, ...], expected: dict[str, tuple[str, ...]]
    ) -> None:
        found = read_metadata(document(*elements))

        assert (expected, True) == (labels(found), "streams-by-order" in found.remarks)

    @pytest.mark.parametrize(
        "elements",
        [
            (A, B, party("c"), ONE, TWO),
            (A, B),
            (A, B, ONE, TWO, sends("a", "x")),
        ],
    )
    def test_nothing_is_guessed_where_the_numbers_differ(
        self, elements: tuple[str, ...]
    ) -> None:
        found = read_metadata(document(*elements))

        assert not any(labels(found).values())

    def test_a_reference_to_nothing_is_remarked(self) -> None:
        found = read_metadata(document(A, ONE, sends("a", "1", "x")))

        assert (("one",), ("unknown-stream",)) == (
            found.parties[0].labels,
            found.remarks,
        )

    def test_an_association_that_ended_sends_nothing(self) -> None:
        ended = sends("a", "2").replace(
            "<send>",
            "<disassociate-time>2024-05-13T03:29:05Z</disassociate-time><send>",
        )

        found = read_metadata(
            document(A, B, ONE, TWO, ended, sends("a", "1"), sends("b", "2"))
        )

        assert labels(found) == {"a": ("one",), "b": ("two",)}

    def test_two_sections_of_one_label_are_told_apart_as_their_offer_is(self) -> None:
        found = read_metadata(
            document(A, B, ONE, stream("2", "one"), sends("a", "1"), sends("b", "2"))
        )

        assert labels(found) == {"a": ("one",), "b": ("one-2",)}


class TestIdentifiers:
    def test_a_party_does_not_hide_another_of_the_same_identifier(self) -> None:
        found = read_metadata(
            document(A, party("a", "sip:mallory@x"), ONE, sends("a", "1"))
        )

        assert (
            [("a", "sip:a@x", ("one",)), ("a#2", "sip:mallory@x", ())],
            ("duplicate-id",),
        ) == (
            [(each.id, each.aor, each.labels) for each in found.parties],
            found.remarks,
        )

    def test_a_party_said_twice_is_one(self) -> None:
        assert len(read_metadata(document(A, A)).parties) == 1

    def test_parties_without_identifier_are_told_apart(self) -> None:
        found = read_metadata(document(party("", "sip:a@x"), party("", "sip:b@x")))

        assert [each.id for each in found.parties] == ["#1", "#2"]


class TestExtensions:
    def test_values_are_found_wherever_a_vendor_puts_them(self) -> None:
        found = read_metadata(
            document(
                '<session session_id="s"><v:x xmlns:v="urn:v"><v:y>1</v:y></v:x></session>',
                party(
                    "a",
                    "sip:a@x",
                    '<extensiondata xmlns:v="urn:v"><v:Z>2</v:Z></extensiondata>',
                ),
                '<extensiondata id="e" parent="s"><w xmlns="urn:w">3</w></extensiondata>',
            )
        )

        assert [
            Extension(
                owner="recording",
                owner_id="",
                namespace="urn:w",
                path=("w",),
                value="3",
            ),
            Extension(
                owner="session",
                owner_id="s",
                namespace="urn:v",
                path=("x", "y"),
                value="1",
            ),
            Extension(
                owner="participant",
                owner_id="a",
                namespace="urn:v",
                path=("z",),
                value="2",
            ),
        ] == list(found.extensions)

    def test_values_are_cut(self) -> None:
        found = read_metadata(document(A, f"<x>{'v' * 5_000}</x>"))

        assert [len(each.value) for each in found.extensions] == [1_024]
