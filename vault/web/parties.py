"""Who took part in a call, as API and pages show it: one list out of all that is known.

The PBX names caller and callee; SIPREC names participants, who they are and which
stream is theirs.  A participant who is the caller is listed once.

Guarantees: everybody whom the metadata names is in the list, caller and callee first.

Left to others: whose side a stream is on (`vault.sealing.sides`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vault.core.addresses import address_key, same_party
from vault.sealing.metadata import ParticipantMetadata, SessionMetadata

JsonMembers = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody who took part."""

    role: str
    "``caller``, ``callee`` or ``participant``."
    number: str = ""
    "Number or user, short: what a person would dial."
    name: str = ""
    aor: str = ""
    agent: str = ""
    streams: tuple[str, ...] = ()
    channel: str = ""
    "``left``, ``right``, or empty where no channel is known to be theirs."
    joined: str | None = None
    left: str | None = None

    @property
    def title(self) -> str:
        """What to call them in one word."""
        return self.name or self.agent or self.number

    def to_json(self) -> JsonMembers:
        """Return the JSON members; what is not known is absent."""
        members: JsonMembers = {
            "role": self.role,
            "number": self.number,
            "name": self.name,
            "aor": self.aor,
            "agent": self.agent,
            "streams": list(self.streams),
            "channel": self.channel,
            "joined": self.joined,
            "left": self.left,
        }
        return {name: value for name, value in members.items() if value}


def parties_of(
    metadata: SessionMetadata, channels: Mapping[str, str]
) -> tuple[Party, ...]:
    """Return who took part.

    Args:
        metadata: Of the call.
        channels: Label of a stream → ``left`` or ``right``.
    """
    rest = list(metadata.participants)
    found = []
    for role, said in (("caller", metadata.caller), ("callee", metadata.callee)):
        one = next((each for each in rest if same_party(each.aor, said)), None)
        if one is not None:
            rest.remove(one)
            found.append(_party(role, one, channels, number=said))
        elif said:
            found.append(Party(role=role, number=said))
    found.extend(_party("participant", each, channels) for each in rest)
    return tuple(found)


def name_on(parties: Sequence[Party], labels: Sequence[str]) -> str:
    """Return who is heard on the streams with *labels*, or nothing."""
    heard = [one.title for one in parties if set(one.streams) & set(labels)]
    return ", ".join(dict.fromkeys(one for one in heard if one))


def _party(
    role: str,
    participant: ParticipantMetadata,
    channels: Mapping[str, str],
    *,
    number: str = "",
) -> Party:
    user, host = address_key(participant.aor)
    sides = {channels[label] for label in participant.streams if label in channels}
    return Party(
        role=role,
        number=number or user or host,
        name=participant.name,
        aor=participant.aor,
        agent=participant.agent,
        streams=participant.streams,
        channel=sides.pop() if len(sides) == 1 else "",
        joined=participant.joined,
        left=participant.left,
    )
