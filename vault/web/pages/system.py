"""Health: what an administrator or a custodian looks at (read-only)."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.permissions import Permission
from vault.web.api.health import checks
from vault.web.config import WebConfig
from vault.web.pages.frame import PageVisit

_OK: Final = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a plain table."""

    text: str
    badge: str = ""


def system_routes(config: WebConfig) -> APIRouter:
    """Return the page of health."""
    router = APIRouter()

    @router.get("/health")
    def health_page(visit: PageVisit) -> Response:
        visit.insist(Permission.SYSTEM_HEALTH_READ)
        rows = [
            (
                Cell(text=name.capitalize()),
                Cell(
                    text="ok" if text == _OK else "look at this",
                    badge="ok" if text == _OK else "partial",
                ),
                Cell(text="" if text == _OK else text),
            )
            for name, text in checks(visit.services, config).items()
        ]
        return visit.page(
            "table.html",
            heading="Health",
            columns=("What", "State", ""),
            rows=rows,
            hint="The same for machines: /readyz, and /metrics on its own port.",
        )

    return router
