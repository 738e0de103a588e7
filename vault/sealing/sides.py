"""Which stream carries whom: the agent's side of a call, and everybody else's.

The agent is left and everybody else right; where nobody knows who that is, the first
stream is left (one labelled ``customer`` never is, if there is another).  A call with
one stream is mono.

A fork says it with the labels of its streams (``agent``, ``customer``).  SIPREC says
which participant sends which stream, and the table of extensions (or the direction of
the call) which participant is the agent.

Guarantees: a pure function of the metadata, so that whoever draws a call and whoever
mixes it agree.

Left to others: mixing (`vault.renditions.mixdown`), pages (`vault.web.parties`).
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from typing import Final

from vault.core.addresses import same_party
from vault.core.flow import Direction
from vault.sealing.metadata import ParticipantMetadata, SessionMetadata


@unique
class Side(StrEnum):
    """Whose a stream is, spelled as a fork spells it in the label."""

    AGENT = "agent"
    CUSTOMER = "customer"


_RANKS: Final[Mapping[str, int]] = {Side.AGENT: 0, Side.CUSTOMER: 2}


def sides_of(metadata: SessionMetadata) -> Mapping[str, Side]:
    """Return the side of each stream by label; what is absent is not known."""
    agent = agent_of(metadata)
    if agent is None:
        return {}
    sides = {
        label: Side.CUSTOMER
        for each in metadata.participants
        if each is not agent
        for label in each.streams
    }
    return sides | dict.fromkeys(agent.streams, Side.AGENT)


def agent_of(metadata: SessionMetadata) -> ParticipantMetadata | None:
    """Return the participant that is the agent whose call it is, if one is."""
    speaking = [each for each in metadata.participants if each.streams]
    known = [each for each in speaking if each.agent]
    named = metadata.agent.strip().casefold()
    for each in known:
        if each.agent.casefold() == named:
            return each
    if known:
        return known[0]
    # Nobody is in the table: the direction says which side is ours.
    called = metadata.direction is Direction.INBOUND
    ours = metadata.callee if called else metadata.caller
    if metadata.direction is Direction.UNKNOWN:
        return None
    return next((each for each in speaking if same_party(each.aor, ours)), None)


def channels_of(
    labels: Sequence[str], sides: Mapping[str, str]
) -> tuple[tuple[int, ...], ...]:
    """Return the places in *labels* that go to each channel, the left one first.

    Args:
        labels: Of the audio streams, in the order of their m-lines.
        sides: As `sides_of` says.
    """
    if len(labels) <= 1:
        return tuple((place,) for place in range(len(labels)))
    named = [sides.get(label, label) for label in labels]
    # Stable: among streams without a telling label the m-line order decides.
    first = min(range(len(named)), key=lambda place: _RANKS.get(named[place], 1))
    others = [place for place in range(len(named)) if place != first]
    # An agent whose call was moved may have had several streams.
    right = [place for place in others if named[place] != Side.AGENT]
    if not right:
        return (first,), tuple(others)
    left = [place for place in others if named[place] == Side.AGENT]
    return (first, *left), tuple(right)


def channel_label(named: Sequence[str]) -> str:
    """Return what a channel is called that has streams with these names."""
    return Side.CUSTOMER.value if Side.CUSTOMER in named else named[0]
