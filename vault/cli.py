"""``callvault``: one sub-command per process and per officer's task.

Guarantees: expected failures are one line on standard error and exit status 1;
wrong use is 2; ``--json`` wherever a table is printed.  A command loads its own
family of modules and no other: ``callvault user list`` needs no media library.

Left to others: everything else (`vault.commands`).
"""

import importlib
import os
from types import MappingProxyType
from typing import Annotated, Final

import typer
from typer import _click as click  # typer carries a click of its own
from typer.core import TyperGroup

from vault import __version__, process
from vault.serving import logs

# Name → module of vault.commands and what of it is the command.
_COMMANDS: Final = MappingProxyType(
    {
        "init": "install:init",
        "serve": "processes:serve",
        "tap": "processes:tap",
        "web": "processes:web",
        "auditor": "processes:auditor",
        "worker": "processes:worker",
        "warden": "processes:warden",
        "doctor": "install:doctor",
        "simulate": "calls:simulate",
        "user": "people:user",
        "role": "people:role",
        "workgroup": "people:workgroup",
        "device": "devices:device",
        "extension": "extensions:extension",
        "right": "policy:right",
        "class": "policy:class_",
        "approval": "second_person:approval",
        "emergency": "second_person:emergency",
        "hold": "holds:hold",
        "address": "addresses:address",
        "token": "signed_in:token",
        "sessions": "ledger:sessions",
        "recordings": "recordings:recordings",
        "spool": "spool:spool",
        "audit": "trail:audit",
        "ldap": "directory:ldap",
        "oidc": "provider:oidc",
        "openapi": "openapi:openapi",
    }
)


class _Lazy(TyperGroup):
    """A group whose commands are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which people meet them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        with process.loading():
            family = importlib.import_module(f"vault.commands.{module}")
        found = getattr(family, attribute)
        if isinstance(found, typer.Typer):
            group = typer.main.get_group(found)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
        alone.command(cmd_name)(found)
        return typer.main.get_command(alone)


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="An encrypted vault for call and screen recordings.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"callvault {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: _version(asked=asked),
            is_eager=True,
            help="Say which version this is.",
        ),
    ] = False,
) -> None:
    del version  # its callback has done it
    # Whatever a command makes is its owner's alone: folders, keys, exports.
    os.umask(0o077)
    logs.configure("cli", quiet=True)
