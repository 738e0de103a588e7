"""``right`` and ``class``: who may do what besides roles, and what listeners are asked.

The operator of the host is asked for no second person: whoever may type here may read
the keys as well.  The trail says that it was the operator.

Guarantees: a change is on the trail before it counts.

Left to others: the changes (`vault.access.policy_changes`).
"""

from typing import Annotated

import typer

from vault.access.classes import Classes, Demands, RecordingClass
from vault.access.people import People
from vault.access.policy_changes import GiveRight, PutClass, RemoveClass, RevokeRight
from vault.access.right_words import RightNames, RightWords
from vault.access.rights import Rights
from vault.access.workgroups import Workgroups
from vault.commands.changes import looking, trusted
from vault.commands.making import make
from vault.commands.moments import later_ns
from vault.commands.output import AsJson, failures, say, show, show_json
from vault.core.clock import system_clock_ns
from vault.core.errors import InvalidInputError
from vault.core.ids import parse_recording_id
from vault.web.classifying import ClassifyRecording
from vault.wiring import Installation

right = typer.Typer(no_args_is_help=True, help="Rights besides roles.")
class_ = typer.Typer(
    no_args_is_help=True, help="Classes of recordings, and what they ask listeners for."
)

ClassName = Annotated[
    str, typer.Argument(help="1 to 32 small letters, digits and hyphens.")
]


@right.command("add")
def right_add(
    to: Annotated[str, typer.Option(help="user:NAME, workgroup:NAME or role:NAME.")],
    permission: Annotated[
        str, typer.Option(help="Which: callvault role list shows them all.")
    ],
    over: Annotated[
        str,
        typer.Option(help="own, workgroup, workgroup:NAME, class:NAME or all."),
    ] = "all",
    begins: Annotated[
        str, typer.Option("--from", help="A time, or how long from now: 2h.")
    ] = "",
    until: Annotated[str, typer.Option(help="A time, or how long from now: 90d.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Give somebody a right."""
    with trusted() as (installation, warden):
        people, groups = _names(installation)
        now_ns = system_clock_ns()
        new = RightWords(people=people, workgroups=groups).read(
            to=to,
            permission=permission,
            over=over,
            from_ns=later_ns(begins, now_ns=now_ns) if begins else 0,
            until_ns=later_ns(until, now_ns=now_ns) if until else None,
        )
        done = make(installation, warden, GiveRight(new=new))
        members = RightNames.of(people, groups).members(done.value)
        if as_json:
            show_json(members)
        else:
            say(f"{members['to']} has {members['permission']} over {members['over']}.")


@right.command("list")
def right_list(*, as_json: AsJson = False) -> None:
    """List rights that have not ended."""
    with looking() as installation:
        names = RightNames.of(*_names(installation))
        rows = [names.members(one) for one in Rights(installation.catalog).list()]
        show(rows, as_json=as_json, empty="No rights besides those of roles.")


@right.command("revoke")
def right_revoke(
    right_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its id: callvault right list.")
    ],
) -> None:
    """Take a right away, at once."""
    with trusted() as (installation, warden):
        done = make(installation, warden, RevokeRight(right_id=right_id))
        names = RightNames.of(*_names(installation))
        members = names.members(done.value)
        say(f"{members['to']} no longer has {members['permission']}.")


@class_.command("set")
def class_set(
    name: ClassName,
    *,
    needs_reason: Annotated[
        bool, typer.Option("--needs-reason", help="Whoever listens says why.")
    ] = False,
    needs_approval: Annotated[
        bool,
        typer.Option(
            "--needs-approval", help="Whoever listens waits until somebody else agrees."
        ),
    ] = False,
) -> None:
    """Make a class, or replace what it asks for."""
    with trusted() as (installation, warden):
        demands = Demands(reason=needs_reason, approval=needs_approval)
        change = PutClass(new=RecordingClass(name=name, demands=demands))
        done = make(installation, warden, change)
        say(f"{done.value}")


@class_.command("assign")
def class_assign(
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="Its id.")],
    name: Annotated[str, typer.Argument(help="Its class: callvault class list.")] = "",
    *,
    none: Annotated[
        bool, typer.Option("--none", help="Of the class of its workgroup, if any.")
    ] = False,
) -> None:
    """Say of which class one recording is."""
    with failures():
        if bool(name) == none:
            raise InvalidInputError("name a class, or say --none")
    with trusted() as (installation, warden):
        change = ClassifyRecording(
            recording_id=parse_recording_id(recording), class_name=name or None
        )
        make(installation, warden, change)
        say(f"{recording} is of {name or 'the class of its workgroup'}.")


@class_.command("list")
def class_list(*, as_json: AsJson = False) -> None:
    """List classes."""
    with looking() as installation:
        rows = [one.members() for one in Classes(installation.catalog).list()]
        show(rows, as_json=as_json, empty="No classes: callvault class set NAME")


@class_.command("remove")
def class_remove(name: ClassName) -> None:
    """Remove a class that nothing names any more."""
    with trusted() as (installation, warden):
        make(installation, warden, RemoveClass(name=name))
        say(f"Removed {name}.")


def _names(installation: Installation) -> tuple[People, Workgroups]:
    return People(installation.catalog), Workgroups(installation.catalog)
