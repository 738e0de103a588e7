"""Chromium against a whole vault on a real port."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.simulators.web_server import serving
from tests.simulators.web_vault import PASSWORD, WebVault, running
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

_CHROMIUM = Path(os.environ.get("CALLVAULT_TEST_CHROMIUM", "/usr/bin/chromium"))
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True, slots=True)
class Site:
    """A vault and where it is served."""

    vault: WebVault
    address: str


class Visitor:
    """One person's browser window, and what went wrong in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def sign_in(self, name: str) -> None:
        """Fill in the form, as somebody who was sent to it."""
        self.page.goto(self.address)
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()

    def open(self, path: str) -> int:
        """Go to *path* and return the status."""
        answer = self.page.goto(self.address + path)
        assert answer is not None
        return answer.status

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        # A 404 page that a test asks for is logged by Chromium as an error, too.
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.complaints.append(text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium, or a skip with the reason.

    One per module and not per session: while it lives, an event loop runs in this
    thread, and a test of another room that starts one of its own would fail.
    """
    if not _CHROMIUM.exists():
        pytest.skip(f"no Chromium at {_CHROMIUM} (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, headless=True, args=_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A vault for the tests of one module."""
    with running(
        tmp_path_factory.mktemp("vault"),
        WebConfig(
            edge=EdgeConfig(requests_per_minute=100_000, spares_loopback=True),
            actor_requests_per_minute=100_000,
        ),
    ) as vault:
        vault.crew()
        with serving(vault.app()) as port:
            yield Site(vault, f"http://127.0.0.1:{port}")


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile."""
    with chromium.new_context(
        viewport={"width": 1240, "height": 860},
        locale="en-GB",
        timezone_id="Europe/Berlin",
    ) as context:
        yield context


@pytest.fixture
def chromium_without_scripts(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile in which no script runs."""
    with chromium.new_context(java_script_enabled=False, locale="en-GB") as context:
        yield context


@pytest.fixture
def visitor(context: BrowserContext, site: Site) -> Iterator[Visitor]:
    """A window; whatever the page complains about fails the test."""
    visitor = Visitor(context.new_page(), site.address)
    yield visitor
    # Content security policy violations are among these.
    assert visitor.complaints == []
