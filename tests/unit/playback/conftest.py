"""An installation in a folder, for each test that needs one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.calls import Vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = Vault(tmp_path / "vault")
    yield vault
    vault.close()
