import pytest

from vault.access.address_rules import AddressRule, Listener, checked_rule
from vault.commands.addresses import lock_outs


def rule(listener: Listener, text: str) -> AddressRule:
    verdict, prefix = text.split()
    return checked_rule(listener, verdict, prefix, created_ns=0)


def shut(listener: Listener, before: list[str], new: str) -> list[str]:
    """Return whom a new rule beside those *before* shuts out, in words."""
    rules = [rule(listener, one) for one in before]
    said = lock_outs(rules, [*rules, rule(listener, new)], listener)
    return [one.removeprefix("this shuts ").partition(" out of ")[0] for one in said]


@pytest.mark.parametrize(
    ("before", "new", "whom"),
    [
        ([], "deny 0.0.0.0/0", ["every IPv4 address but loopback"]),
        ([], "deny ::/0", ["every IPv6 address but loopback"]),
        (["deny 0.0.0.0/0"], "deny ::/0", ["every address but loopback"]),
        (["deny 0.0.0.0/1"], "deny 128.0.0.0/1", ["every IPv4 address but loopback"]),
        (["allow 192.0.2.0/24"], "deny 192.0.0.0/8", ["every address but loopback"]),
        ([], "allow 127.0.0.1", ["every address but loopback"]),
        ([], "deny 127.0.0.0/8", []),
        ([], "allow 192.0.2.0/24", []),
        (["allow 192.0.2.0/24"], "deny 192.0.2.0/25", []),
        (["deny 0.0.0.0/0"], "deny 192.0.2.7", []),
    ],
)
def test_rules_of_the_pages_that_shut_everybody_out_are_said(
    before: list[str], new: str, whom: list[str]
) -> None:
    assert whom == shut(Listener.WEB, before, new)


@pytest.mark.parametrize("listener", [Listener.FORKS, Listener.SIP])
@pytest.mark.parametrize(
    ("before", "new", "whom"),
    [
        ([], "deny 0.0.0.0/0", ["every IPv4 address"]),
        (["deny ::/0"], "deny 0.0.0.0/0", ["every address"]),
        ([], "deny 127.0.0.0/8", ["this machine itself (loopback)"]),
        ([], "allow 192.0.2.0/24", ["this machine itself (loopback)"]),
        (["allow 127.0.0.1"], "allow 192.0.2.0/24", []),
        ([], "deny 192.0.2.0/24", []),
    ],
)
def test_elsewhere_loopback_is_an_address_like_others(
    listener: Listener, before: list[str], new: str, whom: list[str]
) -> None:
    assert whom == shut(listener, before, new)


def test_taking_away_the_last_way_in_is_said_too() -> None:
    rules = [rule(Listener.WEB, one) for one in ("allow 192.0.2.0/24", "allow ::1")]

    (said,) = lock_outs(rules, rules[1:], Listener.WEB)

    assert "every address but loopback out of web" in said
    assert "callvault address" in said
