"""An installation with its people and devices, and what they see of a call."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.simulators.installation import Call, Installation, Pbx

NUMBERS = {"caller": "+442079460123", "callee": "+442079460100"}


PEOPLE = (
    ("sam", "supervisor", "Claims"),
    ("rita", "supervisor", "Sales"),
    ("olivia", "officer"),
    ("admin", "administrator"),
)


@dataclass(kw_only=True)
class Site:
    """An installation that serves, its people and its devices."""

    vault: Installation
    pbx: Pbx
    other_pbx: Pbx
    people: Mapping[str, httpx.Client]

    @property
    def sam(self) -> httpx.Client:
        """The supervisor of Claims."""
        return self.people["sam"]

    @property
    def rita(self) -> httpx.Client:
        """The supervisor of Sales."""
        return self.people["rita"]

    @property
    def olivia(self) -> httpx.Client:
        """The compliance officer."""
        return self.people["olivia"]

    @property
    def admin(self) -> httpx.Client:
        """The administrator."""
        return self.people["admin"]

    def heard(self, by: Pbx | None = None, **what: Any) -> "Heard":
        """Place a call in Claims and wait until it is finished."""
        pbx = by or self.pbx
        return self.wait(pbx.place(**{"workgroup": "Claims", **NUMBERS, **what}))

    def wait(self, call: Call) -> "Heard":
        """Wait until *call* is finished."""
        return Heard(call=call, shown=self.vault.finished(self.sam, call.id))


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A call that is finished, and what the API says of it."""

    call: Call
    shown: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its recording's id."""
        return self.call.id

    @property
    def state(self) -> tuple[str, str | None]:
        """How it ended, and why."""
        return self.shown["state"], self.shown["reason"]

    def total(self, member: str) -> int:
        """Return a counter, over all streams."""
        return sum(stream[member] for stream in self.shown["streams"])


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the members of an RFC 9457 answer."""
    assert answer.headers["content-type"] == "application/problem+json"
    members: dict[str, Any] = json.loads(answer.content)
    assert members["status"] == answer.status_code
    return members


@contextmanager
def serving(
    *, people: Sequence[tuple[str, ...]] = PEOPLE, **settings: str
) -> Iterator[Site]:
    """Make an installation, serve it for the length of the block, end it in order."""
    vault = Installation(settings)
    try:
        vault.said("init", "--yes")
        vault.start()
        with ThreadPoolExecutor(max_workers=2) as pool:
            # People first: the tap learns of workgroups when it learns of devices,
            # and a call of a workgroup that it does not know is nobody's.
            for added in [pool.submit(vault.add_user, *person) for person in people]:
                added.result()
            pbx, other = pool.map(vault.add_pbx, ("pbx", "other-pbx"))
        signed_in = {name: vault.sign_in(name) for name, *_ in people}
        yield Site(vault=vault, pbx=pbx, other_pbx=other, people=signed_in)
        # Whatever the tests did must leave it able to end in order.
        assert vault.stop() == 0
    finally:
        vault.close()
