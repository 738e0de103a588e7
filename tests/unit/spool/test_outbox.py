import threading
from pathlib import Path

import pytest

from vault.audit.entry import Action, Draft
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    UnavailableError,
)
from vault.core.flow import NOBODY, Caller
from vault.spool.config import SpoolConfig
from vault.spool.outbox import Outbox
from vault.spool.spool import Spool


class Warden:
    """Keeps drafts; may be down, lose its answers, or refuse one."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.down = False
        self.lose_answers = 0
        self.refuse = 0

    def append(self, *drafts: Draft) -> None:
        if self.down:
            raise AuditUnavailableError("down")
        numbers = {draft.source_seq for draft in self.drafts}
        if any(draft.source_seq in numbers for draft in drafts):
            raise ConflictError("seen")
        if any(draft.source_seq == self.refuse for draft in drafts):
            raise InvalidInputError("not on the allow-list")
        self.drafts += drafts
        if self.lose_answers:
            self.lose_answers -= 1
            raise AuditUnavailableError("lost")

    def seen(self) -> list[int]:
        return [draft.source_seq for draft in self.drafts]


DRAFT = Draft(
    action=Action.RECORDING_STARTED,
    caller=Caller(actor=NOBODY),
    detail={"bytes": 7, "how": "bye"},
)


@pytest.fixture
def warden() -> Warden:
    return Warden()


def outbox(folder: Path, warden: Warden) -> Outbox:
    return Outbox(folder / "out", source="tap", trail=warden, clock=lambda: 42)


def test_a_leaf_arrives_with_source_number_and_time(
    tmp_path: Path, warden: Warden
) -> None:
    box = outbox(tmp_path, warden)
    number = box.post(DRAFT)
    box.deliver()

    assert [(1, "tap", 42, {"bytes": 7, "how": "bye"})] == [
        (d.source_seq, d.source, d.occurred_ns, dict(d.detail)) for d in warden.drafts
    ]
    assert box.delivered(number)


def test_a_leaf_survives_its_process(tmp_path: Path, warden: Warden) -> None:
    warden.down = True
    box = outbox(tmp_path, warden)
    box.post(DRAFT)
    with pytest.raises(AuditUnavailableError):
        box.deliver()
    warden.down = False
    again = outbox(tmp_path, warden)
    again.post(DRAFT)
    again.deliver()

    assert [1, 2] == warden.seen()


def test_a_spool_that_was_lost_repeats_no_number_that_the_trail_has_seen(
    tmp_path: Path, warden: Warden
) -> None:
    def at(folder: str, second: int) -> Outbox:
        return Outbox(
            tmp_path / folder,
            source="tap",
            trail=warden,
            clock=lambda: second * 1_000_000_000,
        )

    for box in (at("lost", 1_000), at("new", 1_001)):
        box.post(DRAFT)
        box.deliver()

    assert [1_000_001, 1_001_001] == warden.seen()


def test_a_lost_answer_writes_no_leaf_twice(tmp_path: Path, warden: Warden) -> None:
    warden.lose_answers = 1
    box = outbox(tmp_path, warden)
    numbers = [box.post(DRAFT) for _ in range(3)]
    with pytest.raises(AuditUnavailableError):
        box.deliver()
    assert not box.delivered(numbers[0])
    box.deliver()

    assert [1, 2, 3] == warden.seen()
    assert all(map(box.delivered, numbers))


def test_a_leaf_that_is_refused_holds_up_no_other(
    tmp_path: Path, warden: Warden
) -> None:
    warden.refuse = 2
    box = outbox(tmp_path, warden)
    for _ in range(3):
        box.post(DRAFT)
    box.deliver()

    assert ([1, 3], []) == (warden.seen(), box.waiting())


def test_what_is_no_leaf_is_set_aside(tmp_path: Path, warden: Warden) -> None:
    box = outbox(tmp_path, warden)
    (tmp_path / "out" / f"{1:016d}").write_bytes(b"torn")
    box.deliver()

    assert [] == box.waiting()
    assert [] == warden.drafts


def test_more_leaves_than_one_message_holds_arrive_in_order(
    tmp_path: Path, warden: Warden
) -> None:
    box = outbox(tmp_path, warden)
    for _ in range(130):
        box.post(DRAFT)
    box.deliver()

    assert list(range(1, 131)) == warden.seen()


def test_the_text_of_a_person_is_not_kept_here(tmp_path: Path, warden: Warden) -> None:
    with pytest.raises(ValueError):
        outbox(tmp_path, warden).post(
            Draft(
                action=Action.RECORDING_STARTED,
                caller=Caller(actor=NOBODY),
                text={"reason": "x"},
            )
        )


def test_the_thread_delivers_what_is_posted_by_many(
    tmp_path: Path, warden: Warden
) -> None:
    box = outbox(tmp_path, warden)
    box.start()
    numbers: list[int] = []
    posting = [
        threading.Thread(target=lambda: numbers.append(box.post(DRAFT)))
        for _ in range(8)
    ]
    for thread in posting:
        thread.start()
    for thread in posting:
        thread.join()
    arrived = [box.wait(number, timeout_s=10) for number in numbers]
    box.stop()

    assert [True] * 8 == arrived
    assert list(range(1, 9)) == warden.seen()


def test_the_thread_outlives_a_folder_that_is_away(
    tmp_path: Path, warden: Warden
) -> None:
    box = outbox(tmp_path, warden)
    box.start()
    before = box.wait(box.post(DRAFT), timeout_s=10)
    away = box._directory.rename(tmp_path / "away")
    with box._news:
        box._news.notify_all()
    thread = box._thread
    assert thread is not None
    thread.join(0.1)
    away.rename(box._directory)

    after = box.wait(box.post(DRAFT), timeout_s=20)

    box.stop()
    assert (True, True) == (before, after)


def test_waiting_for_what_does_not_come_ends(tmp_path: Path, warden: Warden) -> None:
    box = outbox(tmp_path, warden)

    assert not box.wait(box.post(DRAFT), timeout_s=0.01)


def test_where_the_disk_has_failed_a_leaf_promises_nothing_written_before_it(
    tmp_path: Path, warden: Warden
) -> None:
    spool = Spool(SpoolConfig(directory=tmp_path / "spool", reserve_bytes=0)).open()
    queue = Outbox(
        tmp_path / "out", source="tap", trail=warden, clock=lambda: 42, disk=spool.disk
    )
    spool.disk.fail("syncfs: EIO")
    durable = queue.post_soon(DRAFT)

    with pytest.raises(UnavailableError):
        durable.result()
    assert 1 == len(queue.waiting())
    spool.close()
