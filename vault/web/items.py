"""A recording as readers get it: row and opened metadata in one value.

Guarantees: what is not known, or not for the reader, is absent from the JSON;
nothing is there that the API's reference does not name.

Left to others: fetching both halves (`vault.web.browse`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Self

from vault.access.workgroups import Workgroup
from vault.catalog.states import PLAYABLE
from vault.catalog.values import RecordingRow
from vault.core.flow import Direction, Reason, RecordingState, StreamStatus
from vault.core.ids import RecordingId
from vault.core.media import Protection
from vault.sealing.metadata import SessionMetadata
from vault.sealing.sides import channel_label, channels_of, sides_of
from vault.web.parties import Party, name_on, parties_of

_IN_PROGRESS: Final = frozenset(
    {RecordingState.RECORDING, RecordingState.CAPTURED, RecordingState.RENDERING}
)
_MS_PER_S: Final = 1000
_EARS: Final = ("left", "right")

JsonMembers = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One party of the waveform."""

    label: str
    name: str
    "Who that is: a number, an agent, or nothing."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingItem:
    """One recording as one reader may see it."""

    id: RecordingId
    state: RecordingState
    reason: Reason | None
    held: bool
    day: str
    duration_s: float | None
    size_bytes: int
    has_screen: bool
    how: str | None
    workgroup: str | None
    class_name: str | None
    "Its own, or that of its workgroup."
    streams: tuple[StreamStatus, ...]
    started: str | None = None
    ended: str | None = None
    direction: Direction = Direction.UNKNOWN
    caller: str = ""
    callee: str = ""
    agent: str = ""
    pbx_id: str = ""
    device: str = ""
    workgroup_known: bool = True
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    parties: tuple[Party, ...] = ()
    lanes: tuple[Lane, ...] = ()
    "The parties of the waveform, left channel first."
    protection: Protection | None = None
    "Of the stream that was protected worst on the wire, at the worst of times."

    @classmethod
    def of(
        cls,
        row: RecordingRow,
        metadata: SessionMetadata | None,
        *,
        workgroup: Workgroup | None,
    ) -> Self:
        """Join *row* with its *metadata*, where that is sealed into it already."""
        known = metadata or SessionMetadata(recording_id=row.id, started="")
        streams = _labelled(row.streams, known)
        channels = _channels(streams, sides_of(known))
        parties = parties_of(known, _ears(channels))
        return cls(
            id=row.id,
            state=row.state,
            reason=row.reason,
            held=row.held,
            day=row.day,
            duration_s=None if row.duration_ms is None else row.duration_ms / _MS_PER_S,
            size_bytes=row.size_bytes,
            has_screen=row.has_screen,
            how=None if row.how is None else str(row.how),
            workgroup=None if workgroup is None else workgroup.name,
            class_name=_class_of(row, workgroup),
            streams=streams,
            started=known.started or None,
            ended=known.ended,
            direction=known.direction,
            caller=known.caller,
            callee=known.callee,
            agent=known.agent,
            pbx_id=known.pbx_id,
            device=known.device,
            workgroup_known=known.workgroup_known,
            attributes=known.attributes,
            parties=parties,
            lanes=_lanes(channels, known, parties),
            # The row says how a stream ended, the metadata what the worst was.
            protection=Protection.of_suites(
                [one.suite for one in row.streams]
                + [one.suite for one in known.streams]
            ),
        )

    @property
    def playable(self) -> bool:
        """Whether there is audio to ask for.

        A call is ``partial``, too, when packets came and none could be used:
        then its length is nothing, and there is no rendition.
        """
        if self.state is RecordingState.PARTIAL:
            return bool(self.duration_s)
        return self.state in PLAYABLE

    @property
    def knows_participants(self) -> bool:
        """Whether more is known of a party than the number the PBX gave."""
        return any(one.name or one.aor or one.agent for one in self.parties)

    @property
    def in_progress(self) -> bool:
        """Whether it will be playable later."""
        return self.state in _IN_PROGRESS

    def brief(self) -> JsonMembers:
        """Return the JSON members of a list."""
        members: JsonMembers = {
            "id": self.id,
            "state": str(self.state),
            "reason": None if self.reason is None else str(self.reason),
            "held": self.held,
            "day": self.day,
            "started": self.started,
            "ended": self.ended,
            "duration_s": self.duration_s,
            "workgroup": self.workgroup,
            "class": self.class_name,
            "agent": self.agent or None,
            "direction": None
            if self.direction is Direction.UNKNOWN
            else str(self.direction),
            "parties": [one.to_json() for one in self.parties] or None,
            "has_screen": self.has_screen,
            "protection": None if self.protection is None else str(self.protection),
        }
        always = {"reason"}
        return {
            name: value
            for name, value in members.items()
            if value is not None or name in always
        }

    def full(self) -> JsonMembers:
        """Return the JSON members of one recording."""
        members = self.brief() | {"size_bytes": self.size_bytes}
        optional: JsonMembers = {
            "how": self.how,
            "pbx_id": self.pbx_id,
            "device": self.device,
            "attributes": dict(self.attributes),
        }
        members |= {name: value for name, value in optional.items() if value}
        if not self.workgroup_known:
            members["workgroup_known"] = False
        members["streams"] = [_stream(one) for one in self.streams]
        return members


def _class_of(row: RecordingRow, workgroup: Workgroup | None) -> str | None:
    inherited = "" if workgroup is None else workgroup.class_name
    return row.class_name or inherited or None


def _labelled(
    streams: tuple[StreamStatus, ...], metadata: SessionMetadata
) -> tuple[StreamStatus, ...]:
    """Give the streams the names that the PBX gave them.

    The row, which is not sealed, keeps ``streamN`` for a name that might say
    something about the call.
    """
    said = [one.label for one in metadata.streams]
    said += [""] * (len(streams) - len(said))
    return tuple(
        replace(one, label=label or one.label)
        for one, label in zip(streams, said, strict=False)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    label: str
    streams: tuple[str, ...]


def _channels(
    streams: tuple[StreamStatus, ...], sides: Mapping[str, str]
) -> tuple[_Channel, ...]:
    """Return whose streams are on the left and on the right channel."""
    labels = [one.label for one in streams if one.media == "audio"]
    found = []
    for places in channels_of(labels, sides):
        named = [sides.get(labels[place], labels[place]) for place in places]
        found.append(
            _Channel(
                label=channel_label(named),
                streams=tuple(labels[place] for place in places),
            )
        )
    return tuple(found)


def _ears(channels: tuple[_Channel, ...]) -> Mapping[str, str]:
    """Return the channel of each stream; a call in mono has none to tell apart."""
    if len(channels) < len(_EARS):
        return {}
    return {
        label: ear
        for ear, channel in zip(_EARS, channels, strict=True)
        for label in channel.streams
    }


def _lanes(
    channels: tuple[_Channel, ...], known: SessionMetadata, parties: tuple[Party, ...]
) -> tuple[Lane, ...]:
    called = known.direction is Direction.INBOUND
    ours, theirs = known.caller, known.callee
    if called:
        ours, theirs = theirs, ours
    fallback = {"agent": known.agent or ours, "customer": theirs}
    return tuple(
        Lane(
            label=one.label,
            name=name_on(parties, one.streams) or fallback.get(one.label, ""),
        )
        for one in channels or (_Channel(label="call", streams=()),)
    )


def _stream(status: StreamStatus) -> JsonMembers:
    protection = Protection.of_suites([status.suite])
    return {
        "label": status.label,
        "media": status.media,
        "codec": status.codec,
        "suite": status.suite,
        **({} if protection is None else {"protection": str(protection)}),
        "packets_received": status.packets_received,
        "packets_authentic": status.packets_authentic,
        "packets_lost": status.packets_lost,
        "packets_undecryptable": status.packets_undecryptable,
        "packets_rejected": dict(status.packets_rejected),
        "rtcp_packets": status.rtcp_packets,
    }
