"""The edge of the fork API: problems, limits, and one log line per request.

Guarantees:
    * What `vault.edge` refuses reaches no route.
    * Every answer that is not a success is problem+json, whoever refused:
      router, reader, desk, or a bug (which tells nothing).
    * No body beyond 256 KiB is kept, none that takes longer than 10 s.
    * No answer may be cached.

Spec: RFC 9457; RFC 9110, sections 15.5.6 and 15.5.14.
"""

import asyncio
import time
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.core.errors import NotFoundError, VaultError
from vault.core.problems import (
    INTERNAL,
    PROBLEM_MEDIA_TYPE,
    TYPE_PREFIX,
    Problem,
    problem_for,
)
from vault.edge.gate import HSTS, came_by_https
from vault.edge.origin import origin_of

REQUEST: Final = "forks.request"
BUG: Final = "forks.bug"
MAX_BODY_BYTES: Final = 256 * 1024
_BODY_TIMEOUT_S: Final = 10.0
_NOT_FOUND: Final = 404
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
_log = structlog.get_logger()


def _problem(status: int, slug: str, title: str) -> Problem:
    return Problem(status=status, type=TYPE_PREFIX + slug, title=title, detail=title)


TOO_LONG: Final = _problem(413, "body-too-long", "The body is too long")
TOO_SLOW: Final = _problem(408, "body-too-slow", "The body came too slowly")


class RefusedRequestError(Exception):
    """HTTP said no before the vault was asked; never leaves this room."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


def answer_problem(problem: Problem) -> Response:
    """Return the answer for *problem*."""
    return JSONResponse(
        problem.members(),
        status_code=problem.status,
        headers=problem.headers(),
        media_type=PROBLEM_MEDIA_TYPE,
    )


def add_problem_answers(app: FastAPI) -> None:
    """Make every refusal of *app* a problem."""

    async def of_vault(_: Request, exc: Exception) -> Response:
        if not isinstance(exc, VaultError):
            raise TypeError("not an error of the vault")
        return answer_problem(problem_for(exc))

    async def of_edge(_: Request, exc: Exception) -> Response:
        if not isinstance(exc, RefusedRequestError):
            raise TypeError("not an error of the edge")
        answer = answer_problem(exc.problem)
        # The rest of the body is not waited for.
        answer.headers["Connection"] = "close"
        return answer

    async def of_router(_: Request, exc: Exception) -> Response:
        if not isinstance(exc, HTTPException):
            raise TypeError("not an error of the router")
        if exc.status_code == _NOT_FOUND:
            return answer_problem(problem_for(NotFoundError("no such route")))
        answer = answer_problem(
            _problem(exc.status_code, "method-not-allowed", "Method not allowed")
        )
        answer.headers.update(exc.headers or {})
        return answer

    async def of_bug(_: Request, exc: Exception) -> Response:
        _log.error(BUG, problem=type(exc).__name__)
        return answer_problem(INTERNAL)

    app.add_exception_handler(VaultError, of_vault)
    app.add_exception_handler(RefusedRequestError, of_edge)
    app.add_exception_handler(HTTPException, of_router)
    app.add_exception_handler(Exception, of_bug)


async def limited_body(request: Request) -> bytes:
    """Return the body of *request*.

    Raises:
        RefusedRequestError: It is too long, or comes too slowly.
    """
    declared = request.headers.get("content-length", "0")
    if int(declared) > MAX_BODY_BYTES:
        raise RefusedRequestError(TOO_LONG)
    octets = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for piece in request.stream():
                octets += piece
                if len(octets) > MAX_BODY_BYTES:
                    raise RefusedRequestError(TOO_LONG)
    except TimeoutError:
        raise RefusedRequestError(TOO_SLOW) from None
    return bytes(octets)


class LoggedRequests:
    """Says every request once, by its route and never by what was in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.monotonic(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_said_always(scope)]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = scope.get("route")
            _log.info(
                REQUEST,
                method=scope["method"][:16],
                route=getattr(route, "path", ""),
                status=status,
                origin=origin_of(scope),
                device=scope.get("state", {}).get("device", ""),
                took_ms=round((time.monotonic() - began_s) * 1000),
            )


def _said_always(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    if came_by_https(scope):
        return (*_HEADERS, (b"strict-transport-security", HSTS.encode()))
    return _HEADERS
