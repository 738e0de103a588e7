"""What the web room is handed: the rooms it serves, ready to use.

Left to others: making them (`vault.wiring`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from vault.access.activations import Activations
from vault.access.address_rules import AddressRules
from vault.access.devices import Devices
from vault.access.duties import Duties
from vault.access.extensions import Extensions
from vault.access.factor_proofs import FactorProofs
from vault.access.factors import Factors
from vault.access.grants import Grants
from vault.access.kept_passwords import KeptPasswords
from vault.access.known_devices import KnownDevices
from vault.access.oidc import OpenIdConnect
from vault.access.password_rules import PasswordRules
from vault.access.people import People
from vault.access.provider_sessions import ProviderSessions
from vault.access.saved_searches import SavedSearches
from vault.access.sessions import Sessions
from vault.access.signin import SignIn
from vault.access.standing import StandingCheck
from vault.access.throttle import Throttle
from vault.access.tokens import Tokens
from vault.access.trail_exports import TrailExports
from vault.access.workgroups import Workgroups
from vault.audit.anomalies import BusinessHours
from vault.audit.source import TrailSource
from vault.catalog.marks import Holds
from vault.catalog.recordings import Recordings
from vault.core.clock import Clock, system_clock_ns
from vault.objects.interfaces import ObjectStore
from vault.playback.service import Playback
from vault.trust.interfaces import Warden
from vault.web.anchors import AnchorLine
from vault.web.floods import Floods
from vault.web.in_force import SettingInForce
from vault.web.kept_reports import KeptReports
from vault.web.notes import Notes
from vault.web.slots import StreamSlots, TailPace


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The rooms behind HTTP; all thread-safe."""

    people: People
    workgroups: Workgroups
    devices: Devices
    extensions: Extensions
    address_rules: AddressRules
    sign_in: SignIn
    password_rules: PasswordRules
    kept_passwords: KeptPasswords
    activations: Activations
    throttle: Throttle
    factors: Factors
    factor_proofs: FactorProofs
    sessions: Sessions
    known_devices: KnownDevices
    tokens: Tokens
    grants: Grants
    duties: Duties
    saved_searches: SavedSearches
    trail_exports: TrailExports
    holds: Holds
    recordings: Recordings
    playback: Playback
    warden: Warden
    trail: TrailSource
    trail_key: str
    "The verifier key of the log; empty where this process may not read it."
    standing: StandingCheck | None = None
    "Asks sources about who is in; None where nobody does."
    stores: Sequence[ObjectStore] = ()
    "Asked by `/readyz`."
    tap: Callable[[], str] | None = None
    """In a few words how the tap of this machine stands, `ok` if well; None where no
    tap can be asked."""
    auditor: Callable[[], str] | None = None
    "The same of the auditor."
    cosigned: Callable[[], str | None] = str
    "The newest checkpoint that witnesses signed, too; for exports."
    anchors: Callable[[], Sequence[AnchorLine]] = tuple
    "What the trail's page says of it."
    clock: Clock = system_clock_ns
    oidc: OpenIdConnect | None = None
    "A provider that people may sign in at; None where none is configured."
    provider_sessions: ProviderSessions | None = None
    "Goes with it."
    in_force: Sequence[SettingInForce] = ()
    "What administrators read of the configuration."
    business_hours: BusinessHours = field(default_factory=BusinessHours)
    "Listening at another time is a hint in the report."
    reports: KeptReports = field(default_factory=KeptReports)
    floods: Floods = field(default_factory=Floods)
    done: Notes = field(default_factory=Notes)
    "What the next page of a session says was done."
    locks: Notes = field(default_factory=Notes)
    "Why a session is locked, where nobody being there is not why."
    tail_pace: TailPace = field(default_factory=TailPace)
    tails: StreamSlots = field(default_factory=lambda: StreamSlots(per_session=2))
    "Who follows the trail: so many of one session,"
    all_tails: StreamSlots = field(default_factory=lambda: StreamSlots(per_session=32))
    "and so many of all together."
    step_up_s: float = 900.0
    "How old a proof of who it is may be for what leaves the vault or can't be undone."


def services_of(request: Request) -> Services:
    """Return the services that the application was made with."""
    return cast("Services", request.app.state.services)
