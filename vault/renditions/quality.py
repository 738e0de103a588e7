"""The quality certificate: what the network did to a call, from its capture.

Guarantees: integers only (canonical JSON), so that its digest on the trail means
one thing; tshark, given the exported capture, counts the same packets and losses.

Left to others: sealing, and the leaf that holds its digest.

Spec: docs/reference/formats/quality.md; RFC 3550, sections 6.4.1 and A.3
"""

from collections.abc import Mapping, Sequence
from typing import Final

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.clock import rfc3339
from vault.core.flow import StreamStatus
from vault.core.ids import RecordingId
from vault.core.media import Protection
from vault.renditions.legs import Leg, Run, legs_of
from vault.renditions.measures import gaps, skew_ppm
from vault.renditions.mixdown import Timeline, Track
from vault.renditions.packets import PartSpan, StreamPackets
from vault.renditions.pauses import LeftOut, listed
from vault.renditions.payloads import is_quiet
from vault.renditions.peaks import PeaksWriter
from vault.renditions.tones import ToneMuter
from vault.sealing.manifest import Manifest, StreamCount

MEDIA_TYPE: Final = "application/json"

_MAY_BE_KEPT: Final = ("unauthenticated", "unknown-mki", "too-old")
"Reasons for which the tap rejects a packet and may keep it verbatim."

_NS_PER_US: Final = 1000
_PROTECTION: Final[Mapping[Protection, str]] = {
    Protection.STRONG: "srtp",
    Protection.SHORT_TAG: "srtp-short-tag",
    Protection.NONE: "none",
}


def certificate(
    recording_id: RecordingId,
    *,
    manifest: Manifest,
    streams: Sequence[StreamPackets],
    timeline: Timeline,
    peaks: PeaksWriter,
    cut_bytes: int,
    parts: Sequence[PartSpan] = (),
    pauses: Sequence[LeftOut] = (),
    muter: ToneMuter | None = None,
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
            "parts": [_part(each) for each in parts],
            "left_out": listed(pauses, origin_ns=timeline.origin_ns),
            "channels": [
                {
                    "label": channel.label,
                    "silence_ms": peaks.quiet_ms(number),
                    "muted_ms": muter.muted_ms(number) if muter else 0,
                }
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
    legs = _legs(stream, track)
    missing = sum(run.lost for leg in legs for run in leg)
    lost = _lost(missing, counted, legs)
    codec = stream.codec or _offered(counted)
    if counted is None:
        packets = len(stream.packets)
        return StreamStatus(
            label=stream.label,
            codec=codec,
            suite=stream.suite,
            media=stream.media,
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
        media=counted.media,
        packets_received=counted.received,
        packets_authentic=counted.authentic + stream.recovered,
        packets_lost=lost,
        packets_undecryptable=max(0, counted.undecryptable_kept - stream.recovered),
        packets_rejected=_still_rejected(counted.rejected, stream.recovered),
        rtcp_packets=counted.rtcp,
    )


def _still_rejected(rejected: Mapping[str, int], recovered: int) -> Mapping[str, int]:
    """Return what is rejected still: a packet that a late key opened is authentic."""
    left = dict(rejected)
    for reason in _MAY_BE_KEPT:
        fewer = min(recovered, left.get(reason, 0))
        if fewer:
            left[reason] -= fewer
            recovered -= fewer
    return {reason: count for reason, count in left.items() if count}


def _lost(missing: int, counted: StreamCount | None, legs: Sequence[Leg] = ()) -> int:
    """Return how many of the packets missing from the capture the network lost.

    While a call is paused the tap receives packets and discards them; those are no
    losses.  Only the tap's own sequence numbers can tell them apart.
    """
    if counted is None or not counted.ssrcs:
        return missing
    known = {each.ssrc for each in counted.ssrcs}
    if any(run.ssrc not in known for leg in legs for run in leg):
        return missing  # a late key opened what the tap could not count
    spans = ((each.last - each.first + 1 - each.packets) for each in counted.ssrcs)
    return min(missing, sum(max(0, each) for each in spans))


def _offered(counted: StreamCount | None) -> str:
    """Name what would have come, had anything come."""
    payloads = counted.payloads if counted else {}
    # A manifest keeps payload types as names, so their order is that of text: "101",
    # the digits, comes before "8".  Nobody fills a stream with those.
    names = [payloads[number].encoding for number in sorted(payloads)]
    spoken = [name for name in names if not is_quiet(name)]
    return next(iter(spoken or names), "unknown")


def _stream(
    stream: StreamPackets, counted: StreamCount | None, track: Track | None
) -> JsonObject:
    legs = _legs(stream, track)
    runs = [run for leg in legs for run in leg]
    missing = sum(run.lost for run in runs)
    lost = _lost(missing, counted, legs)
    return {
        "stream": stream.stream,
        "label": stream.label,
        "media": stream.media,
        "codec": stream.codec,
        "suite": stream.suite,
        "protection": _protection(stream.suite),
        "received": sum(run.received for run in runs),
        "expected": sum(run.expected for run in runs),
        "lost": lost,
        "not_captured": missing - lost,
        "duplicated": sum(run.duplicated for run in runs),
        "reordered": sum(run.reordered for run in runs),
        "jitter_max_us": max((_us(run.jitter_max_ns) for run in runs), default=0),
        "rtcp": stream.rtcp,
        "undecryptable": stream.undecryptable,
        "recovered": stream.recovered,
        "malformed": stream.malformed,
        "unsupported": dict(stream.unsupported),
        "events": dict(stream.events),
        "kernel_drops": counted.kernel_drops if counted else 0,
        "stray_drops": counted.stray_drops if counted else 0,
        "discarded": counted.discarded if counted else 0,
        "rejected": dict(counted.rejected) if counted else {},
        "gaps": gaps(track),
        "ssrcs": [
            _ssrc(run, skew=skew_ppm(stream.packets, run), leg=number)
            for number, leg in enumerate(legs)
            for run in leg
        ],
    }


def _part(part: PartSpan) -> JsonObject:
    return {
        "name": part.name,
        "first": None if part.first_ns is None else rfc3339(part.first_ns),
        "last": None if part.last_ns is None else rfc3339(part.last_ns),
    }


def _protection(suite: str) -> str:
    """Say what a suite is worth, in one of four words."""
    found = Protection.of_suites((suite,))
    return "unknown" if found is None else _PROTECTION[found]


def _ssrc(run: Run, *, skew: int | None, leg: int) -> JsonObject:
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
        "skew_ppm": skew,
    }


def _us(time_ns: int) -> int:
    return time_ns // _NS_PER_US
