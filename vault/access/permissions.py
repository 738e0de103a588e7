"""The vocabulary of rights: permissions, roles, and what each role may reach.

Guarantees:
    * Deny by default: what no line here names, no role has.
    * Duties are apart: no role both administers and hears, or both reads the
      trail and hears, or hears and handles keys.  A person may be given two
      roles, and the trail says so.

Left to others: rights that people are given besides their roles
(`vault.access.rights`), decisions (`vault.access.policy`).

Spec: docs/reference/permissions.md
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.core.flow import MediaPart


@unique
class Permission(StrEnum):
    """What can be asked for, as ``resource:part:verb``.  Kept in alphabetical order."""

    ACCESS_EMERGENCY_USE = "access:emergency:use"
    "Break the glass: hear everything for an hour, with an alarm."
    ACCESS_POLICY_APPROVE = "access:policy:approve"
    "Be the second person for a change of who may hear what."
    ACCESS_POLICY_EDIT = "access:policy:edit"
    "Rights, classes, workgroups, extensions, devices, address rules."
    ACCESS_SESSION_END = "access:session:end"
    "See and end sessions and tokens of others."
    ACCESS_USER_EDIT = "access:user:edit"
    AUDIT_TEXT_READ = "audit:text:read"
    "Read what people typed, one entry at a time."
    AUDIT_TRAIL_EXPORT = "audit:trail:export"
    AUDIT_TRAIL_READ = "audit:trail:read"
    CALL_LIVE_LISTEN = "call:live:listen"
    KEY_KEK_DESTROY = "key:kek:destroy"
    KEY_KEK_ROTATE = "key:kek:rotate"
    RECORDING_APPROVAL_DECIDE = "recording:approval:decide"
    "Be the second person where a class of recordings asks for one."
    RECORDING_CLASS_EDIT = "recording:class:edit"
    "Say of which class a recording is, and so what its listeners are asked for."
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
    "Is recorded."
    SUPERVISOR = "supervisor"
    "Hears the calls of workgroups, now and later."
    QUALITY = "quality"
    "Hears the calls of workgroups to judge them; takes nothing out."
    OFFICER = "officer"
    "Reads the trail, classifies, places and releases holds; hears nothing."
    ADMINISTRATOR = "administrator"
    "People, devices and policies; hears nothing and sees no recording."
    CUSTODIAN = "custodian"
    "Keys."


@unique
class DualControl(StrEnum):
    """When a change of who may do what needs a second person."""

    SELF = "self"
    "Where a change opens calls to whoever asks for it."
    ALWAYS = "always"
    "Where it opens calls to anybody."


@unique
class ScopeKind(StrEnum):
    """Over which recordings a right is."""

    OWN = "own"
    "Those of calls in which the person was the agent."
    WORKGROUP = "workgroup"
    "Those of a workgroup and its children; of the person's own where none is named."
    CLASS = "class"
    "Those of one class, in every workgroup."
    ALL = "all"
    "Every one."


OVER_RECORDINGS: Final = frozenset(
    {
        Permission.CALL_LIVE_LISTEN,
        Permission.RECORDING_APPROVAL_DECIDE,
        Permission.RECORDING_CLASS_EDIT,
        Permission.RECORDING_HOLD_PLACE,
        Permission.RECORDING_HOLD_RELEASE,
        Permission.RECORDING_MEDIA_EXPORT,
        Permission.RECORDING_MEDIA_PLAY,
        Permission.RECORDING_METADATA_READ,
        Permission.RECORDING_SCREEN_PLAY,
    }
)
"Permissions that reach some recordings and not others; the rest know only ``all``."

CONTENT: Final = frozenset(
    {
        Permission.ACCESS_EMERGENCY_USE,
        Permission.CALL_LIVE_LISTEN,
        Permission.RECORDING_MEDIA_EXPORT,
        Permission.RECORDING_MEDIA_PLAY,
        Permission.RECORDING_METADATA_READ,
        Permission.RECORDING_SCREEN_PLAY,
    }
)
"What opens a call or what is known of it: nobody gives it to themselves alone."

TAKES_TWO: Final = CONTENT | {
    # Words that people typed, which may name who spoke and of what.
    Permission.AUDIT_TEXT_READ,
    # Shows of calls that wait for a yes why somebody wants to hear them, when they
    # were, how long, whose and of which class.
    Permission.RECORDING_APPROVAL_DECIDE,
}
"""What shows a call, or what is said of one, to whoever holds it: what is compared to
find whether a change needs a second person."""

STEP_UP: Final = frozenset(
    {
        Permission.ACCESS_EMERGENCY_USE,
        Permission.AUDIT_TEXT_READ,
        Permission.AUDIT_TRAIL_EXPORT,
        Permission.KEY_KEK_DESTROY,
        Permission.RECORDING_HOLD_RELEASE,
        Permission.RECORDING_MEDIA_EXPORT,
    }
)
"What asks for a fresh proof of who it is."

Reaches = Mapping[Permission, ScopeKind]

_WORKGROUP = ScopeKind.WORKGROUP
_ALL = ScopeKind.ALL

ROLE_RIGHTS: Final[Mapping[Role, Reaches]] = MappingProxyType(
    {
        # An agent is recorded; hearing oneself is a right of its own: give the role
        # `recording:media:play` over `own`.
        Role.AGENT: MappingProxyType({}),
        Role.SUPERVISOR: MappingProxyType(
            {
                Permission.CALL_LIVE_LISTEN: _WORKGROUP,
                Permission.RECORDING_APPROVAL_DECIDE: _WORKGROUP,
                Permission.RECORDING_MEDIA_EXPORT: _WORKGROUP,
                Permission.RECORDING_MEDIA_PLAY: _WORKGROUP,
                Permission.RECORDING_METADATA_READ: _WORKGROUP,
                Permission.RECORDING_SCREEN_PLAY: _WORKGROUP,
            }
        ),
        Role.QUALITY: MappingProxyType(
            {
                Permission.RECORDING_MEDIA_PLAY: _WORKGROUP,
                Permission.RECORDING_METADATA_READ: _WORKGROUP,
                Permission.RECORDING_SCREEN_PLAY: _WORKGROUP,
            }
        ),
        Role.OFFICER: MappingProxyType(
            {
                Permission.ACCESS_POLICY_APPROVE: _ALL,
                Permission.AUDIT_TEXT_READ: _ALL,
                Permission.AUDIT_TRAIL_EXPORT: _ALL,
                Permission.AUDIT_TRAIL_READ: _ALL,
                Permission.RECORDING_APPROVAL_DECIDE: _ALL,
                Permission.RECORDING_CLASS_EDIT: _ALL,
                Permission.RECORDING_HOLD_PLACE: _ALL,
                Permission.RECORDING_HOLD_RELEASE: _ALL,
            }
        ),
        Role.ADMINISTRATOR: MappingProxyType(
            {
                Permission.ACCESS_POLICY_APPROVE: _ALL,
                Permission.ACCESS_POLICY_EDIT: _ALL,
                Permission.ACCESS_SESSION_END: _ALL,
                Permission.ACCESS_USER_EDIT: _ALL,
                Permission.SYSTEM_HEALTH_READ: _ALL,
            }
        ),
        Role.CUSTODIAN: MappingProxyType(
            {
                Permission.KEY_KEK_DESTROY: _ALL,
                Permission.KEY_KEK_ROTATE: _ALL,
                Permission.SYSTEM_HEALTH_READ: _ALL,
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
