"""The edge of the pages and their API: other sites stay out, and browsers are told.

Guarantees:
    * What `vault.edge` refuses reaches no route.
    * No unsafe method from another site, and no cross-site sub-resource.
    * Every answer carries the security headers, errors included, and only what has a
      digest in its name may be kept by anybody.

Left to others: who is asking (`vault.web.identity`) and the session's own
CSRF token, which needs the session.

Spec: Fetch Metadata; CSP Level 3; RFC 6797.
"""

import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.core.problems import Problem
from vault.edge.fence import RulesSource
from vault.edge.framing import SAFE_METHODS
from vault.edge.gate import HSTS, Gate, came_by_https
from vault.edge.origin import origin_of
from vault.edge.problems import CROSS_SITE
from vault.web.config import WebConfig

_log = structlog.get_logger()
EVENT_REQUEST: Final = "http-request"

_STATIC_PREFIX: Final = "/static/"
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(
            f"{kind}-src 'self'"
            for kind in ("script", "style", "img", "media", "connect", "font")
        ),
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        # Strings become markup only by the two policies of our own bundle.
        "require-trusted-types-for 'script'",
        "trusted-types htmx default",
    )
)
"Of every answer, without an exception: what the pages need comes from files."

_FIXED_HEADERS: Final = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
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


class StrictEdge:
    """Wraps the application; everything from outside passes here first."""

    def __init__(
        self, app: ASGIApp, config: WebConfig, *, rules: RulesSource | None = None
    ) -> None:
        self._gate = Gate(app, config.edge, rules=rules, also=_cross_site)
        self._https = config.https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then serve, then say so in one line of the log."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._gate(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def send_secured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._secure(scope, MutableHeaders(scope=message))
            await send(message)

        await self._gate(scope, receive, send_secured)
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

    def _secure(self, scope: Scope, headers: MutableHeaders) -> None:
        for name, value in _FIXED_HEADERS:
            headers[name] = value
        if self._https or came_by_https(scope):
            headers.setdefault("Strict-Transport-Security", HSTS)
        if not scope["path"].startswith(_STATIC_PREFIX):
            headers.setdefault("Cache-Control", "private, no-store")


def cross_site_problem(
    method: str, headers: Headers, *, https: bool = False
) -> Problem | None:
    """Return a problem where another site is behind the request, or None.

    Browsers name the initiator.  Where the header is missing (old browsers,
    scripts) ``Origin`` is compared, and the session's token still guards.

    Args:
        method: Of the request.
        headers: Of the request.
        https: Whether it came by TLS: then ``http://`` is another site.
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
    scheme, _, authority = origin.partition("://")
    known = {"https"} if https else {"http", "https"}
    own = scheme in known and authority == headers.get("host")
    return None if own else CROSS_SITE


def _cross_site(scope: Scope, headers: Headers) -> Problem | None:
    return cross_site_problem(scope["method"], headers, https=came_by_https(scope))
