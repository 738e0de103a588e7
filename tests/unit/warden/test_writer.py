import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.simulators.waiting import wait_until
from tests.simulators.warden import USER, Trail
from vault.audit.entry import Action, Draft
from vault.audit.log import AuditLog
from vault.audit.texts import TextToKeep
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    DatabaseUnavailableError,
    InvalidInputError,
    TrailBrokenError,
    VaultError,
)
from vault.core.secrets import SecretBytes
from vault.warden.interfaces import Leaf
from vault.warden.leaves import LeafMaker
from vault.warden.writer import LeafWriter

SOON_S = 30.0
_MAKER = LeafMaker(text_key=SecretBytes(bytes(32)), clock=time.time_ns)


def leaf(number: int = 0, **members: object) -> Leaf:
    draft = Draft(
        action=Action.RECORDING_LISTED, caller=USER, detail={"count": number}, **members
    )
    return _MAKER.leaf(draft, via="web")


class LogOnATable:
    """A log whose disk the test holds: slow, failing or altered."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.failure: Exception | None = None
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.probes = 0

    @property
    def size(self) -> int:
        return sum(len(batch) for batch in self.batches)

    def append(
        self,
        entries: Sequence[bytes],
        texts: Sequence[Mapping[str, TextToKeep]] | None = None,
    ) -> range:
        self.entered.set()
        self.open.wait(SOON_S)
        if self.failure is not None:
            raise self.failure
        start = self.size
        self.batches.append(list(entries))
        return range(start, self.size)

    def probe(self) -> None:
        self.probes += 1
        self.open.wait(SOON_S)
        if self.failure is not None:
            raise self.failure


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
def table() -> LogOnATable:
    return LogOnATable()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(table: LogOnATable, clock: Clock) -> Iterator[LeafWriter]:
    writer = LeafWriter(table, monotonic=clock)
    writer.start()
    yield writer
    table.open.set()
    writer.stop()


def soon() -> float:
    return time.monotonic() + SOON_S


def test_sixty_four_writers_leave_no_gap_in_a_real_log(
    log: AuditLog, trail: Trail
) -> None:
    writer = LeafWriter(log)
    writer.start()
    before = log.size
    with ThreadPoolExecutor(64) as pool:
        for done in [
            pool.submit(writer.append, [leaf(n), leaf(n)], deadline_s=soon())
            for n in range(256)
        ]:
            done.result()
    writer.stop()
    counts = [each["detail"]["count"] for each in trail.entries()[before:]]

    assert len(counts) == 512
    assert sorted(counts[::2]) == list(range(256))
    assert counts[::2] == counts[1::2], "leaves of one call were torn apart"


def test_what_waits_shares_one_commit(table: LogOnATable, writer: LeafWriter) -> None:
    table.open.clear()
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(writer.append, [leaf()], deadline_s=soon())
        table.entered.wait(SOON_S)
        others = [
            pool.submit(writer.append, [leaf()], deadline_s=soon()) for _ in range(20)
        ]
        wait_until(lambda: writer._queue.qsize() == 20)
        table.open.set()
        for each in (first, *others):
            each.result()

    assert [len(batch) for batch in table.batches] == [1, 20]


def test_a_leaf_that_is_not_durable_in_time_releases_nothing(
    table: LogOnATable, writer: LeafWriter
) -> None:
    table.open.clear()

    with pytest.raises(AuditUnavailableError, match="in time"):
        writer.append([leaf()], deadline_s=time.monotonic() + 0.05)


def test_a_leaf_that_became_durable_too_late_releases_nothing(
    table: LogOnATable, writer: LeafWriter, clock: Clock
) -> None:
    """
    The whole process may be stopped while a leaf is written: the time-out has
    not fired when the writer says "durable", and yet it is too late.
    """
    table.open.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(writer.append, [leaf()], deadline_s=clock() + SOON_S)
        table.entered.wait(SOON_S)
        clock.ahead_s = 2 * SOON_S
        table.open.set()

        with pytest.raises(AuditUnavailableError, match="too late"):
            asked.result()
    assert table.size == 1, "the late leaf is honest"


def test_nobody_writes_a_leaf_for_who_gave_up_in_the_queue(
    table: LogOnATable, writer: LeafWriter
) -> None:
    table.open.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(writer.append, [leaf(1)], deadline_s=soon())
        table.entered.wait(SOON_S)
        with pytest.raises(AuditUnavailableError):
            writer.append([leaf(2)], deadline_s=time.monotonic() + 0.01)
        table.open.set()
        first.result()
        writer.append([leaf(3)], deadline_s=soon())

    assert table.size == 2


def test_the_queue_is_bounded(table: LogOnATable, writer: LeafWriter) -> None:
    table.open.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(writer.append, [leaf()], deadline_s=soon())
        table.entered.wait(SOON_S)
        one = leaf()
        refusals = 0
        for _ in range(1100):
            try:
                writer.append([one], deadline_s=time.monotonic())
            except AuditUnavailableError as exc:
                refusals += "too many" in str(exc)
        table.open.set()
        first.result()

    assert refusals == 1100 - 1024


@pytest.mark.parametrize(
    "failure",
    [
        DatabaseUnavailableError("disk I/O error"),
        AuditUnavailableError("the mark"),
        RuntimeError("+49 30 1234567"),
    ],
)
def test_a_log_that_fails_makes_no_leaf_and_is_not_healthy_until_it_works(
    table: LogOnATable, writer: LeafWriter, failure: Exception
) -> None:
    writer.append([leaf()], deadline_s=soon())
    assert writer.health().healthy

    table.failure = failure
    with pytest.raises(AuditUnavailableError) as caught:
        writer.append([leaf()], deadline_s=soon())
    assert not writer.health().healthy
    assert "1234567" not in str(caught.value) + writer.health().detail

    table.failure = None
    writer.append([leaf()], deadline_s=soon())
    assert writer.health().healthy


def test_an_altered_trail_is_not_cured_by_a_probe(
    table: LogOnATable, writer: LeafWriter
) -> None:
    table.failure = TrailBrokenError("the head was changed by others")
    with pytest.raises(AuditUnavailableError):
        writer.append([leaf()], deadline_s=soon())
    table.failure = None
    probes = table.probes
    wait_until(lambda: table.probes > probes)

    assert not writer.health().healthy


@pytest.mark.parametrize("cls", [ConflictError, InvalidInputError])
def test_a_call_that_the_log_refuses_does_not_refuse_the_others(
    writer: LeafWriter, table: LogOnATable, cls: type[VaultError]
) -> None:
    good, bad = leaf(1), leaf(2)
    accept = table.append

    def refuse(
        entries: Sequence[bytes],
        texts: Sequence[Mapping[str, TextToKeep]] | None = None,
    ) -> range:
        indices = accept([entry for entry in entries if entry != bad.entry], texts)
        if bad.entry in entries:
            table.batches.pop()
            raise cls("this one")
        return indices

    table.open.clear()
    table.append = refuse  # type: ignore[method-assign]
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(writer.append, [leaf()], deadline_s=soon())
        table.entered.wait(SOON_S)
        asked = [
            pool.submit(writer.append, [each], deadline_s=soon())
            for each in (bad, good)
        ]
        wait_until(lambda: writer._queue.qsize() == 2)
        table.open.set()
        first.result()
        with pytest.raises(cls, match="this one"):
            asked[0].result()
        asked[1].result()

    assert table.size == 2
    assert writer.health().healthy


def test_while_nobody_writes_the_log_is_probed_and_stays_as_it_is(
    table: LogOnATable, writer: LeafWriter
) -> None:
    wait_until(lambda: table.probes >= 2)

    assert writer.health().healthy
    assert table.size == 0


def test_health_turns_bad_with_the_age_of_the_last_commit(
    table: LogOnATable, writer: LeafWriter, clock: Clock
) -> None:
    writer.append([leaf()], deadline_s=soon())
    table.open.clear()  # from here on every commit hangs
    clock.ahead_s = 2.5

    health = writer.health()
    assert not health.healthy
    assert health.last_append_age_s > 2.0
    assert health.log_size == 1


def test_before_the_first_commit_nothing_is_healthy(table: LogOnATable) -> None:
    assert not LeafWriter(table).health().healthy


def test_a_writer_that_ends_writes_what_waits_and_takes_no_more(
    table: LogOnATable, writer: LeafWriter
) -> None:
    table.open.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(writer.append, [leaf()], deadline_s=soon())
        table.entered.wait(SOON_S)
        second = pool.submit(writer.append, [leaf()], deadline_s=soon())
        wait_until(lambda: writer._queue.qsize() == 1)
        stopped = pool.submit(writer.stop)
        wait_until(lambda: writer._stopping)
        table.open.set()
        for each in (first, second, stopped):
            each.result()

    assert table.size == 2
    with pytest.raises(AuditUnavailableError, match="stopping"):
        writer.append([leaf()], deadline_s=soon())
