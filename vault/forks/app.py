"""The media-fork API: a PBX offers a call over HTTP, and gets ports and keys.

Guarantees:
    * Nothing is told or done without a device's token (`vault.forks.authentication`).
    * A fork of another device and a fork that never was get the same 404.
    * There is no other route: no documentation, no schema, no redirect.

Left to others: recording (`vault.recorder`), TLS and sockets (`vault.wiring`).

Spec: docs/reference/fork-api.md
"""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from limits import RateLimitItem, RateLimitItemPerSecond

from vault.core.errors import (
    ConflictError,
    InvalidInputError,
    MalformedSignallingError,
    NoRecipientKeyError,
    NotFoundError,
    SpoolFullError,
    UnsupportedOfferError,
)
from vault.core.flow import Device, SessionChange, SessionOrder
from vault.core.ids import RecordingId, parse_recording_id
from vault.core.openapi import may_answer
from vault.edge.config import EdgeConfig
from vault.edge.fence import RulesSource
from vault.edge.gate import Gate
from vault.edge.origin import origin_of
from vault.forks.authentication import Authentication, LookAgain
from vault.forks.bodies import (
    ChangeBody,
    JsonBody,
    MatchingBody,
    OpenBody,
    RenewBody,
    matched_members,
    status_members,
)
from vault.forks.edge import LoggedRequests, add_problem_answers
from vault.forks.interfaces import DeviceDirectory, SessionDesk
from vault.forks.shapes import (
    CREATED,
    AnswerShape,
    ForkShape,
    MatchedShape,
)

FORKS: Final = "/api/v1/forks"
_MATCHING: Final = FORKS + "/matching"
_FORK: Final = FORKS + "/{fork_id}"
_DEFAULT_RATE: Final = RateLimitItemPerSecond(500)
_DEFAULT_EDGE: Final = EdgeConfig(requests_per_minute=60_000, max_body_bytes=None)
_OFFER_REFUSED: Final = (
    MalformedSignallingError,
    UnsupportedOfferError,
    SpoolFullError,
)


def create_forks_app(
    desk: SessionDesk,
    devices: DeviceDirectory,
    *,
    rate: RateLimitItem = _DEFAULT_RATE,
    look_again: LookAgain | None = None,
    why_not: Callable[[], str] = lambda: "",
    edge: EdgeConfig = _DEFAULT_EDGE,
    rules: RulesSource | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        desk: Records.
        devices: Knows the tokens.
        rate: Requests that one device may make.
        look_again: Awaited before an unknown token is refused: a device that was
            added a moment ago need not wait.  Limits itself.
        why_not: One word for why no call can be taken now, empty if one can; asked
            by ``/readyz``, so it must cost nothing.
        edge: What is refused before a route is looked at.
        rules: Which addresses may come, by rules that may change; asked in a thread.
    """
    app = FastAPI(
        title="Callvault forks",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Gate, config=edge, rules=rules)
    app.add_middleware(LoggedRequests)
    add_problem_answers(app)
    authenticate = Authentication(devices, rate, look_again)
    _answer_probes(app, why_not)
    _answer_matching(app, desk, authenticate)
    _answer_offers(app, desk, authenticate)
    _answer_forks(app, desk, authenticate)
    return app


def _answer_probes(app: FastAPI, why_not: Callable[[], str]) -> None:
    """Tell whoever watches whether it lives, and whether a call could be taken."""

    @app.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        reason = why_not()
        return JSONResponse(
            {"status": "not ready" if reason else "ok", "calls": reason or "ok"},
            status_code=503 if reason else 200,
        )


def _answer_offers(
    app: FastAPI, desk: SessionDesk, authenticate: Authentication
) -> None:
    """Take calls on, and new offers for those that run."""
    asker = Annotated[Device, Depends(authenticate)]
    fork = Annotated[RecordingId, Depends(_fork_id)]

    @app.post(FORKS, status_code=201, response_model=AnswerShape, responses=CREATED)
    @may_answer(*_OFFER_REFUSED, NoRecipientKeyError)
    async def open_fork(
        request: Request,
        device: asker,
        body: Annotated[OpenBody, Depends(JsonBody(shape=OpenBody))],
    ) -> Response:
        """Begin to record a call."""
        order = SessionOrder(
            device=device,
            offer=body.sdp,
            labels=tuple(body.labels),
            call=body.call.facts(),
            origin=origin_of(request.scope),
        )
        answer = await desk.open(order)
        if await request.is_disconnected():
            # Nobody will ever know its id, and so nobody could end it.
            await desk.close(device, answer.recording_id)
        return JSONResponse(
            {"id": answer.recording_id, "sdp": answer.sdp},
            status_code=201,
            headers={"Location": f"{FORKS}/{answer.recording_id}"},
        )

    @app.put(_FORK, response_model=AnswerShape)
    @may_answer(*_OFFER_REFUSED, ConflictError)
    async def renew_fork(
        device: asker,
        recording_id: fork,
        body: Annotated[RenewBody, Depends(JsonBody(shape=RenewBody))],
    ) -> Response:
        """Answer a new offer for a call that runs."""
        answer = await desk.renew(
            device, recording_id, offer=body.sdp, labels=tuple(body.labels)
        )
        return JSONResponse({"id": answer.recording_id, "sdp": answer.sdp})


def _answer_forks(
    app: FastAPI, desk: SessionDesk, authenticate: Authentication
) -> None:
    """Change, show and end calls that run."""
    asker = Annotated[Device, Depends(authenticate)]
    fork = Annotated[RecordingId, Depends(_fork_id)]

    @app.patch(_FORK, response_model=ForkShape)
    @may_answer(ConflictError, SpoolFullError)
    async def change_fork(
        device: asker,
        recording_id: fork,
        body: Annotated[ChangeBody, Depends(JsonBody(shape=ChangeBody))],
    ) -> Response:
        """Pause, resume, or replace facts about the call."""
        paused, changes = body.paused, body.changes()
        if paused is None and changes is None:
            raise InvalidInputError("nothing to change")
        change = SessionChange(
            paused=paused, resume_after_s=body.resume_after_s, call=changes
        )
        return JSONResponse(
            status_members(await desk.change(device, recording_id, change))
        )

    @app.get(_FORK, response_model=ForkShape)
    async def show_fork(device: asker, recording_id: fork) -> Response:
        """Say where a call stands."""
        return JSONResponse(status_members(await desk.status(device, recording_id)))

    @app.delete(_FORK, status_code=204, response_class=Response)
    async def close_fork(device: asker, recording_id: fork) -> Response:
        """End a call; once more changes nothing."""
        await desk.close(device, recording_id)
        return Response(status_code=204)


def _answer_matching(
    app: FastAPI, desk: SessionDesk, authenticate: Authentication
) -> None:
    """Let integrations find running calls, and pause or resume them."""
    asker = Annotated[Device, Depends(authenticate)]

    @app.post(_MATCHING, response_model=MatchedShape)
    async def change_matching(
        device: asker,
        body: Annotated[MatchingBody, Depends(JsonBody(shape=MatchingBody))],
    ) -> Response:
        """Find calls that run, and pause or resume them."""
        change = None
        if body.paused is not None:
            change = SessionChange(
                paused=body.paused, resume_after_s=body.resume_after_s
            )
        found = await desk.matching(device, body.wanted(), change)
        return JSONResponse({"forks": [matched_members(one) for one in found]})


@may_answer(NotFoundError)
def _fork_id(
    fork_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})],
) -> RecordingId:
    return parse_recording_id(fork_id)
