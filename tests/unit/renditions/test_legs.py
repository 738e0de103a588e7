from collections.abc import Sequence
from dataclasses import replace

from tests.simulators.calls import MS, Phone, Sent, added, babble, capture
from vault.renditions.legs import Leg, legs_of
from vault.renditions.packets import CaptureReader


def legs(packets: Sequence[Sent]) -> tuple[Leg, ...]:
    reader = CaptureReader()
    reader.feed(capture(packets, added(0, "agent")))
    return legs_of(reader.finish()[0].packets)


def test_a_wrap_of_sequence_numbers_is_no_loss() -> None:
    ((run,),) = legs(Phone(seq=65_500).say(babble(4)))

    assert (run.lost, run.duplicated, run.reordered) == (0, 0, 0)
    assert len(run.rows) == 200


def test_a_packet_that_came_late_is_reordered_and_not_lost() -> None:
    packets = Phone().say(babble(1))
    packets[10] = replace(packets[10], at_ns=packets[10].at_ns + 50 * MS)

    ((run,),) = legs(packets)

    assert (run.lost, run.reordered) == (0, 1)


def test_a_regular_stream_has_no_jitter_and_an_irregular_one_has() -> None:
    packets = Phone().say(babble(2))
    shaken = [
        replace(each, at_ns=each.at_ns + (n % 2) * 10 * MS)
        for n, each in enumerate(packets)
    ]

    ((calm,),) = legs(packets)
    ((rough,),) = legs(shaken)

    assert calm.jitter_max_ns == 0
    # J converges on |D| = 10 ms (RFC 3550, A.8).
    assert 9 * MS < rough.jitter_last_ns <= 10 * MS


def test_an_ssrc_that_takes_over_within_a_second_continues_the_leg() -> None:
    octets = babble(2)
    packets = Phone(ssrc=1).say(octets) + Phone(ssrc=2).say(octets, at_s=1.2)

    ((first, second),) = legs(packets)

    assert (first.ssrc, second.ssrc) == (1, 2)


def test_an_ssrc_that_overlaps_for_longer_is_another_voice() -> None:
    octets = babble(3)
    packets = Phone(ssrc=1).say(octets) + Phone(ssrc=2).say(octets, at_s=1.2)

    assert [1, 2] == [leg[0].ssrc for leg in legs(packets)]


def test_a_jump_of_sequence_numbers_is_a_restart_and_not_a_loss() -> None:
    phone = Phone()
    packets = phone.say(babble(1))
    phone.seq += 20_000
    packets += phone.say(babble(1), at_s=1)

    ((first, second),) = legs(packets)

    assert (first.lost, second.lost) == (0, 0)


def test_a_flood_of_ssrcs_is_sorted_and_not_scanned() -> None:
    packets = [
        replace(each, octets=each.octets[:8] + n.to_bytes(4, "big") + each.octets[12:])
        for n, each in enumerate(Phone().say(babble(40)))
    ]

    found = legs(packets)

    assert sum(len(leg) for leg in found) == 2000
