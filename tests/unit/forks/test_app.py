import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest

from vault.core.errors import (
    MalformedSignallingError,
    SpoolFullError,
    UnsupportedOfferError,
)
from vault.core.flow import Direction, SessionChange, Wanted
from vault.core.ids import new_recording_id

FORKS = "/api/v1/forks"


def test_a_post_is_answered_with_place_id_and_sdp(api: Any) -> None:
    answer = api(
        "POST",
        FORKS,
        json={
            "sdp": "v=0\r\n",
            "labels": ["agent"],
            "call": {
                "id": "c-1",
                "caller": "+49",
                "callee": "7",
                "agent": "eve",
                "workgroup": "sales",
                "direction": "inbound",
                "attributes": {"ucid": "9"},
            },
        },
    )
    (recording_id, order) = next(iter(api.desk.orders.items()))

    assert 201 == answer.status_code
    assert f"{FORKS}/{recording_id}" == answer.headers["location"]
    assert {"id": recording_id, "sdp": "v=0\r\n"} == answer.json()
    assert ("v=0\r\n", ("agent",), "127.0.0.1") == (
        order.offer,
        order.labels,
        order.origin,
    )
    assert ("c-1", "sales", Direction.INBOUND, {"ucid": "9"}) == (
        order.call.pbx_id,
        order.call.workgroup,
        order.call.direction,
        dict(order.call.attributes),
    )


def test_a_call_whose_sender_hung_up_before_the_answer_is_ended(api: Any) -> None:
    """Nobody knows its id: it would hold its ports until it times out."""
    messages = [
        {"type": "http.request", "body": b'{"sdp": "v=0"}', "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(_: object) -> None:
        return

    scope = {
        "type": "http",
        "method": "POST",
        "path": FORKS,
        "query_string": b"",
        "headers": [(b"host", b"tap"), (b"authorization", b"Bearer cvd_pbx")],
    }
    asyncio.run(api.app(scope, receive, send))

    assert list(api.desk.orders) == api.desk.ended
    assert 1 == len(api.desk.ended)


def test_the_other_methods_answer_as_the_reference_says(api: Any) -> None:
    path = f"{FORKS}/{api.opened()}"

    assert {"id": path[-36:], "sdp": "v=1"} == api(
        "PUT", path, json={"sdp": "v=1"}
    ).json()
    assert 200 == api("PATCH", path, json={"state": "paused"}).status_code
    assert {
        "id": path[-36:],
        "state": "recording",
        "reason": None,
        "streams": [
            {
                "label": "agent",
                "codec": "PCMU",
                "suite": "S",
                "packets_received": 0,
                "packets_authentic": 0,
                "packets_lost": 0,
                "packets_undecryptable": 0,
                "packets_rejected": {},
                "rtcp_packets": 0,
                "local_port": 0,
            }
        ],
    } == api("GET", path).json()
    assert [204, 204] == [api("DELETE", path).status_code for _ in range(2)]


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ({"state": "paused"}, SessionChange(paused=True)),
        ({"state": "recording"}, SessionChange(paused=False)),
        (
            {"state": "paused", "resume_after_s": 90},
            SessionChange(paused=True, resume_after_s=90.0),
        ),
        ({"call": {"id": "x"}}, SessionChange(call={"pbx_id": "x"})),
        ({"attributes": {"a": "b"}}, SessionChange(call={"attributes": {"a": "b"}})),
        (
            {"state": "paused", "call": {"agent": "eve", "attributes": {"k": "v"}}},
            SessionChange(paused=True, call={"agent": "eve", "attributes": {"k": "v"}}),
        ),
    ],
)
def test_a_patch_says_what_it_says_and_no_more(
    api: Any, body: dict[str, Any], change: SessionChange
) -> None:
    api("PATCH", f"{FORKS}/{api.opened()}", json=body)

    assert [change] == api.desk.changes


@pytest.mark.parametrize(
    "body",
    [
        {"resume_after_s": 90},
        {"state": "recording", "resume_after_s": 90},
        {"state": "paused", "resume_after_s": 0},
        {"state": "paused", "resume_after_s": 86_401},
        {"state": "paused", "resume_after_s": "90"},
    ],
)
def test_a_time_to_resume_belongs_to_a_pause(api: Any, body: dict[str, Any]) -> None:
    answer = api("PATCH", f"{FORKS}/{api.opened()}", json=body)

    assert (422, []) == (answer.status_code, api.desk.changes)


class TestMatching:
    PATH: Final = f"{FORKS}/matching"

    def test_finds_calls_and_changes_nothing(self, api: Any) -> None:
        id = api.opened()
        answer = api("POST", self.PATH, json={"call": {"agent": "anna"}})

        assert {"forks": [{"id": id, "state": "paused", "resumes_in_s": 59.5}]} == (
            answer.json()
        )
        assert ([Wanted(agent="anna")], []) == (api.desk.wanted, api.desk.changes)

    def test_pauses_what_it_finds(self, api: Any) -> None:
        body = {"call": {"id": "c-1"}, "state": "paused", "resume_after_s": 60}
        api("POST", self.PATH, json=body)

        assert [Wanted(pbx_id="c-1")] == api.desk.wanted
        assert [SessionChange(paused=True, resume_after_s=60.0)] == api.desk.changes

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"call": {}},
            {"call": {"agent": ""}},
            {"call": {"caller": "+4930123"}},
            {"call": {"id": "x"}, "resume_after_s": 60},
            {"call": {"id": "x"}, "attributes": {"a": "b"}},
        ],
    )
    def test_what_names_no_call_finds_none(
        self, api: Any, body: dict[str, Any]
    ) -> None:
        answer = api("POST", self.PATH, json=body)

        assert (422, []) == (answer.status_code, api.desk.wanted)

    def test_needs_a_token(self, api: Any) -> None:
        body = {"call": {"agent": "anna"}}

        assert 401 == api("POST", self.PATH, json=body, token=None).status_code


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_anothers_fork_a_missing_one_and_nonsense_are_the_same(
    api: Any, method: str
) -> None:
    bodies = {"PUT": {"sdp": "v=0"}, "PATCH": {"state": "paused"}}
    named = {"json": bodies[method]} if method in bodies else {}
    answers = [
        api(method, f"{FORKS}/{api.opened()}", token="cvd_other", **named),
        api(method, f"{FORKS}/{new_recording_id()}", **named),
        api(method, f"{FORKS}/..%2f..%2fetc", **named),
        api(method, f"{FORKS}/{api.opened().upper()}", **named),
    ]

    assert {404} == {answer.status_code for answer in answers}
    assert 1 == len({answer.text for answer in answers})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic Y3ZkX3BieDo="},
        {"Authorization": "cvd_pbx"},
        {"Authorization": "Bearer " + "x" * 1000},
    ],
)
def test_without_a_device_token_nothing_is_said(
    api: Any, headers: dict[str, str]
) -> None:
    answer = api("POST", FORKS, token=None, headers=headers, content=b"{")

    assert 401 == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"]
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert {} == api.desk.orders


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"call": {}}',
        b'{"sdp": 7}',
        b'{"sdp": "v=0", "extra": 1}',
        b'{"sdp": "v=0", "call": {"id": 7}}',
        b'{"sdp": "v=0", "call": {"unknown": "x"}}',
        b'{"sdp": "v=0", "call": {"direction": "up"}}',
        b'{"sdp": "v=0", "call": {"caller": "' + b"9" * 300 + b'"}}',
        b'{"sdp": "v=0", "call": {"attributes": {"a": 1}}}',
        b'{"sdp": "v=0", "call": {"attributes": {"": "x"}}}',
        b'{"sdp": "v=0", "labels": ["two words"]}',
        b'{"sdp": "v=0", "labels": "agent"}',
        b'{"sdp": "v=0", "call": {"caller": "\\ud800"}}',
        b'{"sdp": NaN}',
        b'{"sdp": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_422(api: Any, body: bytes) -> None:
    answer = api("POST", FORKS, content=body)

    assert 422 == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"]
    assert "/problems/invalid-input" == answer.json()["type"]
    assert {} == api.desk.orders


def test_a_wrong_value_is_never_repeated(api: Any) -> None:
    body = {"sdp": "v=0", "call": {"attributes": {"+4930999": 7}}}

    assert "4930999" not in api("POST", FORKS, json=body).text


def test_null_means_absent(api: Any) -> None:
    answer = api("POST", FORKS, json={"sdp": "v=0", "call": {"caller": None}})

    assert 201 == answer.status_code


def test_an_empty_patch_is_refused(api: Any) -> None:
    assert 422 == api("PATCH", f"{FORKS}/{api.opened()}", json={}).status_code


@pytest.mark.parametrize(
    ("failure", "status", "line", "retry"),
    [
        (MalformedSignallingError("m", line=4), 400, 4, None),
        (UnsupportedOfferError("u", line=9), 422, 9, None),
        (SpoolFullError("full", retry_after_s=30), 503, None, "30"),
    ],
)
def test_refusals_of_the_desk_are_problems(
    api: Any, failure: Exception, status: int, line: int | None, retry: str | None
) -> None:
    api.desk.failure = failure
    answer = api("POST", FORKS, json={"sdp": "v=0"})

    assert (status, line, retry) == (
        answer.status_code,
        answer.json().get("line"),
        answer.headers.get("retry-after"),
    )


def test_a_bug_tells_nothing(api: Any) -> None:
    api.desk.failure = RuntimeError("secret detail")
    answer = api("POST", FORKS, json={"sdp": "v=0"})

    assert 500 == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"]
    assert "secret" not in answer.text


def test_a_body_beyond_the_limit_is_413(api: Any) -> None:
    answer = api("POST", FORKS, content=b" " * (256 * 1024 + 1))

    assert (413, "/problems/body-too-long") == (
        answer.status_code,
        answer.json()["type"],
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", FORKS, 405),
        ("TRACE", FORKS, 405),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", FORKS + "/", 404),
        ("POST", FORKS + "/", 404),
    ],
)
def test_there_is_no_other_route(api: Any, method: str, path: str, status: int) -> None:
    answer = api(method, path)

    assert status == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"]


def test_health_needs_no_token(api: Any) -> None:
    answer = api("GET", "/healthz", token=None)

    assert (200, "no-store") == (answer.status_code, answer.headers["cache-control"])


def test_readiness_needs_no_token_and_says_one_word(
    make_api: Callable[..., Any],
) -> None:
    reasons = ["", "clock"]
    api = make_api(why_not=lambda: reasons.pop(0))
    ready, not_ready = (api("GET", "/readyz", token=None) for _ in range(2))

    assert (200, {"status": "ok", "calls": "ok"}) == (ready.status_code, ready.json())
    assert 503 == not_ready.status_code
    assert {"status": "not ready", "calls": "clock"} == not_ready.json()


def test_one_device_beyond_its_rate_is_throttled_and_others_are_not(
    make_api: Callable[..., Any],
) -> None:
    api = make_api(rate=2)
    path = f"{FORKS}/{new_recording_id()}"

    assert [404, 404, 429] == [api("GET", path).status_code for _ in range(3)]
    assert 404 == api("GET", path, token="cvd_other").status_code
    assert "1" == api("GET", path).headers["retry-after"]
