from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.simulators.warden import (
    CHEAP,
    MONTH,
    PASSPHRASE,
    CatalogInMemory,
    Trail,
    audit_engine,
    audit_log,
)
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.sealing.keyring import Keyring


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.create(
        tmp_path / "keyring.json", PASSPHRASE, months=[MONTH], cost=CHEAP
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = audit_engine(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def log(engine: Engine, keyring: Keyring, tmp_path: Path) -> Iterator[AuditLog]:
    with audit_log(tmp_path, keyring, engine).open() as log:
        yield log


@pytest.fixture
def reader(engine: Engine, log: AuditLog) -> TrailReader:
    return TrailReader(engine)


@pytest.fixture
def trail(engine: Engine, log: AuditLog) -> Trail:
    return Trail(engine)


@pytest.fixture
def catalog() -> CatalogInMemory:
    return CatalogInMemory()
