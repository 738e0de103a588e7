"""Cisco calls that come without metadata: CUBE's headers, CUCM's ``From``.

CUBE in network recording names a participant per media section:

    X-Cisco-Recording-Participant: sip:708090@192.0.2.5;media-index="0"

CUCM, for phones that fork (built-in bridge) and for gateways, makes two calls of
one: one carries what the near end says, one what the far end says.  Parameters of
the URI in ``From`` tell which, and who they are:

    From: <sip:2000@ucm;x-nearend;x-refci=1;x-nearendaddr=2000;x-farendaddr=1000>

Guarantees: nothing raises.

Left to others: everything else that a header may say (`vault.siprec.dialects`).

Spec: Cisco's guides to CUBE network-based recording and CUCM recording
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.core.flow import Participant
from vault.sip.messages import Headers
from vault.sip.uris import Parameters
from vault.siprec.addresses import display_name, name_addr_of, shown, uri_of

_MAX_PARTIES: Final = 64
_INDEX: Final = re.compile(r"[0-9]{1,3}")
_ATTRIBUTES: Final = (
    ("x-refci", "cisco_refci"),
    ("x-nearendclusterid", "cisco_near_cluster"),
    ("x-nearenddevice", "cisco_near_device"),
    ("x-nearendguid", "cisco_near_guid"),
    ("x-farendrefci", "cisco_far_refci"),
    ("x-farendclusterid", "cisco_far_cluster"),
    ("x-farenddevice", "cisco_far_device"),
    ("x-farendguid", "cisco_far_guid"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What CUCM says of a call that it records."""

    near: str = field(repr=False)
    far: str = field(repr=False)
    name: str = field(default="", repr=False)
    carries_near: bool
    "Whether this recording carries what the near end, the recorded phone, says."
    attributes: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def participants(self, labels: Sequence[str]) -> tuple[Participant, ...]:
        """Return both ends, the near one first; one of them has the streams."""
        streams = tuple(labels)
        return (
            Participant(
                id="x-nearend",
                aor=self.near,
                name=self.name,
                streams=streams if self.carries_near else (),
            ),
            Participant(
                id="x-farend",
                aor=self.far,
                streams=() if self.carries_near else streams,
            ),
        )


def ends_of(headers: Headers) -> Ends | None:
    """Return what CUCM says in ``From``; None where the call is not one of its."""
    sender = name_addr_of(headers.get("From") or "")
    if sender is None:
        return None
    base, _, rest = sender.uri.partition(";")
    # Some write them behind the URI instead of into it.
    parameters = Parameters((*_parameters(rest), *sender.parameters))
    near, far = "x-nearend" in parameters, "x-farend" in parameters
    if near == far:
        return None
    own = shown(parameters.get("x-nearendaddr") or "")
    return Ends(
        near=own or uri_of(base),
        far=shown(parameters.get("x-farendaddr") or ""),
        name=display_name(sender.display_name),
        carries_near=near,
        attributes=tuple(
            (name, shown(parameters.get(key) or ""))
            for key, name in _ATTRIBUTES
            if parameters.get(key)
        ),
    )


def recording_participants(
    headers: Headers, labels: Sequence[str]
) -> tuple[Participant, ...]:
    """Return the participants that CUBE names, with the streams they have."""
    return tuple(_named(headers, labels))


def _named(headers: Headers, labels: Sequence[str]) -> Iterator[Participant]:
    values = headers.values("X-Cisco-Recording-Participant")[:_MAX_PARTIES]
    for number, value in enumerate(values):
        address = name_addr_of(value)
        if address is None:
            continue
        index = address.parameters.unquoted("media-index") or ""
        place = int(index) if _INDEX.fullmatch(index) else number
        yield Participant(
            # By place in the list, too: an index said twice must not make two one.
            id=f"media-index-{place}-{number}",
            aor=uri_of(address.uri),
            name=display_name(address.display_name),
            streams=tuple(labels[place : place + 1]),
        )


def _parameters(text: str) -> Parameters:
    try:
        return Parameters.parse(text)
    except MalformedSignallingError:
        return Parameters()
