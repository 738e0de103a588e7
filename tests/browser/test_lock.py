"""The idle lock and fresh proofs in a real browser: the page is covered, and kept."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.simulators.web_vault import PASSWORD, Call
from vault.core.errors import SessionLockedError

if TYPE_CHECKING:
    from tests.browser.conftest import Site, Visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.xdist_group("browser"),
]

AUDIO = "document.querySelector('audio')"


@pytest.fixture(autouse=True)
def right_time(site: "Site") -> Iterator[None]:
    """Whatever a test lets pass, the next one starts from now."""
    yield
    site.vault.clock.reset()


def unlock(page: Page, password: str = PASSWORD) -> None:
    lock = page.get_by_role("dialog", name="Locked")
    lock.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def is_locked(page: Page) -> None:
    expect(page.get_by_role("dialog", name="Locked")).to_be_visible()


def is_open(page: Page) -> None:
    expect(page.get_by_role("dialog", name="Locked")).to_have_count(0)
    expect(page.get_by_role("banner")).to_be_visible()


def test_h8_a_locked_page_is_out_of_view_and_comes_back_as_it_was(
    visitor: "Visitor", site: "Site"
) -> None:
    recording = site.vault.record(Call(seconds=20))
    visitor.sign_in("ada")
    expect(visitor.page.get_by_role("heading", name="Recordings")).to_be_visible()
    visitor.open(f"/recordings/{recording}")
    page = visitor.page
    page.set_viewport_size({"width": 900, "height": 400})
    expect(page.locator("[data-ready=yes]")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{AUDIO}.currentTime > 0.3")
    page.evaluate("scrollTo(0, 300)")
    place = page.evaluate("[scrollY, document.title]")

    page.locator("[data-lock-now]").dispatch_event("click")
    is_locked(page)
    stopped_at = page.evaluate(f"{AUDIO}.currentTime")

    # Only the dialog is seen and read out; what the player held is dropped.
    snapshot = page.locator("body").aria_snapshot()
    assert "Locked" in snapshot
    assert "Recordings" not in snapshot
    expect(page.get_by_text("+49 30 901820").first).to_be_hidden()
    assert page.evaluate(f"[{AUDIO}.paused, {AUDIO}.buffered.length]") == [True, 0]
    assert stopped_at == 0
    assert page.title() == "Locked · Callvault"

    unlock(page)
    is_open(page)
    assert page.evaluate("[scrollY, document.title]") == place
    assert page.evaluate(f"{AUDIO}.currentTime") > 0.3
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{AUDIO}.currentTime > 0.8")


def test_what_was_typed_stays_and_the_forms_have_the_new_token(
    visitor: "Visitor",
) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    page.get_by_label("Number").fill("+49 30")
    token = page.evaluate("document.body.dataset.csrf")
    page.get_by_role("button", name="Lock", exact=True).click()
    unlock(page)
    is_open(page)

    expect(page.get_by_label("Number")).to_have_value("+49 30")
    assert page.evaluate("document.body.dataset.csrf") != token
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_h8_the_page_warns_and_locks_after_15_minutes_without_anybody(
    visitor: "Visitor", site: "Site"
) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
    page.clock.fast_forward("13:30")
    page.mouse.move(100, 100)
    page.mouse.move(120, 120)
    page.clock.fast_forward("14:10")
    page.clock.run_for(2000)
    expect(page.get_by_text("this page locks in a minute")).to_be_visible()
    is_open(page)
    with page.expect_response("**/sessions/current/lock"):
        page.clock.fast_forward("00:55")
        page.clock.run_for(2000)

    is_locked(page)
    secret = next(
        str(one["value"])
        for one in page.context.cookies()
        if one["name"] == "__Host-callvault"
    )
    with pytest.raises(SessionLockedError):
        site.vault.services().sessions.lookup(secret)
    unlock(page)
    is_open(page)


def test_every_tab_locks_and_unlocks_with_the_others(
    visitor: "Visitor", context: BrowserContext, site: "Site"
) -> None:
    visitor.sign_in("ada")
    one, other = visitor.page, context.new_page()
    other.goto(site.address + "/account")
    expect(other.get_by_role("heading", name="ada")).to_be_visible()
    one.get_by_role("button", name="Lock", exact=True).click()
    is_locked(other)
    unlock(one)
    is_open(other)

    # The other tab has the new token, too.
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_keyboard_does_not_get_behind_the_lock(visitor: "Visitor") -> None:
    visitor.sign_in("ada")
    page = visitor.page
    page.get_by_role("button", name="Lock", exact=True).click()
    is_locked(page)
    within = "document.activeElement === document.body"
    within += " || document.activeElement.closest('dialog.lock') !== null"
    for key in ["Escape", "Escape", "Escape", *["Tab"] * 8, "/", "j"]:
        page.keyboard.press(key)
        assert page.evaluate(within)

    is_locked(page)
    unlock(page, "wrong-wrong-wrong")
    expect(page.get_by_role("alert")).to_have_text("The password or the code is wrong.")
    unlock(page)
    is_open(page)


def test_a_page_finds_out_that_its_session_was_locked_elsewhere(
    visitor: "Visitor", site: "Site"
) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
    site.vault.clock.advance(901)
    page.get_by_label("Number").fill("1")
    page.get_by_role("button", name="Search").click()

    is_locked(page)
    unlock(page)
    is_open(page)
    expect(page.get_by_label("Number")).to_have_value("1")


def test_a_link_into_a_locked_session_is_followed_once_it_is_unlocked(
    visitor: "Visitor", site: "Site"
) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
    site.vault.clock.advance(901)

    assert 401 == visitor.open("/recordings?party=%2B4930")
    expect(page.get_by_role("heading", name="Locked")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Number")).to_have_value("+4930")


def test_an_export_asks_who_it_is_and_goes_on(visitor: "Visitor", site: "Site") -> None:
    visitor.sign_in("olga")
    page = visitor.page
    expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
    site.vault.clock.advance(600)
    visitor.open("/audit")
    site.vault.clock.advance(301)
    page.get_by_role("link", name="Export JSON Lines").click()
    asked = page.get_by_role("dialog", name="Is it you?")
    asked.get_by_label("Password").fill(PASSWORD)
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    assert "callvault-audit.jsonl" == download.value.suggested_filename
    expect(asked).to_have_count(0)


def test_without_a_script_an_export_asks_on_a_page_of_its_own(
    chromium_without_scripts: BrowserContext, site: "Site"
) -> None:
    page = chromium_without_scripts.new_page()
    page.goto(site.address)
    page.get_by_label("Name").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    site.vault.clock.advance(600)
    page.goto(site.address + "/audit")
    site.vault.clock.advance(301)
    page.get_by_role("link", name="Export JSON Lines").click()
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_download() as download:
        page.get_by_role("button", name="Go on").click()

    assert "callvault-audit.jsonl" == download.value.suggested_filename


def test_a_token_is_made_after_a_proof_and_shown_once(
    visitor: "Visitor", site: "Site"
) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
    site.vault.clock.advance(600)
    visitor.open("/account")
    site.vault.clock.advance(301)
    page.get_by_label("Name").fill("reports")
    page.get_by_role("combobox", name="May").select_option("some")
    page.get_by_label("recording:metadata:read").check()
    page.get_by_role("button", name="Make a token").click()
    asked = page.get_by_role("dialog", name="Is it you?")
    asked.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_text("shown this once")).to_be_visible()
    secret = page.locator("pre").inner_text()
    session = site.vault.services().tokens.lookup(secret)
    assert {"recording:metadata:read"} == session.person.limited_to
    visitor.open("/account")
    expect(page.get_by_role("cell", name="recording:metadata:read")).to_be_visible()
    assert secret not in page.content()


def until(page: Page, expression: str) -> None:
    """Wait for *expression*: a strict policy forbids Playwright's own way (eval)."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")
