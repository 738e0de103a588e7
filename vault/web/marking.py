"""Holds, and classes of single recordings, for officers.

Guarantees:
    * Who lacks the right over that very recording gets the answer of one that is not
      there.
    * A hold is on the trail before it counts, and so is its end.

Left to others: the marks (`vault.catalog.marks`), the second person that a class may
need (`vault.web.administration`), HTTP.
"""

from vault.access.changes import Done
from vault.access.permissions import Permission
from vault.access.reasons import checked_reason
from vault.access.second_person import Asked
from vault.audit.entry import Action, Draft
from vault.catalog.values import RecordingRow
from vault.core.errors import NotFoundError
from vault.core.ids import RecordingId
from vault.web.administration import Changes
from vault.web.classifying import ClassifyRecording
from vault.web.identity import Asker, insist_on_proof, log_refusal
from vault.web.services import Services


class Marking:
    """Marks recordings for one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def hold(self, recording_id: RecordingId, *, reason: str) -> RecordingRow:
        """Place a hold; a held recording stays held, and the trail has both reasons.

        Raises:
            InvalidInputError: The reason is none.
            NotFoundError: Missing, or the right over it is.
            GoneError: It was shredded.
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        right = Permission.RECORDING_HOLD_PLACE
        self._insist(right, recording_id)
        said = checked_reason(reason)
        return self._services.holds.place(
            recording_id,
            self._asker.scope_for(right),
            by=self._asker.caller.actor,
            tell=lambda row: self._tell(Action.RECORDING_HOLD_PLACED, right, row, said),
        )

    def release(self, recording_id: RecordingId, *, reason: str) -> RecordingRow:
        """End a hold.

        Raises:
            InvalidInputError: The reason is none.
            NotFoundError: Missing, or the right over it is.
            StepUpRequiredError: The last proof of who asks is too old.
            GoneError: It was shredded.
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        right = Permission.RECORDING_HOLD_RELEASE
        self._insist(right, recording_id)
        said = checked_reason(reason)
        return self._services.holds.release(
            recording_id,
            self._asker.scope_for(right),
            tell=lambda row: self._tell(
                Action.RECORDING_HOLD_RELEASED, right, row, said
            ),
        )

    def classify(
        self, recording_id: RecordingId, class_name: str | None
    ) -> Done[RecordingRow] | Asked:
        """Give a recording a class of its own; None: that of its workgroup.

        Raises:
            NotFoundError: Missing, or the right over it is, or there is no such class.
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        self._insist(Permission.RECORDING_CLASS_EDIT, recording_id)
        return Changes(self._services, self._asker).run_checked(
            ClassifyRecording(recording_id=recording_id, class_name=class_name)
        )

    def _insist(self, right: Permission, recording_id: RecordingId) -> None:
        try:
            self._services.recordings.get(self._asker.scope_for(right), recording_id)
        except NotFoundError:
            log_refusal(
                self._services.warden, self._asker, right=right, recording=recording_id
            )
            raise
        # Only who may is asked to prove who they are.
        insist_on_proof(self._services, self._asker, right)

    def _tell(
        self, action: Action, right: Permission, row: RecordingRow, reason: str
    ) -> None:
        self._services.warden.append(
            Draft(
                action=action,
                caller=self._asker.caller,
                recording=row.id,
                right=right,
                detail={"state": str(row.state)},
                text={"reason": reason},
            )
        )
