"""Errors as SIP answers: the status, and a Warning that names the cause.

An SBC shows its operator little more than the status line; the Warning is what a
trace shows, so that it has to say what to do.  What is told by which status:

    400  the request, or the SDP in it, is not what it should be
    403  the device may not do that
    415  a body of a kind that is not read
    480  this device is at a limit of its own: other recorders are no way out
    481  no such session, or it has ended
    488  sound SDP that asks for what we refuse
    500  a fault of ours
    503  no call can be taken now, with Retry-After: another recorder may

Guarantees: a header never holds a line end, a number or a name that a peer sent; an
unknown exception tells nothing.

Left to others: 401 (`vault.siprec.admission`); 405, 420, 422, 482, 491 and all that
needs no session (`vault.sip.user_agent`); HTTP (`vault.core.problems`).

Spec: RFC 3261, sections 20.33, 20.43 and 21; docs/reference/sip.md
"""

import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from vault.core import errors as e
from vault.sip.messages import Request, Response, respond

ACCEPT: Final = (
    "application/sdp, multipart/mixed, application/rs-metadata+xml, "
    "application/rs-metadata"
)
"The bodies that are read."

_STATUS: Final = MappingProxyType(
    {
        e.MalformedSignallingError: 400,
        e.UnsupportedOfferError: 488,
        e.InvalidInputError: 400,
        e.NotAuthenticatedError: 403,
        e.AccessDeniedError: 403,
        e.NotFoundError: 481,
        e.ConflictError: 481,
        e.GoneError: 481,
        e.ThrottledError: 480,
        e.IntegrityError: 500,
        e.UnavailableError: 503,
        e.VaultError: 500,
    }
)
_RETRY_AFTER_S: Final = 5
_MISCELLANEOUS: Final = 399
"The warning code for what no other code names."
_LONGEST: Final = 300
_UNSPEAKABLE: Final = re.compile(r"[^\x20-\x7e]+")


class UnreadableBodyError(e.InvalidInputError):
    """A body of a kind that is not read; what is read is said with the answer."""


def refusal(request: Request, error: e.VaultError) -> Response:
    """Return how *request* is refused because of *error*."""
    if isinstance(error, UnreadableBodyError):
        return refuse(request, 415, str(error), headers=(("Accept", ACCEPT),))
    status = status_of(error)
    headers: list[tuple[str, str]] = []
    if status in (480, 503):
        wait_s = getattr(error, "retry_after_s", _RETRY_AFTER_S)
        headers.append(("Retry-After", str(wait_s)))
    text = str(error)
    line = getattr(error, "line", None)
    if line is not None:
        text = f"{text} (line {line} of the SDP)"
    # What is missing and what is another's are told alike, and in no words of ours.
    if status in (481, 500):
        text = ""
    return refuse(request, status, text, headers=headers)


def refuse(
    request: Request,
    status: int,
    text: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """Return a final answer with *text* as its Warning, where there is one."""
    warning = () if not text else (("Warning", warning_of(text)),)
    return respond(request, status, headers=(*headers, *warning))


def status_of(error: e.VaultError) -> int:
    """Return the status for *error*, by its nearest mapped class."""
    return next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)


def warning_of(text: str) -> str:
    """Return the value of a Warning header that says *text*."""
    said = _UNSPEAKABLE.sub(" ", text)[:_LONGEST].strip()
    quoted = said.replace("\\", "\\\\").replace('"', '\\"')
    return f'{_MISCELLANEOUS} callvault "{quoted}"'
