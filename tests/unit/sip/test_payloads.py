"""Limits; what formats mean is in test_offer.py."""

import base64

import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.offer import read_offer
from vault.tap.capture import (
    HEADER_SIZE,
    MAX_LENGTH,
    Event,
    encode_event,
    stream_members,
)
from vault.tap.orders import PortPair, StreamOrder

KEY = base64.b64encode(bytes(30)).decode()
HEAD = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]


class TestTheMostThatASectionMaySayOfItsFormats:
    @staticmethod
    def offer(octets: int) -> str:
        """One section with 64 formats and *octets* of fmtp that JSON doubles."""
        numbers = [str(number) for number in range(64, 128)]
        fmtps = [f"a=fmtp:{n} {chr(34) * (octets // 64)}" for n in numbers]
        maps = [f"a=rtpmap:{n} {'x' * 64}/9999999/255" for n in numbers]
        section = f"m=audio 5000 RTP/SAVP {' '.join(numbers)}"
        crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
        return "\r\n".join([*HEAD, section, crypto, *maps, *fmtps, ""])

    def test_fits_into_one_record_of_a_capture(self) -> None:
        (offered,) = read_offer(self.offer(16 * 1024)).streams
        assert offered.crypto is not None
        order = StreamOrder(
            index=0,
            label="x" * 64,
            media=offered.media,
            suite=offered.crypto.suite,
            key=offered.crypto.key,
            payloads=offered.payloads,
            ports=PortPair(address="2001:db8::1", rtp=40000, rtcp=40001),
            remote=("2001:db8::2", 65535),
        )

        record = encode_event(
            Event.STREAM_ADDED, now_ns=0, stream=0, members=stream_members(order)
        )

        assert len(record) <= HEADER_SIZE + MAX_LENGTH

    def test_is_malformed_beyond_that(self) -> None:
        with pytest.raises(MalformedSignallingError, match="too much fmtp"):
            read_offer(self.offer(17 * 1024))
