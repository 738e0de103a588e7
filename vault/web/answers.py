"""Every failure as an answer: RFC 9457 for programs, a plain page for people.

Guarantees: whatever goes wrong, in a route or in front of it, the answer has
a stable ``type``, and an unknown exception tells nothing but that it happened.

Left to others: which error means what (`vault.core.problems`), the problems of HTTP
itself (`vault.edge.problems`).

Spec: RFC 9457; RFC 9110, section 15.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.core.errors import RangeNotSatisfiableError, VaultError
from vault.core.problems import (
    INTERNAL,
    NOT_FOUND_DETAIL,
    PROBLEM_MEDIA_TYPE,
    Problem,
    problem_for,
)
from vault.edge.problems import (
    BAD_REQUEST,
    TOO_LARGE,
    WRONG_METHOD,
    http_problem,
    problem_body,
)

_log = structlog.get_logger()
EVENT_INTERNAL_ERROR: Final = "web-internal-error"

ErrorPage = Callable[[Request, Problem], Response]
"Draws a problem for a person."

_MAX_NAMED: Final = 5


NOT_FOUND: Final = http_problem(404, "not-found", "Not found", NOT_FOUND_DETAIL)
WRONG_MEDIA_TYPE: Final = http_problem(
    415, "unsupported-media-type", "Unsupported media type", "Bodies are JSON."
)
_BY_STATUS: Final = {
    problem.status: problem
    for problem in (
        BAD_REQUEST,
        NOT_FOUND,
        WRONG_METHOD,
        TOO_LARGE,
        WRONG_MEDIA_TYPE,
    )
}


def problem_response(problem: Problem) -> Response:
    """Return *problem* as ``application/problem+json``."""
    return Response(
        problem_body(problem),
        status_code=problem.status,
        headers=problem.headers(),
        media_type=PROBLEM_MEDIA_TYPE,
    )


def answer_errors(app: FastAPI, page: ErrorPage) -> None:
    """Make *app* answer every failure; people get *page*, programs the problem."""

    def answer(request: Request, problem: Problem) -> Response:
        if _for_a_person(request):
            return page(request, problem)
        return problem_response(problem)

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, VaultError)
        response = answer(request, problem_for(error))
        if isinstance(error, RangeNotSatisfiableError):
            response.headers["Content-Range"] = f"bytes */{error.size}"
        return response

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, _invalid_input(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = answer(request, _BY_STATUS.get(error.status_code, BAD_REQUEST))
        response.headers.update(error.headers or {})
        return response

    handlers: dict[type[Exception], _Handler] = {
        VaultError: known,
        RequestValidationError: invalid,
        HTTPException: http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


class LastResort:
    """Answers what no handler knows; inside the edge, so with all its headers."""

    def __init__(self, app: ASGIApp, page: ErrorPage) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and turn an unknown exception into one line that tells nothing."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - a request ends here
            # The traceback goes to the log and nowhere else.
            _log.error(EVENT_INTERNAL_ERROR, exc_info=error)
            if started:
                return  # the server ends the connection: not all of it was sent
            request = Request(scope, receive)
            response = (
                self._page(request, INTERNAL)
                if _for_a_person(request)
                else problem_response(INTERNAL)
            )
            await response(scope, receive, send)


_Handler = Callable[[Request, Exception], Awaitable[Response]]


def _for_a_person(request: Request) -> bool:
    # The path chooses a spelling here and never a right.
    accepts = request.headers.get("accept", "")
    return "text/html" in accepts and not request.url.path.startswith("/api/")


def _invalid_input(error: RequestValidationError) -> Problem:
    # Where and what, never the input itself: it may be a password.
    places = [
        ".".join(str(step) for step in item["loc"] if step != "body")
        + ": "
        + str(item["msg"])
        for item in error.errors()[:_MAX_NAMED]
    ]
    return http_problem(
        422, "invalid-input", "The request is not valid", "; ".join(places)
    )
