"""One catalog per test, on SQLite and on a real PostgreSQL: the same tests on both."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, text

from vault.access.passwords import PasswordConfig, Passwords
from vault.access.tables import METADATA as ACCESS
from vault.access.tables import WORKGROUP
from vault.access.workgroups import DEFAULT_WORKGROUP
from vault.catalog.recordings import Recordings
from vault.catalog.schema import upgrade_catalog
from vault.catalog.tables import METADATA as CATALOG
from vault.catalog.values import OpenRecording, StoredObject
from vault.core.flow import HowEnded
from vault.core.ids import (
    DeviceId,
    KeyId,
    RecordingId,
    UserId,
    WorkgroupId,
    new_id,
    new_recording_id,
)
from vault.database.engine import open_engine, transaction

_SIMULATOR = Path(__file__).parents[2] / "simulators" / "postgres.py"

WORKGROUP_A = WorkgroupId("aaaaaaaa-0000-4000-8000-000000000000")


class HeldClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 1_795_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    spec = importlib.util.spec_from_file_location("throwaway_postgres", _SIMULATOR)
    assert spec is not None
    assert spec.loader is not None
    simulator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(simulator)
    with simulator.throwaway_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_catalog(postgres_url: str) -> Iterator[Engine]:
    engine = open_engine(postgres_url, schema="catalog", relaxed_for_tests=True)
    upgrade_catalog(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def _sqlite_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    engine = open_engine(f"sqlite:///{folder}", schema="catalog")
    upgrade_catalog(engine)
    engine.dispose()
    return folder / "catalog.sqlite"


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def catalog_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return a migrated, empty catalog."""
    if request.param == "sqlite":
        shutil.copy(
            request.getfixturevalue("_sqlite_catalog"), tmp_path / "catalog.sqlite"
        )
        engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
        yield engine
        engine.dispose()
        return
    engine = request.getfixturevalue("_postgres_catalog")
    tables = ", ".join(f'"{name}"' for name in (*CATALOG.tables, *ACCESS.tables))
    with transaction(engine) as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
        connection.execute(
            insert(WORKGROUP).values(
                id=DEFAULT_WORKGROUP, name="default", name_key="default"
            )
        )
    yield engine


@pytest.fixture(scope="session")
def passwords() -> Passwords:
    """Return a hasher that costs next to nothing."""
    return Passwords(PasswordConfig(memory_kib=8, iterations=1, lanes=1))


@pytest.fixture
def recordings(catalog_engine: Engine, clock: HeldClock) -> Recordings:
    return Recordings(catalog_engine, clock=clock)


def order(
    recording_id: RecordingId | None = None,
    *,
    workgroup: WorkgroupId = WORKGROUP_A,
    day: str = "2026-11-23",
    agent: UserId | None = None,
    device: DeviceId | None = None,
) -> OpenRecording:
    return OpenRecording(
        id=recording_id or new_recording_id(),
        device_id=device or DeviceId("dddddddd-0000-4000-8000-000000000000"),
        workgroup_id=workgroup,
        agent_id=agent,
        day=day,
        kid=KeyId("0123456789abcdef0123456789abcdef"),
        envelope=b'{"v":1}',
    )


@pytest.fixture
def new_order() -> Callable[..., OpenRecording]:
    return order


def stored(
    name: str, *, media_type: str = "application/octet-stream", fill: str = "a"
) -> StoredObject:
    return StoredObject(name=name, size=100, sha256=fill * 64, media_type=media_type)


@pytest.fixture
def new_object() -> Callable[..., StoredObject]:
    return stored


@pytest.fixture
def capture(recordings: Recordings) -> Callable[[RecordingId], None]:
    """Return what ships a call that was opened before."""

    def ship(recording_id: RecordingId) -> None:
        recordings.captured(
            recording_id,
            objects=[stored("capture/0001"), stored("manifest")],
            size_bytes=16_456,
            manifest_sha256="b" * 64,
            how=HowEnded.BYE,
        )

    return ship


@pytest.fixture
def new_worker() -> Callable[[], str]:
    return lambda: f"worker-{new_id()[:8]}"
