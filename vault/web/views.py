"""Pages: templates, the built bundle, and what every page needs to know.

Guarantees: whatever a template shows is escaped, and a name that a template
uses and nobody gave is an error, not an empty place.

Left to others: what is on a page (`vault.web.pages`), who may see it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from vault.core.errors import ConfigurationError
from vault.core.problems import TYPE_PREFIX, Problem
from vault.web import words

STATIC: Final = Path(__file__).parent / "static"
_MANIFEST: Final = STATIC / "dist" / "manifest.json"
_ROOT: Final = "/static/dist/"
_ASKING_FOR_PROOF: Final = {
    TYPE_PREFIX + "session-locked": "locked.html",
    TYPE_PREFIX + "step-up-required": "prove.html",
}
_HOUR_S: Final = 3600
_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry of the main navigation."""

    name: str
    href: str
    tabs: tuple["Place", ...] = ()
    "What it consists of, shown as a second row on each of them."

    def holds(self, path: str) -> bool:
        """Tell whether the page at *path* belongs here."""
        own = path == self.href or path.startswith(self.href + "/")
        return own or any(tab.holds(path) for tab in self.tabs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The signed-in person, as the frame of a page shows them."""

    name: str
    roles: Sequence[str]
    csrf: str
    places: Sequence[Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What the frame of a page says of broken glass."""

    count: int = 0
    "By how many it is broken, for who can end it; 0 for everybody else."
    own_until: str = ""
    "Until when the reader's own is; empty if it is not."
    own_id: str = ""
    "The reader's id, to end it by."


QUIET: Final = Alarm()


class Views:
    """Draws pages; one per process."""

    def __init__(
        self,
        *,
        idle_s: float = 900.0,
        provider: str = "",
        offers_passkeys: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Load the manifest of the bundle.

        Args:
            idle_s: Seconds without activity after which a page locks itself.
            provider: What the button of an OpenID provider calls it; empty for none.
            offers_passkeys: Whether passkeys work under a host.

        Raises:
            ConfigurationError: There is no bundle: the package was not built.
        """
        self._offers_passkeys = offers_passkeys
        try:
            self._manifest = json.loads(_MANIFEST.read_text())
        except (OSError, ValueError):
            raise ConfigurationError(
                "vault/web/static/dist is missing: install the package"
                " (pip install -e .), which builds it"
            ) from None
        self._templates = Environment(
            loader=PackageLoader("vault.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            script=self._script,
            styles=self._styles,
            reason_text=words.reason_text,
            progress_text=words.progress_text,
            unplayable_text=words.unplayable_text,
            protection_text=words.protection_text,
            protection_warning=words.protection_warning,
            direction_text=words.direction_text,
            permission_text=words.permission_text,
            change_text=words.change_text,
            idle_s=round(idle_s),
            provider=provider,
        )
        self._templates.filters.update(
            clock=clock_text, utc=utc_text, sentence=sentence
        )

    def page(
        self,
        request: Request,
        template: str,
        *,
        reader: Reader | None,
        status: int = 200,
        refused: Problem | None = None,
        told: str = "",
        **context: object,
    ) -> Response:
        """Return *template* drawn for *reader*.

        Args:
            request: What asks for it.
            template: Which one.
            reader: Who is signed in; None for nobody, or behind a lock.
            status: Of the answer.
            refused: What gives the answer its status and headers instead.
            told: What was done before, and is so now.
            **context: What the template shows.
        """
        html = self._templates.get_template(template).render(
            context,
            reader=reader,
            here=request.url.path,
            told=told,
            alarm=getattr(request.state, "alarm", QUIET),
            locked_because=getattr(request.state, "locked_because", ""),
            passkeys=self._offers_passkeys(request.headers.get("host", "")),
        )
        if refused is None:
            return HTMLResponse(html, status_code=status)
        return HTMLResponse(html, refused.status, refused.headers())

    def problem(self, request: Request, problem: Problem) -> Response:
        """Return *problem* as a page; it says no more than the JSON would.

        What a proof of who it is settles is a page that asks for one.
        """
        template = _ASKING_FOR_PROOF.get(problem.type)
        if template is None:
            return self.page(
                request,
                "problem.html",
                reader=getattr(request.state, "reader", None),
                refused=problem,
                problem=problem,
            )
        return self.page(
            request,
            template,
            reader=None,
            refused=problem,
            csrf=getattr(request.state, "csrf", ""),
            error="",
            # Only what is asked for again by the same link can be gone on to; what a
            # form sent is sent again from its page, and that says so.
            next=_target(request)
            if request.method == "GET"
            else getattr(request.state, "back", "/"),
            undone=request.method != "GET",
        )

    def _script(self, entry: str) -> str:
        return _ROOT + str(self._manifest[f"src/{entry}.ts"]["file"])

    def _styles(self, entry: str) -> list[str]:
        return [_ROOT + sheet for sheet in self._manifest[f"src/{entry}.ts"]["css"]]


def _target(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def sentence(text: str) -> str:
    """Return *text* with a capital first letter, and every other one as it is."""
    return text[:1].upper() + text[1:]


def clock_text(seconds: float) -> str:
    """Return 75.3 as ``1:15`` and 3675 as ``1:01:15``."""
    minutes, rest = divmod(int(seconds), _MINUTE_S)
    if seconds < _HOUR_S:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def utc_text(rfc3339: str) -> str:
    """Return a time for readers without scripts: ``2026-11-23 06:16:09 UTC``."""
    try:
        moment = datetime.fromisoformat(rfc3339)
    except ValueError:
        return rfc3339
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
