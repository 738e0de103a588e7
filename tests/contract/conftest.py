"""What contract tests run on: one real S3 server for the whole session."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_SIMULATORS = Path(__file__).resolve().parents[1] / "simulators"


def _simulator(name: str) -> ModuleType:
    # Test folders are no packages (import mode importlib), so it has no name yet.
    full = f"simulators_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, _SIMULATORS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def radosgw() -> Iterator[Any]:
    """A running `simulators/radosgw.py` gateway, or a skip with the reason."""
    module = _simulator("radosgw")
    if reason := module.missing():
        pytest.skip(f"no S3 server: {reason}")
    with module.running() as gateway:
        yield gateway


@pytest.fixture
def s3_faults(radosgw: Any) -> Iterator[Any]:
    """A `simulators/s3_faults.py` wire to the gateway, and its faults."""
    module = _simulator("s3_faults")
    with module.wire("127.0.0.1", radosgw.port) as running:
        running.Fault = module.Fault
        yield running
