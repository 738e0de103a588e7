"""``user``, ``role``, ``workgroup``: who may do what.

Guarantees: every change leaves a leaf on the trail before the command says that it
worked; a change that could not be written there is taken back.  Secrets are read
from standard input and shown once on standard output, never taken as arguments.
"""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Final

import typer

from vault.access.activations import half_digest, new_half, whole_code
from vault.access.kept_passwords import KeptPasswords
from vault.access.password_rules import PasswordRules
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People, PersonAdded
from vault.access.people_changes import GiveCode, ReopenPerson, SetPerson
from vault.access.permissions import ROLE_RIGHTS, Permission, Role
from vault.access.policy import LOCAL, Person
from vault.access.policy_changes import SetWorkgroup
from vault.access.sources import check_source
from vault.access.workgroups import Workgroup, Workgroups
from vault.audit.entry import Action, Draft
from vault.commands.certainty import Yes, make_sure
from vault.commands.changes import draft, looking, trusted
from vault.commands.factors import factors
from vault.commands.making import make
from vault.commands.moments import to_the_second
from vault.commands.output import AsJson, failures, note, say, show, show_json
from vault.commands.passwords import PasswordStdin, asked_password
from vault.core.errors import InvalidInputError, VaultError
from vault.serving.sources import password_rules
from vault.wiring import Installation

user = typer.Typer(no_args_is_help=True, help="People who sign in.")
user.add_typer(factors, name="factors")
role = typer.Typer(no_args_is_help=True, help="What people may do.")
workgroup = typer.Typer(no_args_is_help=True, help="Whose calls are whose.")

_ADMINISTERING: Final = MappingProxyType(
    {
        Permission.ACCESS_USER_EDIT: "administer people",
        Permission.ACCESS_POLICY_EDIT: "say who may do what",
    }
)

Name = Annotated[str, typer.Argument(help="Whose, or which.", show_default=False)]


def _rules(installation: Installation) -> PasswordRules:
    memory_kib = installation.settings.password_memory_mib * 1024
    passwords = Passwords(PasswordConfig(memory_kib=memory_kib))
    return password_rules(installation.settings, passwords)


MustChange = Annotated[
    bool,
    typer.Option(
        "--must-change", help="The password is only good for choosing another."
    ),
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
    source: Annotated[
        str,
        typer.Option(
            help="Who checks their password: local, ldap, oidc or plugin:NAME."
        ),
    ] = LOCAL,
    external_id: Annotated[
        str,
        typer.Option(
            help="Their id at that source, which never changes (ldap test shows it). "
            "Without it, who comes first "
            "under that name takes the account."
        ),
    ] = "",
    *,
    must_change: MustChange = False,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    """Add a person."""
    with failures():
        _check_source(source, external_id, has_password=password_stdin or must_change)
        password = ""
        if source == LOCAL:
            password = asked_password(from_stdin=password_stdin, twice=True)
    with trusted() as (installation, warden):
        people = People(installation.catalog)
        hashed = ""
        if source == LOCAL:
            hashed = _rules(installation).hash(password, about=[name])
        added = people.add(
            name,
            roles,
            workgroups or [],
            hashed,
            must_change=must_change,
            source=source,
            external_id=external_id,
        )
        drafts = _added_leaves(added, source)
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


@user.command("set")
def user_set(
    name: Name,
    roles: Annotated[
        list[Role] | None,
        typer.Option("--role", help="All that they may do; may be repeated."),
    ] = None,
    workgroups: Annotated[
        list[str] | None,
        typer.Option("--workgroup", help="All of theirs; may be repeated."),
    ] = None,
    *,
    no_role: Annotated[
        bool, typer.Option("--no-role", help="Take every role away.")
    ] = False,
    no_workgroup: Annotated[
        bool, typer.Option("--no-workgroup", help="Take them out of every workgroup.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Replace a person's roles or workgroups."""
    with looking() as installation:
        if (no_role and roles) or (no_workgroup and workgroups):
            raise InvalidInputError("either some, or none")
        if not (roles or workgroups or no_role or no_workgroup):
            raise InvalidInputError("nothing to change: --role, --workgroup, --no-…")
        everybody = People(installation.catalog)
        person = everybody.by_name(name)
        change = SetPerson(
            user_id=person.id,
            roles=frozenset(roles or ()) if roles or no_role else None,
            workgroups=tuple(workgroups or ()) if workgroups or no_workgroup else None,
        )
        if change.roles is not None:
            after = replace(person, roles=change.roles)
            make_sure(*nobody_left(everybody.list(), after), yes=yes, insists=True)
    with trusted() as (installation, warden):
        make(installation, warden, change)
        say(f"Changed {person.name}.")


@user.command("enable")
def user_enable(name: Name) -> None:
    """Open an account again; sessions and tokens stay ended."""
    with trusted() as (installation, warden):
        person = People(installation.catalog).by_name(name)
        make(installation, warden, ReopenPerson(user_id=person.id))
        say(f"Enabled {person.name}.")


@user.command("code")
def user_code(name: Name, *, as_json: AsJson = False) -> None:
    """Make a code with which a person chooses a password, at /activate.

    It is good once, for a day.
    """
    with trusted() as (installation, warden):
        person = People(installation.catalog).by_name(name)
        first = new_half()
        done = make(
            installation,
            warden,
            GiveCode(user_id=person.id, first_sha256=half_digest(first).hex()),
        )
        code = whole_code(first, done.value.second)
        expires = done.value.expires
        if as_json:
            show_json({"user": person.name, "code": code, "expires": expires})
        else:
            say(code)
            origin = installation.settings.public_origin
            until = to_the_second(done.value.expires_ns)
            where = f"{origin}/activate" if origin else "/activate on the pages"
            note(
                f"Good once, until {until}: {person.name} chooses a password with it "
                f"at {where}. Case, blanks and the dash don't count."
            )


@user.command("disable")
def user_disable(name: Name, *, yes: Yes = False) -> None:
    """Shut an account, its sessions and its tokens, at once."""
    with looking() as installation:
        everybody = People(installation.catalog)
        person = everybody.by_name(name)
        lost = nobody_left(everybody.list(), replace(person, disabled=True))
        make_sure(*lost, yes=yes, insists=True)
    with trusted() as (installation, warden):
        people = People(installation.catalog)
        person = people.by_name(name)
        seen = {"before": f"{person.name}; active", "after": f"{person.name}; disabled"}
        warden.append(draft(Action.ACCESS_USER_DISABLED, seen, user=person.id))
        changed = people.disable(person.id)
        say(f"Disabled {person.name}: {changed.sessions_ended} sessions ended.")


@user.command("passwd")
def user_passwd(
    name: Name,
    *,
    must_change: MustChange = False,
    password_stdin: PasswordStdin = False,
) -> None:
    """Set a new password; the person's sessions end."""
    with failures():
        password = asked_password(from_stdin=password_stdin, twice=True)
    with trusted() as (installation, warden):
        people = People(installation.catalog)
        person = people.by_name(name)
        rules, kept = _rules(installation), KeptPasswords(installation.catalog)
        before = kept.hashes(person.id, history=rules.history)
        hashed = rules.hash(password, about=[person.name], before=before)
        warden.append(
            draft(Action.ACCESS_USER_CHANGED, user=person.id, part="password")
        )
        kept.keep(person.id, hashed, history=rules.history, must_change=must_change)
        say(f"Changed the password of {person.name}.")


@user.command("list")
def user_list(*, as_json: AsJson = False) -> None:
    """List everybody."""
    with looking() as installation:
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
        for one, rights in ROLE_RIGHTS.items()
    ]
    show(rows, as_json=as_json, empty="")


@workgroup.command("set")
def workgroup_set(
    name: Name,
    parent: Annotated[str, typer.Option(help="The one above it.")] = "",
    recording_class: Annotated[
        str, typer.Option("--class", help="Class of its calls.")
    ] = "",
    *,
    no_parent: Annotated[
        bool, typer.Option("--no-parent", help="It stands below none.")
    ] = False,
    no_class: Annotated[
        bool, typer.Option("--no-class", help="Its calls have no class.")
    ] = False,
) -> None:
    """Move a workgroup in the tree, or say of which class its calls are."""
    with failures():
        if (parent and no_parent) or (recording_class and no_class):
            raise InvalidInputError("a thing, or none of it: not both")
        if not (parent or no_parent or recording_class or no_class):
            raise InvalidInputError("say --parent, --no-parent, --class or --no-class")
    with trusted() as (installation, warden):
        groups = Workgroups(installation.catalog)
        above = groups.by_name(parent).id if parent else ""
        change = SetWorkgroup(
            workgroup_id=groups.by_name(name).id,
            parent_id=above if parent or no_parent else None,
            class_name=recording_class if recording_class or no_class else None,
        )
        make(installation, warden, change)
        say(f"Changed {name}.")


@workgroup.command("list")
def workgroup_list(*, as_json: AsJson = False) -> None:
    """List workgroups."""
    with looking() as installation:
        groups = Workgroups(installation.catalog).list()
        names = {group.id: group.name for group in groups}
        rows = [
            {
                "id": group.id,
                "name": group.name,
                "parent": names.get(group.parent_id) if group.parent_id else None,
                "class": group.class_name,
            }
            for group in groups
        ]
        show(rows, as_json=as_json, empty="No workgroups.")


@workgroup.command("add")
def workgroup_add(name: Name) -> None:
    """Add a workgroup."""
    with trusted() as (installation, warden):
        group, made = Workgroups(installation.catalog).add(name)
        if made:
            warden.append(_added_group(group))
        say(f"{'Added' if made else 'There is already'} {group.name}.")


def nobody_left(before: Sequence[Person], after: Person) -> tuple[str, ...]:
    """Return a sentence for what nobody may do any more once *after* is one of them."""
    (was,) = (one for one in before if one.id == after.id)
    others = [one for one in before if one.id != after.id]
    lost = [
        doing
        for permission, doing in _ADMINISTERING.items()
        if was.holds(permission)
        and not any(one.holds(permission) for one in (*others, after))
    ]
    if not lost:
        return ()
    said = (
        f"{after.name} is the last person who may {' and '.join(lost)}: from then on "
        "it takes this command on this machine (callvault user enable, user set)."
    )
    return (said,)


def _added_group(group: Workgroup) -> Draft:
    return draft(
        Action.ACCESS_WORKGROUP_ADDED, {"after": group.name}, workgroup=group.id
    )


def _added_leaves(added: PersonAdded, source: str) -> list[Draft]:
    person = added.person
    made = [_added_group(group) for group in added.workgroups_made]
    return [
        *made,
        draft(
            Action.ACCESS_USER_ADDED,
            {"after": person.name},
            user=person.id,
            source=source,
            role=".".join(sorted(person.roles)),
            count=len(person.workgroups),
        ),
    ]


def _check_source(source: str, external_id: str, *, has_password: bool) -> None:
    check_source(source, external_id)
    if source != LOCAL and has_password:
        raise InvalidInputError(f"the password is kept by {source}, not here")
