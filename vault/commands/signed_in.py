"""``sessions list``, ``sessions end``, ``token``: who is signed in, and their scripts.

Guarantees: as in `vault.commands.people`: a leaf before the command says that it
worked, secrets once on standard output and never as arguments.
"""

from typing import Annotated

import typer

from vault.access.people import People
from vault.access.permissions import Permission
from vault.access.sessions import SessionConfig, Sessions
from vault.access.tokens import TokenListed, Tokens
from vault.audit.entry import Action
from vault.commands.changes import draft, looking, trusted
from vault.commands.moments import seconds, to_the_second
from vault.commands.output import AsJson, say, show, show_json
from vault.core.errors import NotFoundError, VaultError
from vault.wiring import Installation

token = typer.Typer(no_args_is_help=True, help="Personal access tokens, for scripts.")

_Owner = Annotated[
    str | None, typer.Option("--user", metavar="USER", help="Of this person alone.")
]


def _sessions(installation: Installation) -> Sessions:
    settings = installation.settings
    return Sessions(
        installation.catalog,
        SessionConfig(
            idle_s=settings.sign_in_idle_s, absolute_s=settings.sign_in_max_s
        ),
    )


def sessions_list(*, user: _Owner = None, as_json: AsJson = False) -> None:
    """List sessions that live."""
    with looking() as installation:
        people = People(installation.catalog)
        names = people.names()
        owner = people.by_name(user).id if user else None
        rows = [
            {
                "id": one.id,
                "user": names.get(one.user_id, one.user_id),
                "kind": str(one.kind),
                "state": "locked" if one.is_locked else "open",
                "origin": one.origin,
                "methods": " ".join(one.methods),
                "opened": to_the_second(one.created_ns),
                "used": to_the_second(one.used_ns),
            }
            for one in _sessions(installation).list(owner)
        ]
        show(rows, as_json=as_json, empty="Nobody is signed in.")


def sessions_end(
    session: Annotated[str, typer.Argument(help="Its id, from the list.")],
) -> None:
    """End one session at once."""
    with trusted() as (installation, warden):
        living = _sessions(installation)
        found = next((one for one in living.list() if one.id == session), None)
        if found is None:
            raise NotFoundError("no such session: callvault sessions list shows them")
        warden.append(
            draft(
                Action.ACCESS_SESSION_ENDED,
                how="operator",
                session=found.id,
                user=found.user_id,
            )
        )
        living.end(found.id)
        say("Ended.")


@token.command("add")
def token_add(
    owner: Annotated[str, typer.Argument(metavar="USER", help="Whose token.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    ttl: Annotated[str, typer.Option(help="How long it lives: 90d, 12h, 30m.")] = "90d",
    permission: Annotated[
        list[Permission] | None,
        typer.Option(
            help="All that it may use of what its owner may; may be repeated. "
            "Without it: whatever the owner may."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add a personal access token and print it; it is shown only now."""
    with trusted() as (installation, warden):
        person = People(installation.catalog).by_name(owner)
        tokens = Tokens(installation.catalog)
        added = tokens.add(
            person.id, name, ttl_s=seconds(ttl), permissions=permission or None
        )
        try:
            warden.append(
                draft(
                    Action.ACCESS_TOKEN_ADDED,
                    {"after": str(added.listed)},
                    user=person.id,
                    token=added.listed.id,
                )
            )
        except VaultError:
            tokens.revoke(added.listed.id)
            raise
        if as_json:
            show_json({"id": added.listed.id, "token": added.secret})
        else:
            say(added.secret)


@token.command("list")
def token_list(*, user: _Owner = None, as_json: AsJson = False) -> None:
    """List personal access tokens."""
    with looking() as installation:
        people = People(installation.catalog)
        names = people.names()
        owner = people.by_name(user).id if user else None
        rows = [
            _row(one, names.get(one.user_id, one.user_id))
            for one in Tokens(installation.catalog).list(owner)
        ]
        show(rows, as_json=as_json, empty="No tokens.")


@token.command("revoke")
def token_revoke(
    token_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, from the list.")
    ],
) -> None:
    """Revoke one personal access token at once."""
    with trusted() as (installation, warden):
        tokens = Tokens(installation.catalog)
        owner = tokens.owner_of(token_id)
        if owner is None:
            raise NotFoundError("no such token: callvault token list shows them")
        warden.append(draft(Action.ACCESS_TOKEN_REVOKED, user=owner, token=token_id))
        tokens.revoke(token_id)
        say("Revoked.")


def _row(listed: TokenListed, owner: str) -> dict[str, object]:
    limits = listed.permissions
    return {
        "id": listed.id,
        "user": owner,
        "name": listed.name,
        "permissions": "all" if limits is None else " ".join(sorted(limits)),
        "expires": to_the_second(listed.expires_ns),
        "used": "" if listed.used_ns is None else to_the_second(listed.used_ns),
        "from": listed.used_from,
    }
