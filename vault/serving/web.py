"""The web process: pages, API, playback."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vault import process
from vault.access.activations import Activations
from vault.access.address_rules import AddressRules
from vault.access.devices import Devices
from vault.access.extensions import Extensions
from vault.access.factor_proofs import FactorProofs
from vault.access.factors import Factors
from vault.access.grants import Grants
from vault.access.kept_passwords import KeptPasswords
from vault.access.known_devices import KnownDevices
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.provider_sessions import ProviderSessions
from vault.access.provisioning import Accounts
from vault.access.saved_searches import SavedSearches
from vault.access.sessions import SessionConfig, Sessions
from vault.access.signin import SignIn
from vault.access.standing import StandingCheck
from vault.access.throttle import Throttle
from vault.access.tokens import Tokens
from vault.access.trail_exports import TrailExports
from vault.access.workgroups import Workgroups
from vault.auditor.cosigned import CosignedNote
from vault.catalog.marks import Holds
from vault.catalog.recordings import Recordings
from vault.core.errors import ConfigurationError
from vault.edge.config import MAX_BODY_BYTES
from vault.playback.service import Playback
from vault.serving import http, logs
from vault.serving.children import say_ready
from vault.serving.domains import enter_domain
from vault.serving.duties import duties_of
from vault.serving.identity import open_id_connect
from vault.serving.in_force import settings_in_force
from vault.serving.lives import written_down
from vault.serving.sources import (
    account_config,
    password_rules,
    sign_in_config,
    sources,
)
from vault.serving.standing_words import lines_of, word_of
from vault.serving.tap_status import read_status
from vault.trust.client import WardenClient
from vault.trust.trail import TrailThroughWarden
from vault.web.accounts import tell_account
from vault.web.anchors import AnchorLine
from vault.web.app import create_web_app
from vault.web.config import WebConfig
from vault.web.services import Services
from vault.wiring import Installation


def serve_web(
    installation: Installation, *, door_fd: int | None, ready_fd: int | None
) -> None:
    """Be the web process until SIGTERM.

    Raises:
        ConfigurationError: No installation, or the port is taken.
    """
    installation.require("keys/log.vkey")
    settings = installation.settings
    with installation.warden_client(door_fd) as warden:
        services = web_services(installation, warden)
        # Everything that lies elsewhere is open now; nothing is asked for yet.
        gaps = (*process.harden(), *enter_domain("web", installation))
        logs.say_gaps(gaps)
        app = create_web_app(
            services,
            WebConfig(
                edge=http.edge_config(settings, "web", max_body_bytes=MAX_BODY_BYTES),
                actor_requests_per_minute=settings.web_actor_requests_per_minute,
                hardening_gaps=gaps,
                https=settings.tls_for("web")[0] is not None,
            ),
        )
        if services.standing is not None:
            services.standing.start()
        with written_down(warden, "web", settings):
            asyncio.run(
                http.serve(app, settings, "web", started=lambda: say_ready(ready_fd))
            )


def _tap_of(installation: Installation) -> Callable[[], str] | None:
    path = installation.tap_status_path
    # A web process that runs apart has another folder, and no tap in it.
    if not (installation.folder / "tap" / "manifest.key").is_file():
        return None

    def stands() -> str:
        # In a word: this is answered to whoever asks.
        status = read_status(path)
        if status is None or not status.is_alive:
            return "not running"
        reason, _ = status.trouble
        if reason:
            return f"takes no calls: {reason}"
        return "sip does not listen" if status.part("sip").word("problem") else "ok"

    return stands


def _auditor_of(installation: Installation) -> Callable[[], str] | None:
    path = installation.auditor_status_path
    # A web process that runs apart has no auditor in its folder.
    return (lambda: word_of(path)) if path.parent.is_dir() else None


def _anchors_of(installation: Installation) -> Callable[[], Sequence[AnchorLine]]:
    path = installation.auditor_status_path
    return (lambda: lines_of(path)) if path.parent.is_dir() else tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class _WaysIn:
    """Everything by which people prove who they are."""

    sessions: Sessions
    passwords: Passwords
    throttle: Throttle
    factors: Factors
    sign_in: SignIn
    standing: StandingCheck


def _ways_in(installation: Installation, warden: WardenClient) -> _WaysIn:
    settings, engine = installation.settings, installation.catalog
    config = SessionConfig(
        idle_s=settings.sign_in_idle_s, absolute_s=settings.sign_in_max_s
    )
    sessions, throttle = Sessions(engine, config), Throttle(engine)
    passwords = Passwords(
        PasswordConfig(memory_kib=settings.password_memory_mib * 1024)
    )
    authenticators = sources(settings, engine, passwords)
    accounts = Accounts(
        engine,
        account_config(settings, authenticators),
        tell=lambda changed: tell_account(warden, changed),
    )
    factors = Factors(
        engine,
        key=installation.factor_key(),
        origins=settings.passkey_origins,
        required_of=settings.second_factor_roles,
    )
    sign_in = SignIn(
        engine,
        authenticators=authenticators,
        accounts=accounts,
        throttle=throttle,
        sessions=sessions,
        factors=factors,
        config=sign_in_config(settings, authenticators),
    )
    # A round may just have begun: twice in the time that is promised.
    every_s = settings.ldap_recheck_s / 2
    return _WaysIn(
        sessions=sessions,
        passwords=passwords,
        throttle=throttle,
        factors=factors,
        sign_in=sign_in,
        standing=StandingCheck(engine, authenticators, accounts, every_s=every_s),
    )


def _trail_key(installation: Installation) -> str:
    """Return the log's verifier key, where web may read it."""
    try:
        return installation.verifier_key()
    except ConfigurationError:
        return ""


def web_services(installation: Installation, warden: WardenClient) -> Services:
    """Return the rooms that HTTP serves."""
    settings, engine = installation.settings, installation.catalog
    recordings, ways = Recordings(engine), _ways_in(installation, warden)
    reasons = installation.factor_key().reasons
    return Services(
        people=People(engine),
        workgroups=Workgroups(engine),
        devices=Devices(engine),
        extensions=Extensions(engine),
        address_rules=AddressRules(engine),
        sign_in=ways.sign_in,
        password_rules=password_rules(settings, ways.passwords),
        kept_passwords=KeptPasswords(engine),
        activations=Activations(engine),
        throttle=ways.throttle,
        standing=ways.standing,
        factors=ways.factors,
        factor_proofs=FactorProofs(
            ways.factors, throttle=ways.throttle, sign_in=ways.sign_in
        ),
        sessions=ways.sessions,
        known_devices=KnownDevices(engine),
        tokens=Tokens(engine),
        grants=Grants(engine, reasons=reasons),
        duties=duties_of(installation, reasons),
        saved_searches=SavedSearches(engine),
        trail_exports=TrailExports(engine),
        holds=Holds(engine),
        recordings=recordings,
        playback=Playback(
            recordings=recordings,
            store=installation.stores.media,
            keys=warden,
            trail=warden,
        ),
        warden=warden,
        trail=TrailThroughWarden(warden),
        trail_key=_trail_key(installation),
        stores=(installation.stores.media, installation.stores.envelopes),
        tap=_tap_of(installation),
        auditor=_auditor_of(installation),
        cosigned=CosignedNote(installation.cosigned_folder).read,
        anchors=_anchors_of(installation),
        oidc=open_id_connect(installation),
        provider_sessions=ProviderSessions(engine),
        step_up_s=settings.step_up_s,
        in_force=settings_in_force(settings),
        business_hours=settings.business_hours(),
    )
