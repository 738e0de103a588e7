"""The body of a request: small by rule, and late by no sender's choice."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from vault.core.problems import Problem
from vault.edge.config import MAX_BODY_BYTES, MAX_BODY_WAIT_S
from vault.edge.problems import BAD_REQUEST, TOO_LARGE, TOO_SLOW

_PASS_OVER_S: Final = 1.0


async def read_body(
    headers: Headers, receive: Receive, *, max_bytes: int
) -> bytes | Problem:
    """Return the whole body, or why there is none.

    Args:
        headers: Of a request whose framing is sound.
        receive: As ASGI has it.
        max_bytes: Octets; a longer body is not read to its end.
    """
    if int(headers.get("content-length", "0")) > max_bytes:
        return TOO_LARGE
    body = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_WAIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return BAD_REQUEST
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    return TOO_LARGE
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return TOO_SLOW


async def pass_over(headers: Headers, receive: Receive) -> None:
    """Read a short body that nobody wants, for a moment.

    A connection that is closed with octets unread is reset, and the reset may
    overtake the answer that says why.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_PASS_OVER_S):
            await read_body(headers, receive, max_bytes=MAX_BODY_BYTES)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that hands out *body* once, then the real events."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
