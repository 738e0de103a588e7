"""An open spool in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.core.ids import DeviceId, KeyId, WorkgroupId, new_recording_id
from vault.spool.config import SpoolConfig
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool


@pytest.fixture
def order() -> SpoolOrder:
    return SpoolOrder(
        recording_id=new_recording_id(),
        device_id=DeviceId("22222222-2222-4222-8222-222222222222"),
        workgroup_id=WorkgroupId("11111111-1111-4111-8111-111111111111"),
        agent_id=None,
        kid=KeyId("ab" * 16),
        tap="tap",
        started="2026-11-23T06:16:09.123456789Z",
    )


@pytest.fixture
def config(tmp_path: Path) -> SpoolConfig:
    return SpoolConfig(directory=tmp_path / "spool", reserve_bytes=0, reserve_inodes=0)


@pytest.fixture
def spool(config: SpoolConfig) -> Iterator[Spool]:
    with Spool(config) as opened:
        yield opened
