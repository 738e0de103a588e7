"""From "may I hear this" to octets: right, grant, leaf, key, range.

Guarantees:
    * Every request is decided afresh; an old grant saves a leaf, never a check.
    * Before the first octet and then every second, session, right, state and the
      warden's health are asked again; the first "no" ends the stream and drops
      the key.
    * A refusal is on the trail, whether the recording exists or not.

Left to others: the decision (`vault.access.policy`), the key and its leaf
(`vault.playback`, the warden), HTTP ranges (`vault.web.media`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from vault.access.approvals import Approval
from vault.access.permissions import RIGHT_FOR
from vault.access.policy import decide
from vault.audit.entry import Action, Draft
from vault.catalog.values import RecordingRow
from vault.core.errors import (
    AuditUnavailableError,
    NotFoundError,
    NotReadyError,
    VaultError,
)
from vault.core.flow import Grant, MediaPart
from vault.core.ids import RecordingId
from vault.core.ranges import ByteRange
from vault.playback.service import OpenMedia
from vault.web.identity import Asker, insist_on_proof, log_refusal, still_there
from vault.web.services import Services

M4A: Final = "audio/mp4"
_M4A_RETRY_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Media that was opened for one request."""

    media: OpenMedia
    grant: Grant
    listening: "Listening"
    allowed_ns: int
    "When credential, right, state and trail were asked for this request."

    def stream(self, span: ByteRange) -> Iterator[bytes]:
        """Return the octets of *span*, asking again while they go out."""
        return self.media.stream(
            span, still_allowed=self.check, allowed_ns=self.allowed_ns
        )

    def check(self) -> None:
        """Insist that what was right when it was opened still is.

        Raises:
            VaultError: Whatever ends the stream; the key is dropped.
        """
        self.listening.check(self.grant)


class Listening:
    """Serves media to one request."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def grant(
        self, recording_id: RecordingId, part: MediaPart, *, reason: str = ""
    ) -> Grant:
        """Open a grant for the asker, replacing an older one.

        Raises:
            NotFoundError: Missing, outside the scope, or the right is missing.
            ReasonRequiredError: The class asks for a reason, and this is none.
            ApprovalRequiredError: It asks for a second person, and none has agreed.
            NotReadyError: There is nothing to play yet.
            NoMediaError: There is nothing to play and never will be.
            GoneError: It has expired or was shredded.
            StepUpRequiredError: It leaves the vault, and the last proof of who asks
                is too old.
        """
        with self._refusals_logged(recording_id, part):
            return self._services.grants.open(
                self._asker.session,
                part,
                self._decided(recording_id, part),
                origin=self._asker.origin,
                reason=reason,
                used=self._tell_used,
            )

    def media(
        self,
        recording_id: RecordingId,
        part: MediaPart,
        *,
        media_type: str | None = None,
    ) -> "Opened":
        """Open one part for reading, with the grant that lives or a new one.

        Args:
            recording_id: Which recording.
            part: What of it.
            media_type: A rendition other than the one made for every call.

        Raises:
            ReasonRequiredError: The class asks for a reason: ask for a grant with one.
            ApprovalRequiredError: It asks for a second person, and none has agreed.
            NotReadyError: The rendition is being made, ask again.
            AuditUnavailableError: No leaf, so no key.
            IntegrityError: The object is damaged; said on the trail.
        """
        allowed_ns = self._services.playback.now_ns()
        with self._refusals_logged(recording_id, part):
            grant = self._granted(recording_id, part)
        # Credential, right and state were read a moment ago; the trail was not,
        # and a leased key asks the warden for nothing.
        with self._dropping_the_key(grant):
            self._insist_on_the_trail()
        if media_type is not None and self._services.recordings.want(
            recording_id, media_type
        ):
            raise NotReadyError(
                "this format is being made", retry_after_s=_M4A_RETRY_AFTER_S
            )
        opened = self._services.playback.open(grant, media_type=media_type)
        if grant.reason:
            self._services.grants.forget_reason(grant.id)
        return Opened(media=opened, grant=grant, listening=self, allowed_ns=allowed_ns)

    def check(self, grant: Grant) -> None:
        """Insist that what was right when *grant* was given still is.

        Raises:
            VaultError: Whatever ends the stream; the key is dropped.
        """
        with self._dropping_the_key(grant):
            self._check(grant.recording_id, grant.part)

    @contextmanager
    def _dropping_the_key(self, grant: Grant) -> Iterator[None]:
        try:
            yield
        except VaultError:
            self._services.playback.close(grant.id)
            raise

    def _insist_on_the_trail(self) -> None:
        if not self._services.warden.health().healthy:
            raise AuditUnavailableError("the audit trail cannot be written now")

    def _check(self, recording_id: RecordingId, part: MediaPart) -> None:
        """Ask everybody once more.

        Raises:
            VaultError: Whatever ends the stream.
        """
        # 1. The credential still stands, and so does the person.
        session = still_there(self._services, self._asker)
        # 2. The recording is still there for them, and still playable.
        row = self._row(recording_id, part)
        decide(
            session,
            part,
            row,
            now_ns=self._services.clock(),
            origin=self._asker.origin,
        )
        # Who agreed to it did so for a time.
        self._services.grants.insist(session, part, row)
        # 3. What they hear can still be written down.
        self._insist_on_the_trail()

    def _granted(self, recording_id: RecordingId, part: MediaPart) -> Grant:
        session, row = self._asker.session, self._decided(recording_id, part)
        grants = self._services.grants
        return grants.live(session, part, row) or grants.open(
            session, part, row, origin=self._asker.origin, used=self._tell_used
        )

    def _tell_used(self, approval: Approval, grant: Grant) -> None:
        self._services.warden.append(
            Draft(
                action=Action.ACCESS_APPROVAL_USED,
                caller=grant.caller,
                recording=grant.recording_id,
                right=grant.right,
                detail={
                    "approval": approval.id,
                    "grant": grant.id,
                    "part": str(grant.part),
                },
            )
        )

    def _decided(self, recording_id: RecordingId, part: MediaPart) -> RecordingRow:
        row = self._row(recording_id, part)
        decide(
            self._asker.session,
            part,
            row,
            now_ns=self._services.clock(),
            origin=self._asker.origin,
        )
        # Only who may have it is asked to prove who they are.
        insist_on_proof(self._services, self._asker, RIGHT_FOR[part])
        return row

    def _row(self, recording_id: RecordingId, part: MediaPart) -> RecordingRow:
        # The scope of the very right that the part asks for: who may play may not
        # therefore read metadata, nor the other way round.
        scope = self._asker.scope_for(RIGHT_FOR[part])
        return self._services.recordings.get(scope, recording_id)

    @contextmanager
    def _refusals_logged(
        self, recording_id: RecordingId, part: MediaPart
    ) -> Iterator[None]:
        try:
            yield
        except NotFoundError:
            log_refusal(
                self._services.warden,
                self._asker,
                right=str(RIGHT_FOR[part]),
                recording=recording_id,
            )
            raise
