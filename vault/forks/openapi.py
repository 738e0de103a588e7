"""The fork API's description: printed by ``callvault openapi --forks``, never served.

Made of the routes themselves; `vault.web.openapi` tells how a route is added, which
is the same here with `vault.forks.bodies` and `vault.forks.shapes`.

Guarantees: every route is in it with every problem that it may answer.

Spec: OpenAPI 3.1.0; docs/reference/fork-api.md.
"""

from typing import Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from vault.core.errors import UnavailableError
from vault.core.openapi import JsonObject, complete
from vault.core.problems import INTERNAL

_SCHEMES: Final[dict[str, JsonObject]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A device's token.",
    }
}


def forks_document(app: FastAPI) -> JsonObject:
    """Return the description of *app*, which `create_forks_app` made."""
    routes = [
        route
        for route in app.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    ]
    return complete(
        get_openapi(title="Callvault forks", version="1", routes=routes),
        routes,
        everywhere=(INTERNAL, UnavailableError),
        schemes=_SCHEMES,
    )
