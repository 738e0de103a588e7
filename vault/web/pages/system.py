"""People, devices and health: what an administrator looks at (read-only here)."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vault.access.policy import Permission
from vault.core.flow import Allowance
from vault.web import words
from vault.web.api.health import checks
from vault.web.config import WebConfig
from vault.web.identity import Rooms, insist
from vault.web.pages.frame import PageAsker, PageViews, reader_of

_OK: Final = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a plain table."""

    text: str
    badge: str = ""
    time: bool = False


def system_routes(config: WebConfig) -> APIRouter:
    """Return the pages of administration."""
    router = APIRouter()

    @router.get("/people")
    def people_page(
        request: Request, asker: PageAsker, views: PageViews, services: Rooms
    ) -> Response:
        insist(services, asker, Permission.ACCESS_USER_EDIT)
        names = services.workgroups.names()
        rows = [
            (
                Cell(text=person.name),
                Cell(text=", ".join(sorted(str(role) for role in person.roles))),
                Cell(text=", ".join(sorted(names[one] for one in person.workgroups))),
                _state(good="active", bad="disabled", is_bad=person.disabled),
            )
            for person in services.people.list()
        ]
        return views.page(
            request,
            "table.html",
            reader=reader_of(asker),
            heading="People",
            columns=("Name", "Roles", "Workgroups", "State"),
            rows=rows,
            hint="Accounts are made and changed with callvault user.",
        )

    @router.get("/devices")
    def devices_page(
        request: Request, asker: PageAsker, views: PageViews, services: Rooms
    ) -> Response:
        insist(services, asker, Permission.ACCESS_POLICY_EDIT)
        listing = services.devices.list()
        rows = [
            (
                Cell(text=listed.device.name),
                Cell(text=listed.device.media_advertise or "as the listener says"),
                _allowances(listed.device.allowances),
                Cell(text=listed.device.id),
                _state(good="active", bad="revoked", is_bad=listed.revoked),
            )
            for listed in listing
        ]
        unsafe = any(listed.device.allowances for listed in listing)
        return views.page(
            request,
            "table.html",
            reader=reader_of(asker),
            heading="Devices",
            columns=("Name", "Media address", "May send", "Id", "State"),
            rows=rows,
            hint=f"{words.DEVICES} {words.UNSAFE_DEVICES}" if unsafe else words.DEVICES,
        )

    @router.get("/health")
    def health_page(
        request: Request, asker: PageAsker, views: PageViews, services: Rooms
    ) -> Response:
        insist(services, asker, Permission.SYSTEM_HEALTH_READ)
        rows = [
            (
                Cell(text=name.capitalize()),
                Cell(
                    text="ok" if text == _OK else "look at this",
                    badge="ok" if text == _OK else "partial",
                ),
                Cell(text="" if text == _OK else text),
            )
            for name, text in checks(services, config).items()
        ]
        return views.page(
            request,
            "table.html",
            reader=reader_of(asker),
            heading="Health",
            columns=("What", "State", ""),
            rows=rows,
            hint="The same for machines: /readyz, and /metrics on its own port.",
        )

    return router


def _allowances(allowances: frozenset[Allowance]) -> Cell:
    if not allowances:
        return Cell(text="SRTP only")
    texts = " and ".join(words.allowance_text(one) for one in sorted(allowances))
    plain = Allowance.PLAIN_RTP in allowances
    return Cell(
        text=f"also {texts}",
        badge="none-protection" if plain else "short-tag-protection",
    )


def _state(*, good: str, bad: str, is_bad: bool) -> Cell:
    return Cell(text=bad, badge="failed") if is_bad else Cell(text=good, badge="ok")
