import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.trail import ORIGIN, SEED, Trail, signer
from vault.audit.checkpoint import Checkpoint
from vault.audit.tiles import TileName, parse_bundle, tiles_of
from vault.auditor.anchors import Anchors
from vault.auditor.memory import Memory
from vault.auditor.publishing import Publishing, PublishingConfig
from vault.core.errors import NotFoundError, TrailBrokenError
from vault.database.engine import open_engine
from vault.objects.keys import ObjectKey
from vault.objects.locking import FolderThatNeverLocks

ANCHORS = Anchors(ORIGIN)


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    trail = Trail(engine=engine, folder=tmp_path)
    yield trail
    trail.log.close()
    engine.dispose()


@pytest.fixture
def store(tmp_path: Path) -> FolderThatNeverLocks:
    return FolderThatNeverLocks(tmp_path / "store")


def publishing(trail: Trail, store: FolderThatNeverLocks, **more: object) -> Publishing:
    return Publishing(
        trail.reader,
        store,
        verifier=signer(SEED).verifier,
        memory=Memory(trail.folder / "publishing.json"),
        config=PublishingConfig(),
        **more,  # type: ignore[arg-type] # what the test wants
    )


def names(store: FolderThatNeverLocks) -> set[str]:
    tiles = f"{ANCHORS.prefix}/tile/"
    return {str(key).removeprefix(f"{ANCHORS.prefix}/") for key in store.keys(tiles)}


def test_every_tile_of_the_newest_checkpoint_is_in_the_store(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    trail.grow(600, batch=50)
    publishing(trail, store).run()
    size = trail.log.size

    assert {str(name) for name in tiles_of(size)} == names(store)
    for name in tiles_of(size):
        assert store.read(ANCHORS.tile(name)) == trail.reader.tile(name)
    assert store.read(ANCHORS.newest).decode() == trail.reader.checkpoint()
    assert list(ANCHORS.kept_sizes(store)) == [size]


def test_the_next_round_goes_on_and_drops_partial_tiles_that_grew(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    now = iter([0.0, 30.0, 60.0])
    duty = publishing(trail, store, monotonic=lambda: next(now))
    for count in (10, 20, 300):
        trail.grow(count, batch=100)
        duty.run()

    # The first round is a heartbeat: what it put stays.
    kept = {"tile/0/000.p/11", "tile/entries/000.p/11"}
    assert {str(name) for name in tiles_of(trail.log.size)} | kept == names(store)


def test_another_process_goes_on_where_the_last_one_was(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    trail.grow(300, batch=100)
    publishing(trail, store).run()
    trail.grow(300, batch=100)
    publishing(trail, store).run()

    last = TileName(level=None, index=1)
    assert store.read(ANCHORS.tile(last)) == trail.reader.tile(last)
    assert 256 == len(parse_bundle(store.read(ANCHORS.tile(last))))


def test_what_is_forgotten_is_published_again_and_changes_nothing(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    trail.grow(300, batch=100)
    publishing(trail, store).run()
    before = names(store)
    (trail.folder / "publishing.json").write_bytes(b"{half")
    publishing(trail, store).run()

    assert before == names(store)


def test_a_tile_that_exists_with_other_octets_is_an_alarm_and_stays(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    trail.grow(300, batch=100)
    key = ANCHORS.tile(TileName(level=0, index=0))
    store.replace(key, b"x" * 8192)

    with pytest.raises(TrailBrokenError, match="tile/0/000"):
        publishing(trail, store).run()
    assert b"x" * 8192 == store.read(key)


def test_a_log_that_is_shorter_than_what_was_published_is_an_alarm(
    trail: Trail, store: FolderThatNeverLocks, tmp_path: Path
) -> None:
    trail.grow(50)
    publishing(trail, store).run()
    (tmp_path / "restored").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path / 'restored'}", schema="audit")
    restored = Trail(engine=engine, folder=tmp_path / "restored")
    restored.grow(20)

    with pytest.raises(TrailBrokenError, match="51 were published"):
        publishing(restored, store).run()
    restored.log.close()
    engine.dispose()


def test_another_log_of_the_same_key_is_an_alarm(
    trail: Trail, store: FolderThatNeverLocks, tmp_path: Path
) -> None:
    trail.grow(20)
    publishing(trail, store).run()
    (tmp_path / "fork").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path / 'fork'}", schema="audit")
    fork = Trail(engine=engine, folder=tmp_path / "fork")
    fork.grow(50)

    with pytest.raises(TrailBrokenError, match="does not begin"):
        publishing(fork, store).run()
    fork.log.close()
    engine.dispose()


def test_remembered_hashes_that_are_not_the_logged_ones_are_an_alarm(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    trail.grow(20)
    publishing(trail, store).run()
    file = trail.folder / "publishing.json"
    members = json.loads(file.read_bytes())
    members["tails"][0] = members["tails"][0].replace("A", "B")
    file.write_text(json.dumps(members, separators=(",", ":"), sort_keys=True))

    with pytest.raises(TrailBrokenError, match="remembered"):
        publishing(trail, store).run()


def test_a_checkpoint_of_another_key_is_not_published(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    duty = Publishing(
        trail.reader,
        store,
        verifier=signer(bytes(32)).verifier,
        memory=Memory(trail.folder / "publishing.json"),
        config=PublishingConfig(),
    )

    with pytest.raises(TrailBrokenError):
        duty.run()
    with pytest.raises(NotFoundError):
        store.read(ANCHORS.newest)


def test_a_cosigned_note_of_the_log_before_is_left_alone(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    before = signer(bytes(32), "vault.example/before")
    note = before.sign_checkpoint(
        Checkpoint(origin="vault.example/before", size=3, root=bytes(32))
    )
    publishing(trail, store, cosigned=lambda: note).run()

    assert store.read(ANCHORS.newest).decode() == trail.reader.checkpoint()
    with pytest.raises(NotFoundError):
        store.read(ANCHORS.cosigned)


def test_a_folder_is_named_as_what_never_locks(
    trail: Trail, store: FolderThatNeverLocks
) -> None:
    duty = publishing(trail, store)
    duty.run()
    facts = duty.facts()

    assert (False, True, 1) == (facts["locks"], facts["looked"], facts["size"])
    assert "a folder never locks" in str(facts["warning"])


@pytest.mark.parametrize(
    "origin", ["Vault.example/audit", "a b", "../x", "ä", "a" * 90]
)
def test_an_origin_that_is_no_key_has_a_place_of_its_own(origin: str) -> None:
    assert Anchors(origin).prefix.startswith("audit/sha256-")
    assert ObjectKey(str(Anchors(origin).newest))
    deepest = TileName(level=None, index=10**14, width=255)
    assert ObjectKey(str(Anchors(origin).tile(deepest)))
