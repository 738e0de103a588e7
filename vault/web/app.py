"""The web application: edge, API, pages and static files in one place.

Guarantees: every request passes `vault.web.edge` first; every failure is
answered by `vault.web.answers`; there is no schema or documentation route that
would list what a reader may not see.

Left to others: the rooms (`vault.web.services`), the server (`vault.serving`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from vault.core.errors import UnavailableError
from vault.web.answers import LastResort, answer_errors
from vault.web.api import audit, recordings, sessions
from vault.web.api.health import health_routes
from vault.web.api.media import media_routes
from vault.web.config import WebConfig
from vault.web.edge import StrictEdge
from vault.web.pages import audit as audit_pages
from vault.web.pages import entry
from vault.web.pages import recordings as recording_pages
from vault.web.pages.frame import SignInFirst, lead_to_sign_in
from vault.web.pages.system import system_routes
from vault.web.services import Services
from vault.web.views import STATIC, Views

_SWEEP_EVERY_S: Final = 5.0
_HASHED: Final = "/assets/"
_FOREVER: Final = "public, max-age=31536000, immutable"
_FOR_A_WHILE: Final = "public, max-age=3600"


class _Bundle(StaticFiles):
    """The built bundle: names under ``assets`` hold a digest and never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = _HASHED in f"/{path}"
        response.headers["Cache-Control"] = _FOREVER if hashed else _FOR_A_WHILE
        return response


@asynccontextmanager
async def _while_serving(app: FastAPI) -> AsyncIterator[None]:
    """Drop lapsed keys every few seconds, and every key at the end."""
    services: Services = app.state.services

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            with suppress(UnavailableError):
                await run_sync(services.playback.sweep)

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        await run_sync(services.playback.shutdown)


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
    app.state.views = views = Views()
    for router in (
        sessions.router,
        recordings.router,
        media_routes(config),
        audit.router,
        health_routes(config),
        entry.router,
        recording_pages.router,
        audit_pages.router,
        system_routes(config),
    ):
        app.include_router(router)
    app.mount("/static", _Bundle(directory=STATIC), name="static")
    answer_errors(app, views.problem)
    app.add_exception_handler(SignInFirst, lead_to_sign_in)
    app.add_middleware(LastResort, page=views.problem)
    app.add_middleware(StrictEdge, config=config)
    return app
