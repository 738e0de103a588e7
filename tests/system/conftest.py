"""What system tests run against: installations made and served as anybody would.

One installation is shared by every test that leaves it as it was; tests that kill,
stop or break things make their own.  Modules that share one carry the same
``xdist_group``, so that one worker has it.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.simulators.installation import Installation
from tests.simulators.site import PEOPLE, Heard, Site, serving
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The installation of tests that break nothing in it."""
    with serving(people=PEOPLE) as site:
        yield site


@pytest.fixture(scope="session")
def troubled() -> Iterator[Site]:
    """The installation of tests that kill and block its processes."""
    with serving(people=PEOPLE[:1]) as site:
        yield site


@pytest.fixture(scope="session")
def calls_by_suite(site: Site) -> Mapping[SrtpSuite, Heard]:
    """One finished call under each suite, placed at the same time."""

    legacy = site.vault.add_pbx("legacy", *Allowance)

    def place(suite: SrtpSuite) -> Heard:
        return site.heard(legacy, suite=suite, encodings=("PCMU", "PCMA"), seconds=2.5)

    with ThreadPoolExecutor() as pool:
        return dict(zip(SrtpSuite, pool.map(place, SrtpSuite), strict=True))


@pytest.fixture
def installed() -> Iterator[Callable[..., Installation]]:
    """Make installations that are initialised and not served yet."""
    with ExitStack() as stack:

        def make(**settings: str) -> Installation:
            vault = Installation(settings)
            stack.callback(vault.close)
            vault.said("init", "--yes")
            return vault

        yield make


@pytest.fixture
def bare() -> Iterator[Installation]:
    """A place where nothing was made yet."""
    vault = Installation()
    yield vault
    vault.close()
