import pytest
from sqlalchemy import Engine

from vault.access.extensions import Extension, ExtensionChanged, Extensions
from vault.core.errors import AuditUnavailableError, ConflictError, NotFoundError


def quietly(changed: ExtensionChanged) -> None:
    pass


def refused(changed: ExtensionChanged) -> None:
    raise AuditUnavailableError("down")


def test_a_change_that_is_not_on_the_trail_is_none(catalog_engine: Engine) -> None:
    extensions = Extensions(catalog_engine)
    with pytest.raises(AuditUnavailableError):
        extensions.put("1001", agent="anna", tell=refused)
    extensions.put("1002", agent="bob", tell=quietly)
    with pytest.raises(AuditUnavailableError):
        extensions.put("1002", agent="eve", tell=refused)
    with pytest.raises(AuditUnavailableError):
        extensions.remove("1002", tell=refused)

    assert [("1002", "bob")] == [(one.pattern, one.agent) for one in extensions.list()]


def test_an_entry_is_made_replaced_and_taken_away(catalog_engine: Engine) -> None:
    extensions = Extensions(catalog_engine)
    made = extensions.put("+49 30 1", agent="anna", tell=quietly)
    changed = extensions.put("tel:+49-30-1", workgroup="Front  desk", tell=quietly)
    after = changed.after
    assert made.after is not None
    assert after is not None

    assert (None, "+49301") == (made.before, made.after.pattern)
    assert made.after == changed.before
    assert (made.after.id, "", "Front desk") == (
        after.id,
        after.agent,
        after.workgroup,
    )
    assert (after,) == extensions.list()
    assert after == extensions.remove(after.id, tell=quietly).before
    assert () == extensions.list()


def test_what_is_not_there_is_not_found(catalog_engine: Engine) -> None:
    extensions = Extensions(catalog_engine)
    for missing in ("1001", "", "\0", "x" * 500):
        with pytest.raises(NotFoundError):
            extensions.remove(missing, tell=quietly)


def test_the_table_matches_what_the_database_has(catalog_engine: Engine) -> None:
    Extensions(catalog_engine).put("2??", workgroup="Sales", tell=quietly)
    found = Extensions(catalog_engine).table().match("sip:201@pbx")

    assert isinstance(found, Extension)
    assert "Sales" == found.workgroup


def test_wildcards_are_bounded(
    catalog_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.access.extensions.MAX_WILD", 2)
    extensions = Extensions(catalog_engine)
    extensions.put("1*", agent="a", tell=quietly)
    extensions.put("2*", agent="a", tell=quietly)
    extensions.put("3", agent="a", tell=quietly)
    extensions.put("1*", agent="b", tell=quietly)

    with pytest.raises(ConflictError):
        extensions.put("4*", agent="a", tell=quietly)
