"""The API as its document describes it, asked by schemathesis as somebody of each role.

``CALLVAULT_FUZZ_REQUESTS=100000`` makes it a long run; without it a short one.
What is sent is right by the document, or wrong in one way; every answer has to be
one that the document has, with its headers and of its schema, and none a failure of
the server.  What is wrong has to be refused.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from logging import CRITICAL
from typing import Any

import httpx
import pytest
import requests
import schemathesis
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from limits import RateLimitItemPerMinute
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis import checks as known
from schemathesis.core.failures import FailureGroup

from tests.simulators.access_world import AccessWorld
from tests.simulators.asgi import AsgiTransport
from tests.simulators.fork_desk import Directory, MemoryDesk
from tests.simulators.web_vault import running
from vault.core.openapi import JsonObject
from vault.edge.config import EdgeConfig
from vault.forks.app import create_forks_app
from vault.forks.openapi import forks_document
from vault.web.config import WebConfig
from vault.web.openapi import web_document

REQUESTS = int(os.environ.get("CALLVAULT_FUZZ_REQUESTS", "0"))
"How many at least, for a long run; 0 is a short one."
ROLES = (
    "agent",
    "supervisor",
    "quality",
    "officer",
    "administrator",
    "custodian",
    "nobody",
)
CONFIG = WebConfig(
    edge=EdgeConfig(requests_per_minute=10**7),
    actor_requests_per_minute=10**7,
    streams_per_session=10**4,
)
CHECKS = [
    known.not_a_server_error,
    known.status_code_conformance,
    known.content_type_conformance,
    known.response_headers_conformance,
    known.response_schema_conformance,
    known.negative_data_rejection,
]
pytestmark = pytest.mark.xdist_group("long")

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
SAFE = {"GET", "HEAD"}

Send = Callable[[httpx.Request], httpx.Response]
Credential = Callable[[str], dict[str, str]]
"Method → headers of one asker."


@pytest.fixture(scope="module", autouse=True)
def _quiet(_logs_as_they_come: None) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))


@dataclass
class Fuzzing:
    """Sends what schemathesis makes, and counts."""

    send: Send
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    "What was wrong → one request that shows it."

    def told(self) -> str:
        """Return the counts in a line."""
        by_status = sorted(self.statuses.items())
        return f"{self.statuses.total()} requests, by status {dict(by_status)}"

    def ask(
        self,
        operation: APIOperation,
        mode: GenerationMode,
        credential: Credential,
        *,
        examples: int,
        known_ids: tuple[str, ...] = (),
    ) -> None:
        """Ask one operation as one asker."""
        ids = st.sampled_from(known_ids) if known_ids else st.none()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), one=ids)
        def holds(case: Case, one: str | None) -> None:
            if one and mode is GenerationMode.POSITIVE:
                case.path_parameters |= {
                    name: one for name in case.path_parameters if name.endswith("_id")
                }
            self._hold(case, credential)

        try:
            holds()
        except Unsatisfiable:
            # Without a body and parameters there is nothing to get wrong.
            assert mode is GenerationMode.NEGATIVE

    def _hold(self, case: Case, credential: Credential) -> None:
        made = case.as_transport_kwargs(base_url="https://vault.test")
        made["headers"] = dict(made.get("headers") or {}) | credential(case.method)
        prepared = requests.Request(
            **{
                name: value
                for name, value in made.items()
                if name
                in {"method", "url", "headers", "params", "data", "json", "files"}
            }
        ).prepare()
        request = httpx.Request(
            str(prepared.method),
            str(prepared.url),
            headers=[(k, _text(v)) for k, v in prepared.headers.items()],
            content=prepared.body if isinstance(prepared.body, bytes | str) else b"",
        )
        answer = self.send(request)
        answer.request, answer.elapsed = request, timedelta(0)
        self.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for one in group.exceptions:
                where = f"{case.operation.label}: {one}"
                self.failures.setdefault(where, case.as_curl_command())


def _text(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def operations(document: JsonObject) -> list[APIOperation]:
    """Return what can be asked; who asks is ours to say, and nothing to get wrong."""
    document["components"].pop("securitySchemes")
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security")
    schema = schemathesis.openapi.from_dict(document)
    return [one.ok() for one in schema.get_all_operations()]


def planned(count: int) -> Iterator[tuple[int, str, GenerationMode]]:
    """Return whom each of *count* operations is asked as, and how.

    A short run takes every third way, beginning with another one each time.
    """
    for number in range(count):
        for place, (role, mode) in enumerate(product(ROLES, MODES)):
            if REQUESTS or (place + number) % 3 == 0:
                yield number, role, mode


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessWorld]:
    with running(tmp_path_factory.mktemp("fuzzed"), CONFIG) as vault:
        yield AccessWorld(vault)


def sender(app: Any, runner: asyncio.Runner) -> Send:
    transport = AsgiTransport(app, runner=runner)
    return transport.handle_request


@pytest.mark.timeout(3600)
def test_h5_the_api_answers_what_its_document_says_whoever_asks(
    world: AccessWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: dict[str, str] = {}

    def credential_of(role: str) -> Credential:
        def headers(method: str) -> dict[str, str]:
            # What a request may end or renew, no other request may stumble over.
            if method not in SAFE or role not in kept:
                kept[role], _ = world.secret(role)
            return {"Authorization": f"Bearer {kept[role]}"} if kept[role] else {}

        return headers

    asked = operations(web_document())
    runs = list(planned(len(asked)))
    examples = 1 + REQUESTS // len(runs)
    with asyncio.Runner() as runner:
        fuzzing = Fuzzing(sender(world.vault.app(), runner))
        for number, role, mode in runs:
            fuzzing.ask(
                asked[number],
                mode,
                credential_of(role),
                examples=examples,
                known_ids=tuple(world.things.values()),
            )
    with capsys.disabled():
        print(f"\nweb API: {fuzzing.told()}")  # noqa: T201 - the count is the point

    assert {} == fuzzing.failures, "\n".join(
        f"{k}\n    {v}" for k, v in fuzzing.failures.items()
    )


def test_h5_the_fork_api_answers_what_its_document_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = MemoryDesk()
    app = create_forks_app(desk, Directory(), rate=RateLimitItemPerMinute(10**7))
    asked = operations(forks_document(app))
    examples = 5 + REQUESTS // (10 * len(asked))
    offer = {"Content-Type": "application/json", **token("cvd_pbx")}
    with asyncio.Runner() as runner:
        fuzzing = Fuzzing(sender(app, runner))
        opened = fuzzing.send(
            httpx.Request(
                "POST",
                "https://vault.test/api/v1/forks",
                headers=offer,
                content=b'{"sdp": "v=0"}',
            )
        )
        for operation, mode, who in product(asked, MODES, ("cvd_pbx", "cvd_other", "")):
            fuzzing.ask(
                operation,
                mode,
                lambda _, who=who: token(who),
                examples=examples,
                known_ids=(opened.json()["id"],),
            )
    with capsys.disabled():
        print(f"\nfork API: {fuzzing.told()}")  # noqa: T201 - the count is the point

    assert {} == fuzzing.failures
    assert fuzzing.statuses[200] > 0


def token(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if secret else {}
