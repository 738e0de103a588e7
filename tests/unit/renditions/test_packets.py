import struct

import numpy as np
import pytest

from tests.simulators.calls import (
    EVENTS,
    OPUS,
    PCMA,
    PCMU,
    START_NS,
    Phone,
    added,
    babble,
    capture,
    heard,
    record,
    rtp,
)
from vault.renditions.g711 import Law
from vault.renditions.mixdown import timeline_of
from vault.renditions.packets import CaptureReader, StreamPackets
from vault.renditions.payloads import Format
from vault.tap.capture import Event, Kind, padding


def read(*parts: bytes) -> tuple[StreamPackets, ...]:
    reader = CaptureReader()
    for part in parts:
        reader.feed(part)
        reader.end_part()
    return reader.finish()


def rtp_record(packet: bytes) -> bytes:
    return record(Kind.RTP, 0, packet, at_ns=START_NS)


PAYLOAD = bytes(range(160))


def test_the_columns_are_the_header_fields() -> None:
    packet = rtp(7, 8, PAYLOAD, ssrc=0xDEADBEEF)

    (stream,) = read(added(0, "agent") + rtp_record(packet))

    table = stream.packets
    assert [START_NS] == table.arrival_ns.tolist()
    assert [(7, 8, 0xDEADBEEF)] == list(
        zip(table.seq, table.timestamp, table.ssrc, strict=True)
    )
    assert PAYLOAD == table.payload.tobytes()


@pytest.mark.parametrize(
    ("first", "header", "trailer"),
    [
        (0x80, b"", b""),
        (0x82, bytes(8), b""),
        (0x90, struct.pack(">HH", 0xBEDE, 2) + bytes(8), b""),
        (0xA0, b"", b"\0\0\0\x04"),
        (0xB1, bytes(4) + struct.pack(">HH", 1, 1) + bytes(4), b"\0\x02"),
    ],
)
def test_csrcs_extension_and_padding_are_not_heard(
    first: int, header: bytes, trailer: bytes
) -> None:
    plain = rtp(1, 2, b"")
    packet = bytes([first]) + plain[1:] + header + PAYLOAD + trailer

    (stream,) = read(added(0, "agent") + rtp_record(packet))

    assert PAYLOAD == stream.packets.payload.tobytes()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        rtp(1, 2, b"")[:11],
        b"\x40" + rtp(1, 2, PAYLOAD)[1:],
        b"\x8f" + rtp(1, 2, b"")[1:],
        b"\x90" + rtp(1, 2, b"\0\0")[1:],
        b"\x90" + rtp(1, 2, b"\0\0\xff\xff")[1:],
        b"\xa0" + rtp(1, 2, b"\x09")[1:],
        b"\xa0" + rtp(1, 2, b"\x01\x00")[1:],
    ],
)
def test_a_header_that_contradicts_itself_is_counted_and_dropped(packet: bytes) -> None:
    (stream,) = read(added(0, "agent") + rtp_record(packet))

    assert (stream.malformed, len(stream.packets)) == (1, 0)


def test_formats_follow_the_events() -> None:
    """Payload type 96 is one thing before a re-offer, and another after it."""
    packet = rtp_record(rtp(1, 2, PAYLOAD, payload_type=96))
    law = PCMU.__class__(payload_type=96, encoding="pcma", clock_rate_hz=8000)
    part = added(0, "agent", payloads=(OPUS,)) + packet
    part += added(0, "agent", payloads=(law,), event=Event.STREAM_CHANGED) + packet

    (stream,) = read(part)

    assert [Format.UNSUPPORTED, Format.PCMA] == stream.packets.format.tolist()
    assert {"opus": 1} == stream.unsupported


def test_an_event_as_long_as_the_packets_around_it_still_counts() -> None:
    event = added(0, "agent", payloads=(PCMA,), event=Event.STREAM_CHANGED)
    payload = bytes(len(event) - 20 - 12)
    packet = rtp_record(rtp(1, 2, payload, payload_type=8))
    start = added(0, "agent", payloads=(PCMU,))

    (stream,) = read(start + packet * 12 + event + packet * 12)

    assert len(stream.packets) == 24
    assert (stream.packets.format == Format.PCMA).all()


@pytest.mark.parametrize(
    "payload",
    [
        PCMU.__class__(payload_type=97, encoding="PCMU", clock_rate_hz=16000),
        PCMU.__class__(
            payload_type=97, encoding="PCMA", clock_rate_hz=8000, channels=2
        ),
        PCMU.__class__(payload_type=97, encoding="QUIET", clock_rate_hz=8000),
    ],
)
def test_g711_of_another_shape_is_not_taken_for_it(payload: object) -> None:
    packet = rtp_record(rtp(1, 2, PAYLOAD, payload_type=97))

    (stream,) = read(added(0, "agent", payloads=(payload,)) + packet)

    assert [Format.UNSUPPORTED] == stream.packets.format.tolist()


def test_events_and_noise_are_packets_without_sound() -> None:
    digits = rtp_record(rtp(1, 2, b"\x01\x0a\x00\xa0", payload_type=101))
    noise = rtp_record(rtp(2, 2, b"\x40", payload_type=13))

    (stream,) = read(added(0, "agent", payloads=(PCMU, EVENTS)) + digits + noise)

    assert (len(stream.packets), stream.playable) == (2, 0)
    assert stream.unsupported == {}


def test_other_kinds_are_counted_by_stream() -> None:
    part = added(0, "agent") + added(1, "customer")
    part += record(Kind.RTCP, 0, bytes(28), at_ns=START_NS)
    part += record(Kind.UNDECRYPTABLE, 1, bytes(28), at_ns=START_NS)
    part += padding(100, now_ns=START_NS)
    part += record(9, 1, bytes(28), at_ns=START_NS)

    agent, customer = read(part)

    assert (agent.rtcp, agent.undecryptable) == (1, 0)
    assert (customer.rtcp, customer.undecryptable) == (0, 1)


def test_a_record_that_a_part_cuts_off_does_not_eat_the_next_part() -> None:
    part = capture(Phone().say(babble(0.2)), added(0, "agent"))
    reader = CaptureReader()

    reader.feed(part[:-30])
    reader.end_part()
    reader.feed(part)
    reader.end_part()
    (stream,) = reader.finish()

    assert len(stream.packets) == 9 + 10
    assert reader.cut_bytes == 192 - 30


def test_an_event_that_does_not_parse_is_counted() -> None:
    reader = CaptureReader()
    reader.feed(
        record(Kind.EVENT, 0, b'{"event":"stream-added"}', at_ns=START_NS)
        + record(Kind.EVENT, 0, b"\xff", at_ns=START_NS)
        + added(0, "agent").replace(b'"0":', b'"x":')
    )

    assert reader.malformed_events == 3


def test_an_hour_of_one_size_is_read_at_once() -> None:
    part = capture(Phone().say(babble(60)), added(0, "agent"))

    (stream,) = read(part)

    assert np.array_equal(np.diff(stream.packets.start), np.full(2999, 160))


def test_a_codec_that_changes_in_the_middle_is_heard_throughout() -> None:
    """PCMU, PCMA, a type nobody announced, PCMU again: no event between (M22)."""
    phone = Phone()
    voice = babble(2)
    packets = []
    for number, payload_type in enumerate((0, 8, 77, 0)):
        phone.payload_type = payload_type
        packets += phone.say(
            voice[number * 4000 : number * 4000 + 4000], at_s=number / 2
        )

    (stream,) = read(capture(packets, added(0, "agent", payloads=(PCMU, PCMA))))
    (block,) = timeline_of([stream]).blocks()

    assert stream.unsupported == {"payload type 77": 25}
    assert ("PCMU", 75) == (stream.codec, stream.playable)
    expected = np.concatenate(
        [
            heard(voice[:4000]),
            heard(voice[4000:8000], Law.PCMA),
            np.zeros(4000, np.int16),
            heard(voice[12000:]),
        ]
    )
    assert np.array_equal(expected, block[0])


def test_a_silence_of_twenty_minutes_and_a_hold_move_nothing() -> None:
    """The RTP clock runs on through the silence and stands still on hold (M25)."""
    phone, voice = Phone(), babble(1)
    packets = phone.say(voice)
    phone.pause(1200)
    packets += phone.say(voice, at_s=1201)
    packets += phone.say(voice, at_s=1262)

    (stream,) = read(capture(packets, added(0, "agent")))
    samples = np.concatenate(list(timeline_of([stream]).blocks()), axis=1)[0]

    assert abs(len(samples) - 1263 * 8000) <= 160
    for at_s in (0, 1201, 1262):
        near = samples[at_s * 8000 : at_s * 8000 + 8000]
        assert np.array_equal(heard(voice), near)


def test_records_of_one_length_and_several_kinds_keep_their_order() -> None:
    packets = Phone().say(babble(0.1))
    same = [
        record(Kind.UNDECRYPTABLE, 0, one.octets, at_ns=one.at_ns) for one in packets
    ]
    part = added(0, "agent") + b"".join(
        bytes(one) + kept for one, kept in zip(packets, same, strict=True)
    )

    (stream,) = read(part)

    assert (5, 5, 0) == (len(stream.packets), stream.undecryptable, stream.recovered)
    assert [one.at_ns for one in packets] == stream.packets.arrival_ns.tolist()
