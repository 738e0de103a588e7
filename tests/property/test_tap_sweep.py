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


class TestAnySchedule:
    @settings(max_examples=60, deadline=None)
    @given(
        suite=st.sampled_from(
            [s for s in SrtpSuite if not s.is_plain and not s.has_short_tag]
        ),
        first=st.integers(0, 200_000),
        moves=st.lists(
            st.tuples(
                st.sampled_from(("send", "send", "send", "lose", "late", "twice")),
                st.integers(1, 30),
            ),
            min_size=1,
            max_size=60,
        ),
        ticks=st.integers(1, 20),
    )
    def test_around_any_rollover_loses_what_the_network_lost_and_no_more(
        self, suite: SrtpSuite, first: int, moves: list[tuple[str, int]], ticks: int
    ) -> None:
        with TemporaryDirectory() as folder:
            line = Line(Path(folder), suite)
            line.lead(first)
            due: list[tuple[int, int]] = []
            for step, (move, later) in enumerate(moves):
                if move == "lose":
                    continue
                due.append((step + (later if move == "late" else 0), first + step))
                if move == "twice":
                    due.append((step + later, first + step))
            # Three packets at the end: fewer could not show their rollover counter.
            end = first + len(moves)
            due += [(len(moves) + 40, index) for index in range(end, end + 3)]
            packets = dict(
                zip(
                    range(first, end + 3),
                    line.record_index(*range(first, end + 3)),
                    strict=True,
                )
            )
            arrived: list[int] = []
            for number, (_, index) in enumerate(sorted(due)):
                line.send(packets[index])
                arrived.append(index)
                if number % ticks == 0:
                    line.tick(0.02 * ticks)
            line.tick(0.2)
            line.tick(0.4)
            counted = line.stream.count
            spans = counted.ssrcs.spans()
            line.close()
            got = line.octets(Kind.RTP)
            line.end()

            unique = sorted(set(arrived))
            assert sorted(int.from_bytes(p[2:4], "big") for p in got) == sorted(
                index & 0xFFFF for index in unique
            )
            assert [(s.first, s.last, s.packets) for s in spans] == [
                (unique[0], unique[-1], len(unique))
            ]
            assert sum(counted.rejected.values()) == len(arrived) - len(unique)
