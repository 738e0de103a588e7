"""What a route can answer, said once: where it is raised, and for OpenAPI from there.

A function that raises says so with `may_answer`: a route, or something that routes
depend on (who is asking, a body that is read).  `complete` walks what each route
depends on and adds to the document that the framework made of parameters and
answers: every problem by status and type, the body, the credentials.

Guarantees: whatever a route depends on is in its description; nothing is written
twice; the document says nothing about recordings, people or settings.

Left to others: the routes and the framework (`vault.web.openapi`,
`vault.forks.openapi`).

Spec: OpenAPI 3.1.0, section 4.8; RFC 9457.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from vault.core.errors import (
    InvalidInputError,
    NotReadyError,
    RangeNotSatisfiableError,
    VaultError,
)
from vault.core.problems import (
    PROBLEM_MEDIA_TYPE,
    TYPE_PREFIX,
    Problem,
    status_of,
)

Failure: TypeAlias = type[VaultError] | Problem
"An error of the vault, or a problem that only HTTP has."
JsonObject: TypeAlias = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/"
_RESPONSES: Final = "#/components/responses/"
_PROBLEM: Final = "Problem"
_SAID: Final = "__may_answer__"
_SAFE: Final = frozenset({"get", "head"})
_OF_THE_FRAMEWORK: Final = ("HTTPValidationError", "ValidationError")
_NUMBER: Final = "^[0-9]+$"
_UNAUTHORIZED, _TOO_MANY, _UNAVAILABLE = 401, 429, 503

_C = TypeVar("_C", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one function says about the answers of routes that use it."""

    failures: tuple[Failure, ...] = ()
    credentials: tuple[str, ...] = ()
    "Names of security schemes, any one of which it takes."


class Shape(Protocol):
    """A model of a body, as pydantic makes them."""

    def model_json_schema(self, *, ref_template: str) -> JsonObject:
        """Return its JSON Schema, definitions under ``$defs``."""
        ...


class Needs(Protocol):
    """What a route depends on, as FastAPI keeps it."""

    @property
    def call(self) -> Callable[..., Any] | None:
        """The function: the route itself, or one that it depends on."""
        ...

    @property
    def dependencies(self) -> Sequence["Needs"]:
        """What that one depends on."""
        ...

    @property
    def query_params(self) -> Sequence[object]:
        """What it reads of the query."""
        ...

    @property
    def path_params(self) -> Sequence[object]:
        """What it reads of the path."""
        ...


class Route(Protocol):
    """One route, as FastAPI keeps it."""

    @property
    def name(self) -> str:
        """The name of its function."""
        ...

    @property
    def path_format(self) -> str:
        """The path with its parameters in braces."""
        ...

    @property
    def methods(self) -> Collection[str] | None:
        """The methods, in capitals."""
        ...

    @property
    def dependant(self) -> Needs:
        """The route's function and what it depends on."""
        ...


def may_answer(
    *failures: Failure, credentials: tuple[str, ...] = ()
) -> Callable[[_C], _C]:
    """Say which problems a function leads to, beyond those of what it depends on."""

    def mark(function: _C) -> _C:
        setattr(function, _SAID, Said(failures=failures, credentials=credentials))
        return function

    return mark


def complete(
    document: JsonObject,
    routes: Iterable[Route],
    *,
    everywhere: Sequence[Failure],
    schemes: Mapping[str, JsonObject],
    beside: Mapping[str, str] = MappingProxyType({}),
) -> JsonObject:
    """Add to *document* what the framework cannot know, and return it.

    Args:
        document: What the framework made of *routes*.
        routes: The routes that are described.
        everywhere: What any of them may answer, because something in front of it may.
        schemes: Security schemes by name.
        beside: Schemes that an unsafe method needs beside another one.
    """
    components = document.setdefault("components", {})
    schemas: JsonObject = components.setdefault("schemas", {})
    for name in _OF_THE_FRAMEWORK:
        schemas.pop(name, None)
    schemas[_PROBLEM] = _problem_schema()
    components["securitySchemes"] = dict(schemes)
    for route in routes:
        for method in sorted(one.lower() for one in route.methods or ()):
            operation = document["paths"][route.path_format][method]
            _describe(operation, route, everywhere=everywhere, components=components)
            operation["operationId"] = route.name + "_head" * (method == "head")
            operation["security"] = [
                {name: [], beside[name]: []}
                if method not in _SAFE and name in beside
                else {name: []}
                for said in _said_by(route.dependant)
                for name in said.credentials
            ]
    for kind in ("responses", "schemas"):
        components[kind] = dict(sorted(components[kind].items()))
    return document


def absent_and_never_null(schema: JsonObject) -> None:
    """Describe members of an answer that are not required as never null."""
    members = schema.get("properties", {})
    for name in members.keys() - set(schema.get("required", ())):
        members[name].pop("default", None)
        ways = members[name].pop("anyOf", [])
        members[name] |= next((one for one in ways if one != {"type": "null"}), {})


def _describe(
    operation: JsonObject,
    route: Route,
    *,
    everywhere: Sequence[Failure],
    components: JsonObject,
) -> None:
    calls = list(_walk(route.dependant))
    failures = list(everywhere)
    for said in _said_by(route.dependant):
        failures += said.failures
    if any(one.query_params or any(map(_is_limited, one.path_params)) for one in calls):
        failures.append(InvalidInputError)
    answers: JsonObject = operation["responses"]
    # The framework's own answer to a parameter of another shape is never given.
    answers.pop("422", None)
    for status, answer in _problem_answers(failures).items():
        if status in answers:  # what is no failure may have the same status
            answers[status]["content"] |= answer["content"]
        else:
            answers[status] = _shared(status, answer, components)
    operation["responses"] = dict(sorted(answers.items()))
    for one in calls:
        shape = getattr(one.call, "shape", None)
        if shape is not None:
            operation["requestBody"] = {
                "content": {
                    "application/json": {"schema": _referred(shape, components)}
                },
                "required": not getattr(one.call, "optional", False),
            }


def _is_limited(parameter: object) -> bool:
    """Whether a parameter has a length or a pattern, which text may fail."""
    return bool(getattr(getattr(parameter, "field_info", None), "metadata", ()))


def _walk(needs: Needs) -> Iterator[Needs]:
    yield needs
    for one in needs.dependencies:
        yield from _walk(one)


def _said_by(needs: Needs) -> Iterator[Said]:
    for one in _walk(needs):
        said = getattr(one.call, _SAID, None)
        if isinstance(said, Said):
            yield said


def _problem_answers(failures: Iterable[Failure]) -> JsonObject:
    kinds: dict[int, dict[str, str]] = {}
    headers: dict[int, JsonObject] = {}
    for failure in failures:
        problem = failure if isinstance(failure, Problem) else _example(failure)
        kinds.setdefault(problem.status, {})[problem.type] = problem.title
        headers.setdefault(problem.status, {}).update(
            _headers_of(failure, problem.status)
        )
    return {
        str(status): {
            "description": "; ".join(sorted(set(types.values()))),
            "content": {PROBLEM_MEDIA_TYPE: {"schema": _schema_of(status, types)}},
            **({"headers": headers[status]} if headers[status] else {}),
        }
        for status, types in kinds.items()
    }


def _shared(status: str, answer: JsonObject, components: JsonObject) -> JsonObject:
    """Keep *answer* among the components, where it stands once for all routes."""
    types = answer["content"][PROBLEM_MEDIA_TYPE]["schema"]["properties"]["type"]
    slugs = [one.removeprefix(TYPE_PREFIX) for one in types["enum"]]
    name = "-".join([status, *slugs])
    components.setdefault("responses", {})[name] = answer
    return {"$ref": _RESPONSES + name}


def _example(kind: type[VaultError]) -> Problem:
    status, slug, title = status_of(kind)
    return Problem(status=status, type=TYPE_PREFIX + slug, title=title, detail=title)


def _headers_of(failure: Failure, status: int) -> JsonObject:
    found: JsonObject = {}
    if status in {_TOO_MANY, _UNAVAILABLE}:
        found["Retry-After"] = _header("Whole seconds.", _NUMBER, required=True)
    elif failure is NotReadyError:
        found["Retry-After"] = _header("Whole seconds, where waiting helps.", _NUMBER)
    if status == _UNAUTHORIZED:
        found["WWW-Authenticate"] = _header(
            "RFC 6750, section 3.", "^Bearer ", required=True
        )
    if failure is RangeNotSatisfiableError:
        found["Content-Range"] = _header(
            "RFC 9110, section 14.4.", r"^bytes \*/[0-9]+$", required=True
        )
    return found


def _header(description: str, pattern: str, *, required: bool = False) -> JsonObject:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string", "pattern": pattern},
    }


def _schema_of(status: int, types: Iterable[str]) -> JsonObject:
    return {
        "allOf": [{"$ref": _SCHEMAS + _PROBLEM}],
        "properties": {
            "type": {"enum": sorted(types)},
            "status": {"const": status},
        },
    }


def _problem_schema() -> JsonObject:
    members: JsonObject = {
        "type": {"type": "string", "description": "Stable; see the reference."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people."},
        "line": {"type": "integer", "minimum": 1, "description": "Line to blame."},
    }
    return {
        "type": "object",
        "description": "RFC 9457.",
        "properties": members,
        "required": [name for name in members if name != "line"],
        "additionalProperties": False,
    }


def _referred(shape: Shape, components: JsonObject) -> JsonObject:
    schemas = components["schemas"]
    schema = shape.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schemas.update(schema.pop("$defs", {}))
    name = str(schema["title"])
    schemas[name] = schema
    return {"$ref": _SCHEMAS + name}
