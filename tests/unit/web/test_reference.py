"""The reference names what the code answers: every type, every route."""

import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.routing import APIRoute

from vault.core import problems
from vault.edge import problems as edge
from vault.web import answers
from vault.web.api import audit, recordings, sessions, tokens
from vault.web.api.health import health_routes
from vault.web.api.media import media_routes
from vault.web.config import WebConfig

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api.md"


def test_every_problem_type_is_listed_with_its_status_and_no_other() -> None:
    rows = re.findall(
        r"^\| `/problems/([a-z-]+)` \| (\d+) \|", PAGE.read_text(), re.MULTILINE
    )

    of_core = {slug: status for status, slug, _ in problems._TABLE.values()}
    of_http = {
        one.type.removeprefix(problems.TYPE_PREFIX): one.status
        for one in (
            *vars(answers).values(),
            *vars(edge).values(),
            problems.INTERNAL,
        )
        if isinstance(one, problems.Problem)
    }

    assert {slug: int(status) for slug, status in rows} == of_core | of_http


def test_every_route_is_described() -> None:
    page = PAGE.read_text()
    config = WebConfig()
    routers: list[APIRouter] = [
        sessions.router,
        tokens.router,
        recordings.router,
        audit.router,
        media_routes(config),
        health_routes(config),
    ]

    paths = {
        route.path.replace("{recording_id}/{part}", "{id}/audio")
        .replace("{recording_id}", "{id}")
        .replace("{token_id}", "{id}")
        .replace("{session_id}", "{id}")
        .replace("{path:path}", "{path}")
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
    }

    assert [path for path in sorted(paths) if path not in page] == []
