"""What stands between somebody and the player: the right, words, or a second person.

Guarantees: who lacks the right is told that and nothing of what would be asked; a page
that knows it asks for nothing that would be refused, and written down as such.

Left to others: what a class asks for (`vault.access.grants` insists on it).
"""

from enum import StrEnum, unique

from vault.access.approvals import ApprovalState
from vault.access.permissions import RIGHT_FOR
from vault.catalog.values import RecordingRow
from vault.core.errors import (
    ApprovalRequiredError,
    NotFoundError,
    ReasonRequiredError,
    VaultError,
)
from vault.core.flow import MediaPart
from vault.core.ids import RecordingId
from vault.web.identity import Asker
from vault.web.services import Services

_PART = MediaPart.AUDIO


@unique
class Lacking(StrEnum):
    """What has to happen before the player opens."""

    NOTHING = ""
    RIGHT = "right"
    "To hear it: nothing that they could do here changes that."
    REASON = "reason"
    APPROVAL = "approval"
    "To be asked for."
    ANSWER = "answer"
    "It was asked for, and waits."


def lacking(services: Services, asker: Asker, recording_id: RecordingId) -> Lacking:
    """Return what *asker* still lacks to hear a recording that can be played."""
    try:
        row = services.recordings.get(asker.scope_for(RIGHT_FOR[_PART]), recording_id)
    except NotFoundError:
        return Lacking.RIGHT
    demands = services.duties.classes.demands_on(row)
    if demands.approval and not _agreed(services, asker, row):
        return Lacking.ANSWER if _waits(services, asker, row) else Lacking.APPROVAL
    return Lacking.REASON if _owes_a_reason(services, asker, row) else Lacking.NOTHING


def _agreed(services: Services, asker: Asker, row: RecordingRow) -> bool:
    try:
        services.grants.insist(asker.session, _PART, row)
    except ApprovalRequiredError:
        return False
    return True


def _owes_a_reason(services: Services, asker: Asker, row: RecordingRow) -> bool:
    try:
        services.grants.insist(asker.session, _PART, row, has_reason=False)
    except ReasonRequiredError:
        pass
    else:
        return False
    try:
        return services.grants.live(asker.session, _PART, row) is None
    except VaultError:
        return True


def _waits(services: Services, asker: Asker, row: RecordingRow) -> bool:
    return any(
        one.state is ApprovalState.PENDING
        and one.asked.recording_id == row.id
        and one.asked.permission is RIGHT_FOR[_PART]
        for one in services.duties.approvals.of(asker.session.user_id)
    )
