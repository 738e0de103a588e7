"""Changes to a running call: facts, whose it is, documents, pauses.

Guarantees: what was changed is kept beside the call.  Its leaf, which says who and
when and never what, is durable before the change counts: what the trail cannot be told
is not done.

Left to others: new offers (`vault.recorder.renewal`).
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from vault.audit.entry import Action, Detail
from vault.core.clock import Clock
from vault.core.errors import VaultError
from vault.core.flow import Actor, ActorKind, Caller, SessionChange
from vault.recorder.documents import seal_documents
from vault.recorder.facts import replaced, seal_metadata
from vault.recorder.leaves import changed_draft, facts_detail
from vault.recorder.parts import Desk
from vault.recorder.pausing import Pauses
from vault.recorder.placing import place
from vault.recorder.resume import keep
from vault.recorder.session import Session

METADATA_DELAYED: Final = "recorder.metadata.delayed"
_log = structlog.get_logger()


class Changing:
    """Changes calls; callers hold the lock of the session."""

    def __init__(self, parts: Desk, *, clock: Clock, pause_max_s: float = 0.0) -> None:
        self._parts = parts
        self._clock = clock
        self.pauses = Pauses(self._resume_due, max_s=pause_max_s)

    async def apply(
        self, session: Session, change: SessionChange, by: Caller | None = None
    ) -> None:
        """Do what *change* says, in the order of its members.

        Args:
            session: Its lock is held.
            change: What to do.
            by: Who asks, in the leaf of a pause or a resume; None for the device.

        Raises:
            InvalidInputError: No such fact, or a value of another type.
            SpoolFullError, UnavailableError: It could not be written.
        """
        if change.call is not None:
            await self._retell(session, change.call)
        if change.documents:
            await asyncio.to_thread(
                seal_documents, session, change.documents, now_ns=self._clock()
            )
        if change.paused is None:
            return
        if change.paused:
            # Before anything can fail: a pause without an end would be forgotten.
            self.pauses.begin(session, change.resume_after_s)
        if change.paused != session.paused:
            await self._pause(session, paused=change.paused, by=by)
        else:
            keep(self._parts.media, session)
        self.pauses.arm(session)

    async def tell(
        self,
        session: Session,
        action: Action,
        detail: Detail,
        *,
        by: Caller | None = None,
    ) -> None:
        """Queue the leaf of what the device, or *by*, has changed."""
        draft = changed_draft(session, action, detail, now_ns=self._clock(), by=by)
        await asyncio.to_thread(self._parts.outbox.post, draft)

    async def seal_soon(self, session: Session) -> None:
        """Seal what is known now; where that fails, the end seals it."""
        try:
            await asyncio.to_thread(seal_metadata, session)
        except VaultError as error:
            problem = type(error).__name__
            _log.warning(
                METADATA_DELAYED, recording=session.recording_id, problem=problem
            )

    async def _retell(self, session: Session, call: Mapping[str, object]) -> None:
        """Replace facts about the call, and whose it is where they say so."""
        facts = replaced(session.facts, call, now_ns=self._clock())
        placed = place(facts, self._parts.people)
        order = session.order_at(placed)
        moved = order != session.order
        # 1. The trail knows who may see the call from now on, 2. the folder does,
        #    3. this process and the next one; only then 4. the catalog is told.
        detail = facts_detail(call, moved_to=order.workgroup_id if moved else None)
        await self.tell(session, Action.RECORDING_CHANGED, detail)
        if moved:
            await asyncio.to_thread(session.folder.replace_order, order)
        session.settle(facts, placed)
        keep(self._parts.media, session)
        await self.seal_soon(session)
        if moved:
            self._parts.opener.opened(session.folder)

    async def _resume_due(self, session: Session) -> None:
        itself = Caller(actor=Actor(kind=ActorKind.PROCESS, id="tap"))
        await self._pause(session, paused=False, by=itself)

    async def _pause(
        self, session: Session, *, paused: bool, by: Caller | None
    ) -> None:
        done = Action.RECORDING_PAUSED if paused else Action.RECORDING_RESUMED
        await self.tell(session, done, {}, by=by)
        await self._parts.media.pause(session.recording_id, paused)
        session.paused = paused
        if not paused:
            session.resume_at_s = 0.0
        keep(self._parts.media, session)
