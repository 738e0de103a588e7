"""Calls changed by others than their device: agents' desktops, operators.

Guarantees: a device that is not allowed to finds its own calls alone; a question
that asks nothing finds nothing; the leaf names who asked.

Left to others: who may ask at all (`vault.forks`, `vault.serving`).
"""

from collections.abc import Iterable, Mapping

from vault.core.errors import NotFoundError, UnavailableError, VaultError
from vault.core.flow import (
    Actor,
    ActorKind,
    Allowance,
    Caller,
    Device,
    SessionChange,
    SessionStatus,
    Wanted,
)
from vault.core.ids import RecordingId
from vault.recorder.changing import Changing
from vault.recorder.session import Session
from vault.recorder.standing import running_status


class Integrations:
    """Finds running calls, and pauses or resumes them."""

    def __init__(
        self, sessions: Mapping[RecordingId, Session], changing: Changing
    ) -> None:
        """Work on *sessions*, which the desk goes on to change."""
        self._sessions = sessions
        self._changing = changing

    async def matching(
        self, device: Device, wanted: Wanted, change: SessionChange | None
    ) -> tuple[SessionStatus, ...]:
        """Find sessions for *device*; do to them what *change* says, if it does.

        Raises:
            UnavailableError: Some were not changed; all others were.
        """
        by = Caller(actor=Actor(kind=ActorKind.DEVICE, id=device.id))
        found = matching(self._sessions.values(), wanted, device)
        if change is None:
            return tuple(running_status(session, ()) for session in found)
        done: list[SessionStatus | None] = []
        failed: VaultError | None = None
        for session in found:
            # One that cannot be paused must not keep the others from it.
            try:
                done.append(await self._change(session, change, by))
            except VaultError as error:
                failed = error
        if failed is not None:
            raise UnavailableError(
                f"{len(found) - len(done)} of {len(found)} calls were not changed"
            ) from failed
        return tuple(status for status in done if status is not None)

    async def change(
        self, recording_id: RecordingId, change: SessionChange, by: Caller
    ) -> SessionStatus:
        """Do what *change* says to any session, on behalf of *by*.

        Raises:
            NotFoundError: No such session, or it has ended.
        """
        session = self._sessions.get(recording_id)
        if session is not None:
            status = await self._change(session, change, by)
            if status is not None:
                return status
        raise NotFoundError("no such call is being recorded now")

    async def _change(
        self, session: Session, change: SessionChange, by: Caller
    ) -> SessionStatus | None:
        async with session.lock:
            if session.ending is not None:
                return None
            await self._changing.apply(session, change, by)
            return running_status(session, ())


def matching(
    sessions: Iterable[Session], wanted: Wanted, device: Device
) -> list[Session]:
    """Return those of *sessions* that *device* may find and that *wanted* means."""
    if not (wanted.pbx_id or wanted.agent):
        return []
    everywhere = Allowance.PAUSE_OTHERS in device.allowances
    return [
        session
        for session in sessions
        if session.ending is None
        and (everywhere or session.device.id == device.id)
        and (not wanted.pbx_id or session.facts.pbx_id == wanted.pbx_id)
        and (not wanted.agent or _has_agent(session, wanted.agent))
    ]


def _has_agent(session: Session, agent: str) -> bool:
    facts = session.place.facts
    named = agent.strip().casefold()
    # Who has left does not take part any more: the call may be another's now.
    here = (one.agent for one in facts.participants if not one.left_ns)
    return any(one.strip().casefold() == named for one in (facts.agent, *here) if one)
