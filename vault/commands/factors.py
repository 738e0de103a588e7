"""``user factors``: which second factors somebody has, and taking them away.

Guarantees: nothing secret is shown; a reset is on the trail before it counts, and
ends the person's sessions.
"""

from typing import Annotated

import typer

from vault.access.factor_rows import FactorChange
from vault.access.held_factors import HeldFactors
from vault.access.people import People
from vault.audit.entry import Action
from vault.commands.changes import draft, looking, trusted
from vault.commands.moments import to_the_second
from vault.commands.output import AsJson, say, show

factors = typer.Typer(no_args_is_help=True, help="Second factors of people.")

Name = Annotated[str, typer.Argument(help="Name.", show_default=False)]


@factors.command("list")
def factors_list(name: Name, *, as_json: AsJson = False) -> None:
    """List what somebody has set up."""
    with looking() as installation:
        person = People(installation.catalog).by_name(name)
        held = HeldFactors(installation.catalog).of(person.id)
        rows: list[dict[str, object]] = []
        if held.totp_since_ns is not None:
            rows.append(_row("totp", since_ns=held.totp_since_ns))
        rows += [
            _row("passkey", one.name, since_ns=one.created_ns, used_ns=one.used_ns)
            for one in held.passkeys
        ]
        if held.recovery_codes:
            rows.append(_row("recovery-codes", f"{held.recovery_codes} unused"))
        show(rows, as_json=as_json, empty=f"{person.name} has no second factor.")


@factors.command("reset")
def factors_reset(name: Name) -> None:
    """Take all of somebody's second factors away, and end their sessions."""
    with trusted() as (installation, warden):
        person = People(installation.catalog).by_name(name)

        def tell(change: FactorChange) -> None:
            warden.append(
                draft(
                    Action.ACCESS_FACTOR_RESET,
                    user=person.id,
                    kind=str(change.kind),
                    count=change.count,
                )
            )

        done = HeldFactors(installation.catalog).reset(person.id, tell=tell)
        say(
            f"Took {done.factors} second factors from {person.name}: "
            f"{done.sessions_ended} sessions ended."
        )


def _row(
    kind: str,
    name: str = "",
    *,
    since_ns: int | None = None,
    used_ns: int | None = None,
) -> dict[str, object]:
    return {
        "factor": kind,
        "name": name,
        "since": _shown(since_ns),
        "used": _shown(used_ns),
    }


def _shown(at_ns: int | None) -> str:
    return "" if at_ns is None else to_the_second(at_ns)
