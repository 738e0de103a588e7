"""``callvault``: one sub-command per process and per officer's task.

Guarantees: expected failures are one line on standard error and exit status 1;
wrong use is 2; ``--json`` wherever a table is printed.

Left to others: everything else (`vault.commands`).
"""

from typing import Annotated

import typer

from vault import __version__
from vault.commands import calls, install, people, processes, trail
from vault.serving import logs

app = typer.Typer(
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
        bool, typer.Option("--version", callback=lambda asked: _version(asked=asked))
    ] = False,
) -> None:
    del version  # its callback has done it
    logs.configure("cli", quiet=True)


for _command in (
    install.init,
    processes.serve,
    processes.tap,
    processes.web,
    processes.worker,
    processes.warden,
    install.doctor,
    calls.simulate,
):
    app.command()(_command)

app.add_typer(people.user, name="user")
app.add_typer(people.role, name="role")
app.add_typer(people.workgroup, name="workgroup")
app.add_typer(people.device, name="device")
app.add_typer(people.token, name="token")
app.add_typer(calls.recordings, name="recordings")
app.add_typer(calls.spool, name="spool")
app.add_typer(people.sessions, name="sessions")
app.add_typer(trail.audit, name="audit")
