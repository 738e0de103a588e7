"""What every test gets: no sockets in unit and property tests, private folders."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pytest_socket import disable_socket, enable_socket

_QUIET = ("unit", "property")
SHARED = Path(__file__).resolve().parents[2] / "shared"
"Measured material that may lie beside a checkout; tests skip where it is absent."


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Keep tests of one ``xdist_group`` on one worker.

    pytest-xdist 3.8 writes the group into a member that pytest 9.2 no longer reads,
    and every expensive fixture was made twice (pytest-dev/pytest-xdist#1386).
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        mark, identity = item.get_closest_marker("xdist_group"), getattr(item, "id", "")
        if mark is not None and hasattr(identity, "parse"):
            item._id = identity.parse(f"{identity}@{mark.args[0]}")  # type: ignore[attr-defined] # of pytest 9.2


@pytest.fixture(autouse=True)
def _sockets_only_where_they_belong(request: pytest.FixtureRequest) -> Iterator[None]:
    parts = Path(str(request.node.path)).parts
    if any(name in parts for name in _QUIET):
        disable_socket(allow_unix_socket=True)
        yield
        enable_socket()
    else:
        yield


@pytest.fixture(autouse=True, scope="module")
def _logs_as_they_come() -> Iterator[None]:
    """No module inherits how another one, or a command it ran, writes its lines."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _logs_as_they_were(_logs_as_they_come: None) -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _private_files() -> None:
    os.umask(0o077)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared material, or skip with the reason."""
    if not SHARED.is_dir():
        pytest.skip("the shared test material does not lie beside this checkout")
    return SHARED
