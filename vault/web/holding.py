"""Recordings as those see them who mark them: no names, no numbers, no sound.

Officers place and release holds and say of which class a recording is, and need not
know who called whom: they see its day and length, its workgroup and its marks.

Guarantees:
    * Who may mark nothing, or not that very recording, gets the answer of one that is
      not there.
    * What is shown is on the trail before; nothing that is sealed is opened for it.

Left to others: marking (`vault.web.marking`), HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from vault.access.permissions import Permission
from vault.audit.entry import Action, Draft
from vault.catalog.values import RecordingRow
from vault.core.clock import rfc3339
from vault.core.errors import AccessDeniedError, NotFoundError
from vault.core.flow import RecordingState, VisibilityScope
from vault.core.ids import RecordingId
from vault.web.identity import Asker, log_refusal
from vault.web.services import Services

MAX_HELD: Final = 500
_PLACE: Final = Permission.RECORDING_HOLD_PLACE
_RELEASE: Final = Permission.RECORDING_HOLD_RELEASE
_CLASSIFY: Final = Permission.RECORDING_CLASS_EDIT
HOLDS: Final = (_PLACE, _RELEASE)
_MARKS: Final = (_PLACE, _RELEASE, _CLASSIFY)
_MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is marked on one recording, and what the reader may mark."""

    id: RecordingId
    state: RecordingState
    day: str
    duration_s: float | None
    workgroup: str
    class_name: str
    "Its own, or that of its workgroup."
    own_class: str
    "Empty: that of its workgroup."
    held: bool
    since: str
    "RFC 3339; empty where nobody knows."
    by: str
    may: frozenset[Permission]
    classes: Sequence[str]

    @property
    def may_place(self) -> bool:
        """Whether the reader may hold it."""
        return _PLACE in self.may and self.state is not RecordingState.SHREDDED

    @property
    def may_release(self) -> bool:
        """Whether the reader may end its hold."""
        return _RELEASE in self.may

    @property
    def may_classify(self) -> bool:
        """Whether the reader may say of which class it is."""
        return _CLASSIFY in self.may


class HoldDesk:
    """Shows marks to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def held(self) -> Sequence[Marks]:
        """Return the newest held recordings that the asker may mark.

        Raises:
            AccessDeniedError: They place and release no holds.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        rights = [one for one in HOLDS if self._asker.may(one)]
        if not rights:
            log_refusal(self._services.warden, self._asker, right=_PLACE)
            raise AccessDeniedError("holds are placed and released by others")
        # Each right may reach other recordings.
        scope = reduce(VisibilityScope.joined, map(self._asker.scope_for, rights))
        found = self._seen(self._services.holds.list(MAX_HELD, scope))
        self._tell(rights[0], rows=len(found))
        return found

    def one(self, recording_id: RecordingId) -> Marks:
        """Return what is marked on one recording.

        Raises:
            NotFoundError: Missing, or nothing that the asker may mark.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        found = self.marks_of(recording_id)
        if found is None:
            log_refusal(
                self._services.warden,
                self._asker,
                right=_PLACE,
                recording=recording_id,
            )
            raise NotFoundError("no such recording")
        self._tell(min(found.may), rows=1, recording=recording_id)
        return found

    def marks_of(self, recording_id: RecordingId) -> Marks | None:
        """Return the same for a page that wrote its leaf; None: nothing to mark."""
        may, row = set[Permission](), None
        for right in _MARKS:
            if not self._asker.may(right):
                continue
            found = self._services.recordings.among(
                self._asker.scope_for(right), [recording_id]
            )
            if recording_id in found:
                may.add(right)
                row = found[recording_id]
        return None if row is None else self._seen([row], may)[0]

    def _seen(
        self, rows: Sequence[RecordingRow], may: set[Permission] | None = None
    ) -> Sequence[Marks]:
        groups = {one.id: one for one in self._services.workgroups.list()}
        people = {f"user:{id}": n for id, n in self._services.people.names().items()}
        classes = [one.name for one in self._services.duties.classes.list()]
        found = []
        for row in rows:
            group = groups.get(row.workgroup_id) if row.workgroup_id else None
            own = row.class_name or ""
            found.append(
                Marks(
                    id=row.id,
                    state=row.state,
                    day=row.day,
                    duration_s=None
                    if row.duration_ms is None
                    else row.duration_ms / _MS_PER_S,
                    workgroup=group.name if group else "",
                    class_name=own or (group.class_name if group else ""),
                    own_class=own,
                    held=row.held,
                    since=rfc3339(row.held_since_ns) if row.held_since_ns else "",
                    by=people.get(row.held_by, row.held_by.partition(":")[0]),
                    may=frozenset(may or ()),
                    classes=classes,
                )
            )
        return found

    def _tell(self, right: Permission, *, rows: int, recording: str = "") -> None:
        self._services.warden.append(
            Draft(
                action=Action.RECORDING_LISTED,
                caller=self._asker.caller,
                recording=recording,
                right=right,
                detail={"rows": rows},
            )
        )
