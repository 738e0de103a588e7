"""``ldap``: what the directory answers, step by step.

Guarantees: nothing is changed and nobody is signed in; the password is read from the
terminal or from standard input, and shown nowhere.
"""

from typing import Annotated

import typer

from vault import config
from vault.access.group_map import GroupMap
from vault.access.names import name_key
from vault.commands.output import failures, say
from vault.commands.passwords import PasswordStdin, asked_password
from vault.core.errors import NotAuthenticatedError
from vault.serving.sources import directory

ldap = typer.Typer(no_args_is_help=True, help="The directory that people come from.")

_GROUP = "group: "


@ldap.command("test")
def ldap_test(
    name: Annotated[str, typer.Argument(help="Who would sign in.")],
    *,
    password_stdin: PasswordStdin = False,
) -> None:
    """Try a sign-in and say what is found: connection, entry, groups, roles."""
    with failures():
        settings = config.load()
        asked = directory(settings)
        meanings = GroupMap.parse(settings.group_map)
        groups: list[str] = []
        last = ""
        for line in asked.examine(name, asked_password(from_stdin=password_stdin)):
            last = line
            if line.startswith(_GROUP):
                groups.append(line.removeprefix(_GROUP))
            if line != "right":
                say(line)
        if last != "right":
            raise NotAuthenticatedError("nobody would come in that way")
        _say_duties(meanings, groups)


def _say_duties(meanings: GroupMap, groups: list[str]) -> None:
    if not meanings:
        say("roles: those given here (group_map is empty): the account must be there")
        return
    duties = meanings.duties(groups)
    say(f"roles: {', '.join(sorted(duties.roles)) or 'none'}")
    if meanings.knows_workgroups:
        names = sorted(duties.workgroups, key=name_key)
        say(f"workgroups: {', '.join(names) or 'none'}")
    if not duties.roles:
        raise NotAuthenticatedError("no group of theirs has a role in group_map")
    say("Comes in.")
