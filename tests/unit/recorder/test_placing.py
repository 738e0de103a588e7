import pytest

from tests.simulators.recorder import AGENTS, DEFAULT, SALES, Directory
from vault.access.extensions import Extension, ExtensionTable
from vault.core.flow import CallFacts, Direction, Participant
from vault.core.ids import ExtensionId
from vault.recorder.placing import Place, place


def entry(pattern: str, agent: str = "", workgroup: str = "") -> Extension:
    return Extension(
        id=ExtensionId(pattern), pattern=pattern, agent=agent, workgroup=workgroup
    )


def placed(facts: CallFacts, *entries: Extension) -> Place:
    people = Directory()
    people.extensions = ExtensionTable(entries)
    return place(facts, people)


ANNA = entry("1001", agent="anna", workgroup="sales")


def test_the_table_says_whose_call_it_is_where_the_pbx_does_not() -> None:
    found = placed(CallFacts(caller="+4930123", callee="sip:1001@pbx"), ANNA)

    assert ("anna", "sales", Direction.INBOUND) == (
        found.facts.agent,
        found.facts.workgroup,
        found.facts.direction,
    )
    assert (AGENTS["anna"], SALES, True) == (
        found.agent_id,
        found.workgroup_id,
        found.workgroup_known,
    )


def test_what_the_pbx_says_is_never_overruled() -> None:
    facts = CallFacts(
        caller="1001",
        callee="1002",
        agent="eve",
        workgroup="elsewhere",
        direction=Direction.INBOUND,
    )
    found = placed(facts, ANNA)

    assert facts == found.facts
    assert (DEFAULT, False) == (found.workgroup_id, found.workgroup_known)


def test_the_workgroup_of_one_agent_is_not_the_workgroup_of_another() -> None:
    found = placed(CallFacts(caller="1001", callee="+49", agent="eve"), ANNA)

    assert ("eve", "") == (found.facts.agent, found.facts.workgroup)


@pytest.mark.parametrize(
    ("caller", "callee", "expected"),
    [
        ("1001", "+4930123", Direction.OUTBOUND),
        ("+4930123", "1001", Direction.INBOUND),
        ("1001", "1002", Direction.INTERNAL),
        ("+4930123", "+4940123", Direction.UNKNOWN),
        ("", "", Direction.UNKNOWN),
    ],
)
def test_the_direction_follows_from_who_is_in_the_table(
    caller: str, callee: str, expected: Direction
) -> None:
    found = placed(
        CallFacts(caller=caller, callee=callee), ANNA, entry("1002", workgroup="x")
    )

    assert expected == found.facts.direction


def test_participants_are_known_by_their_address() -> None:
    anna = Participant(id="1", aor="sip:1001@pbx.example;user=phone")
    known = Participant(id="2", aor="sip:1001@pbx.example", agent="said-by-the-pbx")
    found = placed(CallFacts(participants=(anna, known)), ANNA)

    assert ["anna", "said-by-the-pbx"] == [p.agent for p in found.facts.participants]
    assert ("anna", SALES) == (found.facts.agent, found.workgroup_id)


def test_a_transferred_call_belongs_to_whoever_has_it_now() -> None:
    facts = CallFacts(
        participants=(
            Participant(id="1", aor="1001", left_ns=5),
            Participant(id="2", aor="1002"),
        )
    )
    found = placed(facts, ANNA, entry("1002", agent="bob"))

    assert "bob" == found.facts.agent


def test_a_call_of_nobody_in_the_table_lands_in_the_default_workgroup() -> None:
    found = placed(CallFacts(caller="1", callee="2"), ANNA)

    assert (None, DEFAULT, True) == (
        found.agent_id,
        found.workgroup_id,
        found.workgroup_known,
    )
