from vault.access.permissions import Permission
from vault.core.flow import Allowance
from vault.web import words
from vault.web.administration import CHANGES


def test_everything_that_pages_name_has_words() -> None:
    slugs = [*Permission, *(one.kind for one in CHANGES)]
    texts = [words.permission_text(one) for one in Permission]
    texts += [words.change_text(one.kind) for one in CHANGES]
    texts += [words.allowance_text(one) for one in Allowance]

    assert [] == [one for one in texts if one in slugs]
    assert len(texts) == len(set(texts))


def test_what_another_version_named_is_itself() -> None:
    assert "call:past:change" == words.permission_text("call:past:change")
    assert "person.clone" == words.change_text("person.clone")
