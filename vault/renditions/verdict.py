"""How a recording ends, decided once, from what was found.

    found                                                     state     reason
    an object that is not the one that was signed for         partial*  store-damaged
    audio, but the call was cut or timed out                  partial   cut | timeout
    audio, but the tap received more than it could keep       partial   cut
    audio, and many packets that failed authentication        partial   srtp-unauthen…
    audio, but a line whose codec we cannot decode            partial   codec-unsupp…
    audio, nothing of the above                               ready
    no audio, packets that failed authentication              partial   srtp-unauthen…
    no audio, packets in codecs that we cannot decode, or
    of a screen                                               partial   codec-unsupp…
    no audio                                                  failed    no-media

    * failed where nothing can be played.  The first line that fits decides.

Guarantees: ``ready`` means that whatever arrived authentic can be heard; nothing
is ``failed`` while its capture holds media that a later version may render.

Left to others: the leaf, the row (`vault.renditions.worker`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vault.core.flow import HowEnded, Reason, RecordingState
from vault.renditions.packets import StreamPackets
from vault.sealing.manifest import StreamCount

_MANY: Final = 25
"Packets: half a second of speech is missed by a listener."

_SHARE: Final = 100
"One packet in so many is enough, too: short calls have few."

_UNAUTHENTICATED: Final = ("unauthenticated", "unknown-mki")
"As the tap's counters spell it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The state a recording ends in, and why."""

    state: RecordingState
    reason: Reason | None = None


def judge(
    streams: Sequence[StreamPackets],
    counted: Sequence[StreamCount],
    *,
    how: HowEnded,
    damaged: bool,
) -> Verdict:
    """Return how a recording ends.

    Args:
        streams: What the capture holds.
        counted: What the tap counted; empty where the tap died.
        how: How the call ended.
        damaged: Whether an object was missing or not the one signed for.
    """
    audio = [each for each in streams if each.media == "audio"]
    playable = any(each.playable for each in audio)
    if damaged:
        state = RecordingState.PARTIAL if playable else RecordingState.FAILED
        return Verdict(state=state, reason=Reason.STORE_DAMAGED)
    screen = any(each.media != "audio" and len(each.packets) for each in streams)
    reason = _reason(audio, counted, how=how, playable=playable)
    if reason is Reason.NO_MEDIA and screen:
        # The capture holds media, so this is no failure.
        reason = Reason.CODEC_UNSUPPORTED
    if reason is None:
        return Verdict(state=RecordingState.READY)
    if reason is Reason.NO_MEDIA:
        return Verdict(state=RecordingState.FAILED, reason=reason)
    return Verdict(state=RecordingState.PARTIAL, reason=reason)


_BY_ENDING: Final[Mapping[HowEnded, Reason]] = {
    HowEnded.CUT: Reason.CUT,
    HowEnded.RECOVERED: Reason.CUT,
    HowEnded.TIMEOUT: Reason.TIMEOUT,
}


def _reason(
    audio: Sequence[StreamPackets],
    counted: Sequence[StreamCount],
    *,
    how: HowEnded,
    playable: bool,
) -> Reason | None:
    if playable and how in _BY_ENDING:
        return _BY_ENDING[how]
    if playable and _lost_here(audio, counted):
        return Reason.CUT
    if _unauthenticated(audio, counted, any_counts=not playable):
        return Reason.SRTP_UNAUTHENTICATED
    if any(each.unsupported and not each.playable for each in audio):
        return Reason.CODEC_UNSUPPORTED
    if not playable:
        return Reason.NO_MEDIA
    return None


def _lost_here(audio: Sequence[StreamPackets], counted: Sequence[StreamCount]) -> bool:
    """Return whether media reached the tap and is not in its capture.

    A chunk that died with its worker, a disk that was full, a buffer that ran over.
    What was discarded on purpose is not lost; an old manifest does not count it, so
    that in a call that was paused nobody can tell the two apart.  Drops count as far
    as packets are missing: a flood of strangers fills buffers, too.
    """
    by_number = {each.stream: each for each in audio}
    for each in counted:
        found = by_number.get(each.stream)
        if found is None or found.was_paused:
            continue
        captured = len(found.packets) - found.recovered + found.malformed
        absent = sum(max(0, s.last - s.first + 1 - s.packets) for s in each.ssrcs)
        unseen = max(0, each.authentic - each.discarded - captured)
        lost = unseen + min(each.kernel_drops, absent)
        if lost >= _MANY or (lost and lost * _SHARE >= each.received):
            return True
    return False


def _unauthenticated(
    audio: Sequence[StreamPackets],
    counted: Sequence[StreamCount],
    *,
    any_counts: bool,
) -> bool:
    """Return whether media failed authentication, and not just a stray packet.

    Where something can be played, a few forged packets from anywhere must not make
    every recording partial; where nothing can, one is the only explanation.  What a
    late key opened is authentic.
    """
    failed: dict[int, int] = {each.stream: each.undecryptable for each in audio}
    received = {each.stream: len(each.packets) for each in audio}
    recovered = {each.stream: each.recovered for each in audio}
    for each in counted:
        rejected = sum(each.rejected.get(reason, 0) for reason in _UNAUTHENTICATED)
        most = max(rejected, each.undecryptable_kept) - recovered.get(each.stream, 0)
        most = max(most, failed.get(each.stream, 0))
        failed[each.stream] = most
        received[each.stream] = max(each.received, received.get(each.stream, 0))
    if any_counts:
        return any(failed.values())
    return any(
        count >= _MANY or (count > 0 and count * _SHARE >= received[stream])
        for stream, count in failed.items()
    )
