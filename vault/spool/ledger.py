"""The account of every session the tap has answered, until the store has it.

What stands in the ledger is what lies in the spool: a folder without a manifest
is a call that runs (or was cut), one with a manifest waits for the store.  After
a folder was freed a short note stays, so that a device which asks again gets
the same answer.

Guarantees: every folder is in `read_status`; a note is durable before its
folder is freed; 10,000 notes are kept and 1,000 at most beside them, the oldest go
first.

Spec: docs/reference/formats/spool.md
"""

import contextlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from typing import Final, Self

from vault.core import canonical
from vault.core.errors import (
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from vault.core.flow import HowEnded
from vault.core.ids import DeviceId, RecordingId, parse_recording_id
from vault.spool.descriptors import write_durably
from vault.spool.disk import read_alarm
from vault.spool.files import MANIFEST, SessionFolder
from vault.spool.progress import Shipping, read_shipping

_NOTES: Final = ".ended"
_MAX_NOTES: Final = 10_000
_PRUNE_EVERY: Final = 1_000


@unique
class SpoolState(StrEnum):
    """Where a session stands on its way to the store."""

    RECORDING = "recording"
    "No manifest yet: the call runs, or its tap has died."
    WAITING = "waiting"
    "Complete here; not all of it is in the store."
    FAILING = "failing"
    "As waiting, and the last try failed."


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """One session in the spool, for the operator."""

    recording_id: RecordingId
    state: SpoolState
    bytes: int
    age_s: float
    "Seconds since the session began."
    last_error: str
    "Empty, or why the shipper's last try failed."
    shipped_bytes: int = 0
    "Of them, what the store holds; all are looked at again after a failure."
    next_try_s: float = 0.0
    "When it is tried again, since the epoch; 0 where nothing has to be waited for."


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolTotals:
    """All of the spool at once."""

    alarm: str
    "Why no new session is taken until the tap starts anew; empty if well."
    sessions: int
    waiting: int
    "Sessions that have ended and are not in the store."
    bytes: int
    waiting_bytes: int
    "Of ended sessions, what the store does not hold yet."
    oldest_age_s: float
    "Of ended sessions, since they began; 0 if there are none."
    bytes_per_s: float
    "What the store took over the last minute."

    @property
    def drain_s(self) -> float | None:
        """How long the rest takes at that rate; None where nothing moves."""
        if not self.waiting_bytes:
            return 0.0
        return self.waiting_bytes / self.bytes_per_s if self.bytes_per_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedNote:
    """What is remembered of a session whose folder was freed."""

    device_id: DeviceId
    how: HowEnded
    reason: str

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": 1,
                "device_id": self.device_id,
                "how": self.how.value,
                "reason": self.reason,
            }
        )

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a note back.

        Raises:
            InvalidInputError: It is not one of ours.
        """
        members = canonical.parse(octets)
        try:
            return cls(
                device_id=DeviceId(str(members["device_id"])),
                how=HowEnded(str(members["how"])),
                reason=str(members["reason"]),
            )
        except (KeyError, ValueError):
            raise InvalidInputError("not a note of the ledger") from None


def read_status(directory: Path) -> list[SpoolStatus]:
    """Return every session in the spool at *directory*, oldest first.

    It takes no lock: an operator may look while a tap works.
    """
    found = []
    shipping = read_shipping(directory).recordings
    with contextlib.suppress(FileNotFoundError):
        for path in directory.iterdir():
            # Somebody else's folder, or a link: the tap has said so.
            with contextlib.suppress(NotFoundError, IntegrityError, UnavailableError):
                found.append(_status(path, shipping.get(path.name, Shipping())))
    return sorted(found, key=lambda status: -status.age_s)


def read_totals(directory: Path, sessions: Sequence[SpoolStatus]) -> SpoolTotals:
    """Return the sum of *sessions*, which `read_status` gave, and how it moves."""
    ended = [one for one in sessions if one.state is not SpoolState.RECORDING]
    return SpoolTotals(
        alarm=read_alarm(directory),
        sessions=len(sessions),
        waiting=len(ended),
        bytes=sum(one.bytes for one in sessions),
        waiting_bytes=sum(max(0, one.bytes - one.shipped_bytes) for one in ended),
        oldest_age_s=max((one.age_s for one in ended), default=0.0),
        bytes_per_s=read_shipping(directory).bytes_per_s,
    )


class EndedNotes:
    """The notes of one spool."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / _NOTES
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._written = itertools.count(1)
        self._prune()

    def write(self, recording_id: RecordingId, note: EndedNote) -> None:
        """Keep *note*, durably; writing it again changes nothing."""
        write_durably(self._folder, recording_id, bytes(note), replace=True)
        if next(self._written) % _PRUNE_EVERY == 0:
            self._prune()

    def read(self, recording_id: RecordingId) -> EndedNote:
        """Return the note of a session.  Raises `NotFoundError`."""
        try:
            return EndedNote.parse((self._folder / recording_id).read_bytes())
        except (FileNotFoundError, InvalidInputError):
            raise NotFoundError("no such session") from None

    def _prune(self) -> None:
        notes: list[tuple[float, Path]] = []
        for path in self._folder.iterdir():
            # One may get its name at this moment.
            with contextlib.suppress(FileNotFoundError):
                notes.append((path.stat().st_mtime, path))
        for _, path in sorted(notes)[: max(0, len(notes) - _MAX_NOTES)]:
            path.unlink(missing_ok=True)


def _status(path: Path, shipping: Shipping) -> SpoolStatus:
    recording_id = parse_recording_id(path.name)
    folder = SessionFolder(path, recording_id)
    trouble = folder.trouble()
    state = SpoolState.RECORDING
    if folder.has(MANIFEST):
        state = SpoolState.FAILING if trouble else SpoolState.WAITING
    # Asked for last: where it is gone, so is the session.
    born_s = folder.born_s()
    return SpoolStatus(
        recording_id=recording_id,
        state=state,
        bytes=folder.size_bytes(),
        age_s=max(0.0, time.time() - born_s),
        last_error=trouble,
        shipped_bytes=shipping.shipped,
        next_try_s=shipping.next_try_s,
    )
