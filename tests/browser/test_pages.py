"""The pages in a real browser: signing in, the list, the trail, signing out."""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.simulators.web_vault import Call
from vault.core.flow import Allowance, RecordingState

if TYPE_CHECKING:
    from tests.browser.conftest import Site, Visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.xdist_group("browser"),
]

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def test_a_supervisor_signs_in_finds_a_call_and_signs_out(
    visitor: "Visitor", site: "Site"
) -> None:
    wanted = site.vault.record(Call(caller="+420 224 177 111"))
    site.vault.record(Call(caller="+49 40 428 280"))
    visitor.sign_in("ada")
    page = visitor.page

    page.get_by_label("Number").fill("+420224177111")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("[data-row]")).to_have_count(1)

    assert "party=%2B420224177111" in page.url
    expect(page.locator("[data-row]")).to_have_attribute(
        "href", f"/recordings/{wanted}"
    )

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    visitor.open("/recordings")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_session_is_out_of_reach_of_scripts(
    visitor: "Visitor", context: BrowserContext
) -> None:
    visitor.sign_in("ada")
    expect(visitor.page.get_by_role("heading", name="Recordings")).to_be_visible()
    cookie = next(one for one in context.cookies() if one["name"].startswith("__Host-"))

    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
        True,
        True,
        "Strict",
    )
    assert visitor.page.evaluate("document.cookie") == ""


def test_rows_are_walked_with_the_keyboard(visitor: "Visitor", site: "Site") -> None:
    newest = site.vault.record()
    visitor.sign_in("ada")
    page = visitor.page
    expect(page.locator("[data-row]").first).to_be_visible()
    page.locator("h1").click()

    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{site.address}/recordings/{newest}")


def test_another_workgroups_recording_is_a_page_that_says_nothing(
    visitor: "Visitor", site: "Site"
) -> None:
    id = site.vault.record(Call(workgroup="sales"))
    visitor.sign_in("bob")
    expect(visitor.page.get_by_role("heading", name="Recordings")).to_be_visible()

    status = visitor.open(f"/recordings/{id}")

    assert status == 404
    expect(visitor.page.get_by_text("Nothing here that you may see.")).to_be_visible()


def test_an_officer_filters_and_exports_the_trail(visitor: "Visitor") -> None:
    visitor.sign_in("olga")
    page = visitor.page
    expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("actor:olga result:okay")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("did you mean ok?")
    page.get_by_role("searchbox").fill("actor:olga result:ok")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr").first).to_contain_text("olga")
    page.get_by_role("link", name="Without result: ok").click()
    expect(page.get_by_role("searchbox")).to_have_value("actor:olga")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export JSON Lines").click()

    expect(page.get_by_text("vault.test/audit").first).to_be_visible()
    assert download.value.suggested_filename == "callvault-audit.jsonl"


def test_an_officer_keeps_a_search_and_looks_into_an_entry(visitor: "Visitor") -> None:
    visitor.sign_in("olga")
    page = visitor.page
    page.goto(visitor.address + "/audit")
    page.get_by_text("Add a filter").click()
    page.get_by_label("Action").select_option("access.*")
    page.get_by_label("From (UTC)").fill("2020-01-01")
    page.get_by_role("button", name="Add to the search").click()
    expect(page.get_by_role("searchbox")).to_have_value(
        "action:access.* created:2020-01-01..*"
    )
    page.get_by_text("Saved searches").click()
    page.get_by_label("Save this search as").fill("doors")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The search doors is saved.")).to_be_visible()
    page.locator("tbody tr").last.get_by_role("link", name="Entry").click()

    expect(page.get_by_role("heading", name="What proves it")).to_be_visible()


def test_an_officer_follows_the_trail(visitor: "Visitor") -> None:
    visitor.sign_in("olga")
    page = visitor.page
    page.goto(visitor.address + "/audit?query=action:audit.*")
    page.get_by_role("button", name="Follow live").click()
    # That somebody began to follow is itself new.
    row = page.locator("tr[data-fresh]", has_text="kind tail")
    expect(row.first).to_contain_text("olga")
    page.get_by_role("button", name="Pause").click()

    expect(page.get_by_role("button", name="Follow live")).to_be_visible()


def test_an_administrator_has_no_recordings_in_the_navigation(
    visitor: "Visitor",
) -> None:
    visitor.sign_in("adam")

    expect(visitor.page.get_by_role("heading", name="People")).to_be_visible()
    expect(visitor.page.get_by_role("link", name="Recordings")).to_have_count(0)


def test_what_a_pbx_sent_runs_nothing(visitor: "Visitor", site: "Site") -> None:
    dialogs: list[str] = []
    visitor.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    id = site.vault.record(
        Call(caller=HOSTILE, agent=HOSTILE, attributes={HOSTILE: HOSTILE})
    )
    visitor.sign_in("ada")
    expect(visitor.page.locator("[data-row]").first).to_be_visible()
    visitor.open(f"/recordings/{id}")

    expect(visitor.page.get_by_text(HOSTILE).first).to_be_visible()

    assert dialogs == []


def test_a_page_that_waits_shows_the_player_by_itself(
    visitor: "Visitor", site: "Site"
) -> None:
    id = site.vault.record(Call(state=RecordingState.RENDERING, seconds=2))
    visitor.sign_in("ada")
    expect(visitor.page.locator("[data-row]").first).to_be_visible()
    visitor.open(f"/recordings/{id}")
    expect(visitor.page.get_by_text("being prepared")).to_be_visible()

    site.vault.finish(id, Call(seconds=2))

    expect(visitor.page.locator("[data-ready=yes]")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1240, 390])
def test_nothing_sticks_out_of_the_window(
    visitor: "Visitor", site: "Site", scheme: str, width: int
) -> None:
    id = site.vault.record(Call(agent="a" * 60, attributes={"k" * 40: "v" * 200}))
    page = visitor.page
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 844})
    visitor.sign_in("ada")
    expect(page.locator("[data-row]").first).to_be_visible()

    for path in ("/recordings", f"/recordings/{id}"):
        visitor.open(path)

        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1240, 390])
def test_no_page_of_administration_sticks_out_of_the_window(
    visitor: "Visitor", site: "Site", width: int
) -> None:
    name = f"old-gateway-of-the-branch-in-leipzig-{width}"
    device = site.vault.devices.add(name, allowances=frozenset(Allowance)).device
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 844})
    visitor.sign_in("adam")
    tabs = page.get_by_role("navigation", name="Administration").get_by_role("link")
    expect(tabs).to_have_count(8)
    paths = [one.get_attribute("href") for one in tabs.all()]

    for path in (*paths, f"/devices/{device.id}"):
        visitor.open(str(path))
        wide = page.evaluate(
            "[...document.querySelectorAll('html, .scroll')]"
            ".filter((one) => one.scrollWidth > one.clientWidth).length"
        )

        assert (0, path) == (wide, path)
        expect(page.locator(".tabs [aria-current=page]")).to_have_count(1)


def test_the_theme_is_the_readers_choice(visitor: "Visitor") -> None:
    visitor.sign_in("ada")
    page = visitor.page
    switch = page.get_by_role("button", name=re.compile("^Theme"))
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize(
    "script",
    [
        "document.body.innerHTML = '<img src=x onerror=alert(1)>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "new DOMParser().parseFromString('<b>x</b>', 'text/html')",
        "document.createElement('script').textContent = 'alert(1)'",
        "document.createElement('script').src = '/x.js'",
        "document.createElement('iframe').srcdoc = '<b>x</b>'",
    ],
)
def test_h16_a_string_becomes_no_markup_and_no_script(
    visitor: "Visitor", script: str
) -> None:
    visitor.open("/sign-in")
    found = visitor.page.evaluate(
        f"() => {{ try {{ {script}; return 'taken' }} catch (e) {{ return e.name }} }}"
    )
    # Where no policy speaks for a kind of string, the browser says so.
    visitor.complaints[:] = [one for one in visitor.complaints if "Trusted" not in one]

    assert "TypeError" == found
