"""The web application: edge, API, pages and static files in one place.

Guarantees: every request passes `vault.web.edge` first; every failure is
answered by `vault.web.answers`; there is no schema or documentation route that
would list what a reader may not see.

Left to others: the rooms (`vault.web.services`), the server (`vault.serving`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from vault.access.address_rules import Listener
from vault.core.errors import UnavailableError
from vault.core.flow import NOBODY, Caller
from vault.web.answers import LastResort, answer_errors
from vault.web.api import (
    address_rules,
    approvals,
    audit,
    classes,
    devices,
    emergency,
    extensions,
    factors,
    marks,
    passkeys,
    passwords,
    recordings,
    rights,
    searches,
    sessions,
    tokens,
    trail_report,
    users,
    workgroups,
)
from vault.web.api.health import health_routes
from vault.web.api.media import media_routes
from vault.web.config import WebConfig
from vault.web.crowd import Crowd
from vault.web.edge import StrictEdge
from vault.web.entrance import Entrance
from vault.web.pages import (
    account,
    activation,
    addresses,
    duties,
    entry,
    holds,
    password,
    people,
    policies,
    provider,
)
from vault.web.pages import audit as audit_pages
from vault.web.pages import devices as device_pages
from vault.web.pages import extensions as extension_pages
from vault.web.pages import factors as factor_pages
from vault.web.pages import recordings as recording_pages
from vault.web.pages import sessions as session_pages
from vault.web.pages import trail_report as report_pages
from vault.web.pages import workgroups as workgroup_pages
from vault.web.pages.frame import (
    FactorFirst,
    PasswordFirst,
    SignInFirst,
    lead_to_factors,
    lead_to_password,
    lead_to_sign_in,
)
from vault.web.pages.system import system_routes
from vault.web.rates import ActorRates
from vault.web.services import Services
from vault.web.views import STATIC, Views

_SWEEP_EVERY_S: Final = 5.0
_HASHED: Final = "/assets/"
_FOREVER: Final = "public, max-age=31536000, immutable"
_NOT_AT_ALL: Final = "no-store"


class _Bundle(StaticFiles):
    """The built bundle: names under ``assets`` hold a digest and never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = _HASHED in f"/{path}"
        response.headers["Cache-Control"] = _FOREVER if hashed else _NOT_AT_ALL
        return response


def tell_floods(services: Services) -> None:
    """Tell the trail of the refusals that no other one came after."""
    Entrance(services).log_flood(Caller(actor=NOBODY), services.floods.rest())


@asynccontextmanager
async def _while_serving(app: FastAPI) -> AsyncIterator[None]:
    """Drop lapsed keys every few seconds, and every key at the end."""
    services: Services = app.state.services

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            with suppress(UnavailableError):
                await run_sync(services.playback.sweep)
            await run_sync(tell_floods, services)

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        await run_sync(tell_floods, services)
        await run_sync(services.playback.shutdown)


def api_routers(config: WebConfig) -> Sequence[APIRouter]:
    """Return what programs ask; `vault.web.openapi` describes all of it."""
    return (
        sessions.router,
        passkeys.router,
        factors.router,
        tokens.router,
        recordings.router,
        media_routes(config),
        audit.router,
        trail_report.router,
        searches.router,
        extensions.router,
        address_rules.router,
        passwords.router,
        rights.router,
        classes.router,
        approvals.router,
        emergency.router,
        marks.router,
        users.router,
        workgroups.router,
        devices.router,
        health_routes(config),
    )


def page_routers(config: WebConfig) -> Sequence[APIRouter]:
    """Return what people look at."""
    return (
        entry.router,
        factor_pages.router,
        account.router,
        password.router,
        provider.router,
        recording_pages.router,
        report_pages.router,
        audit_pages.router,
        extension_pages.router,
        duties.router,
        holds.router,
        people.router,
        activation.router,
        workgroup_pages.router,
        device_pages.router,
        session_pages.router,
        policies.router,
        addresses.router,
        system_routes(config),
    )


def create_web_app(services: Services, config: WebConfig) -> FastAPI:
    """Return the application over *services*.

    Raises:
        ConfigurationError: The pages' bundle was not built.
    """
    app = FastAPI(
        title="Callvault",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_while_serving,
    )
    # A redirect for a slash would tell that a path exists before anyone asked who.
    app.router.redirect_slashes = False
    app.state.services = services
    app.state.rates = ActorRates(per_minute=config.actor_requests_per_minute)
    app.state.views = views = Views(
        idle_s=services.sessions.idle_s,
        provider=services.oidc.config.label if services.oidc else "",
        offers_passkeys=services.factors.passkeys.are_offered_at,
    )
    for router in (*api_routers(config), *page_routers(config)):
        app.include_router(router)
    app.mount("/static", _Bundle(directory=STATIC), name="static")
    answer_errors(app, views.problem)
    app.add_exception_handler(SignInFirst, lead_to_sign_in)
    app.add_exception_handler(PasswordFirst, lead_to_password)
    app.add_exception_handler(FactorFirst, lead_to_factors)
    app.add_middleware(LastResort, page=views.problem)
    rules = partial(services.address_rules.snapshot, Listener.WEB)
    app.add_middleware(Crowd, refused=services.floods.count)
    app.add_middleware(StrictEdge, config=config, rules=rules)
    return app
