"""What states and reasons are called on pages: plain words, one place.

Left to others: the slugs themselves (`vault.core.flow`), which the API shows.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from vault.access.permissions import Permission
from vault.core.flow import Allowance, Direction, Reason, RecordingState
from vault.core.media import Protection
from vault.web.items import RecordingItem

_REASONS: Final = MappingProxyType(
    {
        Reason.NO_MEDIA: "no media arrived",
        Reason.SRTP_UNAUTHENTICATED: "the encryption key did not fit",
        Reason.CUT: "the recording was interrupted",
        Reason.TIMEOUT: "the PBX stopped without ending the call",
        Reason.CODEC_UNSUPPORTED: "its codec can't be played yet",
        Reason.STORE_DAMAGED: "stored data is damaged",
    }
)

PROGRESS: Final = MappingProxyType(
    {
        RecordingState.RECORDING: "This call is still being recorded.",
        RecordingState.CAPTURED: "The call has ended and waits to be prepared.",
        RecordingState.RENDERING: "The recording is being prepared for playback.",
    }
)

_NOTHING: Final = "There is nothing to play"

_UNPLAYABLE: Final = MappingProxyType(
    {
        RecordingState.FAILED: _NOTHING,
        RecordingState.PARTIAL: _NOTHING,
        RecordingState.EXPIRED: "The retention time of this recording is over.",
        RecordingState.SHREDDED: "This recording was erased: its keys are gone.",
    }
)

_PROTECTIONS: Final = MappingProxyType(
    {
        Protection.SHORT_TAG: "weak authentication tag",
        Protection.NONE: "unencrypted media",
    }
)

_WARNINGS: Final = MappingProxyType(
    {
        Protection.SHORT_TAG: "Media came with a 32-bit tag: a patient forger could "
        "have put packets into this recording.",
        Protection.NONE: "Media came without SRTP: anybody on its way could have "
        "listened, and nothing proves who said what.",
    }
)

UNSAFE_SIGNALLING: Final = (
    "SIP that can be read tells whoever is on its way the keys of its calls; who is "
    "known by an address alone can be passed off by others."
)
UNSAFE_DEVICES: Final = (
    "Unencrypted RTP can be heard and changed by whoever is on its way; with weak "
    "tags, a flood gets a forged packet in within hours. Such recordings are marked."
)

_ALLOWANCES: Final = MappingProxyType(
    {
        Allowance.CLEAR_SIGNALLING: "SIP that can be read on its way",
        Allowance.MD5_DIGEST: "SIP answers with MD5",
        Allowance.PAUSE_OTHERS: "pauses for calls of others",
        Allowance.PLAIN_RTP: "unencrypted RTP",
        Allowance.SHORT_TAG: "weak SRTP tags (32 bit)",
        Allowance.SIP_BY_ADDRESS: "SIP with no proof but its address",
    }
)

_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Permission.ACCESS_EMERGENCY_USE: "break the glass",
        Permission.ACCESS_POLICY_APPROVE: "agree to changes of rights",
        Permission.ACCESS_POLICY_EDIT: "change policies and devices",
        Permission.ACCESS_SESSION_END: "end sessions of others",
        Permission.ACCESS_USER_EDIT: "change people",
        Permission.AUDIT_TEXT_READ: "read what people typed",
        Permission.AUDIT_TRAIL_EXPORT: "export the audit trail",
        Permission.AUDIT_TRAIL_READ: "read the audit trail",
        Permission.CALL_LIVE_LISTEN: "listen to running calls",
        Permission.KEY_KEK_DESTROY: "destroy keys",
        Permission.KEY_KEK_ROTATE: "rotate keys",
        Permission.RECORDING_APPROVAL_DECIDE: "agree to playback",
        Permission.RECORDING_CLASS_EDIT: "classify recordings",
        Permission.RECORDING_HOLD_PLACE: "place legal holds",
        Permission.RECORDING_HOLD_RELEASE: "release legal holds",
        Permission.RECORDING_MEDIA_EXPORT: "export recordings",
        Permission.RECORDING_MEDIA_PLAY: "hear recordings",
        Permission.RECORDING_METADATA_READ: "see recordings",
        Permission.RECORDING_SCREEN_PLAY: "watch screens",
        Permission.SYSTEM_HEALTH_READ: "read the health page",
    }
)

_CHANGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "class.put": "Make or change a class",
        "class.remove": "Remove a class",
        "person.add": "Add a person",
        "person.code": "Give a code for a password",
        "person.reopen": "Enable an account",
        "person.set": "Change a person's duties",
        "person.shut": "Disable an account",
        "recording.classify": "Classify a recording",
        "right.give": "Give a right",
        "right.revoke": "Revoke a right",
        "workgroup.add": "Add a workgroup",
        "workgroup.set": "Change a workgroup",
    }
)

_DIRECTIONS: Final = MappingProxyType(
    {
        Direction.INBOUND: "Inbound call",
        Direction.OUTBOUND: "Outbound call",
        Direction.INTERNAL: "Internal call",
        Direction.UNKNOWN: "Call",
    }
)


def reason_text(reason: Reason) -> str:
    """Return why a recording is partial or failed, within a sentence."""
    return _REASONS[reason]


def progress_text(state: RecordingState) -> str:
    """Return what happens to a recording that can't be played yet."""
    return PROGRESS[state]


def unplayable_text(item: RecordingItem) -> str:
    """Return why a recording never will be played."""
    text = _UNPLAYABLE.get(item.state, "This recording can't be played.")
    if text != _NOTHING:
        return text
    why = f"{text}: {_REASONS[item.reason]}." if item.reason else f"{text}."
    if item.state is RecordingState.PARTIAL:
        return f"{why} What was captured is kept."
    return why


def empty_list_text(
    *, may_see: bool, in_a_workgroup: bool, narrows: bool
) -> tuple[str, str]:
    """Return why a list is empty, and what to do about it."""
    if not may_see:
        return "Your role sees no recordings", "That is for supervisors of a workgroup."
    if not in_a_workgroup:
        return (
            "You are in no workgroup yet",
            "You see calls of your workgroups; an administrator can add you to one.",
        )
    if narrows:
        return (
            "Nothing matches",
            "Widen the dates or clear a filter. Numbers are matched whole.",
        )
    return (
        "No recordings yet",
        "Calls of your workgroups appear here as soon as they start.",
    )


def protection_text(protection: Protection) -> str:
    """Return the words of the badge of media that was badly protected."""
    return _PROTECTIONS[protection]


def protection_warning(protection: Protection) -> str:
    """Return what that means for whoever listens."""
    return _WARNINGS[protection]


def allowance_text(allowance: Allowance) -> str:
    """Return what a device is allowed to send, as a warning."""
    return _ALLOWANCES[allowance]


def permission_text(permission: str) -> str:
    """Return what somebody with *permission* may do; itself for one of another time."""
    return _PERMISSIONS.get(permission, permission)


def change_text(kind: str) -> str:
    """Return what a change that waits would do; its kind for one of another time."""
    return _CHANGES.get(kind, kind)


def listed(texts: Iterable[str]) -> str:
    """Return *texts* as one phrase: ``a``, ``a and b``, ``a, b and c``."""
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last


def direction_text(direction: Direction) -> str:
    """Return what kind of call it was."""
    return _DIRECTIONS[direction]
