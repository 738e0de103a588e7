"""Who may do what: permissions, roles, and the one function that grants media.

Guarantees:
    * Deny by default: a role, a part or a state that no line here names gets
      nothing.
    * `decide` is the only maker of fresh grants and `scope_of` the only maker of
      scopes; who holds one of these values has been through here.
    * Forbidden and missing are the same error with the same words.
    * Duties are apart: no role both administers and listens, or both reads the
      trail and listens.  A person may be given two roles, and the trail says so.

Left to others: SQL (`vault.catalog.search` applies a scope), storage of grants
(`vault.access.grants`), the audit leaf of each decision (the caller's room).

Spec: docs/reference/permissions.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.access.interfaces import Subject
from vault.core.clock import NS_PER_S
from vault.core.errors import (
    AccessDeniedError,
    GoneError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
)
from vault.core.flow import (
    Actor,
    ActorKind,
    Caller,
    Grant,
    MediaPart,
    RecordingState,
    VisibilityScope,
)
from vault.core.ids import GrantId, UserId, WorkgroupId, new_id

GRANT_TTL_S: Final = 300
"Seconds that a grant lives without being used."


@unique
class Permission(StrEnum):
    """What can be asked for, as ``resource:part:verb``.  Kept in alphabetical order."""

    ACCESS_POLICY_EDIT = "access:policy:edit"
    ACCESS_USER_EDIT = "access:user:edit"
    AUDIT_TRAIL_EXPORT = "audit:trail:export"
    AUDIT_TRAIL_READ = "audit:trail:read"
    CALL_LIVE_LISTEN = "call:live:listen"
    KEY_KEK_ROTATE = "key:kek:rotate"
    RECORDING_HOLD_PLACE = "recording:hold:place"
    RECORDING_HOLD_RELEASE = "recording:hold:release"
    RECORDING_MEDIA_EXPORT = "recording:media:export"
    RECORDING_MEDIA_PLAY = "recording:media:play"
    RECORDING_METADATA_READ = "recording:metadata:read"
    RECORDING_SCREEN_PLAY = "recording:screen:play"
    SYSTEM_HEALTH_READ = "system:health:read"


@unique
class Role(StrEnum):
    """A named set of permissions."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    OFFICER = "officer"
    ADMINISTRATOR = "administrator"


PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        # An agent is recorded; hearing oneself is a right of its own, not yet given.
        Role.AGENT: frozenset(),
        Role.SUPERVISOR: frozenset(
            {
                Permission.RECORDING_METADATA_READ,
                Permission.RECORDING_MEDIA_PLAY,
                Permission.RECORDING_SCREEN_PLAY,
                Permission.RECORDING_MEDIA_EXPORT,
            }
        ),
        Role.OFFICER: frozenset(
            {Permission.AUDIT_TRAIL_READ, Permission.AUDIT_TRAIL_EXPORT}
        ),
        Role.ADMINISTRATOR: frozenset(
            {
                Permission.ACCESS_USER_EDIT,
                Permission.ACCESS_POLICY_EDIT,
                Permission.SYSTEM_HEALTH_READ,
            }
        ),
    }
)

RIGHT_FOR: Final[Mapping[MediaPart, Permission]] = MappingProxyType(
    {
        MediaPart.AUDIO: Permission.RECORDING_MEDIA_PLAY,
        # A waveform shows who spoke when: it needs the right to the sound.
        MediaPart.PEAKS: Permission.RECORDING_MEDIA_PLAY,
        MediaPart.SCREEN: Permission.RECORDING_SCREEN_PLAY,
        # The capture is every packet as it came: it leaves the player's reach.
        MediaPart.CAPTURE: Permission.RECORDING_MEDIA_EXPORT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with an account, as the database says now."""

    id: UserId
    name: str
    roles: frozenset[Role]
    workgroups: frozenset[WorkgroupId]
    disabled: bool = False

    def holds(self, permission: Permission) -> bool:
        """Whether any role of an enabled person has *permission*."""
        return not self.disabled and any(
            permission in PERMISSIONS[role] for role in self.roles
        )


@unique
class SessionKind(StrEnum):
    """How a person's credential arrives."""

    BROWSER = "browser"
    "By cookie: unsafe requests need the CSRF token."
    BEARER = "bearer"
    "A signed-in script, by ``Authorization``."
    TOKEN = "token"  # noqa: S105 - the name of a kind
    "A personal access token, by ``Authorization``."


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Proof that a credential was checked against the database just now."""

    id: str
    "Public: it stands in the trail.  The secret is not in this value."
    person: Person
    kind: SessionKind
    expires_ns: int
    "Absolute end; an idle session ends earlier."
    csrf: str = field(default="", repr=False)
    "What unsafe requests by cookie must repeat; empty for tokens."

    @property
    def user_id(self) -> UserId:
        """Whose session it is."""
        return self.person.id

    @property
    def name(self) -> str:
        """The person's name as it was entered."""
        return self.person.name

    @property
    def roles(self) -> frozenset[Role]:
        """The person's roles."""
        return self.person.roles

    @property
    def workgroups(self) -> frozenset[WorkgroupId]:
        """The person's workgroups."""
        return self.person.workgroups

    def caller(self, origin: str = "") -> Caller:
        """Return this session as the one on whose behalf a room acts."""
        return Caller(
            actor=Actor(kind=ActorKind.USER, id=self.person.id),
            session=self.id,
            origin=origin,
        )


def scope_of(person: Person) -> VisibilityScope:
    """Return which recordings *person* may know of: perhaps none, never all."""
    if not person.holds(Permission.RECORDING_METADATA_READ):
        return VisibilityScope(user_id=person.id, workgroups=frozenset())
    return VisibilityScope(user_id=person.id, workgroups=person.workgroups)


def require(person: Person, permission: Permission) -> None:
    """Insist on a right over a collection (the trail, administration).

    Raises:
        AccessDeniedError: No role of *person* has *permission*.
    """
    if not person.holds(permission):
        raise AccessDeniedError(f"{permission} is not among your rights")


def decide(
    session: Session,
    part: MediaPart,
    subject: Subject,
    *,
    now_ns: int,
    origin: str = "",
    reason: str = "",
) -> Grant:
    """Grant *session* one part of one recording, or refuse.

    Args:
        session: From `Sessions.lookup` or `Tokens.lookup`, of this request.
        part: What is asked for.
        subject: The recording's row, read in this request.
        now_ns: The time, in nanoseconds since the epoch.
        origin: Address of the peer, for the trail.
        reason: What the person typed, for the trail.

    Raises:
        NotFoundError: The right or the workgroup is missing.
        NotReadyError: There is nothing to play *yet*.
        NoMediaError: There is nothing to play and never will be.
        GoneError: It has expired or was shredded.
    """
    # 1. (Caller) The session was looked up in this request, so a person who was
    #    disabled meanwhile does not come here with an old value.
    # 2. The part has a right, and a role of the person has that right.
    right = RIGHT_FOR.get(part)
    if right is None or not session.person.holds(right):
        raise NotFoundError("no such recording")
    # 3. The person may know that the recording exists, and it is in their reach.
    if subject.workgroup_id not in scope_of(session.person).workgroups:
        raise NotFoundError("no such recording")
    # 4. Only now may the answer depend on what the recording is.
    _refuse_by_state(subject.state)
    # 5. The grant ends with the session, whatever its own length.
    expires_ns = min(now_ns + GRANT_TTL_S * NS_PER_S, session.expires_ns)
    # 6. (Caller) Store the grant, have its leaf made durable by the warden, and
    #    check again before every range.
    return Grant(
        id=GrantId(new_id()),
        recording_id=subject.id,
        part=part,
        caller=session.caller(origin),
        right=str(right),
        expires_ns=expires_ns,
        reason=reason,
    )


def _refuse_by_state(state: RecordingState) -> None:
    if state in {RecordingState.READY, RecordingState.PARTIAL}:
        return
    if state in {RecordingState.EXPIRED, RecordingState.SHREDDED}:
        raise GoneError("the recording is gone")
    if state is RecordingState.FAILED:
        raise NoMediaError("the recording has no media")
    raise NotReadyError("the recording is not ready yet")
