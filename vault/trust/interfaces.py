"""The three things that any room may ask of the warden.

Every call appends its leaf first, waits until that leaf is durable, and only
then acts: no log, no play.  An implementation answers within 2 s or raises
`AuditUnavailableError`; callers MUST NOT act as if it had succeeded, and MAY
repeat the call (a leaf written twice is honest, a missing one is not).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vault.audit.entry import Draft
from vault.core.flow import Caller, Purpose
from vault.core.ids import GrantId, RecordingId
from vault.core.secrets import SecretBytes

MAX_ROWS: int = 200
"Rows of metadata that one call opens at most."

MAX_MONTHS: int = 24
"Months that one search may cover: each costs a token."


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRow:
    """A recording's metadata as its database row keeps it."""

    sealed: bytes
    "nonce (12) ‖ AES-256-GCM(row key, padded metadata)."
    wrapped_key: bytes
    "nonce (12) ‖ AES-256-GCM(month's catalog key, row key)."
    key_id: str
    "Which catalog key: ``catalog-2026-11``."


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexToken:
    """One blind-index token of one recording."""

    field: str
    "``caller``, ``callee``, ``party`` never: sides are kept apart; ``agent``."
    month: str
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WardenHealth:
    """Whether releases would work now."""

    healthy: bool
    last_append_age_s: float
    "Seconds since an append was last seen durable (a probe keeps this fresh)."
    log_size: int
    detail: str = ""


class Trail(Protocol):
    """Writes to the audit trail."""

    def append(self, *drafts: Draft) -> None:
        """Append *drafts*, in order, and return when they are durable.

        Raises:
            AuditUnavailableError: Not durable within 2 s, or no warden.
            InvalidInputError: A draft holds what must not be logged.
        """
        ...


class KeyRelease(Protocol):
    """Hands out one data key, after its leaf."""

    def release(
        self,
        recording_id: RecordingId,
        *,
        caller: Caller,
        purpose: Purpose,
        grant: GrantId | None = None,
        right: str = "",
        reason: str = "",
    ) -> SecretBytes:
        """Return the 32-octet data key of one recording.

        Args:
            recording_id: Which recording.
            caller: On whose behalf; the warden adds the process's own role.
            purpose: Why; each role may name only some purposes.
            grant: The grant that playback holds, for the leaf.
            right: The permission that grant rests on, for the leaf.
            reason: What the person typed, sealed beside the log.

        Raises:
            AuditUnavailableError: The leaf is not durable: there is no key.
            KeyUnavailableError: The envelope cannot be opened now.
            SealBrokenError: The envelope is not this recording's.
            NotFoundError: No envelope; shredded, or never there.
            AccessDeniedError: This process's role may not name that purpose.
            ThrottledError: More than 600 releases for this actor in an hour.
        """
        ...


class RowKeys(Protocol):
    """Opens and seals the metadata of rows, and makes search tokens."""

    def open_rows(
        self, caller: Caller, recordings: Sequence[RecordingId]
    ) -> Mapping[RecordingId, bytes]:
        """Return canonical JSON metadata of at most 200 recordings.

        Recordings without a sealed row yet (still in progress) are absent.
        """
        ...

    def seal_row(
        self, recording_id: RecordingId, metadata: bytes, *, month: str
    ) -> tuple[SealedRow, Sequence[IndexToken]]:
        """Seal *metadata* (canonical JSON) for its row and make its tokens."""
        ...

    def tokens(
        self, caller: Caller, *, field: str, value: str, months: Collection[str]
    ) -> Mapping[str, bytes]:
        """Return month → token for an exact-match search, 24 months at most."""
        ...


class Texts(Protocol):
    """Opens what people typed, one entry of the trail at a time."""

    def texts(self, caller: Caller, index: int, *, right: str) -> Mapping[str, str]:
        """Return the texts of one entry that are still there, by field.

        Args:
            caller: Who reads.
            index: Of the entry.
            right: The permission that the reader holds, for the leaf.

        Raises:
            AuditUnavailableError: The leaf is not durable: nothing is opened.
            NotFoundError: No such entry, or nobody typed anything there.
            SealBrokenError: A text is not the one that was logged.
        """
        ...


class Warden(Trail, KeyRelease, RowKeys, Texts, Protocol):
    """All of it, and how it feels."""

    def health(self) -> WardenHealth:
        """Ask whether the last append was durable within 2 s."""
        ...
