"""The door of a flood: sign-ins beyond those that fit are refused before any route.

A refused sign-in costs the routes, their threads and their JSON 1 ms; five hundred a
second would leave nothing to whoever is signed in already.

Guarantees: never more sign-ins inside than have a thread of their own; whoever comes
then hears 429 at once, and is in the next sum of the trail.

Left to others: those threads (`vault.web.apart`), how many proofs are looked at
(`vault.access.signin`), addresses that ask too often (`vault.edge`).
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from vault.core.problems import TYPE_PREFIX, Problem
from vault.edge.problems import refuse
from vault.web.apart import MOST

_WAYS_IN: Final = frozenset({"/sign-in", "/api/v1/sessions"})
_TOO_MANY: Final = Problem(
    status=429,
    type=TYPE_PREFIX + "throttled",
    title="Too many requests",
    detail="too many sign-ins at once",
    retry_after_s=1,
)


class Crowd:
    """Wraps the application, within its edge."""

    def __init__(self, app: ASGIApp, refused: Callable[[], object]) -> None:
        """Let *MOST* in; *refused* is told of each who has to come again."""
        self._app = app
        self._refused = refused
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or say that there are too many."""
        if scope.get("method") != "POST" or scope["path"] not in _WAYS_IN:
            await self._app(scope, receive, send)
            return
        if self._inside >= MOST:
            self._refused()
            await refuse(_TOO_MANY, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
