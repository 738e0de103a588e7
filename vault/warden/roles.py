"""Roles: what each kind of process may ask of the warden.

A role belongs to a connection, never to a message: it is fixed by the inherited
descriptor or by the uid that the kernel reports (`vault.warden.server`).

Guarantees: what is not in the table is refused; a role that is not in the table
is not a role.

Left to others: writing the leaf about a refusal (`vault.warden.service`).

Spec: docs/explanation/warden.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.audit.entry import Action
from vault.core.errors import AccessDeniedError, ConfigurationError
from vault.core.flow import ActorKind, Purpose
from vault.trust import messages as m
from vault.trust.trail_messages import TRAIL_CALLS


@unique
class Role(StrEnum):
    """What kind of process is at the other end of a connection."""

    AUDITOR = "auditor"
    CLI = "cli"
    SERVE = "serve"
    TAP = "tap"
    WEB = "web"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What one role may do."""

    calls: frozenset[str]
    purposes: frozenset[Purpose] = frozenset()
    actors: frozenset[ActorKind] = frozenset()
    "On behalf of whom it may open anything: a worker never for a user."
    limited: bool = True
    """Whether keys and texts are counted per actor.  Not for workers: they need a key
    per call that ends, and a busy site ends more than 600 an hour."""


_APPEND: Final = m.AppendRequest.call
_RELEASE: Final = m.ReleaseRequest.call
_OPEN_ROWS: Final = m.OpenRowsRequest.call
_SEAL_ROW: Final = m.SealRowRequest.call
_TOKENS: Final = m.TokensRequest.call
_TEXTS: Final = m.TextsRequest.call
_HEALTH: Final = m.HealthRequest.call

_OPENING: Final = (
    m.ReleaseRequest,
    m.OpenRowsRequest,
    m.TokensRequest,
    m.TextsRequest,
)
"What opens something on behalf of somebody."

PERMITS: Final[Mapping[Role, Permit]] = MappingProxyType(
    {
        # It looks after the trail, and opens nothing.
        Role.AUDITOR: Permit(calls=frozenset({_APPEND, _HEALTH}) | TRAIL_CALLS),
        Role.CLI: Permit(
            calls=frozenset({_APPEND, _RELEASE, _OPEN_ROWS, _TOKENS, _HEALTH})
            | TRAIL_CALLS,
            purposes=frozenset({Purpose.EXPORT, Purpose.RECOVER}),
            actors=frozenset({ActorKind.USER, ActorKind.OPERATOR}),
        ),
        Role.SERVE: Permit(calls=frozenset({_APPEND, _HEALTH})),
        Role.TAP: Permit(calls=frozenset({_APPEND, _HEALTH})),
        Role.WEB: Permit(
            calls=frozenset({_APPEND, _RELEASE, _OPEN_ROWS, _TOKENS, _TEXTS, _HEALTH})
            | TRAIL_CALLS,
            purposes=frozenset({Purpose.PLAY, Purpose.EXPORT, Purpose.LIVE}),
            actors=frozenset({ActorKind.USER}),
        ),
        Role.WORKER: Permit(
            calls=frozenset({_APPEND, _RELEASE, _SEAL_ROW, _TOKENS, _HEALTH}),
            purposes=frozenset({Purpose.RENDER, Purpose.RECOVER}),
            actors=frozenset({ActorKind.PROCESS}),
            limited=False,
        ),
    }
)

# Leaves that only the warden's own deeds may write: whoever could append them
# could make the trail say that a key was released when none was.
WARDEN_ONLY: Final = frozenset(
    {
        Action.AUDIT_LOG_CREATED,
        Action.AUDIT_LOG_SUCCEEDED,
        Action.AUDIT_TEXT_READ,
        Action.KEY_KEK_ADDED,
        Action.KEY_ROSTER_SIGNED,
        Action.RECORDING_KEY_RELEASED,
        Action.RECORDING_ROWS_OPENED,
    }
)


def parse_role(text: str) -> Role:
    """Read a role from a configuration.

    Raises:
        ConfigurationError: There is no such role.
    """
    try:
        return Role(text)
    except ValueError:
        raise ConfigurationError(f"no such role: {text[:32]!r}") from None


def check(role: Role, request: m.Request) -> None:
    """Check that *role* may ask for *request*.

    Raises:
        AccessDeniedError: Its permit does not cover it.
    """
    permit = PERMITS[role]
    if request.call not in permit.calls:
        raise AccessDeniedError(f"a {role} may not call {request.call}")
    if isinstance(request, m.ReleaseRequest) and request.purpose not in permit.purposes:
        raise AccessDeniedError(f"a {role} may not ask for {request.purpose}")
    if isinstance(request, _OPENING) and request.caller.actor.kind not in permit.actors:
        raise AccessDeniedError(f"a {role} may not act for this kind of actor")
    if isinstance(request, m.AppendRequest):
        for draft in request.drafts:
            if draft.action in WARDEN_ONLY:
                raise AccessDeniedError(f"only the warden writes {draft.action}")
