import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.simulators.trail import ORIGIN, Trail, signer
from vault.audit import mark as marks
from vault.audit.checkpoint import Checkpoint
from vault.audit.fsck import Fsck
from vault.audit.mark import Mark
from vault.audit.mark_check import MarkCheck
from vault.audit.reading import TrailReader
from vault.audit.tree import leaf_hash
from vault.database.engine import open_engine


def found(trail: "Copy") -> list[str]:
    return [one.what for one in Fsck(trail.engine, signer().verifier).run()]


def change(trail: "Copy", *statements: str, **values: object) -> None:
    """Change the database as its owner can, without guard rails."""
    with trail.engine.begin() as connection:
        names = connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        )
        for name in [row.name for row in names]:
            connection.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            connection.execute(text(statement), values if ":" in statement else {})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that is made once, and copied for each that changes it."""
    folder = tmp_path_factory.mktemp("built")
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    trail = Trail(engine=engine, folder=folder)
    trail.grow(40, batch=7)
    trail.log.close()
    engine.dispose()
    return folder


@dataclass
class Copy:
    """A log to change, without a writer."""

    engine: Engine
    mark_path: Path

    @property
    def reader(self) -> TrailReader:
        return TrailReader(self.engine)


@pytest.fixture
def grown(built: Path, tmp_path: Path) -> Iterator[Copy]:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    yield Copy(engine, folder / "log-mark.json")
    engine.dispose()


def test_a_sound_log_has_no_finding(grown: Copy) -> None:
    walk = Fsck(grown.engine, signer().verifier)

    assert [] == walk.run()
    assert (41, 7, 0, {}) == (walk.size, walk.checkpoints, walk.erased, walk.gaps())


def test_progress_is_told(grown: Copy) -> None:
    told: list[tuple[int, int]] = []
    Fsck(
        grown.engine, signer().verifier, progress=lambda *said: told.append(said)
    ).run()

    assert [(41, 41)] == told


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE log_entry SET octets = x'7b7d' WHERE position = 5", "leaf"),
        ("UPDATE log_entry SET octets = 'x' WHERE position = 5", "entry"),
        ("UPDATE log_entry SET octets = x'7b207d' WHERE position = 5", "entry"),
        ("UPDATE log_entry SET actor = 'user:other' WHERE position = 5", "column"),
        ("UPDATE log_entry SET time = '2020' WHERE position = 5", "column"),
        ("UPDATE log_entry SET action = 'x' WHERE position = 5", "column"),
        ("UPDATE log_entry SET result = 'failed' WHERE position = 5", "column"),
        ("UPDATE log_entry SET source = 'tap-9' WHERE position = 5", "column"),
        ("UPDATE log_entry SET source_seq = 9 WHERE position = 5", "column"),
        ("UPDATE log_object SET object = 'recording:x' WHERE position = 5", "object"),
        ("DELETE FROM log_object WHERE position = 5", "object"),
        ("INSERT INTO log_object VALUES (5, 'user:x')", "object"),
        ("INSERT INTO log_object VALUES (500, 'user:x')", "extra"),
        ("DELETE FROM log_entry WHERE position = 5", "missing"),
        ("DELETE FROM log_entry WHERE position = 40", "missing"),
        ("UPDATE log_entry SET position = 99 WHERE position = 5", "missing"),
        ("UPDATE log_node SET hash = zeroblob(32) WHERE level = 0 AND position = 5",
         "leaf"),
        ("UPDATE log_node SET hash = zeroblob(32) WHERE level = 3 AND position = 0",
         "node"),
        ("DELETE FROM log_node WHERE level = 5", "node"),
        ("INSERT INTO log_node VALUES (7, 3, zeroblob(32))", "node"),
        ("UPDATE log_head SET root = zeroblob(32)", "head"),
        ("DELETE FROM log_head", "head"),
        ("UPDATE log_head SET size = 39", "head"),
        ("UPDATE log_checkpoint SET note = 'x' WHERE size = 8", "signature"),
        ("DELETE FROM log_checkpoint WHERE size = 41", "signature"),
        ("UPDATE log_checkpoint SET size = 9 WHERE size = 8", "root"),
        ("INSERT INTO log_checkpoint VALUES (99, 'x')", "extra"),
        ("INSERT INTO log_text VALUES (5, 'reason', x'00')", "text"),
        ("INSERT INTO log_text VALUES (99, 'reason', x'00')", "extra"),
    ],
)  # fmt: skip
def test_whatever_is_changed_is_named(grown: Copy, statement: str, what: str) -> None:
    change(grown, statement)

    assert what == found(grown)[0]


def test_an_entry_that_was_changed_with_its_tree_lacks_the_signature(
    grown: Copy,
) -> None:
    octets = b'{"action":"recording.played","v":1}'
    change(
        grown,
        "UPDATE log_entry SET octets = :octets WHERE position = 40",
        "UPDATE log_node SET hash = :leaf WHERE level = 0 AND position = 40",
        octets=octets,
        leaf=leaf_hash(octets),
    )
    whats = found(grown)

    assert "root" in whats
    assert "leaf" not in whats


def test_a_checkpoint_of_another_key_is_found(grown: Copy) -> None:
    head = grown.reader.head()
    said = Checkpoint(origin=ORIGIN, size=head.size, root=head.root)
    forged = signer(bytes(32)).sign_checkpoint(said)
    change(grown, "UPDATE log_checkpoint SET note = :n WHERE size = 41", n=forged)

    assert ["signature"] == found(grown)


def test_an_erased_text_is_counted_and_no_finding(grown: Copy) -> None:
    walk = Fsck(grown.engine, signer().verifier)
    walk.run()

    assert 0 == walk.erased


@pytest.mark.parametrize(
    ("spoilt", "what"),
    [
        (lambda m: Mark(size=m.size + 1, root=m.root, note=m.note), "cut"),
        (lambda m: Mark(size=m.size, root=bytes(32), note=m.note), "mark"),
        (lambda m: m, None),
    ],
)
def test_the_mark_is_compared(
    grown: Copy, spoilt: Callable[[Mark], Mark], what: str | None
) -> None:
    mark = marks.read(grown.mark_path)
    assert mark is not None
    check = MarkCheck(spoilt(mark))
    walk = Fsck(grown.engine, signer().verifier, watchers=[check])
    findings = [*walk.run(), *check.end(walk.size)]

    assert ([what] if what else []) == [one.what for one in findings]


def test_it_ends_after_twenty_findings(grown: Copy) -> None:
    change(grown, "UPDATE log_entry SET actor = 'user:other'")

    assert 20 == len(found(grown))
