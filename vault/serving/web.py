"""The web process: pages, API, playback."""

import asyncio
from collections.abc import Callable

from vault import process
from vault.access.devices import Devices
from vault.access.grants import Grants
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.sessions import SessionConfig, Sessions
from vault.access.signin import SignIn
from vault.access.throttle import Throttle
from vault.access.tokens import Tokens
from vault.access.workgroups import Workgroups
from vault.catalog.recordings import Recordings
from vault.playback.service import Playback
from vault.serving import http
from vault.serving.children import say_ready
from vault.serving.tap_status import read_status
from vault.trust.interfaces import Warden
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
        app = create_web_app(
            web_services(installation, warden),
            WebConfig(
                hardening_gaps=process.harden(),
                https=settings.tls_for("web")[0] is not None,
            ),
        )
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
        return f"takes no calls: {reason}" if reason else "ok"

    return stands


def web_services(installation: Installation, warden: Warden) -> Services:
    """Return the rooms that HTTP serves."""
    settings, engine = installation.settings, installation.catalog
    recordings = Recordings(engine)
    sessions = Sessions(
        engine,
        SessionConfig(
            idle_s=settings.sign_in_idle_s, absolute_s=settings.sign_in_max_s
        ),
    )
    return Services(
        people=People(engine),
        workgroups=Workgroups(engine),
        devices=Devices(engine),
        sign_in=SignIn(
            engine,
            passwords=Passwords(
                PasswordConfig(memory_kib=settings.password_memory_mib * 1024)
            ),
            throttle=Throttle(engine),
            sessions=sessions,
        ),
        sessions=sessions,
        tokens=Tokens(engine),
        grants=Grants(engine),
        recordings=recordings,
        playback=Playback(
            recordings=recordings,
            store=installation.stores.media,
            keys=warden,
            trail=warden,
        ),
        warden=warden,
        trail=installation.trail_reader(),
        stores=(installation.stores.media, installation.stores.envelopes),
        tap=_tap_of(installation),
    )
