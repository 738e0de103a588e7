import pytest
from sqlalchemy import Engine

from vault.access.address_rules import AddressRuleChanged, AddressRules, Listener
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)


def quietly(changed: AddressRuleChanged) -> None:
    pass


def refused(changed: AddressRuleChanged) -> None:
    raise AuditUnavailableError("down")


def spelled(rules: AddressRules) -> list[tuple[str, str, str]]:
    return [(one.listener, one.verdict, one.prefix) for one in rules.list()]


def test_a_rule_is_made_and_taken_away(catalog_engine: Engine) -> None:
    rules = AddressRules(catalog_engine, clock=lambda: 7)
    made = rules.add("web", "deny", "::ffff:192.0.2.0/120", tell=quietly)
    gone = rules.remove(made.rule.id, tell=quietly)

    assert (None, made.rule, "192.0.2.0/24", 7) == (
        made.before,
        made.after,
        made.rule.prefix,
        made.rule.created_ns,
    )
    assert {"before": "web deny 192.0.2.0/24"} == gone.texts()
    assert (made.rule, None) == (gone.before, gone.after)
    assert () == rules.list()


def test_a_rule_that_is_not_on_the_trail_is_none(catalog_engine: Engine) -> None:
    rules = AddressRules(catalog_engine)
    kept = rules.add("forks", "allow", "192.0.2.1", tell=quietly).rule
    with pytest.raises(AuditUnavailableError):
        rules.add("forks", "allow", "192.0.2.2", tell=refused)
    with pytest.raises(AuditUnavailableError):
        rules.remove(kept.id, tell=refused)

    assert (kept,) == rules.list()


def test_a_rule_stands_once(catalog_engine: Engine) -> None:
    rules = AddressRules(catalog_engine)
    rules.add("sip", "deny", "192.0.2.1", tell=quietly)
    with pytest.raises(ConflictError):
        rules.add("sip", "deny", "192.0.2.1/32", tell=quietly)
    rules.add("sip", "allow", "192.0.2.1", tell=quietly)
    rules.add("web", "deny", "192.0.2.1", tell=quietly)

    assert [
        ("sip", "allow", "192.0.2.1/32"),
        ("sip", "deny", "192.0.2.1/32"),
        ("web", "deny", "192.0.2.1/32"),
    ] == spelled(rules)


@pytest.mark.parametrize(
    ("listener", "verdict", "prefix"),
    [
        ("metrics", "deny", "192.0.2.1"),
        ("web", "maybe", "192.0.2.1"),
        ("web", "deny", "192.0.2.1/8"),
        ("web", "deny", "everybody"),
        ("web", "deny", "0300.0.2.1"),
        ("web", "deny", "0xc0000201"),
        ("web", "deny", "fe80::1%eth0"),
        ("web\0", "deny", "192.0.2.1"),
    ],
)
def test_what_is_no_rule_is_refused(
    catalog_engine: Engine, listener: str, verdict: str, prefix: str
) -> None:
    with pytest.raises(InvalidInputError):
        AddressRules(catalog_engine).add(listener, verdict, prefix, tell=quietly)


@pytest.mark.parametrize("missing", ["", "\0", "x" * 500, "\ud800"])
def test_a_rule_that_is_not_there_is_not_found(
    catalog_engine: Engine, missing: str
) -> None:
    with pytest.raises(NotFoundError):
        AddressRules(catalog_engine).remove(missing, tell=quietly)


class TestShuttingOneselfOut:
    ASKER = "192.0.2.7"

    def test_a_rule_for_the_pages_spares_who_makes_it(
        self, catalog_engine: Engine
    ) -> None:
        rules = AddressRules(catalog_engine)
        for verdict, prefix in (("deny", "192.0.2.0/24"), ("allow", "10.0.0.0/8")):
            with pytest.raises(ConflictError):
                rules.add("web", verdict, prefix, asker=self.ASKER, tell=quietly)

        assert [] == spelled(rules)

    def test_so_does_taking_one_away(self, catalog_engine: Engine) -> None:
        rules = AddressRules(catalog_engine)
        own = rules.add("web", "allow", self.ASKER, asker=self.ASKER, tell=quietly)
        other = rules.add("web", "allow", "10.0.0.0/8", asker=self.ASKER, tell=quietly)
        with pytest.raises(ConflictError):
            rules.remove(own.rule.id, asker=self.ASKER, tell=quietly)
        rules.remove(other.rule.id, asker=self.ASKER, tell=quietly)
        rules.remove(own.rule.id, asker=self.ASKER, tell=quietly)

        assert [] == spelled(rules)

    @pytest.mark.parametrize(
        ("listener", "asker"), [("forks", ASKER), ("web", "127.0.0.1"), ("web", "")]
    )
    def test_who_is_not_shut_out_by_it_may_make_it(
        self, catalog_engine: Engine, listener: str, asker: str
    ) -> None:
        rules = AddressRules(catalog_engine)
        rules.add(listener, "deny", "0.0.0.0/0", asker=asker, tell=quietly)

        assert [(listener, "deny", "0.0.0.0/0")] == spelled(rules)


def test_a_snapshot_says_what_the_rules_of_one_listener_say(
    catalog_engine: Engine,
) -> None:
    rules = AddressRules(catalog_engine)
    rules.add("web", "allow", "192.0.2.0/24", tell=quietly)
    rules.add("web", "deny", "192.0.2.7", tell=quietly)
    web, forks = (rules.snapshot(one) for one in (Listener.WEB, Listener.FORKS))

    assert [True, False, False] == [
        web.admits(one) for one in ("192.0.2.1", "192.0.2.7", "198.51.100.1")
    ]
    assert forks.admits("198.51.100.1")
