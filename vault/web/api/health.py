"""``/healthz`` and ``/readyz``: for balancers and operators, without a credential.

Guarantees: the answers name what is wrong and nothing about recordings.
"""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from vault.core.errors import VaultError
from vault.web.api.shapes import AliveShape, ReadyShape
from vault.web.config import WebConfig
from vault.web.emergencies import emergencies_text
from vault.web.identity import Rooms
from vault.web.services import Services

_UNAVAILABLE: Final = 503
_OK: Final = "ok"


def checks(services: Services, config: WebConfig) -> dict[str, str]:
    """Return each dependency's state by name: ``ok`` or what is wrong."""
    health = services.warden.health()
    found = {
        "warden": _OK if health.healthy else health.detail or "not healthy",
        "database": _database(services),
        "store": _store(services),
    }
    # Playback does not need it, and a balancer has nothing to do with it.
    if services.tap is not None:
        found["tap"] = services.tap()
    if services.auditor is not None:
        found["auditor"] = services.auditor()
    found["emergency"] = _emergency(services)
    # A gap in hardening is said, and stops nothing: the operator decides.
    found["hardening"] = "; ".join(config.hardening_gaps) or _OK
    return found


def health_routes(config: WebConfig) -> APIRouter:
    """Return the routes of health."""
    router = APIRouter()

    @router.get("/healthz", response_model=AliveShape)
    def healthz() -> JSONResponse:
        """Answer while the process does."""
        return JSONResponse({"status": _OK})

    @router.get(
        "/readyz", response_model=ReadyShape, responses={503: {"model": ReadyShape}}
    )
    def readyz(services: Rooms) -> JSONResponse:
        """Say whether warden, database and store are well."""
        found = checks(services, config)
        needed = ("warden", "database", "store")
        ready = all(found[name] == _OK for name in needed)
        return JSONResponse(
            {"status": _OK if ready else "not ready", "checks": found},
            status_code=200 if ready else _UNAVAILABLE,
        )

    return router


def _database(services: Services) -> str:
    try:
        services.recordings.counts()
        services.trail.head()
    except VaultError as error:
        return str(error)
    return _OK


def _emergency(services: Services) -> str:
    try:
        return emergencies_text(services)
    except VaultError as error:
        return str(error)


def _store(services: Services) -> str:
    try:
        for store in services.stores:
            store.check()
    except VaultError as error:
        return str(error)
    return _OK
