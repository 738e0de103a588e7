"""The document of the API: current, complete and closed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.core.openapi import JsonObject
from vault.core.problems import Problem
from vault.web import answers
from vault.web.openapi import web_document

COMMITTED = Path(__file__).parents[3] / "docs/reference/api/openapi.json"
OF_NO_ROUTE = {"/problems/method-not-allowed"}


@pytest.fixture(scope="module")
def document() -> JsonObject:
    return web_document()


def operations(document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_committed_document_is_current(document: JsonObject) -> None:
    """scripts/make-openapi renews it."""
    assert json.loads(COMMITTED.read_text()) == document


def test_every_operation_has_a_name_of_its_own(document: JsonObject) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]

    assert len(names) == len(set(names))


def test_every_answer_with_json_has_a_schema(document: JsonObject) -> None:
    media_types = {"application/json", "application/problem+json"}
    bare = [
        (name, status)
        for name, operation in operations(document)
        if not name.endswith("/{part}")
        for status, answer in operation["responses"].items()
        for media_type, content in answer.get("content", {}).items()
        if media_type in media_types and not content.get("schema")
    ]

    assert [] == bare


def test_every_body_and_answer_is_closed(document: JsonObject) -> None:
    schemas = document["components"]["schemas"]

    assert [] == [
        name
        for name, schema in schemas.items()
        if schema.get("type") == "object"
        and schema.get("additionalProperties") is not False
    ]


def test_only_ways_in_and_health_ask_for_no_credential(
    document: JsonObject,
) -> None:
    free = {
        name for name, operation in operations(document) if not operation["security"]
    }

    assert {
        "GET /healthz",
        "GET /readyz",
        "POST /api/v1/sessions",
        "POST /api/v1/sessions/passkey",
        "POST /api/v1/sessions/passkey/confirmation",
        "POST /api/v1/activations",
    } == free


def test_whatever_takes_a_cookie_unsafely_takes_the_session_s_token_beside(
    document: JsonObject,
) -> None:
    bare = [
        name
        for name, operation in operations(document)
        if {"cookie": []} in operation["security"]
        and not name.startswith(("GET ", "HEAD "))
    ]

    assert [] == bare


def test_every_problem_that_http_has_is_an_answer_of_some_route(
    document: JsonObject,
) -> None:
    named = {one.type for one in vars(answers).values() if isinstance(one, Problem)}
    told = json.dumps(document)

    assert OF_NO_ROUTE == {one for one in named if f'"{one}"' not in told}
