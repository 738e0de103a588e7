from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulators.calls import (
    OPUS,
    PCMU,
    START_NS,
    Phone,
    added,
    babble,
    capture,
    counted,
    record,
)
from vault.core.flow import HowEnded, Reason, RecordingState
from vault.renditions.packets import CaptureReader, StreamPackets
from vault.renditions.verdict import judge
from vault.sealing.manifest import SsrcCount, StreamCount
from vault.tap.capture import Kind

AUDIO = capture(Phone().say(babble(1)), added(0, "agent", payloads=(PCMU,)))
FOREIGN = capture(
    Phone(stream=1, payload_type=96).say(babble(1)),
    added(1, "customer", payloads=(OPUS,)),
)
NOTHING = added(0, "agent")
HEARD = 50
"Packets of `AUDIO`."


def undecryptable(packets: int) -> bytes:
    return record(Kind.UNDECRYPTABLE, 0, bytes(172), at_ns=START_NS) * packets


def read(part: bytes) -> Sequence[StreamPackets]:
    reader = CaptureReader()
    reader.feed(part)
    return reader.finish()


def verdict(
    part: bytes,
    *counts: StreamCount,
    how: HowEnded = HowEnded.BYE,
    damaged: bool = False,
) -> tuple[RecordingState, Reason | None]:
    found = judge(read(part), counts, how=how, damaged=damaged)
    return found.state, found.reason


READY = (RecordingState.READY, None)


def partial(reason: Reason) -> tuple[RecordingState, Reason]:
    return RecordingState.PARTIAL, reason


def failed(reason: Reason) -> tuple[RecordingState, Reason]:
    return RecordingState.FAILED, reason


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (AUDIO, READY),
        (NOTHING, failed(Reason.NO_MEDIA)),
        (b"", failed(Reason.NO_MEDIA)),
        (NOTHING + undecryptable(1), partial(Reason.SRTP_UNAUTHENTICATED)),
        (AUDIO + undecryptable(24), partial(Reason.SRTP_UNAUTHENTICATED)),
        (AUDIO + FOREIGN, partial(Reason.CODEC_UNSUPPORTED)),
        (FOREIGN, partial(Reason.CODEC_UNSUPPORTED)),
        (FOREIGN + undecryptable(60), partial(Reason.SRTP_UNAUTHENTICATED)),
    ],
)
def test_what_a_capture_holds_decides(
    part: bytes, expected: tuple[RecordingState, Reason | None]
) -> None:
    assert expected == verdict(part)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (HowEnded.BYE, READY),
        (HowEnded.CUT, partial(Reason.CUT)),
        (HowEnded.RECOVERED, partial(Reason.CUT)),
        (HowEnded.TIMEOUT, partial(Reason.TIMEOUT)),
    ],
)
def test_how_the_call_ended_decides_where_there_is_audio(
    how: HowEnded, expected: tuple[RecordingState, Reason | None]
) -> None:
    assert expected == verdict(AUDIO, how=how)
    assert failed(Reason.NO_MEDIA) == verdict(NOTHING, how=how)


def test_damage_comes_before_everything() -> None:
    assert partial(Reason.STORE_DAMAGED) == verdict(
        AUDIO, how=HowEnded.CUT, damaged=True
    )
    assert failed(Reason.STORE_DAMAGED) == verdict(NOTHING, damaged=True)


def forged(packets: int, *, of: int) -> StreamCount:
    """Return counters of what `AUDIO` holds, forged packets, and many replays."""
    replayed = of - packets - HEARD
    return replace(
        counted(received=of, authentic=HEARD),
        rejected={"unauthenticated": packets, "replayed": replayed},
    )


def test_a_few_forged_packets_do_not_spoil_a_long_call() -> None:
    assert READY == verdict(AUDIO, forged(24, of=30_024))


@pytest.mark.parametrize(("packets", "received"), [(25, 30_000), (3, 200)])
def test_half_a_second_or_a_hundredth_of_them_do(packets: int, received: int) -> None:
    count = forged(packets, of=received)

    assert partial(Reason.SRTP_UNAUTHENTICATED) == verdict(AUDIO, count)


def test_a_replay_is_no_failed_authentication() -> None:
    count = StreamCount(
        stream=0,
        label="agent",
        suite="AEAD_AES_128_GCM",
        media="audio",
        received=100,
        authentic=50,
        rejected={"replayed": 50},
    )

    assert READY == verdict(AUDIO, count)


def test_the_codec_of_a_screen_is_not_asked_for() -> None:
    screen = capture(
        Phone(stream=1, payload_type=96).say(babble(1)),
        added(1, "screen", media="video", payloads=(OPUS,)),
    )

    assert READY == verdict(AUDIO + screen)
    assert partial(Reason.CODEC_UNSUPPORTED) == verdict(screen)
    assert partial(Reason.CODEC_UNSUPPORTED) == verdict(NOTHING + screen)
    assert partial(Reason.SRTP_UNAUTHENTICATED) == verdict(screen + undecryptable(1))


def test_what_a_late_key_opened_failed_nothing() -> None:
    count = replace(
        counted(received=100, authentic=40, kept=60), rejected={"unknown-mki": 60}
    )
    speech = capture(Phone().say(babble(2)), added(0, "agent", payloads=(PCMU,)))
    locked = [replace(one, recovered=0) for one in read(speech)]
    opened = [replace(one, recovered=60) for one in locked]

    found = [
        judge(s, [count], how=HowEnded.BYE, damaged=False) for s in (locked, opened)
    ]

    assert [Reason.SRTP_UNAUTHENTICATED, None] == [each.reason for each in found]


def test_what_arrived_and_was_not_kept_is_missed() -> None:
    assert READY == verdict(AUDIO, counted(received=HEARD, authentic=HEARD))
    assert partial(Reason.CUT) == verdict(
        AUDIO, counted(received=HEARD + 40, authentic=HEARD + 40)
    )


def test_a_buffer_that_ran_over_counts_as_far_as_packets_are_missing() -> None:
    def count(*, missing: int) -> StreamCount:
        span = SsrcCount(ssrc=1, first=0, last=HEARD + missing - 1, packets=HEARD)
        plain = counted(received=HEARD + 5_000, authentic=HEARD)
        return replace(plain, rejected={}, kernel_drops=5_000, ssrcs=(span,))

    assert READY == verdict(AUDIO, count(missing=0))
    assert partial(Reason.CUT) == verdict(AUDIO, count(missing=30))


def test_what_strangers_lost_is_nothing_that_is_missed() -> None:
    """A flood, and a network that lost as many packets as it pleased."""
    span = SsrcCount(ssrc=1, first=0, last=HEARD + 29, packets=HEARD)
    plain = counted(received=HEARD, authentic=HEARD)

    assert READY == verdict(AUDIO, replace(plain, stray_drops=5_000, ssrcs=(span,)))


def test_what_was_discarded_on_purpose_is_not_missed() -> None:
    """Digits, and media of a stream on hold: there is no pause to see."""
    plain = counted(received=HEARD + 40, authentic=HEARD + 40)

    assert READY == verdict(AUDIO, replace(plain, discarded=40))
    assert partial(Reason.CUT) == verdict(AUDIO, replace(plain, discarded=10))


def test_what_a_pause_discards_is_not_missed() -> None:
    pause = record(Kind.EVENT, 255, b'{"event":"pause","v":1}', at_ns=START_NS)

    assert READY == verdict(AUDIO + pause, counted(received=90, authentic=90))
