"""Media: ``GET`` and ``HEAD`` of audio, screen, peaks and capture, with ranges."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import MediaPart
from vault.core.ids import parse_recording_id
from vault.core.ranges import ByteRange
from vault.web.config import WebConfig
from vault.web.identity import Asker, Rooms, SignedIn
from vault.web.listening import M4A, Listening
from vault.web.media import asked_span, media_headers
from vault.web.slots import StreamSlots
from vault.web.streaming import CuttableResponse

CHECK_EVERY_S: Final = 1.0
"Well within the 2 s after which a revoked right must have ended a stream."

_PARTIAL: Final = 206


def media_routes(config: WebConfig) -> APIRouter:
    """Return the routes of media."""
    router = APIRouter(prefix="/api/v1/recordings")
    slots = StreamSlots(per_session=config.streams_per_session)

    @router.api_route("/{recording_id}/{part}", methods=["GET", "HEAD"])
    def media(
        request: Request,
        recording_id: str,
        part: str,
        asker: SignedIn,
        services: Rooms,
        format: Annotated[Literal["flac", "m4a"] | None, Query()] = None,
    ) -> Response:
        id, kind = parse_recording_id(recording_id), _part(part)
        if format is not None and kind is not MediaPart.AUDIO:
            raise InvalidInputError("only audio has formats")
        listening = Listening(services, asker)
        # 1. Right, grant and leaf come before the size is known to anybody.
        opened = listening.media(id, kind, media_type=M4A if format == "m4a" else None)
        span = asked_span(
            request.headers, method=request.method, size=opened.size, etag=opened.etag
        )
        headers = media_headers(
            span, size=opened.size, etag=opened.etag, media_type=opened.media_type
        )
        status = _PARTIAL if span else 200
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        # 2. The first block is opened here: damage in it is a 502, not a stream.
        blocks = opened.stream(span or ByteRange(start=0, stop=opened.size))
        return CuttableResponse(
            _held(slots, asker, _checked(blocks, lambda: listening.check(id, kind))),
            status_code=status,
            headers=headers,
        )

    return router


def _part(name: str) -> MediaPart:
    try:
        return MediaPart(name)
    except ValueError:
        raise NotFoundError("no such part") from None


def _held(slots: StreamSlots, asker: Asker, blocks: Iterator[bytes]) -> Iterator[bytes]:
    with slots.taken(asker.session.id):
        yield from blocks


def _checked(blocks: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    """Pass *blocks* on, and ask *check* again when a second has gone by.

    A listener who pauses holds nothing but what is in the socket's buffers: the
    next block is asked about before it is opened.
    """
    checked_at = time.monotonic()
    for block in blocks:
        yield block
        if time.monotonic() - checked_at >= CHECK_EVERY_S:
            check()
            checked_at = time.monotonic()
