"""H16: whatever a field holds is text, in real Chromium, on every page that shows it.

`tests/simulators/hostile_text.py` fills the fields; here somebody with a hostile name
walks through all pages and sends every form back with what it can't take.  A script
that ran, a policy that was violated, a request to anywhere else, an element that came
of a text, or a text that is not there letter by letter: each fails the test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from tests.simulators.hostile_text import (
    ALL_IN_ONE,
    BREAKING,
    CONTROLS,
    PAYLOADS,
    Planted,
    Planting,
    packed,
)
from vault.web.identity import COOKIE

if TYPE_CHECKING:
    from tests.browser.conftest import Site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.xdist_group("browser"),
]

CANARY = """
  document.addEventListener('securitypolicyviolation', (event) =>
    hit(`policy: ${event.effectiveDirective} ${event.blockedURI}`));
"""

# Elements that only a text could have brought, and texts that are not there often
# enough.  What stands in fields is text of the page, too.
LOOK = """([wanted, times]) => {
  const fields = [...document.querySelectorAll('input, textarea, option')];
  const shown = [document.documentElement.textContent, ...fields.map((one) => one.value)];
  const all = shown.join('\\n');
  return {
    few: wanted.filter((text) => all.split(text).length - 1 < times),
    grown: [...document.querySelectorAll(
      '[h16], base, iframe, object, embed, math, video, marquee, [onerror], [onload],' +
      '[onfocus], [onmouseover], [ontoggle], [hx-get*=evil], [href^=javascript]'
    )].map((one) => one.outerHTML.slice(0, 80)),
  };
}"""

SUBMIT = """([path, fields]) => {
  const form = document.createElement('form');
  form.method = 'post';
  form.action = path;
  const csrf = document.body.dataset.csrf;
  for (const [name, value] of Object.entries(csrf ? { csrf, ...fields } : fields)) {
    const field = document.createElement('textarea');
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  HTMLFormElement.prototype.submit.call(form);
}"""


@dataclass(frozen=True, slots=True)
class Watcher:
    """A window, and all that must not happen in it."""

    page: Page
    address: str
    hits: list[str]

    def open(self, path: str) -> int:
        answer = self.page.goto(self.address + path, wait_until="domcontentloaded")
        assert answer is not None
        return answer.status

    def send(self, path: str, **fields: str) -> int:
        with self.page.expect_navigation(wait_until="domcontentloaded") as answer:
            self.page.evaluate(SUBMIT, [path, fields])
        assert answer.value is not None
        return answer.value.status

    def shows(self, wanted: Sequence[str], times: int = 1) -> None:
        """Check that the page shows each of *wanted* letter by letter, so often."""
        found = self.page.evaluate(LOOK, [list(wanted), times])

        assert {"few": [], "grown": []} == found, self.page.url
        assert [] == self.hits, self.page.url
        assert 1 == len(self.page.frames)


def watch(context: BrowserContext, address: str) -> Watcher:
    hits: list[str] = []
    context.expose_function("hit", lambda what: hits.append(str(what)))
    context.add_init_script(CANARY)
    page = context.new_page()

    def at_dialog(dialog: Dialog) -> None:
        hits.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def at_request(request: Any) -> None:
        if not request.url.startswith((address + "/", f"blob:{address}/")):
            hits.append(f"request: {request.url}")

    def at_console(message: Any) -> None:
        # What is refused, as these tests want it to be, is logged as an error, too.
        if (
            message.type in {"error", "warning"}
            and "Failed to load" not in message.text
        ):
            hits.append(f"console: {message.text}")

    page.on("dialog", at_dialog)
    page.on("request", at_request)
    page.on("console", at_console)
    page.on("pageerror", lambda error: hits.append(f"error: {error}"))
    page.on("popup", lambda _: hits.append("popup"))
    return Watcher(page, address, hits)


@pytest.fixture(scope="module")
def planted(site: "Site") -> Planted:
    return Planting(site.vault).plant()


@pytest.fixture(scope="module")
def inside(chromium: Browser, site: "Site", planted: Planted) -> Iterator[Watcher]:
    """Somebody with every page and a hostile name."""
    with chromium.new_context(viewport={"width": 1240, "height": 860}) as context:
        context.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": planted.looks.secret,
                    "url": site.address.replace("http:", "https:"),
                    "secure": True,
                    "httpOnly": True,
                    "sameSite": "Strict",
                }
            ]
        )
        yield watch(context, site.address)


@pytest.fixture(scope="module")
def outside(chromium: Browser, site: "Site") -> Iterator[Watcher]:
    """Nobody."""
    with chromium.new_context() as context:
        yield watch(context, site.address)


# How often each payload is there: once in the name of whoever looks, and in the fields.
SHORT = 64

SHOWN = {
    "/recordings": 1 + 5,
    "/recordings/{recording}": 1 + 14,
    "/recordings/{classified}": 1 + 2,
    "/audit": 1,
    "/people": 1 + 2,
    "/people/{looks}": 1 + 4,
    "/workgroups": 1 + 4,
    "/devices": 1 + 1,
    "/devices/{device}": 1 + 1,
    "/extensions": 1 + 3,
    "/policies": 1 + 6,
    "/addresses": 1 + 1,
    "/sessions": 1 + 8,
    "/approvals": 1 + 3,
    "/health": 1,
    "/account": 1 + 4,
    "/account/factors": 1 + 1,
    "/account/password": 1,
}


@pytest.mark.parametrize("path", SHOWN)
def test_h16_what_is_stored_is_shown_as_text(
    inside: Watcher, planted: Planted, path: str
) -> None:
    ids = {
        "recording": planted.recording,
        "classified": planted.classified,
        "device": planted.device,
        "looks": planted.looks.session.user_id,
    }
    status = inside.open(path.format_map(ids))

    assert 200 == status
    inside.shows(PAYLOADS, SHOWN[path])


def test_h16_controls_are_text_too(inside: Watcher, planted: Planted) -> None:
    inside.open(f"/recordings/{planted.recording}")

    inside.shows([CONTROLS], 1 + 10)


def test_h16_the_player_draws_names_as_text(inside: Watcher, planted: Planted) -> None:
    inside.open(f"/recordings/{planted.recording}")
    expect(inside.page.locator("[data-ready=yes]")).to_be_visible(timeout=15_000)

    inside.shows(PAYLOADS, SHOWN["/recordings/{recording}"])


def test_h16_what_is_swapped_in_is_text(inside: Watcher) -> None:
    inside.open("/recordings")
    with inside.page.expect_response(lambda answer: "state=ready" in answer.url):
        inside.page.get_by_label("State").select_option("ready")
        inside.page.get_by_role("button", name="Search").click()
    expect(inside.page.locator("#results .pages, #results table").first).to_be_visible()

    inside.shows(PAYLOADS, SHOWN["/recordings"])


def test_h16_a_dialog_asks_about_a_text(inside: Watcher) -> None:
    inside.open("/account/factors")
    expect(inside.page.locator("[data-remove]").first).to_be_visible()
    asked = inside.page.evaluate(
        """() => [...document.querySelectorAll('[data-remove*=passkeys]')].map((one) => {
          one.click();
          const dialog = document.querySelector('dialog[data-confirm]');
          const text = dialog.textContent;
          dialog.close('no');
          return text;
        })"""
    )

    missing = [one for one in PAYLOADS if not any(one in text for text in asked)]
    assert [] == missing
    inside.shows(PAYLOADS)


def rotated(texts: Sequence[str], by: int) -> list[str]:
    by %= len(texts)
    return [*texts[by:], *texts[:by]]


def asked_with(most: int, *names: str) -> Iterator[dict[str, str]]:
    """Give each payload to each of *names*, at most *most* characters at a time."""
    texts = packed(most, PAYLOADS if most > SHORT else BREAKING)
    for row in zip(
        *(rotated(texts, number) for number, _ in enumerate(names)), strict=True
    ):
        yield dict(zip(names, row, strict=True))


@pytest.mark.parametrize(
    ("path", "most", "names"),
    [
        ("/recordings", 128, ("party", "agent")),
        ("/audit", 2048, ("query",)),
        ("/extensions", 512, ("address",)),
    ],
)
def test_h16_what_was_searched_for_is_text(
    inside: Watcher, path: str, most: int, names: tuple[str, ...]
) -> None:
    for asked in asked_with(most, *names):
        inside.open(f"{path}?{urlencode(asked)}")
        inside.shows(list(asked.values()))


@pytest.mark.parametrize(
    "path",
    [
        "/recordings?state={}",
        "/recordings?cursor={}",
        "/recordings?from={}",
        "/audit?query=action:{}",
        "/audit?query=actor:{}",
        "/audit?cursor={}",
        "/recordings/{}",
        "/people/{}",
        "/devices/{}",
        "/nowhere/{}",
    ],
)
def test_h16_what_there_is_not_is_no_element(inside: Watcher, path: str) -> None:
    inside.open(path.format(quote(ALL_IN_ONE[: len(ALL_IN_ONE) // 2], safe="")))

    inside.shows([])


@pytest.mark.parametrize(
    ("path", "most", "names"),
    [
        ("/people", 64, ("name", "workgroups", "source", "external_id")),
        ("/devices", 64, ("name", "addresses", "certificates", "media_advertise")),
        ("/policies/rights", 128, ("holder", "name", "kind", "over")),
        ("/extensions", 512, ("pattern", "agent", "workgroup")),
    ],
)
def test_h16_a_form_that_comes_back_holds_text(
    inside: Watcher, path: str, most: int, names: tuple[str, ...]
) -> None:
    # Those that the page does not give back are in its message, or nowhere.
    echoed = {
        "/people": ("name", "workgroups"),
        "/policies/rights": ("holder", "name"),
    }.get(path, names)
    inside.open("/account")
    for fields in asked_with(most, *names):
        status = inside.send(path, **fields)

        assert 422 == status
        inside.shows([fields[name] for name in echoed])


@pytest.mark.parametrize(
    ("path", "refused", "fields"),
    [
        ("/addresses", 422, {"listener": "sip", "verdict": "deny", "prefix": "{}"}),
        ("/workgroups", 422, {"name": "{}", "parent": "{}", "class": "{}"}),
        ("/policies/classes", 422, {"name": "{}"}),
        ("/account/tokens", 422, {"name": "{}", "days": "{}"}),
        ("/emergency", 403, {"reason": "{}"}),
    ],
)
def test_h16_what_is_refused_comes_back_as_text(
    inside: Watcher, path: str, refused: int, fields: dict[str, str]
) -> None:
    inside.open("/account")
    status = inside.send(
        path, **{name: value.format(ALL_IN_ONE) for name, value in fields.items()}
    )

    assert status == refused
    inside.shows([])


def test_h16_names_that_sign_in_with_nothing_are_text(outside: Watcher) -> None:
    outside.open("/sign-in")
    for text in packed(250):
        outside.send("/sign-in", user=text, password="wrong-wrong-wrong", next="/")
        outside.shows([text])


def test_h16_names_that_choose_no_password_are_text(outside: Watcher) -> None:
    outside.open("/activate")
    for text in packed(250):
        outside.send(
            "/activate", user=text, code=text[:64], password="x" * 12, again="y" * 12
        )
        outside.shows([text])


def test_h16_where_a_sign_in_leads_is_text(outside: Watcher) -> None:
    for text in packed(
        512, [one for one in PAYLOADS if one.isprintable() and "\\" not in one]
    ):
        outside.open("/sign-in?" + urlencode({"next": "/" + text}))
        outside.shows(["/" + text])


def test_h16_counts_what_it_promises(planted: Planted) -> None:
    assert len(PAYLOADS) >= 40
    assert len(set(planted.fields)) >= 25
    assert all(one in ALL_IN_ONE for one in PAYLOADS)
