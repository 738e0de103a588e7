"""An installation with its people and devices, and what they see of a call."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.simulators.installation import Call, Installation, Pbx

NUMBERS = {"caller": "+442079460123", "callee": "+442079460100"}


@dataclass(kw_only=True)
class Site:
    """An installation that serves, its people and its devices."""

    vault: Installation
    pbx: Pbx
    other_pbx: Pbx
    sam: httpx.Client
    "Supervisor of Claims."
    rita: httpx.Client
    "Supervisor of Sales."
    olivia: httpx.Client
    "Compliance officer."
    admin: httpx.Client

    def heard(self, **what: Any) -> "Heard":
        """Place a call in Claims and wait until it is finished."""
        return self.wait(self.pbx.place(**{"workgroup": "Claims", **NUMBERS, **what}))

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
