"""Ranges of media in HTTP's words: which span is asked for, what is answered.

Guarantees: one range or all of it, never several; an open range is answered
with at most 4 MiB, the player asks on.

Left to others: sending (`vault.web.streaming`), keys and chunks
(`vault.playback`, `vault.sealing`).

Spec: RFC 9110, sections 13.1.5, 14 and 15.3.7.
"""

from typing import Final

from starlette.datastructures import Headers

from vault.core.ranges import ByteRange

MAX_OPEN_ANSWER_BYTES: Final = 4 * 1024 * 1024


def asked_span(
    headers: Headers, *, method: str, size: int, etag: str
) -> ByteRange | None:
    """Return the span that a request asks for; None means all of it.

    Raises:
        RangeNotSatisfiableError: One sound range, none of it in the media.
    """
    ranges = headers.getlist("range")
    # Range is defined for GET alone; two Range headers are no range at all.
    if method != "GET" or len(ranges) != 1:
        return None
    # If-Range with another (or a weak) validator: the client's copy is stale.
    if_range = headers.get("if-range")
    if if_range is not None and if_range.strip() != etag:
        return None
    span = ByteRange.parse(ranges[0], size=size)
    if span is None or not ranges[0].rstrip().endswith("-"):
        return span
    stop = min(span.stop, span.start + MAX_OPEN_ANSWER_BYTES)
    return ByteRange(start=span.start, stop=stop)


def media_headers(
    span: ByteRange | None, *, size: int, etag: str, media_type: str
) -> dict[str, str]:
    """Return the headers of a media answer."""
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": "inline",
        "Content-Length": str(len(span) if span else size),
        "Content-Type": media_type,
        "ETag": etag,
    }
    if span:
        headers["Content-Range"] = span.content_range(size=size)
    return headers
