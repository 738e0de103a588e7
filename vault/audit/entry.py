"""One audit entry: who, what, when, from where, with which right, and the result.

An entry is canonical JSON (RFC 8785) of at most 65,535 octets with an
allow-list of members.  People appear by id.  Text that a person typed is kept
erasable beside the log; the entry holds only its HMAC (``text``).

Guarantees:
    * No member outside the allow-list, no free text, no float reaches the log.
    * `Entry.parse(bytes(entry)) == entry`.

Left to others: durability and order (`vault.audit.log`), and who may append
(`vault.warden`).

Spec: docs/reference/formats/audit-entry.md
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, Self

from vault.core import canonical
from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.core.flow import Caller

MAX_ENTRY_BYTES: Final = 65_535


@unique
class Action(StrEnum):
    """What can happen, as ``object.part.verb``.  Kept in alphabetical order."""

    ACCESS_ADDRESS_ADDED = "access.address.added"
    ACCESS_ADDRESS_REMOVED = "access.address.removed"
    ACCESS_APPROVAL_APPROVED = "access.approval.approved"
    ACCESS_APPROVAL_REFUSED = "access.approval.refused"
    ACCESS_APPROVAL_REQUESTED = "access.approval.requested"
    ACCESS_APPROVAL_USED = "access.approval.used"
    ACCESS_CLASS_REMOVED = "access.class.removed"
    ACCESS_CLASS_SET = "access.class.set"
    ACCESS_DEVICE_ADDED = "access.device.added"
    ACCESS_DEVICE_CHANGED = "access.device.changed"
    ACCESS_DEVICE_REVOKED = "access.device.revoked"
    ACCESS_EMERGENCY_ENDED = "access.emergency.ended"
    ACCESS_EMERGENCY_OPENED = "access.emergency.opened"
    ACCESS_EXTENSION_REMOVED = "access.extension.removed"
    ACCESS_EXTENSION_SET = "access.extension.set"
    ACCESS_FACTOR_ADDED = "access.factor.added"
    ACCESS_FACTOR_REFUSED = "access.factor.refused"
    ACCESS_FACTOR_REMOVED = "access.factor.removed"
    ACCESS_FACTOR_RESET = "access.factor.reset"
    ACCESS_FACTOR_SPENT = "access.factor.spent"
    ACCESS_REFUSED = "access.refused"
    ACCESS_RIGHT_GIVEN = "access.right.given"
    ACCESS_RIGHT_REVOKED = "access.right.revoked"
    ACCESS_SESSION_ENDED = "access.session.ended"
    ACCESS_SESSION_LOCKED = "access.session.locked"
    ACCESS_SESSION_OPENED = "access.session.opened"
    ACCESS_SESSION_REFUSED = "access.session.refused"
    ACCESS_SESSION_RENEWED = "access.session.renewed"
    ACCESS_TOKEN_ADDED = "access.token.added"  # noqa: S105 - the name of an event
    ACCESS_TOKEN_REVOKED = "access.token.revoked"  # noqa: S105 - as above
    ACCESS_USER_ACTIVATED = "access.user.activated"
    ACCESS_USER_ADDED = "access.user.added"
    ACCESS_USER_CHANGED = "access.user.changed"
    ACCESS_USER_DISABLED = "access.user.disabled"
    ACCESS_USER_ENABLED = "access.user.enabled"
    ACCESS_WORKGROUP_ADDED = "access.workgroup.added"
    ACCESS_WORKGROUP_CHANGED = "access.workgroup.changed"
    AUDIT_LOG_CREATED = "audit.log.created"
    AUDIT_LOG_SUCCEEDED = "audit.log.succeeded"
    AUDIT_STREAM_FAILED = "audit.stream.failed"
    AUDIT_STREAM_REWOUND = "audit.stream.rewound"
    AUDIT_STREAM_STARTED = "audit.stream.started"
    AUDIT_TEXT_READ = "audit.text.read"
    AUDIT_TRAIL_BROKEN = "audit.trail.broken"
    AUDIT_TRAIL_EXPORTED = "audit.trail.exported"
    AUDIT_TRAIL_READ = "audit.trail.read"
    KEY_KEK_ADDED = "key.kek.added"
    KEY_ROSTER_SIGNED = "key.roster.signed"
    PROCESS_RECONFIGURED = "process.reconfigured"
    PROCESS_STARTED = "process.started"
    PROCESS_STOPPED = "process.stopped"
    RECORDING_CAPTURED = "recording.captured"
    RECORDING_CHANGED = "recording.changed"
    RECORDING_CLASSIFIED = "recording.classified"
    RECORDING_DAMAGED = "recording.damaged"
    RECORDING_EXPORTED = "recording.exported"
    RECORDING_FAILED = "recording.failed"
    RECORDING_HOLD_PLACED = "recording.hold.placed"
    RECORDING_HOLD_RELEASED = "recording.hold.released"
    RECORDING_KEY_RELEASED = "recording.key.released"
    RECORDING_LISTED = "recording.listed"
    RECORDING_METADATA_READ = "recording.metadata.read"
    RECORDING_PAUSED = "recording.paused"
    RECORDING_PLAYED = "recording.played"
    RECORDING_RECOVERED = "recording.recovered"
    RECORDING_RENDERED = "recording.rendered"
    RECORDING_RESUMED = "recording.resumed"
    RECORDING_ROWS_OPENED = "recording.rows.opened"
    RECORDING_SEARCHED = "recording.searched"
    RECORDING_STARTED = "recording.started"


@unique
class Result(StrEnum):
    """How it went."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


Detail = Mapping[str, str | int]

# Every detail member that may be written, with the shape its text must have.
# Nothing here can hold a phone number, a name or a password by accident:
# slugs, ids and digests have closed alphabets, counts are integers.
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,63}")
_SLUGS: Final = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,199}")
_HEX: Final = re.compile(r"[0-9a-f]{8,128}")
_TIME: Final = re.compile(r"[0-9TZ:.-]{7,35}")
_SPANS: Final = re.compile(r"[0-9][0-9:,-]{0,127}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ ,+-]{0,127}")
_LOG: Final = re.compile(r"[!-*,-~]{1,110}")
_COUNT: Final = None

DETAIL_MEMBERS: Final = MappingProxyType(
    {
        "addendum_sha256": _HEX,
        "allowances": _SLUGS,
        "approval": _SLUG,
        "bytes": _COUNT,
        "class": _SLUG,
        "count": _COUNT,
        "cut_sha256": _HEX,
        "device": _SLUG,
        "entry": _COUNT,
        "extension": _SLUG,
        "factor": _SLUG,
        "fields": _SLUGS,
        "format": _SLUG,
        "given": _SLUG,
        "grant": _SLUG,
        "heard": _SPANS,
        "holder": _SLUG,
        "how": _SLUG,
        "kid": _HEX,
        "kind": _SLUG,
        "listener": _SLUG,
        "manifest_sha256": _HEX,
        "methods": _SLUGS,
        "month": _TIME,
        "object": _SLUG,
        "part": _SLUG,
        "permission": _SLUG,
        "permissions": _SLUGS,
        "predecessor": _LOG,
        "process": _SLUG,
        "protection": _SLUG,
        "purpose": _SLUG,
        "ranges": _WORD,
        "restored_root": _HEX,
        "restored_size": _COUNT,
        "role": _SLUG,
        "rows": _COUNT,
        "rule": _SLUG,
        "scope": _SLUG,
        "session": _SLUG,
        "settings_sha256": _HEX,
        "sha256": _HEX,
        "signed_root": _HEX,
        "signed_size": _COUNT,
        "size": _COUNT,
        "source": _SLUG,
        "state": _SLUG,
        "status": _COUNT,
        "token": _SLUG,
        "until": _TIME,
        "user": _SLUG,
        "version": _WORD,
        "workgroup": _SLUG,
    }
)


# What rooms fill in beside the detail: no blank, no ``+``, nothing that anybody typed.
_MEMBERS: Final = MappingProxyType(
    {
        "session": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"),
        "origin": re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:%_-]{0,63}"),
        "recording": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}"),
        "right": _SLUG,
        "reason": _SLUG,
        "source": _SLUG,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a room wants to have written; the warden adds time, id and ``via``."""

    action: Action
    caller: Caller
    result: Result = Result.OK
    recording: str = ""
    right: str = ""
    reason: str = ""
    "A slug that the vault chose; text of a person goes into *text*."
    detail: Detail = field(default_factory=lambda: MappingProxyType({}))
    text: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    "Free text by field name: sealed beside the log, erasable."
    source: str = ""
    "For entries delivered late: which tap wrote them first."
    source_seq: int = 0
    occurred_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the trail, exactly as it is hashed."""

    members: canonical.JsonObject

    def __bytes__(self) -> bytes:
        return canonical.dumps(self.members)

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read an entry back from the log.

        Raises:
            InvalidInputError: Not canonical, or too long.
        """
        if len(octets) > MAX_ENTRY_BYTES:
            raise InvalidInputError(f"an entry of {len(octets)} octets")
        return cls(members=canonical.parse(octets))


def compose(
    draft: Draft, *, id: str, time: str, via: str, text_hmacs: Mapping[str, str]
) -> Entry:
    """Make the entry that will be hashed out of *draft*.

    Args:
        draft: What a room reported.
        id: UUID of the entry.
        time: RFC 3339 with nanoseconds, by the warden's clock.
        via: Role of the reporting process, known from its connection.
        text_hmacs: For each member of ``draft.text`` the hex HMAC-SHA256 of it.

    Raises:
        InvalidInputError: A detail outside the allow-list, or of another shape.
    """
    members: canonical.JsonObject = {
        "v": 1,
        "id": id,
        "time": time,
        "action": str(draft.action),
        "actor": str(draft.caller.actor),
        "via": via,
        "result": str(draft.result),
    }
    optional = {
        "session": draft.caller.session,
        "origin": draft.caller.origin,
        "recording": draft.recording,
        "right": draft.right,
        "reason": draft.reason,
        "source": draft.source,
    }
    members.update(
        {name: _shaped(name, text) for name, text in optional.items() if text}
    )
    if draft.source:
        members["seq"] = draft.source_seq
    if draft.occurred_ns:
        members["occurred"] = rfc3339(draft.occurred_ns)
    if draft.detail:
        members["detail"] = {
            name: _checked(name, value) for name, value in draft.detail.items()
        }
    if text_hmacs:
        members["text"] = dict(text_hmacs)
    entry = Entry(members=members)
    if len(bytes(entry)) > MAX_ENTRY_BYTES:
        raise InvalidInputError("the entry is too long")
    return entry


def _shaped(name: str, text: str) -> str:
    """Return a member that rooms fill in, if it is a word of the vault's own."""
    if not _MEMBERS[name].fullmatch(text):
        raise InvalidInputError(f"{name!r} has the wrong shape")
    return text


def _checked(name: str, value: str | int) -> str | int:
    if name not in DETAIL_MEMBERS:
        raise InvalidInputError(f"detail {name!r} is not on the allow-list")
    shape = DETAIL_MEMBERS[name]
    fits = (
        isinstance(value, int) and not isinstance(value, bool)
        if shape is None
        else isinstance(value, str) and shape.fullmatch(value) is not None
    )
    if not fits:
        raise InvalidInputError(f"detail {name!r} has the wrong shape")
    return value
