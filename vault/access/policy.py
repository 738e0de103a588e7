"""Who may do what: people, sessions, and the one function that grants media.

Guarantees:
    * Deny by default: a role, a right, a part or a state that nothing names gets
      nothing.
    * `decide` is the only maker of fresh grants and `scope_of` the only maker of
      scopes; who holds one of these values has been through here.
    * Forbidden and missing are the same error with the same words.

Left to others: the vocabulary (`vault.access.permissions`), SQL
(`vault.catalog.search` applies a scope), storage of grants and what a class asks
for besides (`vault.access.grants`), the audit leaf of each decision (the caller's
room).

Spec: docs/reference/permissions.md
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from vault.access.interfaces import Subject
from vault.access.permissions import (
    RIGHT_FOR,
    ROLE_RIGHTS,
    Permission,
    Role,
    ScopeKind,
)
from vault.core.clock import NS_PER_S
from vault.core.errors import (
    AccessDeniedError,
    GoneError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    StepUpRequiredError,
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

CLOCK_SLACK_NS: Final = 5 * NS_PER_S
"How far the clocks of two machines may be apart; what goes back further was set."

LOCAL: Final = "local"
"Source of people whose password this vault checks itself."


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRight:
    """A right beside the roles, valid now, its workgroups and classes resolved."""

    permission: Permission
    reach: VisibilityScope
    is_emergency: bool = False
    "It came of breaking the glass: nobody else has to agree."


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with an account, as the database says now."""

    id: UserId
    name: str
    roles: frozenset[Role]
    workgroups: frozenset[WorkgroupId]
    "Those they belong to."
    disabled: bool = False
    source: str = LOCAL
    "Who checks their password: `LOCAL`, ``ldap``, ``oidc`` or ``plugin:<name>``."
    below: frozenset[WorkgroupId] = frozenset()
    "Descendants of *workgroups*."
    rights: tuple[HeldRight, ...] = ()
    "What was given to them, their workgroups or their roles besides."
    limited_to: frozenset[Permission] | None = None
    "All that their token may use of it; None for everything."
    must_change_password: bool = False
    lapsed: bool = False
    "Their directory has not spoken for them lately: nothing of theirs works now."

    @property
    def may_enter(self) -> bool:
        """Whether sessions and tokens of theirs count now."""
        return not (self.disabled or self.lapsed)

    def holds(self, permission: Permission) -> bool:
        """Whether an enabled person has *permission* over anything at all."""
        if not self.may_enter or (
            self.limited_to is not None and permission not in self.limited_to
        ):
            return False
        return any(permission in ROLE_RIGHTS[role] for role in self.roles) or any(
            right.permission is permission for right in self.rights
        )

    def in_emergency(self, permission: Permission) -> bool:
        """Whether they have broken the glass for *permission*."""
        return self.holds(permission) and any(
            right.is_emergency and right.permission is permission
            for right in self.rights
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
    authenticated_ns: int = 0
    "When the person last proved who they are; 0 for tokens, which never step up."
    methods: tuple[str, ...] = ()
    "How they did (RFC 8176): ``pwd``, ``otp``, ``hwk``, ``user``, …"
    is_restricted: bool = False
    "A second factor is required and missing: nothing but adding or giving one."
    is_locked: bool = False
    "Nobody has shown up for a while: nothing but proving again who it is, or leaving."

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


def scope_of(
    person: Person, permission: Permission = Permission.RECORDING_METADATA_READ
) -> VisibilityScope:
    """Return over which recordings *person* has *permission*: perhaps none."""
    scope = VisibilityScope(user_id=person.id)
    # 1. Disabled, or beyond what the token may: nothing.
    if not person.holds(permission):
        return scope
    # 2. What the roles reach.
    for role in person.roles:
        kind = ROLE_RIGHTS[role].get(permission)
        if kind is not None:
            scope = scope.joined(_reach_of_role(person, kind))
    # 3. What was given besides.
    for right in person.rights:
        if right.permission is permission:
            scope = scope.joined(right.reach)
    return scope


def _reach_of_role(person: Person, kind: ScopeKind) -> VisibilityScope:
    match kind:
        case ScopeKind.OWN:
            return VisibilityScope(user_id=person.id, own=True)
        case ScopeKind.WORKGROUP:
            return VisibilityScope(
                user_id=person.id, workgroups=person.workgroups | person.below
            )
        case ScopeKind.ALL:
            return VisibilityScope(user_id=person.id, everything=True)
        case ScopeKind.CLASS:  # no role is bound to a class
            return VisibilityScope(user_id=person.id)


def require(person: Person, permission: Permission) -> None:
    """Insist on a right over a collection (the trail, administration).

    Raises:
        AccessDeniedError: No role of *person* has *permission*.
    """
    if not person.holds(permission):
        raise AccessDeniedError(f"{permission} is not among your rights")


def require_fresh(session: Session, *, now_ns: int, within_s: float) -> None:
    """Insist on a recent proof of who it is.

    Args:
        session: From `Sessions.lookup` or `Tokens.lookup`, of this request.
        now_ns: The time, in nanoseconds since the epoch.
        within_s: How old the last proof may be, in seconds.

    Raises:
        StepUpRequiredError: The last proof is older, or in the future.
    """
    # A token can't prove anything again: making it took a fresh proof.
    if session.kind is SessionKind.TOKEN:
        return
    age_ns = now_ns - session.authenticated_ns
    # A clock that was put back must not make an old proof a new one.
    if not -CLOCK_SLACK_NS <= age_ns < within_s * NS_PER_S:
        raise StepUpRequiredError("prove again who you are, then ask again")


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
    # 3. The recording is within the reach of that very right.
    if not scope_of(session.person, right).covers(
        workgroup_id=subject.workgroup_id,
        agent_id=subject.agent_id,
        class_name=subject.class_name,
    ):
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
