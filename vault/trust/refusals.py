"""Errors on the wire: they travel by the name of their class.

Guarantees: only classes that `vault.core.errors` defines cross, in both
directions; whatever else comes back is `AuditUnavailableError`, so that a
caller which does not understand the answer releases nothing.

Left to others: framing (`vault.trust.frames`).

Spec: docs/reference/formats/warden-protocol.md
"""

from types import MappingProxyType
from typing import Final

from vault.core import canonical
from vault.core import errors as e

_MAX_MESSAGE_CHARS: Final = 500
_MAX_RETRY_S: Final = 3600

_PLAIN: Final = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (
            e.InvalidInputError,
            e.ConfigurationError,
            e.NotAuthenticatedError,
            e.AccessDeniedError,
            e.NotFoundError,
            e.ConflictError,
            e.RetentionHoldError,
            e.GoneError,
            e.IntegrityError,
            e.SealBrokenError,
            e.RecordingTruncatedError,
            e.TrailBrokenError,
        )
    }
)
_LATER: Final = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (
            e.ThrottledError,
            e.UnavailableError,
            e.SpoolFullError,
            e.NoRecipientKeyError,
            e.AuditUnavailableError,
            e.KeyUnavailableError,
            e.StoreUnavailableError,
            e.DatabaseUnavailableError,
        )
    }
)


def refusal_members(error: e.VaultError) -> canonical.JsonObject:
    """Return the JSON members that say *error*."""
    # A subclass that is not on the list travels as the nearest one that is.
    name = next(
        (
            cls.__name__
            for cls in type(error).__mro__
            if cls.__name__ in _PLAIN or cls.__name__ in _LATER
        ),
        e.AuditUnavailableError.__name__,
    )
    members: canonical.JsonObject = {
        "class": name,
        "message": str(error)[:_MAX_MESSAGE_CHARS],
    }
    retry_after_s = getattr(error, "retry_after_s", None)
    if name in _LATER and isinstance(retry_after_s, int):
        members["retry_after_s"] = max(0, min(retry_after_s, _MAX_RETRY_S))
    return members


def refusal(members: object) -> e.VaultError:
    """Return the error that *members* say; `AuditUnavailableError` if they say none."""
    if not isinstance(members, dict):
        return e.AuditUnavailableError("the warden's refusal is unreadable")
    name, message = str(members.get("class")), members.get("message")
    text = message[:_MAX_MESSAGE_CHARS] if isinstance(message, str) else ""
    if name in _PLAIN:
        return _PLAIN[name](text)
    if name not in _LATER:
        return e.AuditUnavailableError("the warden refused in an unknown way")
    retry_after_s = members.get("retry_after_s")
    if isinstance(retry_after_s, int) and 0 <= retry_after_s <= _MAX_RETRY_S:
        return _LATER[name](text, retry_after_s=retry_after_s)
    return _LATER[name](text)
