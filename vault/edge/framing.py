"""Whether a request is HTTP as it should be, whatever parser has read it.

Neither parser that uvicorn offers is strict enough alone (research F8), so the checks
are repeated on what they hand over.

Guarantees: a request that passes has one host of a sound spelling, one framing, at
most 100 headers of at most 16 KiB in all, no control character in any of them, and a
path of at most 8 KiB, with its query, as its target.

Left to others: what no parser hands over, such as bare line feeds
(`vault.serving.protocol`); the body (`vault.edge.bodies`).

Spec: RFC 9112, sections 2.2, 3.2, 5 and 6.1; RFC 9110, sections 5.5, 7.2 and 9.1.
"""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from vault.core.problems import Problem
from vault.edge.config import MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from vault.edge.problems import BAD_REQUEST, WRONG_METHOD

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]{2,45}\])"
    rb"(?::[0-9]{1,5})?"
)


def framing_problem(scope: Scope, headers: Headers) -> Problem | None:
    """Return what is wrong with the message, or None."""
    raw = headers.raw
    sound = (
        scope.get("http_version", "1.1") in _VERSIONS
        and len(raw) <= MAX_HEADERS
        and sum(len(name) + len(value) for name, value in raw) <= MAX_HEADER_BYTES
        and all(_is_sound(name, value) for name, value in raw)
        and _has_one_host(headers)
        and _has_one_framing(scope, headers)
        and _is_path(scope)
        and len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
        <= MAX_TARGET_BYTES
    )
    if not sound:
        return BAD_REQUEST
    return None if scope["method"] in _METHODS else WRONG_METHOD


def has_body(headers: Headers) -> bool:
    """Whether a body was announced."""
    return "content-length" in headers or "transfer-encoding" in headers


def _is_sound(name: bytes, value: bytes) -> bool:
    return _NAME.fullmatch(name) is not None and _CONTROL.search(value) is None


def _has_one_host(headers: Headers) -> bool:
    hosts = [value for name, value in headers.raw if name == b"host"]
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None


def _has_one_framing(scope: Scope, headers: Headers) -> bool:
    lengths = [value for name, value in headers.raw if name == b"content-length"]
    codings = [value for name, value in headers.raw if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        return False
    if codings:
        # A proxy that speaks 1.0 does not know chunks: it would see another end.
        return codings[0].lower() == b"chunked" and scope.get("http_version") != "1.0"
    return not lengths or _LENGTH.fullmatch(lengths[0]) is not None


def _is_path(scope: Scope) -> bool:
    target: bytes = scope.get("raw_path") or scope["path"].encode()
    return target.startswith(b"/") and not target.startswith(b"//")
