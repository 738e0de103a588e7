import json
import threading

import httpx
import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.waiting import wait_until
from tests.simulators.web_vault import WebVault
from vault.web.slots import TailPace

PATH = "/api/v1/audit/tail"


def events(answer: httpx.Response) -> list[dict[str, object]]:
    lines = answer.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def test_what_was_logged_since_is_sent_in_order(
    shared_vault: WebVault, signed_in: SignedInAs
) -> None:
    officer = signed_in("olga")
    size = len(shared_vault.leaves())
    answer = officer.get(PATH, params={"after": size - 3, "query": "created:1d"})
    sent = events(answer)

    assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
    assert answer.text.startswith("retry: 3000\n\n")
    assert [size - 2, size - 1, size] == [one["index"] for one in sent]


def test_opening_one_is_a_leaf_and_following_on_is_none(
    own_vault: WebVault, signed_in: SignedInAs
) -> None:
    officer = signed_in("olga", own_vault)
    before = len(own_vault.leaves())
    officer.get(PATH, params={"query": "-actor:me"})
    *_, leaf = leaves = own_vault.leaves()

    assert before + 1 == len(leaves)
    assert ("audit.trail.read", {"kind": "tail", "fields": "not-actor"}) == (
        leaf["action"],
        leaf["detail"],
    )


def test_a_browser_goes_on_where_it_was_cut(
    shared_vault: WebVault, signed_in: SignedInAs
) -> None:
    officer = signed_in("olga")
    size = len(shared_vault.leaves())
    sent = events(
        officer.get(PATH, headers={"Last-Event-ID": str(size - 2)}, params={"after": 0})
    )

    assert size - 1 == sent[0]["index"]
    assert 422 == officer.get(PATH, headers={"Last-Event-ID": "x"}).status_code


def test_only_what_the_query_selects_is_sent(
    shared_vault: WebVault, signed_in: SignedInAs
) -> None:
    signed_in("ada")
    text = "action:access.session.opened"
    sent = events(signed_in("olga").get(PATH, params={"after": 0, "query": text}))

    assert sent
    assert {"access.session.opened"} == {one["entry"]["action"] for one in sent}  # type: ignore[index]


def test_pages_get_entries_as_they_show_them(
    shared_vault: WebVault, in_browser: SignedInAs
) -> None:
    in_browser("ada")
    query = {"after": "0", "query": "actor:ada action:access.session.opened"}
    sent = events(in_browser("olga").get("/audit/tail", params=query))

    assert {"ada"} == {one["who"] for one in sent}


@pytest.mark.parametrize("path", [PATH, "/audit/tail"])
def test_a_session_that_ends_ends_what_follows(
    own_vault: WebVault, in_browser: SignedInAs, path: str
) -> None:
    own_vault.tail_pace = TailPace(look_every_s=0.02, life_s=60)
    client = in_browser("olga", own_vault)
    before, cut = len(own_vault.leaves()), threading.Event()

    def follow() -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(path)
        cut.set()

    following = threading.Thread(target=follow)
    following.start()
    wait_until(lambda: len(own_vault.leaves()) > before)
    own_vault.services().sessions.end(str(own_vault.leaves()[-1]["session"]))
    following.join(timeout=30)

    assert cut.is_set()


def test_a_session_follows_twice_at_once_and_not_more(
    own_vault: WebVault, signed_in: SignedInAs
) -> None:
    officer = signed_in("olga", own_vault)
    officer.get(PATH)
    session = str(own_vault.leaves()[-1]["session"])
    tails = own_vault.app().state.services.tails
    with tails.taken(session), tails.taken(session):
        full = officer.get(PATH)
    after = officer.get(PATH)

    assert (429, 200) == (full.status_code, after.status_code)
