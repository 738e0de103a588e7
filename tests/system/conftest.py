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
from tests.simulators.site import Heard, Site
from vault.core.media import SrtpSuite


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The shared installation."""
    vault = Installation()
    try:
        vault.said("init", "--yes")
        vault.start()
        people = (
            ("sam", "supervisor", "Claims"),
            ("rita", "supervisor", "Sales"),
            ("olivia", "officer"),
            ("admin", "administrator"),
        )
        with ThreadPoolExecutor(max_workers=3) as pool:
            pbx = pool.submit(vault.add_pbx, "pbx")
            other = pool.submit(vault.add_pbx, "other-pbx")
            list(pool.map(lambda person: vault.add_user(*person), people))
            sam, rita, olivia, admin = pool.map(vault.sign_in, [p[0] for p in people])
        yield Site(
            vault=vault,
            pbx=pbx.result(),
            other_pbx=other.result(),
            sam=sam,
            rita=rita,
            olivia=olivia,
            admin=admin,
        )
        # Everything that the tests did must leave it able to end in order.
        assert vault.stop() == 0
    finally:
        vault.close()


@pytest.fixture(scope="session")
def calls_by_suite(site: Site) -> Mapping[SrtpSuite, Heard]:
    """One finished call under each suite, placed at the same time."""

    def place(suite: SrtpSuite) -> Heard:
        return site.heard(suite=suite, encodings=("PCMU", "PCMA"), seconds=2.5)

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
