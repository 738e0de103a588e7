import pytest

from vault.core.flow import CallFacts, Direction, Participant
from vault.sip.messages import Headers, Request
from vault.siprec.metadata import read_metadata
from vault.siprec.model import RecordingMetadata
from vault.siprec.parties import METADATA, REMARKS, SIDES, changes, facts_of, learned

NOW_NS = 1_700_000_000_000_000_000


def request(
    sender: str = "<sip:192.0.2.1>;tag=1",
    to: str = "<sip:192.0.2.2>",
    *headers: tuple[str, str],
) -> Request:
    rows = (("From", sender), ("To", to), ("Call-ID", "c@x"), *headers)
    return Request(method="INVITE", uri="sip:srs@x", headers=Headers(rows))


def metadata(*elements: str) -> RecordingMetadata:
    return read_metadata(f"<recording>{''.join(elements)}</recording>".encode())


def party(name: str, aor: str, stream: str = "") -> str:
    send = f"<send>{stream}</send>" if stream else ""
    return f'<participant id="{name}"><nameID aor="{aor}"/>{send}</participant>'


def stream(name: str, label: str) -> str:
    return f'<stream id="{name}"><label>{label}</label></stream>'


CALL = metadata(
    party("a", "sip:100@x", "s1"),
    party("b", "200@x", "s2"),
    stream("s1", "1"),
    stream("s2", "2"),
)
ORACLE = metadata(
    party("a", "sip:100@x"),
    '<participant id="b"><nameID aor="sip:200@x"/><extensiondata '
    'xmlns:v="http://acmepacket.com"><v:callingParty>true</v:callingParty>'
    "</extensiondata></participant>",
)


def streams(facts: CallFacts) -> list[tuple[str, ...]]:
    return [each.streams for each in facts.participants]


class TestFacts:
    def test_metadata_names_parties_streams_and_sides(self) -> None:
        facts = facts_of(request(), CALL, labels=("1", "2"))

        assert facts == CallFacts(
            pbx_id="c@x",
            caller="100",
            callee="200",
            attributes={
                SIDES: "by-order",
                METADATA: "complete",
                "sip_call_id": "c@x",
            },
            participants=(
                Participant(id="a", aor="sip:100@x", streams=("1",)),
                Participant(id="b", aor="sip:200@x", streams=("2",)),
            ),
        )

    def test_a_flag_is_stronger_than_the_order(self) -> None:
        facts = facts_of(request(), ORACLE)

        assert ("200", "100", "stated") == (
            facts.caller,
            facts.callee,
            facts.attributes[SIDES],
        )

    @pytest.mark.parametrize(
        ("labels", "expected", "remarks"),
        [
            (("1", "2"), [("1",), ("2",)], ""),
            (("2", "1"), [("1",), ("2",)], ""),
            ((), [("1",), ("2",)], ""),
            (("x", "y"), [("x",), ("y",)], "labels-by-order"),
            (("1", "y"), [("1",), ()], ""),
            (("x", "y", "z"), [(), ()], ""),
            (("1",), [("1",), ()], ""),
        ],
        ids=["same", "turned", "none", "others", "one-other", "three", "one"],
    )
    def test_labels_of_metadata_and_offer_are_matched(
        self, labels: tuple[str, ...], expected: list[tuple[str, ...]], remarks: str
    ) -> None:
        facts = facts_of(request(), CALL, labels=labels)

        assert (expected, remarks) == (
            streams(facts),
            facts.attributes.get(REMARKS, ""),
        )

    def test_two_sections_of_one_label_are_two_streams(self) -> None:
        both = metadata(
            party("a", "sip:100@x", "s1"),
            party("b", "sip:200@x", "s2"),
            stream("s1", "1"),
            stream("s2", "1"),
        )

        facts = facts_of(request(), both, labels=("1", "1"))

        assert streams(facts) == [("1",), ("1-2",)]

    def test_unreadable_metadata_is_flagged_and_the_headers_are_read(self) -> None:
        facts = facts_of(
            request('"Ann" <sip:100@x>;tag=1', "<sip:200@x>"),
            labels=("1", "2"),
            flaw="not well-formed XML",
        )

        assert ("unreadable", "100", "200", "by-headers") == (
            facts.attributes[METADATA],
            facts.caller,
            facts.callee,
            facts.attributes[SIDES],
        )

    def test_without_metadata_from_and_to_have_their_streams(self) -> None:
        facts = facts_of(
            request('"Ann" <sip:100@x>;tag=1', "<sip:200@x>"), labels=("1", "2")
        )

        assert facts.participants == (
            Participant(id="from", aor="sip:100@x", name="Ann", streams=("1",)),
            Participant(id="to", aor="sip:200@x", streams=("2",)),
        )

    def test_one_stream_carries_both(self) -> None:
        facts = facts_of(request("<sip:100@x>", "<sip:200@x>"), labels=("1",))

        assert streams(facts) == [("1",), ("1",)]

    def test_who_is_only_a_machine_is_no_party(self) -> None:
        facts = facts_of(request(), labels=("1",))

        assert ((), "", "", None) == (
            facts.participants,
            facts.caller,
            facts.callee,
            facts.attributes.get(SIDES),
        )

    def test_a_call_manager_s_phone_is_the_callee_until_somebody_says_else(
        self,
    ) -> None:
        facts = facts_of(
            request(
                "<sip:2000@ucm;x-nearend;x-refci=7;x-nearendaddr=1001;"
                "x-farendaddr=+4930>;tag=1"
            ),
            labels=("audio",),
        )

        assert ("+4930", "1001", "7", "by-headers", [("audio",), ()]) == (
            facts.caller,
            facts.callee,
            facts.pbx_id,
            facts.attributes[SIDES],
            streams(facts),
        )

    def test_cube_without_metadata_names_parties_in_its_own_header(self) -> None:
        name = "X-Cisco-Recording-Participant"
        facts = facts_of(
            request(
                "<sip:192.0.2.1>",
                "<sip:9999@x>",
                (name, 'sip:100@x;media-index="0"'),
                (name, 'sip:200@x;media-index="1"'),
                ("Cisco-Guid", "1-2-3-4"),
            ),
            labels=("1", "2"),
        )

        assert ("100", "200", "00000001000000020000000300000004", [("1",), ("2",)]) == (
            facts.caller,
            facts.callee,
            facts.pbx_id,
            streams(facts),
        )

    def test_headers_that_are_no_addresses_name_nobody(self) -> None:
        facts = facts_of(request('"unclosed <sip:a@b>', "nonsense"))

        assert facts.participants == ()


class TestLearned:
    def test_late_metadata_replaces_what_headers_said(self) -> None:
        before = facts_of(request("<sip:100@x>", "<sip:9999@x>"), labels=("1", "2"))
        now = facts_of(request("<sip:100@x>", "<sip:9999@x>"), CALL, labels=("1", "2"))

        after = learned(before, now, now_ns=NOW_NS)

        assert now == after
        assert changes(before, after) == {
            "callee": "200",
            "participants": now.participants,
            "attributes": {SIDES: "by-order", METADATA: "complete"},
        }

    def test_what_is_stated_is_not_replaced_by_an_order(self) -> None:
        before = facts_of(request(), ORACLE)

        after = learned(before, facts_of(request(), CALL), now_ns=NOW_NS)

        assert ("200", "100", "stated") == (
            after.caller,
            after.callee,
            after.attributes[SIDES],
        )

    def test_a_request_that_says_less_takes_nothing_away(self) -> None:
        before = facts_of(
            request("<sip:100@x>", "<sip:200@x>", ("Cisco-Guid", "1-2-3-4")),
            labels=("1", "2"),
        )

        after = learned(before, facts_of(request(), labels=("1", "2")), now_ns=NOW_NS)

        assert (before, None) == (after, changes(before, after))

    def test_a_better_identifier_takes_the_place_of_the_call_id(self) -> None:
        before = facts_of(request())
        now = facts_of(request("<sip:x>", "<sip:y>", ("Cisco-Guid", "1-2-3-4")))

        assert [
            "00000001000000020000000300000004",
            "00000001000000020000000300000004",
        ] == [
            learned(before, now).pbx_id,
            learned(now, before).pbx_id,
        ]

    def test_a_direction_is_learned_and_not_forgotten(self) -> None:
        told = facts_of(
            request(),
            metadata(
                party("a", "sip:1@x"),
                '<v:direction xmlns:v="http://jambonz.org/siprec">inbound</v:direction>',
            ),
        )

        after = learned(told, facts_of(request(), CALL))

        assert after.direction is Direction.INBOUND

    def test_a_new_far_end_leaves_the_old_one_with_its_time(self) -> None:
        sender = "<sip:2000@ucm;x-nearend;x-nearendaddr=1001;x-farendaddr={}>"
        known = facts_of(request(sender.format("1")), labels=("audio",))
        for turn, far in enumerate("23"):
            now = facts_of(request(sender.format(far)), labels=("audio",))
            known = learned(known, now, now_ns=NOW_NS + turn)

        assert [
            ("x-nearend", "1001", 0),
            ("x-farend", "3", 0),
            ("x-farend-3", "2", NOW_NS + 1),
            ("x-farend-2", "1", NOW_NS),
        ] == [(each.id, each.aor, each.left_ns) for each in known.participants]

    def test_after_our_own_death_only_what_is_certain_is_news(self) -> None:
        weak = facts_of(request("<sip:100@x>", "<sip:200@x>"), labels=("1", "2"))
        stated = facts_of(request(), ORACLE)

        assert (None, {"participants", "caller", "callee"}) == (
            changes(None, learned(None, weak)),
            set(changes(None, learned(None, stated)) or {}),
        )
