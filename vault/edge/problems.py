"""The problems of HTTP itself, which no other room can have, as ASGI messages.

Guarantees: what refuses before a route ends the connection: what follows on it can't
be trusted to be a request.

Spec: RFC 9457; RFC 9110, section 15.
"""

import json
from typing import Final

from starlette.types import Send

from vault.core.problems import PROBLEM_MEDIA_TYPE, TYPE_PREFIX, Problem


def http_problem(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    retry_after_s: int | None = None,
) -> Problem:
    """Return a problem of HTTP itself."""
    return Problem(
        status=status,
        type=TYPE_PREFIX + slug,
        title=title,
        detail=detail,
        retry_after_s=retry_after_s,
    )


BAD_REQUEST: Final = http_problem(
    400, "bad-request", "Bad request", "The request is not HTTP as it should be."
)
CROSS_SITE: Final = http_problem(
    403, "cross-site", "Cross-site request", "Another site sent this request."
)
ADDRESS_REFUSED: Final = http_problem(
    403, "address-refused", "Address refused", "Not from this address."
)
WRONG_METHOD: Final = http_problem(
    405, "method-not-allowed", "Method not allowed", "Not with this method."
)
TOO_SLOW: Final = http_problem(
    408, "timeout", "Request timeout", "The body did not arrive in time."
)
TOO_LARGE: Final = http_problem(
    413, "too-large", "Too large", "The body has more octets than are taken here."
)
TOO_OFTEN: Final = http_problem(
    429,
    "throttled",
    "Too many requests",
    "Too many requests from this address.",
    retry_after_s=60,
)
NO_ANSWER: Final = http_problem(
    503,
    "answer-timeout",
    "No answer in time",
    "The answer took too long; what was asked for may still happen.",
    retry_after_s=10,
)
RULES_UNKNOWN: Final = http_problem(
    503,
    "unavailable",
    "Unavailable",
    "Who may come from where is not known yet.",
    retry_after_s=5,
)


def problem_body(problem: Problem) -> bytes:
    """Return the JSON octets of *problem*."""
    return json.dumps(problem.members()).encode()


def last_answer(problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of *problem* as the last answer of a connection."""
    body = problem_body(problem)
    headers = [
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    headers += [
        (name.lower().encode(), value.encode())
        for name, value in problem.headers().items()
    ]
    return headers, body


async def refuse(problem: Problem, send: Send) -> None:
    """Answer *problem*, and end the connection."""
    headers, body = last_answer(problem)
    start = {
        "type": "http.response.start",
        "status": problem.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
