from tests.unit.web.test_items import ID, row
from vault.access.workgroups import Workgroup
from vault.core.flow import Direction, RecordingState
from vault.core.ids import WorkgroupId
from vault.sealing.metadata import ParticipantMetadata, SessionMetadata, StreamMetadata
from vault.web.items import Lane, RecordingItem
from vault.web.parties import Party, name_on, parties_of

ANNA = ParticipantMetadata(
    id="1",
    aor="sip:1001@pbx.example",
    name="Anna",
    streams=("97",),
    agent="anna",
    joined="2026-11-23T06:16:09Z",
)
ERIKA = ParticipantMetadata(id="2", aor="tel:+49-30-1", name="Erika", streams=("96",))
BOB = ParticipantMetadata(
    id="3", aor="sip:bob@pbx.example", streams=("98",), left="2026-11-23T06:18:09Z"
)


def call(*participants: ParticipantMetadata) -> SessionMetadata:
    return SessionMetadata(
        recording_id=ID,
        started="2026-11-23T06:16:09Z",
        direction=Direction.INBOUND,
        caller="+49 30 1",
        callee="1001",
        agent="anna",
        streams=tuple(
            StreamMetadata(label=label, codec="PCMU", suite="X")
            for label in ("96", "97", "98")
        ),
        participants=participants,
    )


def test_a_participant_who_is_the_caller_is_listed_once() -> None:
    found = parties_of(call(BOB, ANNA, ERIKA), {"96": "right", "97": "left"})

    assert [
        ("caller", "+49 30 1", "Erika", "right"),
        ("callee", "1001", "Anna", "left"),
        ("participant", "bob", "", ""),
    ] == [(one.role, one.number, one.name, one.channel) for one in found]


def test_what_is_not_known_of_a_party_is_absent() -> None:
    (caller, callee) = parties_of(call(), {})

    assert {"role": "caller", "number": "+49 30 1"} == caller.to_json()
    assert {"role": "callee", "number": "1001"} == callee.to_json()


def test_whoever_shares_a_channel_shares_its_name() -> None:
    parties = (
        Party(role="caller", name="Erika", streams=("1",)),
        Party(role="participant", agent="bob", streams=("1", "2")),
        Party(role="callee", number="1001", streams=("3",)),
    )

    assert ["Erika, bob", "1001", ""] == [
        name_on(parties, labels) for labels in (["1"], ["3"], ["4"])
    ]


def test_lanes_and_api_say_who_is_heard_where() -> None:
    item = RecordingItem.of(
        row(RecordingState.READY, "stream1", "stream2", "stream3"),
        call(ERIKA, ANNA, BOB),
        workgroup=Workgroup(id=WorkgroupId("w"), name="sales"),
    )

    assert item.knows_participants
    assert (
        Lane(label="agent", name="Anna"),
        Lane(label="customer", name="Erika, bob"),
    ) == item.lanes
    assert [
        {
            "role": "caller",
            "number": "+49 30 1",
            "name": "Erika",
            "aor": "tel:+49-30-1",
            "streams": ["96"],
            "channel": "right",
        },
        {
            "role": "callee",
            "number": "1001",
            "name": "Anna",
            "aor": "sip:1001@pbx.example",
            "agent": "anna",
            "streams": ["97"],
            "channel": "left",
            "joined": "2026-11-23T06:16:09Z",
        },
        {
            "role": "participant",
            "number": "bob",
            "aor": "sip:bob@pbx.example",
            "streams": ["98"],
            "channel": "right",
            "left": "2026-11-23T06:18:09Z",
        },
    ] == item.brief()["parties"]
