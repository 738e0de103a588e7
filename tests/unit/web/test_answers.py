import structlog
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from tests.simulators.asgi import client_for
from vault.core.errors import (
    AccessDeniedError,
    NotFoundError,
    RangeNotSatisfiableError,
    ThrottledError,
)
from vault.core.problems import Problem
from vault.web.answers import EVENT_INTERNAL_ERROR, LastResort, answer_errors

SECRET = "+49 30 901820"


def page(_request: Request, problem: Problem) -> Response:
    return PlainTextResponse(f"page {problem.status}", status_code=problem.status)


def app_that_raises(error: Exception) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/api/x")
    @app.get("/x")
    def raising() -> None:
        raise error

    answer_errors(app, page)
    app.add_middleware(LastResort, page=page)
    return app


def test_an_unknown_exception_tells_nothing() -> None:
    answer = client_for(app_that_raises(KeyError(SECRET))).get("/api/x")

    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert SECRET not in answer.text


def test_an_unknown_exception_is_one_line_of_the_log_and_ends_one_request() -> None:
    client = client_for(app_that_raises(KeyError(SECRET)))
    with structlog.testing.capture_logs() as lines:
        statuses = [client.get("/api/x").status_code for _ in range(2)]

    assert [500, 500] == statuses
    assert [EVENT_INTERNAL_ERROR] * 2 == [line["event"] for line in lines]


def test_a_known_error_is_its_problem() -> None:
    answer = client_for(app_that_raises(AccessDeniedError("not you"))).get("/api/x")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/forbidden",
        "title": "Not allowed",
        "status": 403,
        "detail": "not you",
    }


def test_what_is_missing_never_says_why() -> None:
    answer = client_for(app_that_raises(NotFoundError("of bob's team"))).get("/api/x")

    assert (answer.status_code, "bob" in answer.text) == (404, False)


def test_headers_that_a_problem_needs_are_there() -> None:
    range_ = client_for(app_that_raises(RangeNotSatisfiableError("", size=9)))
    throttled = client_for(app_that_raises(ThrottledError("", retry_after_s=7)))

    assert range_.get("/api/x").headers["content-range"] == "bytes */9"
    assert throttled.get("/api/x").headers["retry-after"] == "7"


def test_a_person_gets_a_page_and_the_api_never_does() -> None:
    client = client_for(app_that_raises(NotFoundError("")))
    html = {"Accept": "text/html"}

    person, program = client.get("/x", headers=html), client.get("/api/x", headers=html)

    assert (person.text, program.json()["status"]) == ("page 404", 404)
