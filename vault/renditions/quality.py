"""The quality certificate: what the network did to a call, from its capture.

Guarantees: integers only (canonical JSON), so that its digest on the trail means
one thing; tshark, given the exported capture, counts the same packets and losses.

Left to others: sealing, and the leaf that holds its digest.

Spec: docs/reference/formats/quality.md; RFC 3550, sections 6.4.1 and A.3
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.clock import rfc3339
from vault.core.flow import StreamStatus
from vault.core.ids import RecordingId
from vault.renditions.g711 import RATE_HZ
from vault.renditions.legs import Leg, Run, legs_of
from vault.renditions.mixdown import Timeline, Track
from vault.renditions.packets import StreamPackets
from vault.renditions.peaks import PeaksWriter
from vault.sealing.manifest import Manifest, StreamCount

MEDIA_TYPE: Final = "application/json"

_GAP: Final = RATE_HZ // 100
"Samples without a packet that make a gap: 10 ms."

_GAPS_LISTED: Final = 200
_NS_PER_US: Final = 1000


def certificate(
    recording_id: RecordingId,
    *,
    manifest: Manifest,
    streams: Sequence[StreamPackets],
    timeline: Timeline,
    peaks: PeaksWriter,
    cut_bytes: int,
) -> bytes:
    """Return the certificate of one call as canonical JSON."""
    tracks = _tracks(timeline)
    counted = {each.stream: each for each in manifest.streams}
    return canonical.dumps(
        {
            "v": 1,
            "recording_id": recording_id,
            "how": str(manifest.how),
            "origin": rfc3339(timeline.origin_ns),
            "duration_ms": timeline.duration_ms,
            "cut_bytes": cut_bytes,
            "channels": [
                {"label": channel.label, "silence_ms": peaks.quiet_ms(number)}
                for number, channel in enumerate(timeline.channels)
            ],
            "streams": [
                _stream(each, counted.get(each.stream), tracks.get(each.stream))
                for each in streams
            ],
        }
    )


def summary(
    streams: Sequence[StreamPackets],
    counted: Sequence[StreamCount],
    timeline: Timeline,
) -> tuple[StreamStatus, ...]:
    """Return the counters for the row: the tap's, and the loss found here."""
    by_number = {each.stream: each for each in counted}
    tracks = _tracks(timeline)
    return tuple(
        _status(each, by_number.get(each.stream), tracks.get(each.stream))
        for each in streams
    )


def _tracks(timeline: Timeline) -> Mapping[int, Track]:
    return {
        track.source.stream: track
        for channel in timeline.channels
        for track in channel.tracks
    }


def _legs(stream: StreamPackets, track: Track | None) -> tuple[Leg, ...]:
    # Streams that are no audio have no track; their packets are counted as well.
    return legs_of(stream.packets) if track is None else track.legs


def _status(
    stream: StreamPackets, counted: StreamCount | None, track: Track | None
) -> StreamStatus:
    missing = sum(run.lost for leg in _legs(stream, track) for run in leg)
    lost = _lost(missing, counted)
    codec = stream.codec or _offered(counted)
    if counted is None:
        packets = len(stream.packets)
        return StreamStatus(
            label=stream.label,
            codec=codec,
            suite=stream.suite,
            packets_received=packets + stream.undecryptable,
            packets_authentic=packets,
            packets_lost=lost,
            packets_undecryptable=stream.undecryptable,
            rtcp_packets=stream.rtcp,
        )
    return StreamStatus(
        label=counted.label,
        codec=codec,
        suite=counted.suite,
        packets_received=counted.received,
        packets_authentic=counted.authentic,
        packets_lost=lost,
        packets_undecryptable=counted.undecryptable_kept,
        packets_rejected=counted.rejected,
        rtcp_packets=counted.rtcp,
    )


def _lost(missing: int, counted: StreamCount | None) -> int:
    """Return how many of the packets missing from the capture the network lost.

    While a call is paused the tap receives packets and discards them; those are no
    losses.  Only the tap's own sequence numbers can tell them apart.
    """
    if counted is None or not counted.ssrcs:
        return missing
    spans = ((each.last - each.first + 1 - each.packets) for each in counted.ssrcs)
    return min(missing, sum(max(0, each) for each in spans))


def _offered(counted: StreamCount | None) -> str:
    names = [each.encoding for each in counted.payloads.values()] if counted else []
    return names[0] if names else "unknown"


def _stream(
    stream: StreamPackets, counted: StreamCount | None, track: Track | None
) -> JsonObject:
    legs = _legs(stream, track)
    runs = [run for leg in legs for run in leg]
    missing = sum(run.lost for run in runs)
    lost = _lost(missing, counted)
    return {
        "stream": stream.stream,
        "label": stream.label,
        "media": stream.media,
        "codec": stream.codec,
        "received": sum(run.received for run in runs),
        "expected": sum(run.expected for run in runs),
        "lost": lost,
        "not_captured": missing - lost,
        "duplicated": sum(run.duplicated for run in runs),
        "reordered": sum(run.reordered for run in runs),
        "jitter_max_us": max((_us(run.jitter_max_ns) for run in runs), default=0),
        "rtcp": stream.rtcp,
        "undecryptable": stream.undecryptable,
        "malformed": stream.malformed,
        "unsupported": dict(stream.unsupported),
        "kernel_drops": counted.kernel_drops if counted else 0,
        "rejected": dict(counted.rejected) if counted else {},
        "gaps": _gaps(track),
        "ssrcs": [
            _ssrc(run, leg=number) for number, leg in enumerate(legs) for run in leg
        ],
    }


def _ssrc(run: Run, *, leg: int) -> JsonObject:
    return {
        "ssrc": run.ssrc,
        "leg": leg,
        "first": rfc3339(run.first_ns),
        "last": rfc3339(run.last_ns),
        "packets": len(run.rows),
        "missing": run.lost,
        "duplicated": run.duplicated,
        "reordered": run.reordered,
        "jitter_last_us": _us(run.jitter_last_ns),
        "jitter_max_us": _us(run.jitter_max_ns),
    }


def _us(time_ns: int) -> int:
    return time_ns // _NS_PER_US


def _gaps(track: Track | None) -> JsonObject:
    """Return where a stream has no packets between its first and its last one."""
    if track is None or not len(track.spans):
        return {"count": 0, "total_ms": 0, "longest_ms": 0, "spans_ms": []}
    spans = track.spans
    order = np.argsort(spans.position, kind="stable")
    first = spans.position[order]
    end = np.maximum.accumulate(first + spans.samples[order])
    missing = first[1:] - end[:-1]
    found = np.flatnonzero(missing >= _GAP)
    lengths, starts = missing[found], end[found]
    return {
        "count": len(found),
        "total_ms": int(lengths.sum()) * 1000 // RATE_HZ,
        "longest_ms": int(lengths.max(initial=0)) * 1000 // RATE_HZ,
        "spans_ms": [
            [at * 1000 // RATE_HZ, length * 1000 // RATE_HZ]
            for at, length in zip(
                starts[:_GAPS_LISTED].tolist(),
                lengths[:_GAPS_LISTED].tolist(),
                strict=True,
            )
        ],
    }
