"""What functions say of their answers reaches the document."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from vault.core.errors import (
    NotAuthenticatedError,
    NotFoundError,
    NotReadyError,
    ThrottledError,
)
from vault.core.openapi import (
    JsonObject,
    absent_and_never_null,
    complete,
    may_answer,
)
from vault.core.problems import INTERNAL


@may_answer(NotAuthenticatedError, credentials=("bearer", "cookie"))
def who() -> None: ...


@may_answer(NotFoundError, NotReadyError)
def thing() -> None: ...


@may_answer(ThrottledError)
def quiet() -> None: ...


@dataclass
class Needs:
    call: object
    dependencies: list["Needs"] = field(default_factory=list)
    query_params: list[object] = field(default_factory=list)
    path_params: list[object] = field(default_factory=list)


@dataclass
class Route:
    dependant: Needs
    name: str = "show_thing"
    path_format: str = "/things/{id}"
    methods: frozenset[str] = frozenset({"DELETE", "GET"})


def described(needs: Needs) -> JsonObject:
    answers = {"200": {"description": "Fine", "content": {}}, "422": {}}
    document = {
        "paths": {
            "/things/{id}": {
                "get": {"responses": dict(answers)},
                "delete": {"responses": dict(answers)},
            }
        }
    }
    return complete(
        document,
        [Route(needs)],
        everywhere=[INTERNAL],
        schemes={"bearer": {"type": "http"}},
        beside={"cookie": "csrf"},
    )


def test_a_route_answers_what_it_and_its_dependencies_say() -> None:
    document = described(Needs(thing, [Needs(who, [Needs(quiet)])]))

    assert {
        "200": {"description": "Fine", "content": {}},
        "401": {"$ref": "#/components/responses/401-not-authenticated"},
        "404": {"$ref": "#/components/responses/404-not-found"},
        "409": {"$ref": "#/components/responses/409-not-ready"},
        "429": {"$ref": "#/components/responses/429-throttled"},
        "500": {"$ref": "#/components/responses/500-internal"},
    } == document["paths"]["/things/{id}"]["get"]["responses"]


def test_a_problem_is_described_by_status_type_and_headers() -> None:
    document = described(Needs(quiet))

    throttled = document["components"]["responses"]["429-throttled"]
    schema = throttled["content"]["application/problem+json"]["schema"]
    assert ["/problems/throttled"] == schema["properties"]["type"]["enum"]
    assert throttled["headers"]["Retry-After"]["required"] is True


def test_a_query_can_be_wrong() -> None:
    document = described(Needs(quiet, query_params=["name"]))

    assert "422" in document["paths"]["/things/{id}"]["get"]["responses"]


def test_what_a_path_names_can_be_wrong_where_it_has_limits() -> None:
    free, limited = (
        SimpleNamespace(field_info=SimpleNamespace(metadata=limits))
        for limits in ([], ["max_length"])
    )
    answers = [
        described(Needs(quiet, path_params=[one]))["paths"]["/things/{id}"]["get"]
        for one in (free, limited)
    ]

    assert [False, True] == ["422" in one["responses"] for one in answers]


def test_a_cookie_needs_its_token_where_the_method_is_unsafe() -> None:
    methods = described(Needs(who))["paths"]["/things/{id}"]

    assert [{"bearer": []}, {"cookie": []}] == methods["get"]["security"]
    assert [{"bearer": []}, {"cookie": [], "csrf": []}] == methods["delete"]["security"]


def test_what_may_be_missing_is_never_null() -> None:
    schema = {
        "required": ["next"],
        "properties": {
            "next": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "agent": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    }

    absent_and_never_null(schema)

    assert {
        "next": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "agent": {"type": "string"},
    } == schema["properties"]
