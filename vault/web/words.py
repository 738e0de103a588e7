"""What states and reasons are called on pages: plain words, one place.

Left to others: the slugs themselves (`vault.core.flow`), which the API shows.
"""

from types import MappingProxyType
from typing import Final

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

DEVICES: Final = "Devices are added, changed and revoked with callvault device."
UNSAFE_DEVICES: Final = (
    "Unencrypted RTP can be heard and changed by whoever is on its way; with weak "
    "tags, a flood gets a forged packet in within hours. Such recordings are marked."
)

_ALLOWANCES: Final = MappingProxyType(
    {
        Allowance.SHORT_TAG: "weak SRTP tags (32 bit)",
        Allowance.PLAIN_RTP: "unencrypted RTP",
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


def direction_text(direction: Direction) -> str:
    """Return what kind of call it was."""
    return _DIRECTIONS[direction]
