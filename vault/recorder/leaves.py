"""The leaves of a running call: that it began, and what its device changed.

Guarantees: they name ids, slugs and times; nothing that a PBX says about a call.

Left to others: their way to the trail (`vault.spool.outbox`).
"""

from vault.audit.entry import Action, Detail, Draft
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.media import Protection
from vault.recorder.session import Session


def started_draft(session: Session) -> Draft:
    """Return the leaf of a session that was answered."""
    detail: Detail = {
        "kid": session.order.kid,
        "workgroup": session.order.workgroup_id,
        **_unsafe(session),
    }
    return _draft(session, Action.RECORDING_STARTED, detail, session.started_ns)


def offer_detail(session: Session) -> Detail:
    """Return what the leaf of a new offer says."""
    return {"part": "offer", **_unsafe(session)}


def changed_draft(
    session: Session, action: Action, detail: Detail, *, now_ns: int
) -> Draft:
    """Return the leaf of a pause, a resume, a re-offer or changed facts."""
    return _draft(session, action, detail, now_ns)


def _unsafe(session: Session) -> dict[str, str]:
    """Say how badly the worst streams are protected, if any is: ``none.short-tag``."""
    suites = [stream.weakest for stream in session.streams.values()]
    # Keys by DTLS-SRTP, which a stream may still wait for, are never weak ones.
    found = {suite.protection for suite in suites if suite} - {Protection.STRONG}
    return {"protection": ".".join(sorted(found))} if found else {}


def _draft(session: Session, action: Action, detail: Detail, now_ns: int) -> Draft:
    actor = Actor(kind=ActorKind.DEVICE, id=session.order.device_id)
    return Draft(
        action=action,
        caller=Caller(actor=actor, origin=session.origin),
        recording=session.recording_id,
        detail=detail,
        occurred_ns=now_ns,
    )
