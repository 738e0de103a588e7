import pytest

from vault.core.flow import Direction
from vault.core.ids import new_recording_id
from vault.sealing.metadata import ParticipantMetadata, SessionMetadata
from vault.sealing.sides import channel_label, channels_of, sides_of


def call(
    *participants: ParticipantMetadata,
    agent: str = "",
    direction: Direction = Direction.UNKNOWN,
) -> SessionMetadata:
    return SessionMetadata(
        recording_id=new_recording_id(),
        started="2026-11-23T06:16:09Z",
        caller="+4930123",
        callee="1001",
        agent=agent,
        direction=direction,
        participants=participants,
    )


def party(
    id: str, *streams: str, aor: str = "", agent: str = ""
) -> ParticipantMetadata:
    return ParticipantMetadata(id=id, streams=streams, aor=aor, agent=agent)


def test_the_participant_in_the_table_is_the_agent() -> None:
    found = sides_of(call(party("1", "96"), party("2", "97", agent="anna")))

    assert {"96": "customer", "97": "agent"} == found


def test_of_two_agents_the_one_whose_call_it_is_counts() -> None:
    found = sides_of(
        call(
            party("1", "96", agent="anna"),
            party("2", "97", agent="Bob"),
            agent="bob",
        )
    )

    assert {"96": "customer", "97": "agent"} == found


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (Direction.INBOUND, {"1": "customer", "2": "agent"}),
        (Direction.OUTBOUND, {"1": "agent", "2": "customer"}),
        (Direction.UNKNOWN, {}),
    ],
)
def test_else_the_direction_says_which_side_is_ours(
    direction: Direction, expected: dict[str, str]
) -> None:
    caller = party("a", "1", aor="sip:+49-30-123@trunk.example;user=phone")
    callee = party("b", "2", aor="<sip:1001@pbx.example>")

    assert expected == sides_of(call(caller, callee, direction=direction))


def test_without_participants_nothing_is_known() -> None:
    assert {} == sides_of(call(agent="anna", direction=Direction.INBOUND))


@pytest.mark.parametrize(
    ("labels", "sides", "expected"),
    [
        ([], {}, ()),
        (["96"], {"96": "agent"}, ((0,),)),
        (["96", "97"], {}, ((0,), (1,))),
        (["96", "97"], {"97": "agent", "96": "customer"}, ((1,), (0,))),
        (["96", "97"], {"96": "customer"}, ((1,), (0,))),
        (["customer", "agent"], {}, ((1,), (0,))),
        (["customer", "x", "y"], {}, ((1,), (0, 2))),
        (["a", "b", "c"], {"b": "agent", "c": "agent"}, ((1, 2), (0,))),
        (["agent", "agent"], {}, ((0,), (1,))),
    ],
)
def test_the_agent_is_left_and_everybody_else_right(
    labels: list[str], sides: dict[str, str], expected: tuple[tuple[int, ...], ...]
) -> None:
    assert expected == channels_of(labels, sides)


def test_a_channel_with_a_customer_is_called_so() -> None:
    assert ["customer", "x"] == [
        channel_label(["x", "customer"]),
        channel_label(["x", "y"]),
    ]
