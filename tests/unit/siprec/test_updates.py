"""Parties come and go: transfer, conference, hold, late and partial documents."""

import pytest

from vault.siprec.metadata import read_metadata
from vault.siprec.model import Party, RecordingMetadata
from vault.siprec.updates import merged

T0, T1, T2, T3 = (1_700_000_000 * 10**9 + each * 10**9 for each in range(4))
GONE = "<disassociate-time>2023-11-14T22:13:30Z</disassociate-time>"
GONE_NS = 1_700_000_010 * 10**9

Row = tuple[str, tuple[str, ...], int, int]
"Identifier, labels, joined, left."


def said(*elements: str, mode: str = "complete") -> RecordingMetadata:
    return read_metadata(
        (
            f"<recording><datamode>{mode}</datamode>{''.join(elements)}</recording>"
        ).encode()
    )


def partial(*elements: str) -> RecordingMetadata:
    return said(*elements, mode="partial")


def party(name: str, *streams: str) -> str:
    sent = "".join(f"<send>{each}</send>" for each in streams)
    return f'<participant id="{name}"><nameID aor="sip:{name}@x"/>{sent}</participant>'


def stream(number: int) -> str:
    return f'<stream id="s{number}"><label>{number}</label></stream>'


def left(name: str, when: str = GONE) -> str:
    return f'<participantsessionassoc participant_id="{name}">{when}</participantsessionassoc>'


def rows(found: RecordingMetadata) -> list[Row]:
    return [
        (each.id, each.labels, each.joined_ns, each.left_ns) for each in found.parties
    ]


CALL = said(party("a", "s1"), party("b", "s2"), stream(1), stream(2))
FIRST = merged(None, CALL, now_ns=T0)


class TestComplete:
    def test_the_first_document_is_what_is_known(self) -> None:
        assert CALL == FIRST

    def test_saying_the_same_again_changes_nothing(self) -> None:
        assert merged(FIRST, CALL, now_ns=T1) == FIRST

    def test_who_is_not_in_it_any_more_has_left_and_stays_known(self) -> None:
        update = said(party("a", "s1"), party("c", "s3"), stream(1), said_stream(3, 2))

        found = merged(FIRST, update, now_ns=T1)

        assert rows(found) == [
            ("a", ("1",), 0, 0),
            ("b", ("2",), 0, T1),
            ("c", ("2",), T1, 0),
        ]

    def test_who_comes_back_takes_part_again(self) -> None:
        alone = said(party("a", "s1"), stream(1))

        found = merged(merged(FIRST, alone, now_ns=T1), CALL, now_ns=T2)

        assert rows(found) == [("a", ("1",), 0, 0), ("b", ("2",), 0, 0)]

    def test_a_third_joins(self) -> None:
        conference = said(
            party("a", "s1"),
            party("b", "s2"),
            party("c", "s3"),
            *(stream(each) for each in (1, 2, 3)),
        )

        found = merged(FIRST, conference, now_ns=T1)

        assert rows(found) == [
            ("a", ("1",), 0, 0),
            ("b", ("2",), 0, 0),
            ("c", ("3",), T1, 0),
        ]

    def test_on_hold_everybody_keeps_their_stream(self) -> None:
        swapped = said(party("a", "s2"), party("b", "s1"), stream(1), stream(2))
        held = said(
            party("a"),
            party("b"),
            stream(1),
            stream(2),
            '<participantstreamassoc participant_id="a"/>',
            '<participantstreamassoc participant_id="b"/>',
        )

        found = merged(merged(None, swapped, now_ns=T0), held, now_ns=T1)

        assert [("2",), ("1",)] == [each.labels for each in found.parties]

    def test_a_guess_by_order_gives_way_to_what_is_said_later(self) -> None:
        guessed = merged(
            None, said(party("a"), party("b"), stream(1), stream(2)), now_ns=T0
        )
        told = merged(guessed, partial(party("a", "s2")), now_ns=T1)

        assert [("1",), ("2",)] == [each.labels for each in guessed.parties]
        assert [("2",), ("1",)] == [each.labels for each in told.parties]

    def test_new_identifiers_for_the_same_people_are_the_same_people(self) -> None:
        again = said(
            '<participant id="x"><nameID aor="sip:a@x"/><send>s1</send></participant>',
            '<participant id="y"><nameID aor="sip:b@x"/><send>s2</send></participant>',
            stream(1),
            stream(2),
        )

        found = merged(FIRST, again, now_ns=T1)

        assert rows(found) == [("x", ("1",), 0, 0), ("y", ("2",), 0, 0)]


def said_stream(identifier: int, label: int) -> str:
    return f'<stream id="s{identifier}"><label>{label}</label></stream>'


class TestPartial:
    def test_who_is_not_named_is_still_there(self) -> None:
        found = merged(FIRST, partial(party("c", "s3"), stream(3)), now_ns=T1)

        assert rows(found) == [
            ("a", ("1",), 0, 0),
            ("b", ("2",), 0, 0),
            ("c", ("3",), T1, 0),
        ]

    def test_a_transfer_is_one_leaving_and_one_joining_on_the_same_section(
        self,
    ) -> None:
        update = partial(left("b"), party("c", "s3"), said_stream(3, 2))

        found = merged(FIRST, update, now_ns=T1)

        assert rows(found) == [
            ("a", ("1",), 0, 0),
            ("b", ("2",), 0, GONE_NS),
            ("c", ("2",), T1, 0),
        ]

    def test_who_leaves_without_a_time_leaves_when_it_is_said(self) -> None:
        update = partial(left("b", "<disassociate-time/>"))

        assert merged(FIRST, update, now_ns=T1).parties[1].left_ns == T1

    def test_a_name_that_is_learned_later_is_added(self) -> None:
        update = partial(
            '<participant id="b"><nameID><name>Bea</name></nameID></participant>'
        )

        found = merged(FIRST, update, now_ns=T1)

        assert found.parties[1] == Party(
            id="b", aor="sip:b@x", name="Bea", sends=("s2",), labels=("2",)
        )

    def test_an_association_alone_moves_a_party_to_another_stream(self) -> None:
        update = partial(
            stream(3),
            '<participantstreamassoc participant_id="b"><send>s3</send>'
            "</participantstreamassoc>",
        )

        assert merged(FIRST, update, now_ns=T1).parties[1].labels == ("3",)

    def test_partial_before_complete_is_the_beginning(self) -> None:
        early = merged(None, partial(party("a", "s1"), stream(1)), now_ns=T0)

        found = merged(early, CALL, now_ns=T1)

        assert [rows(early), rows(found)] == [
            [("a", ("1",), 0, 0)],
            [("a", ("1",), 0, 0), ("b", ("2",), T1, 0)],
        ]

    def test_a_stranger_who_only_leaves_was_never_there(self) -> None:
        update = partial(f'<participant id="z">{GONE}</participant>')

        assert rows(merged(FIRST, update, now_ns=T1)) == rows(FIRST)

    def test_an_oracle_draft_tells_of_the_second_stream_later(self) -> None:
        first = merged(None, said(party("a"), party("b"), stream(1)), now_ns=T0)

        found = merged(first, partial(party("b", "s1"), stream(2)), now_ns=T1)

        assert [("2",), ("1",)] == [each.labels for each in found.parties]


class TestExtensions:
    def test_a_value_is_replaced_by_its_newer_one_and_kept_otherwise(self) -> None:
        first = merged(None, said(party("a"), "<x>1</x><y>1</y>"), now_ns=T0)

        found = merged(first, partial(party("a"), "<x>2</x>"), now_ns=T1)

        assert [("y", "1"), ("x", "2")] == [
            (each.path[-1], each.value) for each in found.extensions
        ]


class TestGrowth:
    @pytest.mark.parametrize("mode", ["complete", "partial"])
    def test_a_session_does_not_grow_without_end(self, mode: str) -> None:
        found = FIRST
        for turn in range(4):
            many = [party(f"p{turn}-{each}") for each in range(200)]
            many += [f'<session id="{turn}-{each}"/>' for each in range(64)]
            many += [f"<x{turn}-{each}>1</x{turn}-{each}>" for each in range(200)]
            found = merged(found, said(*many, mode=mode), now_ns=T1 + turn)

        assert (True, True, True) == (
            len(found.parties) == 256,
            len(found.extensions) <= 256 and len(found.sessions) <= 256,
            "too-many-parties" in found.remarks,
        )

    def test_who_left_first_is_forgotten_first(self) -> None:
        many = said(*(party(f"p{each}") for each in range(256)))

        found = merged(merged(FIRST, many, now_ns=T1), many, now_ns=T2)

        assert {each.id for each in found.parties} == {
            f"p{each}" for each in range(256)
        }
