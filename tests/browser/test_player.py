"""The player in a real browser: it plays, seeks, and says what it cannot."""

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.simulators.web_vault import Call

if TYPE_CHECKING:
    from tests.browser.conftest import Site, Visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.xdist_group("browser"),
]

NOW = "document.querySelector('audio').currentTime"


def opened(visitor: "Visitor", site: "Site", call: Call | None = None) -> Page:
    """Sign in as ada and open a recording whose player is ready."""
    id = site.vault.record(call or Call(seconds=20))
    visitor.sign_in("ada")
    expect(visitor.page.locator("[data-row]").first).to_be_visible()
    visitor.open(f"/recordings/{id}")
    expect(visitor.page.locator("[data-ready=yes]")).to_be_visible(timeout=15_000)
    return visitor.page


def until(page: Page, expression: str) -> None:
    """Wait for *expression*: a strict policy forbids Playwright's own way (eval)."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


def test_it_plays_and_pauses(visitor: "Visitor", site: "Site") -> None:
    page = opened(visitor, site)
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{NOW} > 0.5")

    page.get_by_role("button", name="Pause").click()
    until(page, "document.querySelector('audio').paused")

    assert page.evaluate("document.querySelector('audio').duration") == pytest.approx(
        20, abs=0.1
    )


def test_it_seeks_by_slider_and_plays_on_from_there(
    visitor: "Visitor", site: "Site"
) -> None:
    page = opened(visitor, site)
    page.get_by_label("Position").fill("12")
    until(page, f"Math.abs({NOW} - 12) < 0.2")

    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{NOW} > 12.5")

    expect(page.locator("[data-clock]")).to_contain_text("0:1")


def test_the_picture_has_a_lane_for_each_party(
    visitor: "Visitor", site: "Site"
) -> None:
    page = opened(visitor, site)

    expect(page.locator("[data-lane] strong")).to_have_text(["agent", "customer"])
    assert (
        page.evaluate(
            "document.querySelector('[data-wave] > div').shadowRoot"
            ".querySelectorAll('canvas').length"
        )
        >= 2
    )


def test_a_click_on_the_picture_seeks(visitor: "Visitor", site: "Site") -> None:
    page = opened(visitor, site)
    box = page.locator("[data-wave]").bounding_box()
    assert box is not None

    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 30)

    until(page, f"Math.abs({NOW} - 10) < 0.5")


def test_every_key_does_what_the_help_says(visitor: "Visitor", site: "Site") -> None:
    page = opened(visitor, site)
    page.locator("[data-play]").focus()

    page.keyboard.press("l")
    until(page, f"Math.abs({NOW} - 10) < 0.2")
    page.keyboard.press("j")
    until(page, f"{NOW} < 0.2")
    page.keyboard.press("ArrowRight")
    until(page, f"Math.abs({NOW} - 5) < 0.2")
    page.keyboard.press(".")
    until(page, f"Math.abs({NOW} - 5.5) < 0.2")
    page.keyboard.press(">")
    expect(page.locator("[data-rate]")).to_have_text("1.25\u00d7")
    page.keyboard.press("<")
    expect(page.locator("[data-rate]")).to_have_text("1\u00d7")
    page.keyboard.press("s")
    expect(page.locator("[data-skip]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    expect(page.locator("[data-solo='1']")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("0")
    expect(page.locator("[data-solo='1']")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("k")
    until(page, "!document.querySelector('audio').paused")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Shortcuts in the player")).to_be_visible()


def test_no_sound_leaves_the_vault_before_somebody_presses_play(
    visitor: "Visitor", site: "Site"
) -> None:
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    page = opened(visitor, site)
    page.locator("[data-wave]").click()
    until(page, f"Math.abs({NOW} - 10) < 0.5")
    page.get_by_label("Position").fill("12")
    page.locator("[data-play]").focus()
    page.keyboard.press("ArrowRight")
    until(page, f"Math.abs({NOW} - 17) < 0.2")
    expect(page.locator("[data-clock]")).to_have_text("0:17 / 0:20")

    before = [url for url in asked if "/audio" in url]
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{NOW} > 17.2")

    assert before == []
    assert any("/audio" in url for url in asked)


def test_after_a_failure_play_tries_again(visitor: "Visitor", site: "Site") -> None:
    page = opened(visitor, site)
    page.route("**/audio*", lambda route: route.abort())
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("[data-notice]")).to_contain_text("cannot be reached")
    page.unroute("**/audio*")

    page.get_by_role("button", name="Play", exact=True).click()

    until(page, f"{NOW} > 0.2")
    expect(page.locator("[data-notice]")).to_be_hidden()


def test_a_browser_that_needs_m4a_waits_for_it_once_play_is_pressed(
    visitor: "Visitor", site: "Site"
) -> None:
    visitor.page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'vendor',"
        " {get: () => 'Apple Computer, Inc.'})"
    )
    page = opened(visitor, site)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("[data-notice]")).to_contain_text("being prepared")
    claimed = site.vault.recordings.claim_for_rendering("worker-1", 60)
    assert claimed is not None

    site.vault.add_m4a(claimed.id, seconds=20)

    until(page, f"{NOW} > 0.2")
    expect(page.locator("[data-notice]")).to_be_hidden()


def test_listening_is_on_the_trail_before_it_is_heard(
    visitor: "Visitor", site: "Site"
) -> None:
    page = opened(visitor, site)
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{NOW} > 0.2")

    assert "recording.key.released" in site.vault.actions()


def test_a_damaged_recording_says_so_and_plays_nothing(
    visitor: "Visitor", site: "Site"
) -> None:
    id = site.vault.record()
    site.vault.damage(id, "rendition/0001", 100)
    visitor.sign_in("ada")
    expect(visitor.page.locator("[data-row]").first).to_be_visible()
    visitor.open(f"/recordings/{id}")
    page = visitor.page
    expect(page.locator("[data-ready=yes]")).to_be_visible(timeout=15_000)

    page.get_by_role("button", name="Play", exact=True).click()

    expect(page.locator("[data-notice]")).to_contain_text("damaged")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert page.evaluate(NOW) == 0


def test_the_page_of_somebody_signed_out_elsewhere_is_left(
    visitor: "Visitor", site: "Site"
) -> None:
    """Whatever it shows is of a session that is over: the way back is signing in."""
    page = opened(visitor, site, Call(seconds=1500))  # more than is buffered
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{NOW} > 0.2")
    page.get_by_role("button", name="Pause").click()
    for session in site.vault.services().sessions.list():
        site.vault.services().sessions.end(session.id)

    page.get_by_label("Position").fill("1400")

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "next=%2Frecordings%2F" in page.url
