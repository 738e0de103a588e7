"""``extension``: which address is which agent's, and which workgroup its calls are of.

Guarantees: a change is on the trail before it counts; numbers and names of people are
sealed there.

Left to others: the table (`vault.access.extensions`), its use
(`vault.recorder.placing`).
"""

from typing import Annotated

import typer

from vault.access.extensions import ExtensionChanged, Extensions
from vault.access.workgroups import Workgroups
from vault.audit.entry import Action
from vault.commands.changes import draft, looking, trusted
from vault.commands.output import AsJson, note, say, show, show_json
from vault.trust.client import WardenClient

extension = typer.Typer(
    no_args_is_help=True, help="Which address is whose, where the PBX names nobody."
)

Pattern = Annotated[
    str,
    typer.Argument(
        help="A number or a user, with @host or without; * and ? are wildcards.",
        show_default=False,
    ),
]


@extension.command("add")
def extension_add(
    pattern: Pattern,
    *,
    agent: Annotated[str, typer.Option(help="User name of whose it is.")] = "",
    workgroup: Annotated[str, typer.Option(help="Whose calls they are.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add an address, or change whose it is."""
    with trusted() as (installation, warden):
        changed = Extensions(installation.catalog).put(
            pattern,
            agent=agent,
            workgroup=workgroup,
            tell=lambda done: _tell(warden, Action.ACCESS_EXTENSION_SET, done),
        )
        entry = changed.entry
        known = Workgroups(installation.catalog).snapshot()
        if entry.agent and known.agent(entry.agent) is None:
            note(f"Nobody has the name {entry.agent} yet.")
        if entry.workgroup and known.workgroup(entry.workgroup) is None:
            note(f"There is no workgroup {entry.workgroup} yet.")
        if as_json:
            show_json(entry.members())
        else:
            say(f"{'Changed' if changed.before else 'Added'} {entry.pattern}.")


@extension.command("list")
def extension_list(*, as_json: AsJson = False) -> None:
    """List the table."""
    with looking() as installation:
        rows = [one.members() for one in Extensions(installation.catalog).list()]
        empty = "No extensions: callvault extension add 1001 --agent NAME"
        show(rows, as_json=as_json, empty=empty)


@extension.command("remove")
def extension_remove(
    pattern: Annotated[str, typer.Argument(help="As it is listed, or its id.")],
) -> None:
    """Remove an address; calls that were recorded stay whose they are."""
    with trusted() as (installation, warden):
        changed = Extensions(installation.catalog).remove(
            pattern,
            tell=lambda done: _tell(warden, Action.ACCESS_EXTENSION_REMOVED, done),
        )
        say(f"Removed {changed.entry.pattern}.")


@extension.command("test")
def extension_test(
    address: Annotated[
        str, typer.Argument(help="A number, a user, a sip: or tel: URI.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Say whose an address is; nothing is changed."""
    with looking() as installation:
        found = Extensions(installation.catalog).table().match(address)
        if as_json:
            show_json({"extension": None if found is None else found.members()})
        elif found is None:
            say("Nobody's: calls land in default, unless the PBX says more.")
        else:
            whose = found.agent or "nobody in particular"
            group = found.workgroup or "what the PBX says, or default"
            say(f"{found.pattern}: agent {whose}, workgroup {group}")


def _tell(warden: WardenClient, action: Action, changed: ExtensionChanged) -> None:
    warden.append(draft(action, changed.texts(), extension=changed.entry.id))
