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

from vault.access.policy import RIGHT_FOR, decide
from vault.catalog.values import RecordingRow
from vault.core.errors import (
    AuditUnavailableError,
    NotAuthenticatedError,
    NotFoundError,
    NotReadyError,
    VaultError,
)
from vault.core.flow import Grant, MediaPart
from vault.core.ids import RecordingId
from vault.core.ranges import ByteRange
from vault.playback.service import OpenMedia
from vault.web.identity import Asker, log_refusal, look_up
from vault.web.services import Services

M4A: Final = "audio/mp4"
_M4A_RETRY_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Media that was opened for one request."""

    media: OpenMedia
    grant: Grant
    listening: "Listening"

    def stream(self, span: ByteRange) -> Iterator[bytes]:
        """Return the octets of *span*, asking again while they go out."""
        return self.media.stream(
            span, still_allowed=lambda: self.listening.check(self.grant)
        )


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
            NotReadyError: There is nothing to play yet.
            NoMediaError: There is nothing to play and never will be.
            GoneError: It has expired or was shredded.
        """
        with self._refusals_logged(recording_id, part):
            return self._services.grants.open(
                self._asker.session,
                part,
                self._row(recording_id),
                origin=self._asker.origin,
                reason=reason,
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
            NotReadyError: The rendition is being made, ask again.
            AuditUnavailableError: No leaf, so no key.
            IntegrityError: The object is damaged; said on the trail.
        """
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
        return Opened(media=opened, grant=grant, listening=self)

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
        session = look_up(
            self._services,
            self._asker.secret.reveal().decode(),
            by_cookie=self._asker.by_cookie,
        )
        if session.id != self._asker.session.id:
            raise NotAuthenticatedError("the session was replaced")
        # 2. The recording is still there for them, and still playable.
        decide(
            session,
            part,
            self._row(recording_id),
            now_ns=self._services.clock(),
            origin=self._asker.origin,
        )
        # 3. What they hear can still be written down.
        self._insist_on_the_trail()

    def _granted(self, recording_id: RecordingId, part: MediaPart) -> Grant:
        session, row = self._asker.session, self._row(recording_id)
        decide(
            session,
            part,
            row,
            now_ns=self._services.clock(),
            origin=self._asker.origin,
        )
        grants = self._services.grants
        return grants.live(session.id, recording_id, part) or grants.open(
            session, part, row, origin=self._asker.origin
        )

    def _row(self, recording_id: RecordingId) -> RecordingRow:
        return self._services.recordings.get(self._asker.scope, recording_id)

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
