"""The leaves of a running call: that it began, and what its device changed.

Guarantees: they name ids, slugs and times; nothing that a PBX says about a call.

Left to others: their way to the trail (`vault.spool.outbox`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields

from vault.audit.entry import Action, Detail, Draft
from vault.core.flow import Actor, ActorKind, Caller, CallFacts
from vault.core.ids import WorkgroupId
from vault.core.media import Protection
from vault.recorder.session import Session
from vault.sip.offer import OfferedStream


def started_draft(session: Session) -> Draft:
    """Return the leaf of a session that was answered."""
    detail: Detail = {
        "kid": session.order.kid,
        "workgroup": session.order.workgroup_id,
        **_unsafe(session),
    }
    return _draft(session, Action.RECORDING_STARTED, detail, session.started_ns)


def offer_detail(session: Session, asked: Iterable[OfferedStream] = ()) -> Detail:
    """Return what the leaf of a new offer says, whose streams are *asked* for."""
    return {"part": "offer", **_unsafe(session, asked)}


def facts_detail(
    changes: Mapping[str, object], *, moved_to: WorkgroupId | None
) -> Detail:
    """Return what the leaf of changed facts says: which, and never what they are.

    Where the call moves, it names the workgroup that may see it from now on.
    """
    names = sorted("parties" if one == "participants" else one for one in changes)
    everything = len(names) == len(fields(CallFacts))
    detail = {"fields": "all" if everything else ".".join(names) or "none"}
    return detail | ({"workgroup": moved_to} if moved_to else {})


def changed_draft(
    session: Session,
    action: Action,
    detail: Detail,
    *,
    now_ns: int,
    by: Caller | None = None,
) -> Draft:
    """Return the leaf of a pause, a resume, a re-offer or changed facts.

    Args:
        session: What was changed.
        action: What was done.
        detail: About it.
        now_ns: When.
        by: Who did it; None for the device whose call it is.
    """
    return _draft(session, action, detail, now_ns, by=by)


def _unsafe(session: Session, asked: Iterable[OfferedStream] = ()) -> dict[str, str]:
    """Say how badly the worst streams are protected, if any is: ``none.short-tag``."""
    suites = [stream.weakest for stream in session.streams.values()]
    suites += [stream.suite for stream in asked]
    # Keys by DTLS-SRTP, which a stream may still wait for, are never weak ones.
    found = {suite.protection for suite in suites if suite} - {Protection.STRONG}
    return {"protection": ".".join(sorted(found))} if found else {}


def _draft(
    session: Session,
    action: Action,
    detail: Detail,
    now_ns: int,
    *,
    by: Caller | None = None,
) -> Draft:
    device = Actor(kind=ActorKind.DEVICE, id=session.order.device_id)
    return Draft(
        action=action,
        caller=by or Caller(actor=device, origin=session.origin),
        recording=session.recording_id,
        detail=detail,
        occurred_ns=now_ns,
    )
