"""``user``, ``role``, ``workgroup``, ``device``, ``token``: who may do what.

Guarantees: every change leaves a leaf on the trail before the command says that it
worked; a change that could not be written there is taken back.  Secrets are read
from standard input and shown once on standard output, never taken as arguments.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Final

import typer

from vault import config
from vault.access.devices import Devices
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.policy import PERMISSIONS, Role
from vault.access.sessions import Sessions
from vault.access.tokens import Tokens
from vault.access.workgroups import Workgroups
from vault.audit.entry import Action, Detail, Draft
from vault.commands.output import AsJson, failures, note, say, show, show_json
from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError, NotFoundError, VaultError
from vault.core.flow import Allowance, Device
from vault.serving.borrowed import borrowed_warden, operator
from vault.trust.client import WardenClient
from vault.wiring import Installation

user = typer.Typer(no_args_is_help=True, help="People who sign in.")
role = typer.Typer(no_args_is_help=True, help="What people may do.")
workgroup = typer.Typer(no_args_is_help=True, help="Whose calls are whose.")
device = typer.Typer(no_args_is_help=True, help="PBXes and SBCs that send media.")
sessions = typer.Typer(no_args_is_help=True, help="Who is signed in.")
token = typer.Typer(no_args_is_help=True, help="Personal access tokens, for scripts.")

_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNSAFE: Final = MappingProxyType(
    {
        Allowance.SHORT_TAG: "a flood of forged packets gets one into a recording "
        "within hours.  Recordings with 32-bit tags are marked.",
        Allowance.PLAIN_RTP: "anybody between it and this host can listen to its "
        "calls and put words into them.  Recordings of plain RTP are marked.",
    }
)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Name = Annotated[str, typer.Argument(help="Name.", show_default=False)]


@contextmanager
def _trusted() -> Iterator[tuple[Installation, WardenClient]]:
    with failures():
        installation = Installation(config.load())
        with borrowed_warden(installation) as warden:
            yield installation, warden


def _draft(action: Action, **detail: str | int) -> Draft:
    shown: Detail = detail
    return Draft(action=action, caller=operator(), detail=shown)


def _passwords(installation: Installation) -> Passwords:
    memory_kib = installation.settings.password_memory_mib * 1024
    return Passwords(PasswordConfig(memory_kib=memory_kib))


def _from_stdin(*, password_stdin: bool) -> str:
    if password_stdin:
        line = sys.stdin.readline()
        return line.removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise InvalidInputError("no terminal to ask at: use --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read one line from standard input.")
]


@user.command("add")
def user_add(
    name: Name,
    roles: Annotated[
        list[Role], typer.Option("--role", help="What they may do; may be repeated.")
    ],
    workgroups: Annotated[
        list[str] | None,
        typer.Option("--workgroup", help="A missing one is made; may be repeated."),
    ] = None,
    *,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    """Add a person."""
    with failures():
        password = _from_stdin(password_stdin=password_stdin)
    with _trusted() as (installation, warden):
        people = People(installation.catalog)
        hashed = _passwords(installation).hash(password)
        added = people.add(name, roles, workgroups or [], hashed)
        drafts = [
            _draft(Action.ACCESS_WORKGROUP_ADDED, workgroup=group.id)
            for group in added.workgroups_made
        ]
        drafts.append(
            _draft(
                Action.ACCESS_USER_ADDED,
                user=added.person.id,
                role=".".join(sorted(roles)),
                count=len(workgroups or []),
            )
        )
        try:
            warden.append(*drafts)
        except VaultError:
            # Nobody may have an account that the trail knows nothing of.
            people.disable(added.person.id)
            raise
        for group in added.workgroups_made:
            note(f"Made the workgroup {group.name}.")
        if Role.SUPERVISOR in roles and not workgroups:
            note("Without --workgroup a supervisor sees no recordings.")
        if as_json:
            show_json({"id": added.person.id, "name": added.person.name})
        else:
            say(f"Added {added.person.name}.")


@user.command("disable")
def user_disable(name: Name) -> None:
    """Shut an account, its sessions and its tokens, at once."""
    with _trusted() as (installation, warden):
        people = People(installation.catalog)
        person = people.by_name(name)
        warden.append(_draft(Action.ACCESS_USER_DISABLED, user=person.id))
        changed = people.disable(person.id)
        say(f"Disabled {person.name}: {changed.sessions_ended} sessions ended.")


@user.command("passwd")
def user_passwd(name: Name, *, password_stdin: PasswordStdin = False) -> None:
    """Set a new password; the person's sessions end."""
    with failures():
        password = _from_stdin(password_stdin=password_stdin)
    with _trusted() as (installation, warden):
        people = People(installation.catalog)
        person = people.by_name(name)
        hashed = _passwords(installation).hash(password)
        warden.append(
            _draft(Action.ACCESS_USER_CHANGED, user=person.id, part="password")
        )
        people.set_password(person.id, hashed)
        say(f"Changed the password of {person.name}.")


@user.command("list")
def user_list(*, as_json: AsJson = False) -> None:
    """List everybody."""
    with failures():
        installation = Installation(config.load())
        installation.require_initialised()
        names = Workgroups(installation.catalog).names()
        rows = [
            {
                "id": person.id,
                "name": person.name,
                "roles": sorted(person.roles),
                "workgroups": sorted(names[group] for group in person.workgroups),
                "disabled": person.disabled,
            }
            for person in People(installation.catalog).list()
        ]
        show(rows, as_json=as_json, empty="Nobody yet: callvault user add NAME ...")


@role.command("list")
def role_list(*, as_json: AsJson = False) -> None:
    """List roles and what each may do."""
    rows = [
        {"role": str(one), "permissions": sorted(map(str, rights))}
        for one, rights in PERMISSIONS.items()
    ]
    show(rows, as_json=as_json, empty="")


@workgroup.command("list")
def workgroup_list(*, as_json: AsJson = False) -> None:
    """List workgroups."""
    with failures():
        installation = Installation(config.load())
        installation.require_initialised()
        groups = Workgroups(installation.catalog).list()
        rows = [{"id": group.id, "name": group.name} for group in groups]
        show(rows, as_json=as_json, empty="No workgroups.")


@workgroup.command("add")
def workgroup_add(name: Name) -> None:
    """Add a workgroup."""
    with _trusted() as (installation, warden):
        group, made = Workgroups(installation.catalog).add(name)
        if made:
            warden.append(_draft(Action.ACCESS_WORKGROUP_ADDED, workgroup=group.id))
        say(f"{'Added' if made else 'There is already'} {group.name}.")


@device.command("add")
def device_add(
    name: Name,
    *,
    media_advertise: Annotated[
        str | None, typer.Option(help="Address to put into c= for this device.")
    ] = None,
    allow: Annotated[
        list[Allowance] | None,
        typer.Option(help="Something unsafe that it may do; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a device and print its token, which is shown only now."""
    with _trusted() as (installation, warden):
        devices = Devices(installation.catalog)
        added = devices.add(name, media_advertise=media_advertise)
        allowed = replace(added.device, allowances=frozenset(allow or ()))
        try:
            warden.append(_device_draft(Action.ACCESS_DEVICE_ADDED, allowed))
        except VaultError:
            devices.revoke(allowed.id)
            raise
        # After the leaf, as with `device_allow`.
        devices.allow(allowed.id, allowed.allowances)
        _warn(allowed)
        if as_json:
            show_json(
                {
                    "id": allowed.id,
                    "name": allowed.name,
                    "allowances": sorted(allowed.allowances),
                    "token": added.token,
                }
            )
        else:
            say(added.token)


@device.command("list")
def device_list(*, as_json: AsJson = False) -> None:
    """List devices."""
    with failures():
        installation = Installation(config.load())
        installation.require_initialised()
        rows = [
            {
                "id": one.device.id,
                "name": one.device.name,
                "media_advertise": one.device.media_advertise,
                "allowances": sorted(one.device.allowances),
                "revoked": one.revoked,
            }
            for one in Devices(installation.catalog).list()
        ]
        show(rows, as_json=as_json, empty="No devices: callvault device add NAME")


@device.command("allow")
def device_allow(
    name: Name,
    allowances: Annotated[
        list[Allowance] | None,
        typer.Argument(help="All that it may do from now on.", show_default=False),
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Nothing unsafe.")] = False,
) -> None:
    """Set what a device may do although it is unsafe; its token stays."""
    wanted = frozenset(allowances or ())
    if none == bool(wanted):
        raise typer.BadParameter("name what it may do, or --none")
    with _trusted() as (installation, warden):
        devices = Devices(installation.catalog)
        # Taken away before the leaf and given after it: whatever fails in between, a
        # device never may what the trail does not know of.
        narrowed = devices.allow(name, wanted, grants=False)
        changed = replace(narrowed.device, allowances=wanted)
        if narrowed.before != wanted:
            warden.append(_device_draft(Action.ACCESS_DEVICE_CHANGED, changed))
            devices.allow(changed.id, wanted)
        _warn(changed)
        may = ", ".join(sorted(wanted)) or "nothing unsafe"
        say(f"{changed.name} may: {may}; taps know within 5 s.")


def _device_draft(action: Action, changed: Device) -> Draft:
    allowances = ".".join(sorted(changed.allowances)) or "none"
    return _draft(action, device=changed.id, allowances=allowances)


def _warn(changed: Device) -> None:
    for allowance in sorted(changed.allowances):
        note(f"{changed.name}: {_UNSAFE[allowance]}")


@device.command("revoke")
def device_revoke(name: Name) -> None:
    """Refuse a device from now on."""
    with _trusted() as (installation, warden):
        revoked = Devices(installation.catalog).revoke(name)
        warden.append(_draft(Action.ACCESS_DEVICE_REVOKED, device=revoked.id))
        say(f"Revoked {revoked.name}; taps know within 5 s.")


@sessions.command("list")
def sessions_list(*, as_json: AsJson = False) -> None:
    """List sessions that live."""
    with failures():
        installation = Installation(config.load())
        installation.require_initialised()
        names = {one.id: one.name for one in People(installation.catalog).list()}
        rows = [
            {
                "id": one.id,
                "user": names.get(one.user_id, one.user_id),
                "kind": str(one.kind),
                "origin": one.origin,
                "opened": rfc3339(one.created_ns)[:19] + "Z",
                "used": rfc3339(one.used_ns)[:19] + "Z",
            }
            for one in Sessions(installation.catalog).list()
        ]
        show(rows, as_json=as_json, empty="Nobody is signed in.")


@sessions.command("end")
def sessions_end(
    session: Annotated[str, typer.Argument(help="Its id, from the list.")],
) -> None:
    """End one session at once."""
    with _trusted() as (installation, warden):
        warden.append(_draft(Action.ACCESS_SESSION_ENDED, how="operator"))
        if not Sessions(installation.catalog).end(session):
            raise NotFoundError("no such session")
        say("Ended.")


@token.command("add")
def token_add(
    owner: Annotated[str, typer.Argument(metavar="USER", help="Whose token.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    ttl: Annotated[str, typer.Option(help="How long it lives: 90d, 12h, 30m.")] = "90d",
    *,
    as_json: AsJson = False,
) -> None:
    """Add a personal access token and print it; it is shown only now."""
    with _trusted() as (installation, warden):
        person = People(installation.catalog).by_name(owner)
        tokens = Tokens(installation.catalog)
        added = tokens.add(person.id, name, ttl_s=_seconds(ttl))
        try:
            warden.append(
                _draft(Action.ACCESS_TOKEN_ADDED, user=person.id, token=added.listed.id)
            )
        except VaultError:
            tokens.revoke(added.listed.id)
            raise
        if as_json:
            show_json({"id": added.listed.id, "token": added.secret})
        else:
            say(added.secret)


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInputError("write a duration as 90d, 12h, 30m or 45s")
    return int(match[1]) * _UNIT_S[match[2]]
