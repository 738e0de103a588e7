"""A witness over HTTP: one path to write to, and one to ask whether it is there.

    POST /add-checkpoint    200 cosignature lines      400 not a submission
                            403 no known key signed    404 not a log of this witness
                            409 another size or tree   422 the proof does not hold
                            503 cannot remember: nothing was signed
    GET  /healthz           200

Guarantees: at most eight submissions are judged at a time; the event loop waits for no
disk.

Left to others: sound messages, sizes, rates, deadlines (`vault.edge.gate`, which
wraps this), the judgement (`vault.witness.judging`).

Spec: https://c2sp.org/tlog-witness, HTTP interface
"""

from types import MappingProxyType
from typing import Final

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Receive, Scope, Send

from vault.audit.submission import Submission
from vault.core.errors import InvalidInputError, VaultError
from vault.witness.judging import Answer, Verdict, Witness

FAILED: Final = "witness.failed"
_AT_ONCE: Final = 8
_TEXT: Final = "text/plain; charset=utf-8"
_SIZE: Final = "text/x.tlog.size"
_log = structlog.get_logger()

_STATUS: Final = MappingProxyType(
    {
        Verdict.COSIGNED: 200,
        Verdict.MALFORMED: 400,
        Verdict.NOT_SIGNED: 403,
        Verdict.UNKNOWN_LOG: 404,
        Verdict.OTHER_SIZE: 409,
        Verdict.OTHER_TREE: 409,
        Verdict.NOT_CONSISTENT: 422,
    }
)
_WORDS: Final = MappingProxyType(
    {
        Verdict.MALFORMED: "not a submission\n",
        Verdict.NOT_SIGNED: "no known key of this log has signed this\n",
        Verdict.UNKNOWN_LOG: "not a log of this witness\n",
        Verdict.NOT_CONSISTENT: "the proof does not hold\n",
    }
)


def witness_app(witness: Witness) -> ASGIApp:
    """Return the application; `vault.edge.gate.Gate` has to wrap it."""
    limiter = CapacityLimiter(_AT_ONCE)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        place = (scope["method"], scope["path"])
        if place == ("POST", "/add-checkpoint"):
            octets = await _body(receive)
            answer = await run_sync(_judged, witness, octets, limiter=limiter)
            await _respond(answer, send)
        elif place in {("GET", "/healthz"), ("HEAD", "/healthz")}:
            await _say(200, _TEXT, "ok\n", send)
        elif scope["path"] in {"/add-checkpoint", "/healthz"}:
            await _say(405, _TEXT, "not with this method\n", send)
        else:
            await _say(404, _TEXT, "nothing here\n", send)

    return app


async def _body(receive: Receive) -> bytes:
    """Return the body, which the gate has read already and found short enough."""
    octets = bytearray()
    more = True
    while more:
        message = await receive()
        octets += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(octets)


def _judged(witness: Witness, octets: bytes) -> Answer | None:
    try:
        return witness.judge(Submission.parse(octets))
    except InvalidInputError:
        return Answer(verdict=Verdict.MALFORMED)
    except VaultError as error:
        # The disk, or what lies on it: nothing was signed, and somebody has to look.
        _log.error(FAILED, problem=str(error))
        return None


async def _respond(answer: Answer | None, send: Send) -> None:
    if answer is None:
        await _say(503, _TEXT, "cannot remember: nothing was signed\n", send)
        return
    status = _STATUS[answer.verdict]
    match answer.verdict:
        case Verdict.COSIGNED:
            await _say(status, _TEXT, answer.lines, send)
        case Verdict.OTHER_SIZE | Verdict.OTHER_TREE:
            await _say(status, _SIZE, f"{answer.size}\n", send)
        case _:
            await _say(status, _TEXT, _WORDS[answer.verdict], send)


async def _say(status: int, media_type: str, text: str, send: Send) -> None:
    body = text.encode()
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
