import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault


def test_an_officer_sees_who_did_what_by_name(in_browser: SignedInAs) -> None:
    in_browser("ada")

    page = in_browser("olga").get("/audit?actor=ada").text

    assert "access.session.opened" in page
    assert ">ada <" in page
    assert "vault.test/audit" in page


def test_the_export_button_repeats_the_filters(in_browser: SignedInAs) -> None:
    client = in_browser("olga")

    page = client.get("/audit?action=recording.played").text
    export = client.get("/audit/export?action=recording.played")

    assert 'href="/audit/export?action=recording.played"' in page
    assert export.headers["content-type"] == "application/jsonl"


@pytest.mark.parametrize("name", ["ada", "adam"])
@pytest.mark.parametrize("path", ["/audit", "/audit/export"])
def test_nobody_else_reads_it(in_browser: SignedInAs, name: str, path: str) -> None:
    answer = in_browser(name).get(path)

    assert (answer.status_code, "Not allowed" in answer.text) == (403, True)


def test_older_entries_are_a_page_away(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    client = in_browser("olga")
    while len(shared_vault.leaves()) < 60:
        client.get("/audit")

    page = client.get("/audit").text

    assert 'rel="next" href="/audit?cursor=' in page
