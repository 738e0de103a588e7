"""SRTP sessions against a model of what must be accepted, with libsrtp for a peer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulators.srtp_peers import (
    LONG_TAGS,
    PROTECTED,
    SSRC,
    Receiver,
    Sender,
    fresh_key,
    report,
    rtp,
    taken,
)
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.orders import MkiKey
from vault.tap.rollover import find_rollover, join, likely_rollovers
from vault.tap.rtp import extended_sequence
from vault.tap.slots import ROOM
from vault.tap.srtp import InboundSession, inbound
from vault.tap.srtp_cm import SUITES, CmInbound
from vault.tap.srtp_session import (
    REPLAY_WINDOW,
    STATUS_OK,
    rejection_of,
    tag_size_bytes,
)

HALF = 0x8000
DEPTH = 50
"Packets that a packet may be overtaken by."

quick = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# -- the model ---------------------------------------------------------------


@dataclass
class Model:
    """What one key has brought: true indexes, which the packets do not show."""

    tries: bool
    "Whether a rollover counter may be found by trial: not under a 32-bit tag."
    highest: int = -1
    seen: set[int] = field(default_factory=set)

    def accepts(self, index: int) -> bool | None:
        """Say whether packet *index* must be accepted; None where it may be.

        Beyond half the number space a session can only be lucky: before the
        first rollover, where no counter is below zero, it often is.
        """
        ahead = index - self.highest
        if index in self.seen or (self.highest >= 0 and ahead <= -REPLAY_WINDOW):
            return False
        far = ahead >= HALF if self.highest >= 0 else index > 0xFFFF
        return None if far and not self.tries else True

    def add(self, index: int) -> None:
        """Remember a packet that was accepted."""
        self.seen.add(index)
        self.highest = max(self.highest, index)

    def restart(self) -> None:
        """Only the highest index outlives a worker."""
        if self.highest >= 0:
            self.seen = {self.highest}


# -- the receiver ------------------------------------------------------------


class Listener:
    """What a worker does with its sessions: try, try the key before, then trials."""

    def __init__(self, suite: SrtpSuite) -> None:
        self.suite = suite
        self._keys: list[SecretBytes] = []
        self._sessions: list[InboundSession] = []
        self._highest: list[int] = []

    def rekey(self, key: SecretBytes) -> None:
        self._keys.append(key)
        self._sessions.append(inbound(self.suite, key))
        self._highest.append(-1)

    def restart(self) -> None:
        self._sessions = [inbound(self.suite, key) for key in self._keys]
        for session, highest in zip(self._sessions, self._highest, strict=True):
            assert session.fast_forward(SSRC, highest)

    def hear(self, packet: bytes) -> bytes | None:
        order = range(len(self._sessions) - 1, -1, -1)
        for attempt in (self._try, self._trial):
            for number in order:
                opened = attempt(number, packet)
                if opened is not None:
                    return opened
        return None

    def _try(self, number: int, packet: bytes) -> bytes | None:
        status, left = taken(self._sessions[number], packet)
        if status != STATUS_OK:
            return None
        seq, highest = int.from_bytes(left[2:4]), self._highest[number]
        index = seq if highest < 0 else extended_sequence(seq=seq, highest=highest)
        self._highest[number] = max(highest, index)
        return left

    def _trial(self, number: int, packet: bytes) -> bytes | None:
        session, highest = self._sessions[number], self._highest[number]
        tried = session.trial(packet)
        if tried is None:
            return None
        before = max(self._highest) >> 16
        candidates = likely_rollovers(
            current=max(highest, 0) >> 16, before=max(before, 0), most=60
        )
        roc = find_rollover(self.suite, *tried, candidates, after=highest)
        if roc is None:
            return None
        assert join(session, packet, roc)
        status, left = taken(session, packet)
        assert status == STATUS_OK
        self._highest[number] = roc << 16 | int.from_bytes(left[2:4])
        return left


# -- schedules ---------------------------------------------------------------

GAPS = st.one_of(
    st.just(1),
    st.just(1),
    st.just(1),
    st.integers(2, 60),
    st.sampled_from([1023, 1024, 1025, 30_000, HALF - 60]),
    st.sampled_from([HALF - 1, HALF, HALF + 1, 65_535, 65_536, 65_537, 150_000]),
)
STARTS = st.one_of(
    st.integers(0, 0xFFFF),
    st.integers(65_480, 65_600),
    st.integers(0, 20 * 65_536),
)


@dataclass(frozen=True)
class Step:
    """One packet sent: how far on, what becomes of it, what happens before."""

    gap: int
    copies: int
    delay: int
    event: str


STEPS = st.lists(
    st.builds(
        Step,
        gap=GAPS,
        copies=st.sampled_from([1, 1, 1, 1, 0, 2]),
        delay=st.one_of(st.just(0), st.integers(0, DEPTH)),
        event=st.sampled_from([""] * 16 + ["restart", "keep", "reset"]),
    ),
    min_size=1,
    max_size=80,
)


class TestDelivery:
    @quick
    @given(suite=st.sampled_from(PROTECTED), start=STARTS, steps=STEPS)
    def test_brings_what_the_model_says_and_nothing_else(
        self, suite: SrtpSuite, start: int, steps: list[Step]
    ) -> None:
        tries = suite in LONG_TAGS
        listener, models = Listener(suite), [Model(tries)]
        key = fresh_key(suite)
        listener.rekey(key)
        senders, index = [Sender(suite, key)], start
        wire: list[tuple[int, int, bytes, int]] = []
        restarts = []
        rekeys = []
        for number, step in enumerate(steps):
            index += step.gap
            if step.event in {"keep", "reset"} and len(senders) < 4:
                # A re-key: some senders go on counting, some start again.
                index = index & 0x7FFF if step.event == "reset" else index
                key = fresh_key(suite)
                senders.append(Sender(suite, key))
                rekeys.append((number, key))
            if step.event == "restart":
                restarts.append(number)
            packet = senders[-1].packet(index, number.to_bytes(4))
            at = number + step.delay
            wire += [(at, index, packet, len(senders) - 1)] * step.copies
        wire.sort(key=lambda sent: sent[0])

        for at, true, packet, epoch in wire:
            # A new key is known before the first packet under it arrives.
            while rekeys and rekeys[0][0] <= at:
                listener.rekey(rekeys.pop(0)[1])
                models.append(Model(tries))
            if restarts and restarts[0] <= at:
                restarts.pop(0)
                listener.restart()
                for model in models:
                    model.restart()
            must = models[epoch].accepts(true)
            opened = listener.hear(packet)

            assert must in {None, opened is not None}
            if opened is not None:
                models[epoch].add(true)
                assert opened[:12] == rtp(true)[:12]

    @quick
    @given(suite=st.sampled_from(PROTECTED), start=st.integers(0, 0xFFFF))
    def test_loses_nothing_of_an_ordinary_call(
        self, suite: SrtpSuite, start: int
    ) -> None:
        """50 overtaken, every third twice, across the rollover."""
        key = fresh_key(suite)
        sender, session = Sender(suite, key), inbound(suite, key)
        indexes = range(start, start + 200)
        packets = [sender.packet(i) for i in indexes]
        order = sorted(range(1, 200), key=lambda n: n + (n * 37) % DEPTH)
        # Where the very first is not: a first packet after the rollover is late.
        heard = [taken(session, packets[0])]

        heard += [taken(session, packets[n]) for n in order]
        again = [taken(session, packets[n])[0] for n in order[::3]]

        assert heard == [(STATUS_OK, rtp(indexes[n])) for n in (0, *order)]
        assert STATUS_OK not in again


# -- our AES-CM against libsrtp's --------------------------------------------

FORGERIES = st.tuples(
    st.sampled_from(["rtp", "rtcp"]),
    st.sampled_from(["whole", "flip", "cut", "renumber", "rename", "again"]),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
)


def forged(packet: bytes, how: str, where: int, what: int) -> bytes:
    octets = bytearray(packet)
    match how:
        case "flip":
            octets[where % len(octets)] ^= 1 << what % 8
        case "cut":
            del octets[where % len(octets) :]
        case "renumber":
            octets[2:4] = what.to_bytes(2)
        case "rename":
            octets[8:12] = (what % 3).to_bytes(4)
    return bytes(octets)


class TestOurCounterMode:
    @quick
    @given(
        suite=st.sampled_from(sorted(SUITES)),
        start=st.integers(0, 0xFFFF),
        gaps=st.lists(st.one_of(st.just(1), st.integers(1, 40_000)), max_size=40),
        forgeries=st.lists(FORGERIES, max_size=60),
        chance=st.randoms(use_true_random=False),
    )
    def test_says_of_every_packet_what_libsrtp_says(
        self,
        suite: SrtpSuite,
        start: int,
        gaps: list[int],
        forgeries: list[tuple[str, str, int, int]],
        chance: object,
    ) -> None:
        key = fresh_key(suite)
        sender, theirs, ours = (
            Sender(suite, key),
            Receiver(suite, key),
            CmInbound(suite, key),
        )
        index, media = start, [sender.packet(start)]
        for gap in gaps:
            index += gap
            media.append(sender.packet(index))
        reports = [
            sender.protected(report(bytes(4 * n)), rtcp=True) for n in range(1, 20)
        ]
        sent = {"rtp": media, "rtcp": reports}
        wire = [("rtp", packet) for packet in media]
        wire += [("rtcp", packet) for packet in reports]
        for kind, how, where, what in forgeries:
            packet = sent[kind][where % len(sent[kind])]
            wire.append((kind, forged(packet, how, where, what)))
        chance.shuffle(wire)  # type: ignore[attr-defined] - random.Random

        for kind, packet in wire:
            is_rtcp = kind == "rtcp"
            status, left = taken(ours, packet, rtcp=is_rtcp)
            status_, left_ = theirs.take(packet, rtcp=is_rtcp)

            assert rejection_of(status) == rejection_of(status_)
            assert (status == STATUS_OK, left) == (status_ == STATUS_OK, left_)


# -- anything ----------------------------------------------------------------


def _sessions() -> Sequence[InboundSession]:
    plain = inbound(SrtpSuite.PLAIN_RTP, SecretBytes(b""))
    named = [
        inbound(suite, key, (MkiKey(mki=b"\0" * size, key=key),))
        for suite in PROTECTED
        for size in (1, 4, 128)
        if (key := fresh_key(suite))
    ]
    return [plain, *(inbound(s, fresh_key(s)) for s in PROTECTED), *named]


SESSIONS = _sessions()


class TestAnything:
    @quick
    @given(
        octets=st.one_of(
            st.binary(max_size=80),
            st.binary(max_size=80).map(lambda tail: b"\x80\x00" + tail),
            st.tuples(st.integers(0, 255), st.integers(0, ROOM - 1)).map(
                lambda made: bytes([made[0]]) + bytes(made[1])
            ),
        )
    )
    def test_has_a_status_and_no_exception(self, octets: bytes) -> None:
        for session in SESSIONS:
            status, left = taken(session, octets)
            status_, left_ = taken(session, octets, rtcp=True)

            if session.authenticates:
                assert STATUS_OK not in (status, status_)
            if not session.spoils:
                assert (left, left_) == (octets, octets)
            assert len(left) == len(left_) == len(octets)

    @quick
    @given(
        suite=st.sampled_from(PROTECTED),
        index=st.integers(0, 0xFFFF),
        size=st.integers(0, 1400),
        mki=st.binary(min_size=1, max_size=128),
    )
    def test_that_names_its_key_is_opened(
        self, suite: SrtpSuite, index: int, size: int, mki: bytes
    ) -> None:
        key = fresh_key(suite)
        packet = Sender(suite, key).packet(index, bytes(size))
        at = len(packet) - tag_size_bytes(suite)
        session = inbound(suite, key, (MkiKey(mki=mki, key=key),))

        opened = taken(session, packet[:at] + mki + packet[at:])

        assert opened == (STATUS_OK, rtp(index, bytes(size)))
