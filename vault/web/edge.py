"""The strict edge: what is refused before any route is looked at.

Neither parser that uvicorn offers is strict enough alone (research F8), so
this pure ASGI layer repeats the checks on what they hand over.

Guarantees:
    * No request with two framings, no or several hosts, more than 100 headers,
      a header above 16 KB or a target that is no path reaches a route.
    * No body above 64 KiB, and none that takes longer than 10 s to arrive.
    * No unsafe method from another site, and no cross-site sub-resource.
    * Every answer carries the security headers, errors included.

Left to others: who is asking (`vault.web.identity`) and the session's own
CSRF token, which needs the session.

Spec: RFC 9112, sections 3.2 and 6.1; Fetch Metadata; CSP Level 3.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable
from typing import Final

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.core.problems import PROBLEM_MEDIA_TYPE, Problem
from vault.web.answers import (
    BAD_REQUEST,
    CROSS_SITE,
    TOO_LARGE,
    TOO_OFTEN,
    TOO_SLOW,
    problem_body,
)
from vault.web.config import WebConfig

_log = structlog.get_logger()
EVENT_REQUEST: Final = "http-request"

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16_384
MAX_BODY_BYTES: Final = 65_536
MAX_BODY_WAIT_S: Final = 10.0

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HSTS: Final = "max-age=63072000; includeSubDomains"

_STATIC_PREFIX: Final = "/static/"
_FIXED_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("X-Frame-Options", "DENY"),
    (
        "Permissions-Policy",
        "camera=(), microphone=(), geolocation=(), display-capture=(), usb=()",
    ),
)


def content_security_policy(nonce: str) -> str:
    """Return the policy of every answer; *nonce* lets one style sheet in."""
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    )


class StrictEdge:
    """Wraps the application; everything from outside passes here first."""

    def __init__(self, app: ASGIApp, config: WebConfig) -> None:
        self._app = app
        self._config = config
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_minute = RateLimitItemPerMinute(config.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then serve, then say so in one line of the log."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["csp_nonce"] = nonce

        async def send_secured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._secure(scope, MutableHeaders(scope=message), nonce)
            await send(message)

        await self._serve(scope, receive, send_secured)
        route = scope.get("route")
        _log.info(
            EVENT_REQUEST,
            method=scope["method"],
            # The template, not the path: ids and queries stay out of logs.
            route=getattr(route, "path", ""),
            status=status,
            duration_ms=round((time.monotonic() - started) * 1000, 1),
            origin=origin_of(scope),
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # 1. The message itself, 2. who sent it on whose behalf, 3. how often,
        # 4. its body.  Only then the routes.
        headers = Headers(scope=scope)
        problem = (
            framing_problem(scope, headers)
            or cross_site_problem(str(scope["method"]), headers)
            or self._rate_problem(scope)
        )
        body = b""
        if problem is None and _has_body(headers):
            outcome = await _read_body(headers, receive)
            if isinstance(outcome, Problem):
                problem = outcome
            else:
                body = outcome
        if problem is not None:
            await _refuse(problem, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _rate_problem(self, scope: Scope) -> Problem | None:
        if self._limiter.hit(self._per_minute, origin_of(scope)):
            return None
        return TOO_OFTEN

    def _secure(self, scope: Scope, headers: MutableHeaders, nonce: str) -> None:
        headers["Content-Security-Policy"] = content_security_policy(nonce)
        for name, value in _FIXED_HEADERS:
            headers.setdefault(name, value)
        if self._config.https:
            headers.setdefault("Strict-Transport-Security", _HSTS)
        if not scope["path"].startswith(_STATIC_PREFIX):
            headers.setdefault("Cache-Control", "private, no-store")


def origin_of(scope: Scope) -> str:
    """Return the address of the peer; ``X-Forwarded-For`` is not looked at.

    A trusted proxy's word is the server's business: it rewrites ``client``.
    """
    client = scope.get("client")
    return str(client[0]) if client else ""


def framing_problem(scope: Scope, headers: Headers) -> Problem | None:
    """Return what is wrong with the message, or None.

    Spec: RFC 9112, sections 3.2 and 6.1.
    """
    raw: Iterable[tuple[bytes, bytes]] = headers.raw
    lengths = [len(name) + len(value) for name, value in raw]
    names = [name for name, _ in raw]
    target = scope.get("raw_path") or scope["path"].encode()
    sound = (
        len(names) <= MAX_HEADERS
        and max(lengths, default=0) <= MAX_HEADER_BYTES
        and names.count(b"host") == 1
        and not (b"content-length" in names and b"transfer-encoding" in names)
        and names.count(b"content-length") <= 1
        and names.count(b"transfer-encoding") <= 1
        and target.startswith(b"/")
        and not target.startswith(b"//")
    )
    return None if sound else BAD_REQUEST


def cross_site_problem(method: str, headers: Headers) -> Problem | None:
    """Return a problem where another site is behind the request, or None.

    Browsers name the initiator.  Where the header is missing (old browsers,
    scripts) ``Origin`` is compared, and the session's token still guards.
    """
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    if method in SAFE_METHODS:
        foreign = site in {"cross-site", "same-site"} and mode != "navigate"
        return CROSS_SITE if foreign else None
    if site is not None:
        return None if site == "same-origin" else CROSS_SITE
    origin = headers.get("origin")
    if origin is None:
        return None
    return None if origin.split("://")[-1] == headers.get("host") else CROSS_SITE


def _has_body(headers: Headers) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


async def _read_body(headers: Headers, receive: Receive) -> bytes | Problem:
    """Read the whole body: it is small by rule, and late by no sender's choice."""
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        return BAD_REQUEST
    if int(declared[:9]) > MAX_BODY_BYTES:
        return TOO_LARGE
    body = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_WAIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return BAD_REQUEST
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    return TOO_LARGE
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return TOO_SLOW


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that hands out *body* once, then the real events."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


async def _refuse(problem: Problem, send: Send) -> None:
    body = problem_body(problem)
    headers = [
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        # What follows on this connection can't be trusted to be a request.
        (b"connection", b"close"),
    ]
    headers += [
        (name.lower().encode(), value.encode())
        for name, value in problem.headers().items()
    ]
    start = {
        "type": "http.response.start",
        "status": problem.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
