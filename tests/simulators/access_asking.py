"""Asks the application as somebody, in process, and keeps all that a stranger sees."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx

from tests.simulators.access_rules import Rule, is_page
from tests.simulators.access_world import AccessWorld
from tests.simulators.asgi import AsgiTransport
from vault.web.identity import COOKIE
from vault.web.openapi import web_document

SAFE = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, and what a stranger could tell it by."""

    status: str
    print: tuple[object, ...]


class Asking:
    """Asks the application in one event loop, without a socket."""

    def __init__(self, world: AccessWorld, runner: asyncio.Runner) -> None:
        self._world = world
        self._transport = AsgiTransport(world.vault.app(), runner=runner)
        self._kept: dict[tuple[str, bool], tuple[str, str]] = {}
        self._described = described()
        self.undescribed: set[str] = set()

    def __call__(
        self,
        name: str,
        rule: Rule,
        asker: str,
        filled: Mapping[str, str],
        *,
        riding: bool = False,
    ) -> Answer:
        """Ask one route as somebody.

        Args:
            name: ``GET /path``.
            rule: What is sent.
            asker: Who sends it.
            filled: Parameters of the path.
            riding: As another site's page would: with the cookie, and a token that
                is not the session's.
        """
        method, _, path = name.partition(" ")
        for parameter, value in (dict(rule.path) | dict(filled)).items():
            path = path.replace("{" + parameter + "}", value)
        page = is_page(name)
        headers, csrf = self._credential(asker, cookie=page or riding)
        if riding:
            csrf = "A" * 43
            headers["X-CSRF-Token"] = csrf
        content = b""
        if page:
            headers |= {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
            if method not in SAFE:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                content = urlencode(dict(rule.body or {}) | {"csrf": csrf}).encode()
        elif rule.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(rule.body).encode()
        url = "https://vault.test" + path + ("?" + rule.query if rule.query else "")
        try:
            answer = self._transport.handle_request(
                httpx.Request(method, url, headers=headers, content=content)
            )
        except httpx.RemoteProtocolError:
            self._kept.clear()
            return Answer(status="cut off", print=())
        if method not in SAFE and answer.status_code < httpx.codes.BAD_REQUEST:
            # Whoever's session it may have ended or changed.
            self._kept.clear()
        told = answer.content.decode("utf-8", "replace")
        said = _without(told, [*filled.values(), csrf, _nonce(answer)])
        kept = sorted(
            (key, _without(value, filled.values()))
            for key, value in answer.headers.items()
            if key not in {"content-security-policy", "content-length"}
        )
        status = _status(answer, said)
        if not page and not name.startswith("HEAD "):
            self._hold_against_the_document(name, status)
        return Answer(status=status, print=(answer.status_code, tuple(kept), said))

    def _hold_against_the_document(self, name: str, status: str) -> None:
        if status not in self._described.get(name, {status}):
            self.undescribed.add(f"{name}: {status}")

    def _credential(self, asker: str, *, cookie: bool) -> tuple[dict[str, str], str]:
        secret, csrf = self._kept.get((asker, cookie), ("", ""))
        if not secret:
            secret, csrf = self._world.secret(asker, cookie=cookie)
            self._kept[asker, cookie] = secret, csrf
        if not secret:
            return {}, csrf
        if cookie:
            return {"Cookie": f"{COOKIE}={secret}"}, csrf
        return {"Authorization": f"Bearer {secret}"}, csrf


def described() -> dict[str, set[str]]:
    """Return what the API's document says that each route may answer."""
    document = web_document()
    found: dict[str, set[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            statuses: set[str] = set()
            for status, said in operation["responses"].items():
                whole = said
                if "$ref" in said:
                    name = said["$ref"].rpartition("/")[2]
                    whole = document["components"]["responses"][name]
                problem = whole.get("content", {}).get("application/problem+json")
                types = (
                    problem["schema"]["properties"]["type"]["enum"] if problem else []
                )
                statuses |= {f"{status} {one.rpartition('/')[2]}" for one in types}
                statuses.add(status)
            found[f"{method.upper()} {path}"] = statuses
    return found


def _without(text: str, values: Iterable[str]) -> str:
    """Return *text* without what has to differ from one request to the next."""
    for value in values:
        text = text.replace(value, "…") if value else text
    return text


def _nonce(answer: httpx.Response) -> str:
    policy = answer.headers.get("content-security-policy", "")
    return str(policy.partition("'nonce-")[2].partition("'")[0])


def _status(answer: httpx.Response, said: str) -> str:
    if "problem+json" not in answer.headers.get("content-type", ""):
        return str(answer.status_code)
    slug = str(json.loads(said)["type"]).removeprefix("/problems/")
    return f"{answer.status_code} {slug}"
