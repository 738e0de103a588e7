"""The API's description: printed by ``callvault openapi``, never served.

Made of the routes themselves.  Whoever adds a route to `vault.web.api` writes:

1. parameters with their types; an id in a path is `shapes.IdInPath`; a router with
   queries has `queries.each_once` among its dependencies;
2. who is asking as `vault.web.identity.SignedIn`, and after it a body as
   ``Annotated[NewThing, Depends(JsonBody(shape=NewThing))]`` with the closed model
   in `vault.web.api.bodies`;
3. ``response_model=`` with a closed model of `vault.web.api.shapes`, or
   ``response_class=Response`` and ``responses=`` for what is no JSON;
4. ``@may_answer(…)`` below the decorator of the route: the errors that its own
   work raises.  What its dependencies raise they say themselves;
5. a new module of routes goes into `vault.web.app.api_routers`.

Then ``scripts/make-openapi`` renews the committed document, and the matrix of
access (tests/integration/test_access_matrix_http.py) asks for its expectation.

Guarantees: every route is in it with every problem that it may answer; tests hold
the real answers against it.

Spec: OpenAPI 3.1.0.
"""

from typing import Final

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from vault.core.errors import DatabaseUnavailableError, UnavailableError
from vault.core.openapi import JsonObject, complete
from vault.core.problems import INTERNAL
from vault.edge.problems import (
    BAD_REQUEST,
    CROSS_SITE,
    TOO_LARGE,
    TOO_OFTEN,
    TOO_SLOW,
)
from vault.web.app import api_routers
from vault.web.config import WebConfig
from vault.web.identity import BEARER, BY_COOKIE, COOKIE, CSRF_HEADER

_EVERYWHERE: Final = (
    BAD_REQUEST,
    CROSS_SITE,
    TOO_SLOW,
    TOO_LARGE,
    TOO_OFTEN,
    INTERNAL,
    UnavailableError,
    DatabaseUnavailableError,
)
_CSRF: Final = "csrf"
_SCHEMES: Final[dict[str, JsonObject]] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "A script's session or a personal access token.",
    },
    BY_COOKIE: {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A browser's session.",
    },
    _CSRF: {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "`csrf` of the session, where the method is not safe.",
    },
}


def web_document() -> JsonObject:
    """Return the description of the web process's API."""
    routes = [
        route
        for router in api_routers(WebConfig())
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
    document = get_openapi(title="Callvault", version="1", routes=routes)
    return complete(
        document,
        routes,
        everywhere=_EVERYWHERE,
        schemes=_SCHEMES,
        beside={BY_COOKIE: _CSRF},
    )
