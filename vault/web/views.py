"""Pages: templates, the built bundle, and what every page needs to know.

Guarantees: whatever a template shows is escaped, and a name that a template
uses and nobody gave is an error, not an empty place.

Left to others: what is on a page (`vault.web.pages`), who may see it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from vault.core.errors import ConfigurationError
from vault.core.problems import Problem
from vault.web import words

STATIC: Final = Path(__file__).parent / "static"
_MANIFEST: Final = STATIC / "dist" / "manifest.json"
_ROOT: Final = "/static/dist/"
_HOUR_S: Final = 3600
_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry of the main navigation."""

    name: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The signed-in person, as the frame of a page shows them."""

    name: str
    roles: Sequence[str]
    csrf: str
    places: Sequence[Place]


class Views:
    """Draws pages; one per process."""

    def __init__(self) -> None:
        """Load the manifest of the bundle.

        Raises:
            ConfigurationError: There is no bundle: the package was not built.
        """
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
        )
        self._templates.filters.update(clock=clock_text, utc=utc_text)

    def page(
        self,
        request: Request,
        template: str,
        *,
        reader: Reader | None,
        status: int = 200,
        **context: object,
    ) -> Response:
        """Return *template* drawn for *reader*."""
        html = self._templates.get_template(template).render(
            context,
            reader=reader,
            here=request.url.path,
            nonce=request.state.csp_nonce,
        )
        return HTMLResponse(html, status_code=status)

    def problem(self, request: Request, problem: Problem) -> Response:
        """Return *problem* as a page; it says no more than the JSON would."""
        response = self.page(
            request,
            "problem.html",
            reader=getattr(request.state, "reader", None),
            status=problem.status,
            problem=problem,
        )
        response.headers.update(problem.headers())
        return response

    def _script(self, entry: str) -> str:
        return _ROOT + str(self._manifest[f"src/{entry}.ts"]["file"])

    def _styles(self, entry: str) -> list[str]:
        return [_ROOT + sheet for sheet in self._manifest[f"src/{entry}.ts"]["css"]]


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
