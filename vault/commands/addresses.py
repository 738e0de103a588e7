"""``address``: which addresses may reach pages, fork API and SIP at all.

Guarantees: a change is on the trail before it counts.  Here nobody is kept from
shutting everybody out, because whoever has this shell can take it back; but nobody does
so without having been told.

Left to others: the rules (`vault.access.address_rules`), the settings' own fence.
"""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Annotated, Final

import typer

from vault.access.address_rules import (
    AddressRule,
    AddressRuleChanged,
    AddressRules,
    Listener,
    Verdict,
    checked_rule,
    lists_of,
)
from vault.audit.entry import Action
from vault.commands.certainty import Yes, make_sure
from vault.commands.changes import draft, looking, trusted
from vault.commands.output import AsJson, say, show, show_json
from vault.core.errors import NotFoundError
from vault.core.prefixes import LOOPBACK, AddressLists, Prefixes
from vault.trust.client import WardenClient

address = typer.Typer(
    no_args_is_help=True, help="Which addresses may reach pages, fork API and SIP."
)

_EVERYBODY: Final = MappingProxyType(
    {"0.0.0.0/0": "every IPv4 address", "::/0": "every IPv6 address"}
)
_ITSELF: Final = ("127.0.0.1", "::1")

To = Annotated[Listener, typer.Argument(help="web, forks or sip.")]
Says = Annotated[Verdict, typer.Argument(help="allow or deny.")]
Prefix = Annotated[str, typer.Argument(help="192.0.2.7, 192.0.2.0/24, 2001:db8::/32.")]


@address.command("add")
def address_add(
    listener: To,
    verdict: Says,
    prefix: Prefix,
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Add a rule; with one that allows, everybody else stays out."""
    with looking() as installation:
        before = AddressRules(installation.catalog).list()
        new = checked_rule(listener, verdict, prefix, created_ns=0)
        make_sure(*lock_outs(before, (*before, new), listener), yes=yes, insists=False)
    with trusted() as (installation, warden):
        changed = AddressRules(installation.catalog).add(
            listener,
            verdict,
            prefix,
            tell=lambda done: _tell(warden, Action.ACCESS_ADDRESS_ADDED, done),
        )
        if as_json:
            show_json(changed.rule.members())
        else:
            say(f"Added: {changed.texts()['after']}.")


@address.command("list")
def address_list(*, as_json: AsJson = False) -> None:
    """List the rules."""
    with looking() as installation:
        rows = [one.members() for one in AddressRules(installation.catalog).list()]
        empty = "No rules: callvault address add web deny 192.0.2.0/24"
        show(rows, as_json=as_json, empty=empty)


@address.command("remove")
def address_remove(
    listener: To, verdict: Says, prefix: Prefix, *, yes: Yes = False
) -> None:
    """Remove a rule."""
    with looking() as installation:
        before = AddressRules(installation.catalog).list()
        (spelled,) = Prefixes.parse([prefix]).spelled()
        wanted = (listener, verdict, spelled)
        for one in before:
            if (one.listener, one.verdict, one.prefix) == wanted:
                break
        else:
            raise NotFoundError("no such rule: callvault address list shows them")
        left = tuple(each for each in before if each is not one)
        make_sure(*lock_outs(before, left, listener), yes=yes, insists=False)
    with trusted() as (installation, warden):
        AddressRules(installation.catalog).remove(
            one.id,
            tell=lambda done: _tell(warden, Action.ACCESS_ADDRESS_REMOVED, done),
        )
        say(f"Removed: {' '.join(wanted)}.")


def lock_outs(
    before: Iterable[AddressRule], after: Iterable[AddressRule], listener: Listener
) -> tuple[str, ...]:
    """Return a sentence where *after* shuts out everybody, or this machine itself."""
    was, now = _strangers(before, listener), _strangers(after, listener)
    shut = {
        prefix
        for prefix in (*_EVERYBODY, *_ITSELF)
        if now.shuts_out(prefix) and not was.shuts_out(prefix)
    }
    if not shut:
        return ()
    whom = [name for prefix, name in _EVERYBODY.items() if prefix in shut]
    if all(map(now.shuts_out, _EVERYBODY)):
        whom = ["every address"]
    elif not now.allow.empty:
        # Whoever allows addresses of one version means nobody of the other one.
        whom = []
    if listener is Listener.WEB:
        whom = [f"{one} but loopback" for one in whom]
    elif not whom:
        whom = ["this machine itself (loopback)"]
    back = "a rule is taken back on this machine, by callvault address remove or add"
    return tuple(f"this shuts {one} out of {listener}; {back}." for one in whom)


def _strangers(rules: Iterable[AddressRule], listener: Listener) -> AddressLists:
    """Return the lists of *listener*, for whom they decide."""
    lists = lists_of(rules, listener)
    if listener is not Listener.WEB:
        return lists
    # The fence of the pages lets loopback in, whatever the rules say.
    denied = (*lists.deny.spelled(), *LOOPBACK.spelled())
    return AddressLists(allow=lists.allow, deny=Prefixes.parse(denied))


def _tell(warden: WardenClient, action: Action, changed: AddressRuleChanged) -> None:
    rule = changed.rule
    warden.append(
        draft(action, changed.texts(), rule=rule.id, listener=str(rule.listener))
    )
