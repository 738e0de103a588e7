import re

import pytest

from tests.simulators.asgi import SignedInAs, send_form
from tests.simulators.web_vault import WebVault
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.rights import HolderKind, NewRight
from vault.audit import tree
from vault.core import canonical
from vault.core.flow import Actor, ActorKind


def test_an_officer_sees_who_did_what_by_name(in_browser: SignedInAs) -> None:
    in_browser("ada")

    page = in_browser("olga").get("/audit?query=actor:ada").text

    assert "access.session.opened" in page
    assert ">ada</a>" in page
    assert "actor: ada" in page
    assert "vault.test/audit" in page


def test_the_export_button_repeats_the_filters(in_browser: SignedInAs) -> None:
    client = in_browser("olga")

    page = client.get("/audit?query=action:recording.played").text
    export = client.get("/audit/export?query=action:recording.played")

    assert 'href="/audit/export?query=action%3Arecording.played"' in page
    assert export.headers["content-type"] == "application/jsonl"


def test_what_entries_name_has_names_and_a_history(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    services, carl = own_vault.services(), own_vault.people.by_name("carl").id
    own_vault.person("vera", Role.OFFICER, Role.ADMINISTRATOR)
    given = services.duties.rights.add(
        NewRight(
            holder_kind=HolderKind.USER,
            holder=carl,
            permission=Permission.RECORDING_METADATA_READ,
            scope_kind=ScopeKind.WORKGROUP,
            scope_value=own_vault.workgroups.by_name("sales").id,
        ),
        granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
    )
    vera = in_browser("vera", own_vault)
    found = re.search(r'data-csrf="([^"]+)"', vera.get("/account").text)
    assert found is not None
    csrf = {"csrf": found[1]}
    vera.post(f"/people/{carl}/shut", data=csrf)
    vera.post(f"/policies/rights/{given.id}/revoke", data=csrf)
    olga = in_browser("olga", own_vault).get("/audit").text
    path = f"/audit?query=about:user:{carl}"
    olga_history = in_browser("olga", own_vault).get(path).text
    history_page = vera.get(path).text
    history = f'href="/audit?query=about%3Auser%3A{carl}"'

    assert f'{history} title="{carl}">carl</a>' in olga
    assert f'{history} title="user:{carl}">carl</a>' in olga
    assert re.search(r'title="workgroup:[^"]+">sales</a>', olga)
    assert f'class="id mono">{given.id}</a>' in olga
    # Their history leads to the account, for who may open that.
    assert "Their account" not in olga_history
    assert f'href="/people/{carl}">Their account' in history_page


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


def test_an_officer_reads_what_was_typed_and_that_is_a_leaf(
    own_vault: WebVault, in_browser: SignedInAs, signed_in: SignedInAs
) -> None:
    recording, why = own_vault.record(), "letter of <b>the court</b>"
    olga = signed_in("olga", own_vault)
    olga.put(f"/api/v1/recordings/{recording}/hold", json={"reason": why})
    held = next(
        index
        for index, leaf in enumerate(own_vault.leaves())
        if leaf["action"] == "recording.hold.placed"
    )
    path = f"/audit/{held}/text"
    browser = in_browser("olga", own_vault)
    listed, page = browser.get("/audit").text, browser.get(path)
    read = olga.get(f"/api/v1/audit/entries/{held}/text").json()
    leaves = [one for one in own_vault.leaves() if one["action"] == "audit.text.read"]

    assert f'href="{path}" data-proof' in listed
    assert "letter of &lt;b&gt;the court&lt;/b&gt;" in page.text
    assert {"index": held, "texts": {"reason": why}} == read
    assert [{"entry": held, "fields": "reason"}] * 2 == [
        one["detail"] for one in leaves
    ]
    assert "court" not in str(own_vault.leaves())
    for missing in ("/audit/0/text", "/audit/999999/text", "/audit/x/text"):
        assert 404 == browser.get(missing).status_code
    for name in ("adam", "ada", "carl"):
        assert 403 == in_browser(name, own_vault).get(path).status_code
        refused = own_vault.leaves()[-1]
        assert {"entry": held, "permission": "audit:text:read"} == refused["detail"]


@pytest.mark.parametrize("permissions", [[], ["audit:text:read"]])
def test_a_token_never_reads_what_was_typed(
    own_vault: WebVault, signed_in: SignedInAs, permissions: list[str]
) -> None:
    olga = signed_in("olga", own_vault)
    recording = own_vault.record()
    olga.put(f"/api/v1/recordings/{recording}/hold", json={"reason": "the court"})
    held = len(own_vault.leaves()) - 1
    wanted = {"name": "reader"} | ({"permissions": permissions} if permissions else {})
    made = olga.post("/api/v1/tokens", json=wanted).json()
    olga.headers["Authorization"] = f"Bearer {made['token']}"
    answer = olga.get(f"/api/v1/audit/entries/{held}/text")
    refused = own_vault.leaves()[-1]

    assert (403, "/problems/forbidden") == (
        answer.status_code,
        answer.json()["type"],
    )
    assert ("access.refused", "token", held) == (
        refused["action"],
        refused["reason"],
        refused["detail"]["entry"],
    )


def test_who_takes_the_trail_out_reads_no_words(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    carl = own_vault.people.by_name("carl").id
    for permission in (Permission.AUDIT_TRAIL_READ, Permission.AUDIT_TRAIL_EXPORT):
        own_vault.services().duties.rights.add(
            NewRight(
                holder_kind=HolderKind.USER,
                holder=carl,
                permission=permission,
                scope_kind=ScopeKind.ALL,
            ),
            granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
        )
    browser = in_browser("carl", own_vault)
    page = browser.get("/audit").text

    assert ("Export JSON Lines" in page, "Read the text" in page) == (True, False)
    assert 403 == browser.get("/audit/0/text").status_code


def test_what_is_wrong_with_a_query_stands_above_it(in_browser: SignedInAs) -> None:
    answer = in_browser("olga").get("/audit?query=action:recording.play")

    assert 422 == answer.status_code
    assert "did you mean recording.played?" in answer.text
    assert 'value="action:recording.play"' in answer.text


def test_an_id_copied_from_the_page_matches_when_typed(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    recording = own_vault.record()
    olga = in_browser("olga", own_vault)
    send_form(olga, f"/recordings/{recording}/hold", reason="the court")
    page = olga.get(f"/audit?query=object:{recording}").text

    assert f'class="id mono">{recording}</a>' in page
    assert "Nothing matches" not in page


def test_filters_write_the_query_and_a_toggle_leaves_out_ones_own(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    olga = in_browser("olga")
    own = str(shared_vault.people.by_name("olga").id)
    fields = {"query": "result:ok", "actor": "ada", "since": "2026-11-01"}
    led = olga.get("/audit/filter", params=fields).headers["location"]
    page = olga.get("/audit?query=-actor:me").text

    assert "/audit?query=result%3Aok+actor%3Aada+created%3A2026-11-01..%2A" == led
    assert "With my own" in page
    assert f'title="user:{own}"' not in page
    assert f'title="user:{own}"' in olga.get("/audit").text


def test_a_name_that_nobody_has_is_said_to_who_may_know(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    own_vault.person("vera", Role.OFFICER, Role.ADMINISTRATOR)
    path = "/audit?query=actor:zoe"
    told = in_browser("vera", own_vault).get(path).text
    untold = in_browser("olga", own_vault).get(path).text

    assert ("Nobody and nothing is called zoe" in told) is True
    assert ("Nobody and nothing is called" in untold) is False
    assert "Nothing matches" in untold


def test_an_entry_has_a_page_with_its_octets_and_proof(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    olga = in_browser("olga")
    page = olga.get("/audit/entries/1").text
    proof = olga.get("/audit/entries/1/proof")

    assert tree.leaf_hash(canonical.dumps(shared_vault.leaves()[1])).hex() in page
    assert proof.text.startswith("c2sp.org/tlog-proof@v1\nindex 1\n")
    assert 404 == olga.get("/audit/entries/x").status_code


def test_a_search_is_saved_with_ids_and_seen_by_nobody_else(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    own_vault.person("vera", Role.OFFICER)
    ada = own_vault.people.by_name("ada").id
    olga = in_browser("olga", own_vault)
    text = "actor:ada created:7d"
    saved = send_form(olga, "/audit/searches", name="of ada", query=text)
    again = send_form(olga, "/audit/searches", name="of ada", query=text)
    (kept,) = olga.get("/api/v1/audit/searches").json()["items"]
    page, others = (
        client.get("/audit").text for client in (olga, in_browser("vera", own_vault))
    )

    assert (303, 422) == (saved.status_code, again.status_code)
    assert ("of ada", f"actor:user:{ada} created:7d") == (kept["name"], kept["query"])
    assert ("of ada" in page, "of ada" in others) == (True, False)

    send_form(olga, f"/audit/searches/{kept['id']}/remove", query="")

    assert {"items": []} == olga.get("/api/v1/audit/searches").json()


def test_recordings_and_people_lead_to_their_history(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    own_vault.person("vera", Role.OFFICER, Role.ADMINISTRATOR, Role.SUPERVISOR)
    carl = own_vault.people.by_name("carl").id
    vera, adam = in_browser("vera", own_vault), in_browser("adam", own_vault)
    link = f'href="/audit?query=about%3Auser%3A{carl}">History</a>'

    assert link in vera.get(f"/people/{carl}").text
    assert link not in adam.get(f"/people/{carl}").text
