"""The gate of an HTTP listener: everything from outside passes here first.

Guarantees: before a route is looked at, the message is sound, its client is known and
may come from there, has not asked too often, and its body is short and here; then the
route answers in time.

Left to others: who is asking (the applications), what an answer carries
(`vault.web.edge`, `vault.forks.edge`), connections (`vault.serving.protocol`).
"""

import time
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from vault.core.budgets import Budget
from vault.core.errors import InvalidInputError
from vault.core.prefixes import network_of
from vault.core.problems import Problem
from vault.edge.bodies import pass_over, read_body, replay
from vault.edge.config import EdgeConfig
from vault.edge.deadline import Deadline
from vault.edge.fence import Fence, RulesSource
from vault.edge.framing import framing_problem, has_body
from vault.edge.origin import Proxies, origin_of
from vault.edge.problems import BAD_REQUEST, TOO_OFTEN, refuse

Check = Callable[[Scope, Headers], Problem | None]
"Says what else is wrong with a request."

HSTS: Final = "max-age=63072000; includeSubDomains"
"What browsers are told where `came_by_https`."

_MINUTE_S: Final = 60
_HTTPS: Final = "https"


class Gate:
    """Wraps an application."""

    def __init__(
        self,
        app: ASGIApp,
        config: EdgeConfig,
        *,
        rules: RulesSource | None = None,
        also: Check | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take limits and fences.

        Args:
            app: Is asked what has passed.
            config: Limits, proxies, and the settings' fence.
            rules: The administrators' fence.
            also: What this listener asks besides.
            clock: Monotonic seconds.

        Raises:
            InvalidInputError: A prefix is none.
        """
        self._config = config
        self._clock = clock
        self._proxies = Proxies(config)
        self._fence = Fence(config, rules, clock=clock)
        self._also = also
        self._rates = Budget(
            rate=config.requests_per_minute / _MINUTE_S,
            burst=config.requests_per_minute,
            cut_off_s=0,
        )
        self._inner = app
        self._app = Deadline(app, config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let through."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = framing_problem(scope, headers)
        if problem is None:
            problem = await self._problem(scope, headers)
            if problem is not None and has_body(headers):
                await pass_over(headers, receive)
        limit = self._config.max_body_bytes
        if problem is None and limit is not None and has_body(headers):
            outcome = await read_body(headers, receive, max_bytes=limit)
            if isinstance(outcome, Problem):
                problem = outcome
            else:
                receive = replay(outcome, receive)
        if problem is not None:
            await refuse(problem, send)
            return
        await self._app(scope, receive, send)

    async def _problem(self, scope: Scope, headers: Headers) -> Problem | None:
        # 1. (Done) The message is sound.
        # 2. Who sent it: from here on `origin_of` says so.
        try:
            is_https = self._proxies.settle(scope, headers)
        except InvalidInputError:
            return BAD_REQUEST
        if is_https:
            scope.setdefault("state", {})[_HTTPS] = True
        # 3. Whether that address may come at all, 4. how often it came, 5. whatever
        # else this listener asks.
        origin = origin_of(scope)
        problem = await self._fence.problem(origin)
        if problem is not None:
            return problem
        if not self._rates.spend(network_of(origin), self._clock()):
            return TOO_OFTEN
        return self._also(scope, headers) if self._also else None


def came_by_https(scope: Scope) -> bool:
    """Whether the client speaks TLS, to us or to a trusted proxy.

    For advice to browsers alone: nothing is allowed because of it.
    """
    return scope.get("scheme") == _HTTPS or bool(scope.get("state", {}).get(_HTTPS))
