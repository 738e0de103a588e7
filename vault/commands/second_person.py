"""``approval`` and ``emergency``: what needs somebody else, and what could not wait.

The operator of the host may decide everything and break the glass for anybody: whoever
may type here may read the keys as well.  The trail says that it was the operator.

Guarantees: a step is on the trail, with what was typed sealed, before it counts.

Left to others: `vault.access.approvals`, `vault.access.emergency`.
"""

import sys
from collections.abc import Mapping
from typing import Annotated

import structlog
import typer

from vault.access.approvals import Approval, ApprovalKind
from vault.access.duties import Duties
from vault.access.emergency import Emergency
from vault.access.people import People
from vault.access.reasons import MAX_REASON, checked_reason
from vault.audit.entry import Action, Draft
from vault.commands.changes import draft, looking, trusted
from vault.commands.making import leaf_of
from vault.commands.moments import to_the_second
from vault.commands.output import AsJson, failures, say, show
from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.core.ids import UserId
from vault.serving.borrowed import operator
from vault.serving.duties import duties_of
from vault.trust.client import WardenClient
from vault.web.administration import approval_detail
from vault.web.emergencies import EVENT_ENDED, EVENT_OPENED

approval = typer.Typer(
    no_args_is_help=True, help="What waits for a second person to agree."
)
emergency = typer.Typer(
    no_args_is_help=True, help="Hearing everything for a while, with an alarm."
)

_log = structlog.get_logger()

ApprovalId = Annotated[
    str, typer.Argument(metavar="ID", help="Its id: callvault approval list.")
]
Reason = Annotated[
    str, typer.Option(help="Why, in words; they are sealed on the trail.")
]
ReasonStdin = Annotated[
    bool,
    typer.Option("--reason-stdin", help="Read why from standard input, one line."),
]


@approval.command("list")
def approval_list(*, as_json: AsJson = False) -> None:
    """List what waits, and what was decided and still counts."""
    with looking() as installation:
        duties, names = duties_of(installation), People(installation.catalog).names()
        rows = [_row(one, duties, names) for one in duties.approvals.list()]
        show(rows, as_json=as_json, empty="Nothing waits for anybody.")


@approval.command("approve")
def approval_approve(approval_id: ApprovalId) -> None:
    """Agree; a change that is agreed to is made."""
    with trusted() as (installation, warden):
        duties = duties_of(installation)
        found = duties.approvals.get(approval_id)
        if found.asked.kind is ApprovalKind.PLAY:
            _decide(duties, warden, approval_id, approve=True)
        else:
            duties.second_person.approve(
                approval_id,
                by=None,
                tell=lambda asked, done: warden.append(
                    draft(Action.ACCESS_APPROVAL_APPROVED, **approval_detail(asked)),
                    leaf_of(done, approval=approval_id),
                ),
            )
        say("Approved.")


@approval.command("refuse")
def approval_refuse(approval_id: ApprovalId) -> None:
    """Refuse."""
    with trusted() as (installation, warden):
        _decide(duties_of(installation), warden, approval_id, approve=False)
        say("Refused.")


@emergency.command("open")
def emergency_open(
    name: Annotated[str, typer.Argument(help="Who shall hear everything.")],
    reason: Reason = "",
    *,
    reason_stdin: ReasonStdin = False,
) -> None:
    """Let one person hear everything, for a while."""
    with failures():
        said = reason_of(reason, reason_stdin=reason_stdin)
    with trusted() as (installation, warden):
        person = People(installation.catalog).by_name(name)
        opened = duties_of(installation).emergencies.open(
            person.id,
            by=operator().actor,
            tell=lambda one: _tell(warden, Action.ACCESS_EMERGENCY_OPENED, one, said),
        )
        _log.error(EVENT_OPENED, user=opened.user_id, until=rfc3339(opened.until_ns))
        until = to_the_second(opened.until_ns)
        say(f"{person.name} may hear everything until {until}.")


@emergency.command("list")
def emergency_list(*, as_json: AsJson = False) -> None:
    """List what is open."""
    with looking() as installation:
        names = People(installation.catalog).names()
        rows = [
            {
                "user": names.get(one.user_id, one.user_id),
                "since": to_the_second(one.since_ns),
                "until": to_the_second(one.until_ns),
                "opened_by": one.opened_by,
            }
            for one in duties_of(installation).emergencies.list()
        ]
        show(rows, as_json=as_json, empty="No glass is broken.")


@emergency.command("end")
def emergency_end(
    name: Annotated[str, typer.Argument(help="Who may hear everything.")],
) -> None:
    """End an emergency; what plays by it stops."""
    with trusted() as (installation, warden):
        person = People(installation.catalog).by_name(name)
        ended = duties_of(installation).emergencies.end(
            person.id,
            tell=lambda one: _tell(warden, Action.ACCESS_EMERGENCY_ENDED, one),
        )
        _log.warning(EVENT_ENDED, user=ended.user_id)
        say("Ended.")


def reason_of(reason: str, *, reason_stdin: bool) -> str:
    """Return what the operator typed as a reason.

    Raises:
        InvalidInputError: It is no reason, or was given twice.
    """
    if reason and reason_stdin:
        raise InvalidInputError("--reason or --reason-stdin, not both")
    if reason_stdin:
        reason = sys.stdin.readline(MAX_REASON + 2)
    return checked_reason(reason)


def _tell(
    warden: WardenClient, action: Action, one: Emergency, reason: str = ""
) -> None:
    text = {"reason": reason} if reason else {}
    warden.append(draft(action, text, user=one.user_id, until=rfc3339(one.until_ns)))


def _decide(
    duties: Duties, warden: WardenClient, approval_id: str, *, approve: bool
) -> None:
    action = (
        Action.ACCESS_APPROVAL_APPROVED if approve else Action.ACCESS_APPROVAL_REFUSED
    )

    def tell(decided: Approval) -> None:
        asked = decided.asked
        warden.append(
            Draft(
                action=action,
                caller=operator(),
                recording=asked.recording_id or "",
                detail={
                    "approval": decided.id,
                    "kind": str(asked.kind),
                    "permission": str(asked.permission),
                    "user": asked.requester_id,
                },
            )
        )

    duties.approvals.decide(approval_id, by=None, approve=approve, tell=tell)


def _row(
    one: Approval, duties: Duties, names: Mapping[UserId, str]
) -> dict[str, object]:
    change = ""
    if one.asked.kind is ApprovalKind.ACCESS:
        asked = duties.second_person.asked(one)
        members = " ".join(f"{k}={v}" for k, v in asked.change.members().items() if v)
        change = f"{asked.change.kind} {members}"
    return {
        "id": one.id,
        "kind": str(one.asked.kind),
        "state": str(one.state),
        "user": names.get(one.asked.requester_id, one.asked.requester_id),
        "permission": str(one.asked.permission),
        "recording": one.asked.recording_id,
        "change": change,
        "since": to_the_second(one.created_ns),
        "expires": to_the_second(one.expires_ns),
    }
