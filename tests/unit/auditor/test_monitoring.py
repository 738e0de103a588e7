from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.simulators.trail import Trail, signer
from vault.audit.entry import Action, Draft
from vault.audit.tiles import TileName
from vault.auditor.anchor_check import AnchorCheck
from vault.auditor.anchors import Anchors
from vault.auditor.memory import Memory
from vault.auditor.monitoring import Monitoring, MonitoringConfig
from vault.auditor.publishing import Publishing, PublishingConfig
from vault.core.errors import AuditUnavailableError, TrailBrokenError
from vault.database.engine import open_engine
from vault.objects.locking import FolderThatNeverLocks

VERIFIER = signer().verifier
ANCHORS = Anchors(VERIFIER.name)


class Leaves:
    """What the warden is asked to write; one that is away raises."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.away = False

    def append(self, *drafts: Draft) -> None:
        if self.away:
            raise AuditUnavailableError("away")
        self.actions += [draft.action for draft in drafts]


class Desk:
    """A log, its store, and the monitor that looks at both."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.engine = open_engine(f"sqlite:///{folder}", schema="audit")
        self.trail = Trail(engine=self.engine, folder=folder)
        self.store = FolderThatNeverLocks(folder / "store")
        self.leaves = Leaves()
        self.now = 0.0

    def monitor(self, *, memory: Path | None = None, most: int = 1000) -> Monitoring:
        return Monitoring(
            self.trail.reader,
            self.leaves,
            verifier=VERIFIER,
            anchors=lambda key: AnchorCheck(self.store, key),
            memory=Memory((memory or self.folder) / "monitoring.json"),
            config=MonitoringConfig(entries_per_round=most),
            monotonic=lambda: self.now,
        )

    def publish(self) -> None:
        Publishing(
            self.trail.reader,
            self.store,
            verifier=VERIFIER,
            memory=Memory(self.folder / "publishing.json"),
            config=PublishingConfig(),
        ).run()

    def monitor_until_sound(self, monitor: Monitoring, *, rounds: int) -> None:
        """Let *monitor* go on, for that many rounds at most, until nothing is wrong."""
        for left in reversed(range(rounds)):
            try:
                monitor.run()
            except TrailBrokenError:
                if not left:
                    raise
            else:
                return

    def change(self, statement: str) -> None:
        """Change the database as its owner can, without guard rails."""
        found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        with self.engine.begin() as connection:
            for row in connection.execute(text(found)).all():
                connection.execute(text(f"DROP TRIGGER {row.name}"))
            connection.execute(text(statement))

    def close(self) -> None:
        self.trail.log.close()
        self.engine.dispose()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "log")
    desk.trail.grow(300, batch=100)
    yield desk
    desk.close()


def test_a_sound_log_is_followed_and_swept(desk: Desk) -> None:
    desk.publish()
    monitor = desk.monitor()
    monitor.run()
    desk.trail.grow(10)
    monitor.run()

    assert 311 == monitor.facts()["seen"]
    assert not monitor.facts()["sweeping"]
    assert [] == desk.leaves.actions


def test_each_round_looks_at_some_entries_only(desk: Desk) -> None:
    monitor = desk.monitor(most=100)
    monitor.run()

    assert (100, 100, True) == tuple(
        monitor.facts()[name] for name in ("seen", "swept", "sweeping")
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_entry SET octets = x'7b7d' WHERE position = 5",
        "UPDATE log_entry SET actor = 'user:other' WHERE position = 5",
        "UPDATE log_object SET object = 'user:other' WHERE position = 5",
        "DELETE FROM log_entry WHERE position = 5",
        "UPDATE log_node SET hash = zeroblob(32) WHERE level = 0 AND position = 5",
        "UPDATE log_checkpoint SET note = 'x' WHERE size = 101",
    ],
)
def test_what_is_changed_in_old_entries_is_found_by_the_next_sweep(
    desk: Desk, statement: str
) -> None:
    monitor = desk.monitor()
    monitor.run()
    desk.change(statement)
    desk.now += 86_400

    for _ in range(2):  # and it stays an alarm
        with pytest.raises(TrailBrokenError):
            monitor.run()
    assert [Action.AUDIT_TRAIL_BROKEN] == desk.leaves.actions


def test_a_database_that_was_set_back_is_found_after_a_restart(
    desk: Desk, tmp_path: Path
) -> None:
    desk.monitor().run()
    older = Desk(tmp_path / "older")
    older.trail.grow(100, batch=50)

    with pytest.raises(
        TrailBrokenError, match="fewer entries than the 301 that were seen"
    ):
        older.monitor(memory=desk.folder).run()
    older.close()


def test_a_log_that_was_swapped_for_a_longer_one_is_found(
    desk: Desk, tmp_path: Path
) -> None:
    desk.monitor().run()
    other = Desk(tmp_path / "other")
    other.trail.grow(400, batch=100)

    with pytest.raises(TrailBrokenError, match="remembered"):
        other.monitor(memory=desk.folder).run()
    other.close()


def test_a_tile_that_was_changed_in_the_store_is_found(desk: Desk) -> None:
    desk.publish()
    desk.store.replace(ANCHORS.tile(TileName(level=0, index=0)), b"x" * 8192)

    with pytest.raises(TrailBrokenError, match="tile/0/000 in the store was changed"):
        desk.monitor().run()


def test_a_tile_that_is_gone_from_the_store_is_found(desk: Desk) -> None:
    desk.publish()
    desk.store.delete(ANCHORS.tile(TileName(level=None, index=0)))

    with pytest.raises(TrailBrokenError, match="is missing"):
        desk.monitor().run()


def test_a_store_that_knows_more_entries_than_the_log_is_an_alarm(
    desk: Desk, tmp_path: Path
) -> None:
    desk.publish()
    older = Desk(tmp_path / "older")
    older.store = desk.store
    older.trail.grow(20)

    with pytest.raises(TrailBrokenError):
        older.monitor().run()
    older.close()


def test_an_alarm_is_raised_though_no_entry_can_be_written(desk: Desk) -> None:
    desk.leaves.away = True
    desk.change("DELETE FROM log_entry WHERE position = 5")

    monitor = desk.monitor()
    with pytest.raises(TrailBrokenError, match="entry 5 is missing"):
        monitor.run()
    assert "entry 5 is missing" == monitor.facts()["alarm"]


def test_what_a_sweep_found_stays_an_alarm_until_a_sweep_ends_without_it(
    desk: Desk,
) -> None:
    monitor = desk.monitor(most=200)
    monitor.run()
    monitor.run()
    desk.change("UPDATE log_entry SET actor = 'x' || actor WHERE position = 250")
    desk.now += 86_400
    monitor.run()  # the first half is sound

    alarms = []
    for _ in range(3):
        with pytest.raises(TrailBrokenError):
            monitor.run()
        alarms.append(monitor.facts()["alarm"])
    assert 1 == len(set(alarms))

    desk.change("UPDATE log_entry SET actor = substr(actor, 2) WHERE position = 250")
    with pytest.raises(TrailBrokenError):
        desk.monitor_until_sound(monitor, rounds=1)
    desk.monitor_until_sound(monitor, rounds=3)
    assert "" == monitor.facts()["alarm"]
    assert [Action.AUDIT_TRAIL_BROKEN] == desk.leaves.actions


def test_the_entry_of_an_alarm_makes_no_other_alarm(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    older = Desk(tmp_path / "older")
    older.store = desk.store
    older.trail.grow(20)
    monitor = older.monitor()

    for _ in range(3):
        with pytest.raises(TrailBrokenError):
            monitor.run()
        older.trail.grow(1)  # as the entry does
    older.close()

    assert [Action.AUDIT_TRAIL_BROKEN] == older.leaves.actions


def test_an_alarm_is_entered_as_soon_as_the_log_takes_it(desk: Desk) -> None:
    desk.leaves.away = True
    desk.change("DELETE FROM log_entry WHERE position = 5")
    monitor = desk.monitor()
    for away in (True, False, False):
        desk.leaves.away = away
        with pytest.raises(TrailBrokenError):
            monitor.run()

    assert [Action.AUDIT_TRAIL_BROKEN] == desk.leaves.actions
