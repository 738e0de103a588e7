"""What every route of the web process answers to whom: rules written by hand.

A new route needs a line here; tests/integration/test_access_matrix_http.py holds
the application to it, for everybody in `tests.simulators.access_world`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from tests.simulators.access_world import (
    CONTENT,
    KINDS,
    STEP_UP,
    AccessWorld,
    Place,
    Thing,
)
from vault.edge.config import EdgeConfig
from vault.web.app import api_routers, page_routers
from vault.web.config import WebConfig

CONFIG = WebConfig(
    edge=EdgeConfig(requests_per_minute=10**7),
    actor_requests_per_minute=10**7,
    streams_per_session=10**4,
)
API = "/api/v1"

Fill = Callable[[AccessWorld, str], Mapping[str, str]]
"Makes what a path names, for one asker: names of parameters → values."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one route answers, with one way to ask it."""

    right: str = ""
    "Over the collection; empty: everybody who is signed in."
    over: str = ""
    "Over the recording in the path."
    anyone: bool = False
    "Whether strangers are answered, too."
    needs: str = "full"
    """``full``; ``half`` where half a sign-in will do; ``locked`` where a locked
    session will do, too."""
    proof: bool = False
    "Whether it asks for a fresh proof of who it is, besides what its right does."
    yes: str = "200"
    "To who may; several are separated by blanks."
    no: str = "403 forbidden"
    "To who may not."
    states: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    "To who may, where the state of the recording says otherwise."
    path: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fill: Fill | None = None
    query: str = ""
    body: Mapping[str, Any] | None = None
    asks: bool = False
    "Whether it asks for what a class demands."
    changes: bool = False
    "Whether the recording has to be put right afterwards."


GONE = dict.fromkeys(("expired", "shredded"), "410 shredded")
SHREDDED = {"shredded": "410 shredded"}
WAITING = dict.fromkeys(("recording", "captured", "rendering"), "409 not-ready")
PLAYED = MappingProxyType(GONE | WAITING | {"failed": "409 no-media"})
ANY_MEDIA: Mapping[str, str] = MappingProxyType(
    PLAYED | dict.fromkeys(("ready", "partial", "held"), "409 no-media")
)


def api_routes() -> list[APIRoute]:
    """Return the routes of the API."""
    return _routes(api_routers(CONFIG))


def routes() -> set[str]:
    """Return every route of the application, as ``GET /path``."""
    return {
        f"{method} {route.path}"
        for route in (*api_routes(), *_routes(page_routers(CONFIG)))
        for method in route.methods
    }


def _routes(routers: Iterable[APIRouter]) -> list[APIRoute]:
    return [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
    ]


def is_page(name: str) -> bool:
    """Whether ``GET /path`` is for people."""
    return not name.partition(" ")[2].startswith((API, "/healthz", "/readyz"))


_LOCKED = ("401 session-locked", "401")
_HALF = ("403 second-factor-required", "303")
_STOPPED = {
    ("locked", "full"): _LOCKED,
    ("locked", "half"): _LOCKED,
    ("restricted", "full"): _HALF,
}
"Session and what a route needs → what the API answers, and a page."


_DEMANDS = {
    Place.REASON: ("403 reason-required", "reason"),
    Place.APPROVAL: ("403 approval-required", "a second person"),
}
"Place → what who may hear it is told, and what would do."


def _of_thing(rule: Rule, asker: str, thing: Thing) -> str:
    if not thing.is_seen_by(asker, rule.over):
        return "404 not-found"
    said = rule.states.get(thing.state, rule.yes)
    if thing.place in _DEMANDS and rule.over in CONTENT and not rule.asks:
        demand, member = _DEMANDS[thing.place]
        said = said if member in (rule.body or {}) else demand
    if KINDS[asker].session != "stale" or rule.over not in STEP_UP:
        return said
    # What leaves the vault has to be there; what is changed asks for proof first.
    return "403 step-up-required" if rule.proof or said == rule.yes else said


def expected(name: str, rule: Rule, asker: str, thing: Thing | None) -> str:
    """Return what the rules say; the product is not asked."""
    kind = KINDS[asker]
    if rule.anyone:
        said = rule.yes
    elif not kind.is_in:
        said = "303" if is_page(name) else "401 not-authenticated"
    elif (stopped := _STOPPED.get((kind.session, rule.needs))) is not None:
        said = stopped[is_page(name)]
    elif thing is not None:
        said = _of_thing(rule, asker, thing)
    elif rule.right and rule.right not in kind.rights:
        said = rule.no
    elif kind.session == "stale" and (rule.proof or rule.right in STEP_UP):
        said = "403 step-up-required"
    else:
        said = rule.yes
    # Pages say it in words; HEAD has none.
    bare = is_page(name) or name.startswith("HEAD ")
    return " ".join(one for one in said.split() if one.isdigit()) if bare else said


def matches(wanted: str, actual: str) -> bool:
    """Whether *actual* is *wanted*, or has one of the statuses that *wanted* lists."""
    listed = wanted.split()
    if all(map(str.isdigit, listed)):
        return actual.partition(" ")[0] in listed
    return actual == wanted
