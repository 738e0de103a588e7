"""Whose call it is: what the PBX says, completed by the table of extensions.

    participants, caller, callee ─► table ─► agents, direction, agent, workgroup ─► ids

Guarantees: what the PBX says is never overruled; an agent or a workgroup that nobody
knows refuses no call; neither disk nor network is asked.

Left to others: the table (`vault.access.extensions`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from vault.access.extensions import Extension
from vault.core.flow import CallFacts, Direction, Participant
from vault.core.ids import UserId, WorkgroupId
from vault.recorder.interfaces import People

_Look = Callable[[str], Extension | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a call belongs, and what is known of it."""

    facts: CallFacts
    "What the PBX says, with what the table adds."
    workgroup_id: WorkgroupId
    workgroup_known: bool
    "False where the name was unknown, and the call landed in ``default``."
    agent_id: UserId | None


def place(facts: CallFacts, people: People) -> Place:
    """Return where a call with *facts* belongs."""
    known = _completed(facts, people.extension)
    workgroup_id, workgroup_known = people.workgroup(known.workgroup)
    return Place(
        facts=known,
        workgroup_id=workgroup_id,
        workgroup_known=workgroup_known,
        agent_id=people.agent(known.agent),
    )


def _completed(facts: CallFacts, look: _Look) -> CallFacts:
    found = replace(
        facts,
        participants=tuple(_known(each, look) for each in facts.participants),
        direction=_direction(facts, look),
    )
    ours = [one for one in (look(each) for each in _addresses(found)) if one]
    agents = [one for one in ours if one.agent]
    # Where the PBX names the agent, only that agent's own entry says the workgroup.
    if facts.agent:
        named = facts.agent.strip().casefold()
        ours = [one for one in ours if one.agent.casefold() in {named, ""}]
        agents = [one for one in ours if one.agent]
    elif agents:
        found = replace(found, agent=agents[0].agent)
    if not found.workgroup:
        groups = (one.workgroup for one in (*agents[:1], *ours) if one.workgroup)
        found = replace(found, workgroup=next(groups, ""))
    return found


def _known(participant: Participant, look: _Look) -> Participant:
    found = look(participant.aor)
    if participant.agent or found is None:
        return participant
    return replace(participant, agent=found.agent)


def _direction(facts: CallFacts, look: _Look) -> Direction:
    """Return which way a call went, seen from those that the table has."""
    if facts.direction is not Direction.UNKNOWN:
        return facts.direction
    sides = look(facts.caller) is not None, look(facts.callee) is not None
    return {
        (True, True): Direction.INTERNAL,
        (True, False): Direction.OUTBOUND,
        (False, True): Direction.INBOUND,
        (False, False): Direction.UNKNOWN,
    }[sides]


def _addresses(facts: CallFacts) -> Iterator[str]:
    """Yield the parties, the side that is more likely the agent's first."""
    if facts.direction is Direction.INBOUND:
        yield from (facts.callee, facts.caller)
    else:
        yield from (facts.caller, facts.callee)
    # A call that was transferred belongs to whoever has it now.
    yield from (each.aor for each in facts.participants if not each.left_ns)
    yield from (each.aor for each in facts.participants if each.left_ns)
