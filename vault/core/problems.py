"""Error → RFC 9457 problem: the only module that knows an HTTP status.

Guarantees: every `VaultError` has a type and a status, and nothing but the
error's own message reaches the answer; an unknown exception tells nothing.

Left to others: writing the answer (`vault.web`, `vault.forks`).

Spec: RFC 9457; types are listed in docs/reference/api.md.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vault.core import errors as e

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "/problems/"

_TABLE: Final = MappingProxyType(
    {
        e.InvalidInputError: (422, "invalid-input", "The request is not valid"),
        e.MalformedPacketError: (400, "malformed-packet", "Malformed packet"),
        e.MalformedSignallingError: (400, "malformed-sdp", "Malformed SDP"),
        e.UnsupportedOfferError: (422, "unsupported-offer", "Unsupported offer"),
        e.RangeNotSatisfiableError: (
            416,
            "range-not-satisfiable",
            "Range not satisfiable",
        ),
        e.ConfigurationError: (500, "configuration", "Configuration error"),
        e.NotAuthenticatedError: (401, "not-authenticated", "Sign in first"),
        e.SessionLockedError: (401, "session-locked", "The session is locked"),
        e.AccessDeniedError: (403, "forbidden", "Not allowed"),
        e.PasswordChangeRequiredError: (
            403,
            "password-change-required",
            "Change your password first",
        ),
        e.SecondFactorRequiredError: (
            403,
            "second-factor-required",
            "A second factor is required",
        ),
        e.StepUpRequiredError: (403, "step-up-required", "Prove who you are"),
        e.ApprovalRequiredError: (403, "approval-required", "An approval is required"),
        e.ReasonRequiredError: (403, "reason-required", "A reason is required"),
        e.NotFoundError: (404, "not-found", "Not found"),
        e.ConflictError: (409, "conflict", "Conflict"),
        e.NotReadyError: (409, "not-ready", "Not ready yet"),
        e.NoMediaError: (409, "no-media", "No media"),
        e.RetentionHoldError: (409, "on-hold", "Under legal hold"),
        e.GoneError: (410, "shredded", "Shredded"),
        e.ThrottledError: (429, "throttled", "Too many requests"),
        e.IntegrityError: (502, "damaged", "Damaged"),
        e.UnavailableError: (503, "unavailable", "Unavailable"),
        e.SpoolFullError: (503, "spool-full", "No room for another call"),
        e.NoRecipientKeyError: (503, "no-recipient-key", "No recipient key"),
        e.AuditUnavailableError: (503, "audit-unavailable", "No log, no play"),
        e.KeyUnavailableError: (503, "key-unavailable", "Key unavailable"),
        e.StoreUnavailableError: (503, "store-unavailable", "Store unavailable"),
        e.DatabaseUnavailableError: (
            503,
            "database-unavailable",
            "Database unavailable",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One RFC 9457 answer: status, members and headers."""

    status: int
    type: str
    title: str
    detail: str
    line: int | None = None
    retry_after_s: int | None = None

    def members(self) -> dict[str, str | int]:
        """Return the JSON members, absent ones left out."""
        body: dict[str, str | int] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.line is not None:
            body["line"] = self.line
        return body

    def headers(self) -> dict[str, str]:
        """Return the headers this problem must be sent with."""
        if self.retry_after_s is not None:
            return {"Retry-After": str(self.retry_after_s)}
        if self.status == _UNAUTHORIZED:
            return {"WWW-Authenticate": 'Bearer realm="callvault"'}
        return {}


_UNAUTHORIZED: Final = 401

# RFC 9457 asks that missing and forbidden look alike: one body for both.
NOT_FOUND_DETAIL: Final = "Nothing here that you may see."


def status_of(kind: type[e.VaultError]) -> tuple[int, str, str]:
    """Return status, slug and title of a kind of error, by its nearest mapped class."""
    for cls in kind.__mro__:
        if cls in _TABLE:
            return _TABLE[cls]
    raise TypeError(f"no problem is mapped for {kind.__name__}")


def problem_for(error: e.VaultError) -> Problem:
    """Return the problem for *error*, by its nearest mapped class."""
    status, slug, title = status_of(type(error))
    detail = NOT_FOUND_DETAIL if isinstance(error, e.NotFoundError) else str(error)
    return Problem(
        status=status,
        type=TYPE_PREFIX + slug,
        title=title,
        detail=detail or title,
        line=getattr(error, "line", None),
        retry_after_s=getattr(error, "retry_after_s", None),
    )


INTERNAL: Final = Problem(
    status=500,
    type=TYPE_PREFIX + "internal",
    title="Internal error",
    detail="The error was logged; nothing more is told here.",
)
