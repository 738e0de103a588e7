"""The media-fork API: a PBX offers a call over HTTP, and gets ports and keys.

Guarantees:
    * Nothing is told or done without a device's token; tokens are compared by
      their SHA-256 and never logged.
    * A fork of another device and a fork that never was get the same 404.
    * There is no other route: no documentation, no schema, no redirect.

Left to others: recording (`vault.recorder`), TLS and sockets (`vault.wiring`).

Spec: docs/reference/fork-api.md
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from vault.core.errors import InvalidInputError, NotAuthenticatedError, ThrottledError
from vault.core.flow import Device, SessionChange, SessionOrder
from vault.core.ids import RecordingId, parse_recording_id
from vault.forks.bodies import (
    ChangeBody,
    OpenBody,
    RenewBody,
    read_body,
    status_members,
)
from vault.forks.edge import LoggedRequests, add_problem_answers, limited_body
from vault.forks.interfaces import DeviceDirectory, SessionDesk

FORKS: Final = "/api/v1/forks"
_FORK: Final = FORKS + "/{fork_id}"
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,256})", re.IGNORECASE)
_DEFAULT_RATE: Final = RateLimitItemPerSecond(500)
LookAgain = Callable[[], Awaitable[None]]


def create_forks_app(
    desk: SessionDesk,
    devices: DeviceDirectory,
    *,
    rate: RateLimitItem = _DEFAULT_RATE,
    look_again: LookAgain | None = None,
    why_not: Callable[[], str] = lambda: "",
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
    """
    app = FastAPI(
        title="Callvault forks",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(LoggedRequests)
    add_problem_answers(app)
    authenticate = _Authentication(devices, rate, look_again)
    asker = Annotated[Device, Depends(authenticate)]
    fork = Annotated[RecordingId, Depends(_fork_id)]

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

    @app.post(FORKS)
    async def open_fork(request: Request, device: asker) -> Response:
        body = read_body(OpenBody, await limited_body(request))
        order = SessionOrder(
            device=device,
            offer=body.sdp,
            labels=tuple(body.labels),
            call=body.call.facts(),
            origin=request.client.host if request.client else "",
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

    @app.put(_FORK)
    async def renew_fork(
        request: Request, device: asker, recording_id: fork
    ) -> Response:
        body = read_body(RenewBody, await limited_body(request))
        answer = await desk.renew(
            device, recording_id, offer=body.sdp, labels=tuple(body.labels)
        )
        return JSONResponse({"id": answer.recording_id, "sdp": answer.sdp})

    @app.patch(_FORK)
    async def change_fork(
        request: Request, device: asker, recording_id: fork
    ) -> Response:
        body = read_body(ChangeBody, await limited_body(request))
        paused = None if body.state is None else body.state == "paused"
        changes = body.changes()
        if paused is None and changes is None:
            raise InvalidInputError("nothing to change")
        change = SessionChange(paused=paused, call=changes)
        return JSONResponse(
            status_members(await desk.change(device, recording_id, change))
        )

    @app.get(_FORK)
    async def show_fork(device: asker, recording_id: fork) -> Response:
        return JSONResponse(status_members(await desk.status(device, recording_id)))

    @app.delete(_FORK)
    async def close_fork(device: asker, recording_id: fork) -> Response:
        await desk.close(device, recording_id)
        return Response(status_code=204)

    return app


class _Authentication:
    """Finds the device behind a bearer token, and keeps it within its rate."""

    def __init__(
        self,
        devices: DeviceDirectory,
        rate: RateLimitItem,
        look_again: LookAgain | None,
    ) -> None:
        self._devices = devices
        self._rate = rate
        self._look_again = look_again
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, request: Request) -> Device:
        # Two headers are two opinions about who asks: neither counts.
        headers = request.headers.getlist("authorization")
        match = _BEARER.fullmatch(headers[0].strip()) if len(headers) == 1 else None
        if match is None:
            raise NotAuthenticatedError("a device token is required")
        digest = hashlib.sha256(match[1].encode()).digest()
        device = self._devices.identify(digest)
        if device is None and self._look_again is not None:
            await self._look_again()
            device = self._devices.identify(digest)
        if device is None:
            raise NotAuthenticatedError("the device token is not valid")
        request.state.device = device.id
        if not self._limiter.hit(self._rate, device.id):
            raise ThrottledError("too many requests", retry_after_s=1)
        return device


def _fork_id(fork_id: str) -> RecordingId:
    return parse_recording_id(fork_id)
