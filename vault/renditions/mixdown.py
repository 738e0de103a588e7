"""What is heard: the legs of a call as channels of 16-bit samples, block by block.

The agent is left and everybody else right.  Who that is, the labels ``agent`` and
``customer`` say, or the caller (`vault.sealing.sides`); where nobody does, the first
audio stream is left (one labelled ``customer`` never is, if there is another).  A call
with one audio line is mono.  Voices that share a channel are added and clipped.

Guarantees:
    * Where no packet lies there is silence (zero samples), and nothing else moves.
    * Octets are decoded once, a block at a time: memory does not grow with the call.

Left to others: where packets lie (`vault.renditions.timeline`), what becomes of
the samples (`vault.renditions.flac`, `m4a`, `peaks`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.renditions.g711 import EXPAND, RATE_HZ, Law
from vault.renditions.legs import Index, Leg, Run, legs_of
from vault.renditions.packets import PacketTable, StreamPackets
from vault.renditions.records import Octets
from vault.renditions.timeline import NS_PER_SAMPLE, positions
from vault.renditions.tones import ToneMuter
from vault.sealing.sides import channel_label, channels_of

Block = NDArray[np.int16]
"Samples as (channels, samples)."

BLOCK_SAMPLES: Final = 60 * RATE_HZ
_MAX_SAMPLES: Final = 24 * 3600 * RATE_HZ
"A day.  What lies later can only come from a clock that jumped, and is left out."

_EARLIEST: Final = 10 * RATE_HZ
"A packet cannot have been on its way for longer than this when the call began."

_NO_SIDES: Final[Mapping[str, str]] = MappingProxyType({})
_INT16: Final = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spans:
    """Stretches of one voice's G.711 octets that follow each other without a break."""

    position: Index
    "Where each starts, in samples; since the epoch until a timeline rebases it."
    samples: Index
    start: Index
    "Where its octets start in the payload of its stream."
    law: Index

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """One audio stream on the timeline."""

    source: StreamPackets
    legs: tuple[Leg, ...]
    spans: Spans


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channel:
    """What goes to one ear."""

    label: str
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """All legs of a call on one clock that starts with the first sample."""

    origin_ns: int
    "When that sample was taken, by the tap's clock; 0 where there is no audio."
    samples: int
    channels: tuple[Channel, ...]

    @property
    def duration_ms(self) -> int:
        """Length in milliseconds."""
        return self.samples * 1000 // RATE_HZ

    def blocks(self, muter: ToneMuter | None = None) -> Iterator[Block]:
        """Yield the call as blocks of 60 s; only the last is shorter.

        Args:
            muter: Silences DTMF tones, if they are not to be heard.
        """
        for start in range(0, self.samples, BLOCK_SAMPLES):
            stop = min(start + BLOCK_SAMPLES, self.samples)
            yield np.stack(
                [
                    _render(each, start, stop)
                    if muter is None
                    else muter.mute(number, partial(_render, each), start, stop)
                    for number, each in enumerate(self.channels)
                ]
            )


def timeline_of(
    streams: Sequence[StreamPackets],
    sides: Mapping[str, str] = _NO_SIDES,
    *,
    until_ns: int = 0,
) -> Timeline:
    """Lay the audio *streams* of a call on one timeline.

    Args:
        streams: Of the call.
        sides: Label of a stream → ``agent`` or ``customer``, where it says neither.
        until_ns: When the call ended, if it was silent on purpose until then.
    """
    audio = [each for each in streams if each.media == "audio"]
    tracks = [_track(each) for each in audio]
    placed = [each.spans for each in tracks if len(each.spans)]
    if not placed:
        return Timeline(origin_ns=0, samples=0, channels=_channels(tracks, sides))
    arrived = min(int(t.source.packets.arrival_ns.min()) for t in tracks if t.legs)
    earliest = arrived // NS_PER_SAMPLE - _EARLIEST
    origin = max(min(int(each.position.min()) for each in placed), earliest)
    tracks = [_rebased(each, origin) for each in tracks]
    ends = [each.spans.position + each.spans.samples for each in tracks]
    last = max((int(each.max()) for each in ends if len(each)), default=0)
    return Timeline(
        origin_ns=origin * NS_PER_SAMPLE,
        samples=max(last, min(until_ns // NS_PER_SAMPLE - origin, _MAX_SAMPLES)),
        channels=_channels(tracks, sides),
    )


def interleaved(block: Block) -> Block:
    """Return *block* as one row, samples of all channels taking turns."""
    # Column by column: transposing at once takes three times as long.
    turns = np.empty((block.shape[1], len(block)), np.int16)
    for number, channel in enumerate(block):
        turns[:, number] = channel
    return turns.reshape(1, -1)


def _channels(tracks: Sequence[Track], sides: Mapping[str, str]) -> tuple[Channel, ...]:
    labels = [each.source.label for each in tracks]
    named = [sides.get(one, one) for one in labels]
    return tuple(
        Channel(
            label=channel_label([named[k] for k in places]),
            tracks=tuple(tracks[k] for k in places),
        )
        for places in channels_of(labels, sides)
    )


def _track(source: StreamPackets) -> Track:
    legs = legs_of(source.packets)
    spans = [_spans(source.packets, run) for leg in legs for run in leg]
    return Track(source=source, legs=legs, spans=_joined(spans))


def _spans(packets: PacketTable, run: Run) -> Spans:
    rows, position = positions(packets, run)
    order = np.argsort(position, kind="stable")
    rows, position = rows[order], position[order]
    samples = packets.samples[rows].astype(np.int64)
    # Where packets of one voice overlap, as after a new anchor, the later one
    # is heard from its first sample on: two at once would be an echo.
    samples[:-1] = np.minimum(samples[:-1], np.diff(position))
    heard = samples > 0
    rows, position, samples = rows[heard], position[heard], samples[heard]
    start, law = packets.start[rows], packets.format[rows].astype(np.int64)
    breaks = (
        (np.diff(position) != samples[:-1])
        | (np.diff(start) != samples[:-1])
        | (np.diff(law) != 0)
    )
    first = np.flatnonzero(np.concatenate((np.ones(min(1, len(rows)), bool), breaks)))
    return Spans(
        position=position[first],
        samples=np.add.reduceat(samples, first) if len(first) else samples,
        start=start[first],
        law=law[first],
    )


def _joined(pieces: Sequence[Spans]) -> Spans:
    none = np.empty(0, np.int64)
    return Spans(
        position=np.concatenate([none, *(each.position for each in pieces)]),
        samples=np.concatenate([none, *(each.samples for each in pieces)]),
        start=np.concatenate([none, *(each.start for each in pieces)]),
        law=np.concatenate([none, *(each.law for each in pieces)]),
    )


def _rebased(track: Track, origin: int) -> Track:
    spans = track.spans
    position = spans.position - origin
    inside = (position >= 0) & (position + spans.samples <= _MAX_SAMPLES)
    return Track(
        source=track.source,
        legs=track.legs,
        spans=Spans(
            position=position[inside],
            samples=spans.samples[inside],
            start=spans.start[inside],
            law=spans.law[inside],
        ),
    )


def _render(channel: Channel, start: int, stop: int) -> Block:
    voices = np.zeros(stop - start, np.int32)
    for track in channel.tracks:
        _add(track.spans, track.source.packets.payload, voices, start)
    return voices.clip(_INT16.min, _INT16.max).astype(np.int16)


def _add(
    spans: Spans, payload: Octets, voices: NDArray[np.int32], block_start: int
) -> None:
    first = np.maximum(spans.position, block_start)
    last = np.minimum(spans.position + spans.samples, block_start + len(voices))
    for k in np.flatnonzero(first < last).tolist():
        octets_at = int(spans.start[k] + first[k] - spans.position[k])
        count = int(last[k] - first[k])
        at = int(first[k]) - block_start
        octets = payload[octets_at : octets_at + count]
        voices[at : at + count] += EXPAND[Law(int(spans.law[k]))].take(octets)
