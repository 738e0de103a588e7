"""What states and reasons are called on pages: plain words, one place.

Left to others: the slugs themselves (`vault.core.flow`), which the API shows.
"""

from types import MappingProxyType
from typing import Final

from vault.core.flow import Direction, Reason, RecordingState
from vault.web.items import RecordingItem

_REASONS: Final = MappingProxyType(
    {
        Reason.NO_MEDIA: "no media arrived",
        Reason.SRTP_UNAUTHENTICATED: "the encryption key did not fit",
        Reason.CUT: "the call was cut off",
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


def direction_text(direction: Direction) -> str:
    """Return what kind of call it was."""
    return _DIRECTIONS[direction]
