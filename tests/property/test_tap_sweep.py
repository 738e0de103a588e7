"""The sweep against any mix of datagrams: every one is accounted for."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.tap_line import Line
from vault.core.media import SrtpSuite
from vault.tap.capture import Kind

DATAGRAMS = st.one_of(
    st.just("good"),
    st.just("replay"),
    st.just("flipped"),
    st.binary(max_size=60),
    st.binary(min_size=12, max_size=60).map(lambda octets: b"\x80\x00" + octets),
    st.binary(min_size=12, max_size=60).map(lambda octets: b"\x80\xc8" + octets),
)


class TestAnyMix:
    @settings(max_examples=60, deadline=None)
    @given(
        suite=st.sampled_from([s for s in SrtpSuite if not s.is_plain]),
        mix=st.lists(DATAGRAMS, max_size=40),
        seed=st.integers(0, 2**32),
    )
    def test_is_counted_exactly_and_captured_exactly(
        self, suite: SrtpSuite, mix: list[str | bytes], seed: int
    ) -> None:
        chance = random.Random(seed)
        with TemporaryDirectory() as folder:
            line = Line(Path(folder), suite)
            sent: list[bytes] = []
            last = b""
            for number, one in enumerate(mix):
                if isinstance(one, bytes):
                    line.send(one)
                    continue
                if one == "replay" and last:
                    line.send(last)
                    continue
                packet = b"\x80\x00" + number.to_bytes(2, "big") + bytes(40)
                protected = line.session.protect(packet)
                if one == "flipped":
                    spoilt = bytearray(protected)
                    spoilt[chance.randrange(12, len(spoilt))] ^= 1
                    line.send(bytes(spoilt))
                    continue
                line.send(protected)
                last = protected
                sent.append(packet)
                if chance.random() < 0.3:
                    line.sweep.tick()
            line.sweep.tick()
            count = line.stream.count
            line.close()
            line.end()

            assert line.octets(Kind.RTP) == sent
            assert count.authentic == len(sent)
            assert count.authentic + sum(count.rejected.values()) == len(mix)
