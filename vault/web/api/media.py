"""Media: ``GET`` and ``HEAD`` of audio, screen, peaks and capture, with ranges."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from vault.core.errors import (
    ApprovalRequiredError,
    AuditUnavailableError,
    GoneError,
    IntegrityError,
    InvalidInputError,
    KeyUnavailableError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    RangeNotSatisfiableError,
    ReasonRequiredError,
    StepUpRequiredError,
    StoreUnavailableError,
    ThrottledError,
)
from vault.core.flow import MediaPart
from vault.core.ids import parse_recording_id
from vault.core.openapi import may_answer
from vault.core.ranges import ByteRange
from vault.web.api.queries import each_once
from vault.web.api.shapes import MEDIA, IdInPath, PartInPath
from vault.web.config import WebConfig
from vault.web.identity import Asker, Rooms, SignedIn, passive
from vault.web.listening import M4A, Listening, Opened
from vault.web.media import asked_span, media_headers
from vault.web.slots import StreamSlots
from vault.web.streaming import CuttableResponse

_PARTIAL: Final = 206
_FAILURES: Final = (
    NotFoundError,
    NotReadyError,
    NoMediaError,
    GoneError,
    ApprovalRequiredError,
    ReasonRequiredError,
    StepUpRequiredError,
    InvalidInputError,
    RangeNotSatisfiableError,
    ThrottledError,
    IntegrityError,
    AuditUnavailableError,
    KeyUnavailableError,
    StoreUnavailableError,
)


def media_routes(config: WebConfig) -> APIRouter:
    """Return the routes of media."""
    router = APIRouter(prefix="/api/v1/recordings", dependencies=[Depends(each_once)])
    slots = StreamSlots(per_session=config.streams_per_session)

    @router.get("/{recording_id}/{part}", response_class=Response, responses=MEDIA)
    @router.head("/{recording_id}/{part}", response_class=Response, responses=MEDIA)
    @may_answer(*_FAILURES)
    @passive
    def media(
        request: Request,
        recording_id: IdInPath,
        part: PartInPath,
        asker: SignedIn,
        services: Rooms,
        format: Annotated[Literal["flac", "m4a"] | None, Query()] = None,
    ) -> Response:
        """Hand out one part of a recording, or one range of it."""
        id, kind = parse_recording_id(recording_id), _part(part)
        if format is not None and kind is not MediaPart.AUDIO:
            raise InvalidInputError("only audio has formats")
        # 1. Right, grant and leaf come before the size is known to anybody.
        opened = Listening(services, asker).media(
            id, kind, media_type=M4A if format == "m4a" else None
        )
        found = opened.media
        span = asked_span(
            request.headers, method=request.method, size=found.size, etag=found.etag
        )
        headers = media_headers(
            span, size=found.size, etag=found.etag, media_type=found.media_type
        )
        status = _PARTIAL if span else 200
        if request.method == "HEAD" or not found.size:
            return Response(status_code=status, headers=headers)
        # 2. The first block is opened here: damage in it is a 502, not a stream.
        wanted = span or ByteRange(start=0, stop=found.size)
        return CuttableResponse(
            _held(slots, asker, opened, wanted),
            status_code=status,
            headers=headers,
            still_allowed=opened.check,
        )

    return router


def _part(name: str) -> MediaPart:
    try:
        return MediaPart(name)
    except ValueError:
        raise NotFoundError("no such part") from None


def _held(
    slots: StreamSlots, asker: Asker, opened: Opened, span: ByteRange
) -> Iterator[bytes]:
    with slots.taken(asker.session.id):
        yield from opened.stream(span)
