import pytest

from vault.audit.entry import (
    DETAIL_MEMBERS,
    MAX_ENTRY_BYTES,
    Action,
    Draft,
    Entry,
    Result,
    compose,
)
from vault.core.errors import InvalidInputError
from vault.core.flow import NOBODY, Actor, ActorKind, Caller

NOBODY_CALLS = Caller(actor=NOBODY)


def composed(draft: Draft, **hmacs: str) -> Entry:
    return compose(
        draft, id="an-id", time="2026-11-23T06:16:09.1Z", via="web", text_hmacs=hmacs
    )


class TestCompose:
    def test_an_entry_says_who_what_when_from_where_and_by_which_right(self) -> None:
        caller = Caller(
            actor=Actor(kind=ActorKind.USER, id="u1"), session="s1", origin="192.0.2.7"
        )
        draft = Draft(
            action=Action.RECORDING_PLAYED,
            caller=caller,
            result=Result.REFUSED,
            recording="r1",
            right="recording:media:play",
            reason="no-right",
            detail={"part": "audio", "count": 3},
            source="tap-1",
            source_seq=9,
            occurred_ns=1_000_000_000,
        )
        expected = {
            "v": 1,
            "id": "an-id",
            "time": "2026-11-23T06:16:09.1Z",
            "action": "recording.played",
            "actor": "user:u1",
            "via": "web",
            "result": "refused",
            "session": "s1",
            "origin": "192.0.2.7",
            "recording": "r1",
            "right": "recording:media:play",
            "reason": "no-right",
            "detail": {"part": "audio", "count": 3},
            "source": "tap-1",
            "seq": 9,
            "occurred": "1970-01-01T00:00:01.000000000Z",
            "text": {"reason": "00ff"},
        }

        assert expected == composed(draft, reason="00ff").members

    def test_what_is_empty_is_absent(self) -> None:
        entry = composed(Draft(action=Action.PROCESS_STARTED, caller=NOBODY_CALLS))

        assert {"v", "id", "time", "action", "actor", "via", "result"} == set(
            entry.members
        )

    def test_typed_text_is_not_in_the_entry(self) -> None:
        draft = Draft(
            action=Action.PROCESS_STARTED,
            caller=NOBODY_CALLS,
            text={"reason": "call +49 30 901820"},
        )

        assert b"901820" not in bytes(composed(draft, reason="00ff"))

    def test_an_entry_reads_back_as_itself(self) -> None:
        entry = composed(Draft(action=Action.PROCESS_STARTED, caller=NOBODY_CALLS))

        assert entry == Entry.parse(bytes(entry))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("caller", "+493090182"),
            ("device", "+493090182"),
            ("user", "Erika Mustermann"),
            ("count", "7"),
            ("count", True),
            ("count", 1.5),
            ("kid", "xyz"),
            ("kid", "00FF00FF"),
            ("how", ""),
            ("how", "a" * 65),
            ("how", 7),
            ("how", "cut\n"),
            ("version", "1.0\n"),
        ],
    )
    def test_a_detail_of_another_name_or_shape_is_refused(
        self, name: str, value: str
    ) -> None:
        draft = Draft(
            action=Action.PROCESS_STARTED, caller=NOBODY_CALLS, detail={name: value}
        )
        with pytest.raises(InvalidInputError):
            composed(draft)

    def test_a_refusal_does_not_repeat_the_value(self) -> None:
        draft = Draft(
            action=Action.PROCESS_STARTED,
            caller=NOBODY_CALLS,
            detail={"user": "My Secret Password"},
        )
        with pytest.raises(InvalidInputError) as refused:
            composed(draft)

        assert "Secret" not in str(refused.value)

    def test_an_entry_beyond_64_kib_is_refused(self) -> None:
        draft = Draft(
            action=Action.PROCESS_STARTED,
            caller=NOBODY_CALLS,
            reason="x" * MAX_ENTRY_BYTES,
        )
        with pytest.raises(InvalidInputError):
            composed(draft)

    @pytest.mark.parametrize(
        "octets",
        [b"", b"[]", b'{"v": 1}', b'{"v":1,"v":1}', b'{"v":1.5}', b"{" * 65_536],
    )
    def test_what_is_not_canonical_is_no_entry(self, octets: bytes) -> None:
        with pytest.raises(InvalidInputError):
            Entry.parse(octets)


class TestVocabulary:
    def test_actions_are_in_alphabetical_order_and_named_by_their_value(self) -> None:
        values = [str(action) for action in Action]

        assert sorted(values) == values
        assert [action.name for action in Action] == [
            value.upper().replace(".", "_") for value in values
        ]

    def test_details_are_in_alphabetical_order(self) -> None:
        assert sorted(DETAIL_MEMBERS) == list(DETAIL_MEMBERS)
