"""What the web room is handed: the rooms it serves, ready to use.

Left to others: making them (`vault.wiring`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from vault.access.devices import Devices
from vault.access.grants import Grants
from vault.access.people import People
from vault.access.sessions import Sessions
from vault.access.signin import SignIn
from vault.access.tokens import Tokens
from vault.access.workgroups import Workgroups
from vault.audit.reading import TrailReader
from vault.catalog.recordings import Recordings
from vault.core.clock import Clock, system_clock_ns
from vault.objects.interfaces import ObjectStore
from vault.playback.service import Playback
from vault.trust.interfaces import Warden


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The rooms behind HTTP; all thread-safe."""

    people: People
    workgroups: Workgroups
    devices: Devices
    sign_in: SignIn
    sessions: Sessions
    tokens: Tokens
    grants: Grants
    recordings: Recordings
    playback: Playback
    warden: Warden
    trail: TrailReader
    stores: Sequence[ObjectStore] = ()
    "Asked by `/readyz`."
    tap: Callable[[], str] | None = None
    """In a few words how the tap of this machine stands, `ok` if well; None where no
    tap can be asked."""
    clock: Clock = system_clock_ns


def services_of(request: Request) -> Services:
    """Return the services that the application was made with."""
    return cast("Services", request.app.state.services)
