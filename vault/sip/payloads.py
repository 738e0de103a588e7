"""Payload types of a media section: what its formats mean.

Guarantees: a format without a map is none the less described; all that is said of the
formats of a section fits into one record of a capture.

Left to others: which sections are taken (`vault.sip.offer`).

Spec: RFC 8866, sections 6.6 and 6.15; RFC 3551, section 6.
"""

import re
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.core.media import STATIC_PAYLOADS, PayloadFormat
from vault.sip.sdp import Line, MediaSection, attributes

_MAX_PAYLOAD_TYPE: Final = 127
_MAX_FMTP: Final = 512
_MAX_FMTPS: Final = 16 * 1024
"Octets of all in a section: JSON may double them, and a record has 64 KiB."
_PAYLOAD_TYPE: Final = re.compile(r"[0-9]{1,3}")
_RTPMAP: Final = re.compile(
    r"([0-9]{1,3}) +([A-Za-z0-9!#$%&'*+._`{|}~^-]{1,64})"
    r" */ *([0-9]{1,7})(?: */ *([0-9]{1,3}))?"
)
_FMTP: Final = re.compile(r"([0-9]{1,3}) +([\x20-\x7e]+)")


def payloads_of(section: MediaSection) -> tuple[PayloadFormat, ...]:
    """Return every format that *section* names, in its order.

    Raises:
        MalformedSignallingError: A number, a map or a parameter breaks its grammar.
    """
    mapped = [_rtpmap(line) for line in attributes(section.lines, "rtpmap")]
    maps = {found.payload_type: found for found in mapped}
    fmtps = dict(_fmtp(line) for line in attributes(section.lines, "fmtp"))
    if sum(map(len, fmtps.values())) > _MAX_FMTPS:
        raise MalformedSignallingError("too much fmtp", line=section.number)
    payloads: dict[int, PayloadFormat] = {}
    for text in section.formats:
        number = int(text) if _PAYLOAD_TYPE.fullmatch(text) else _MAX_PAYLOAD_TYPE + 1
        if number > _MAX_PAYLOAD_TYPE:
            raise MalformedSignallingError("no payload type", line=section.number)
        # A dynamic type without a map is captured all the same; its clock is a
        # guess that only the renderer could miss, and it plays no unknown codec.
        known = maps.get(number) or STATIC_PAYLOADS.get(number)
        payloads[number] = PayloadFormat(
            payload_type=number,
            encoding=known.encoding if known else "unknown",
            clock_rate_hz=known.clock_rate_hz if known else 8000,
            channels=known.channels if known else 1,
            fmtp=fmtps.get(number, ""),
        )
    return tuple(payloads.values())


def _rtpmap(line: Line) -> PayloadFormat:
    match = _RTPMAP.fullmatch(line.attribute[1])
    if match is None or int(match[3]) == 0 or int(match[1]) > _MAX_PAYLOAD_TYPE:
        raise MalformedSignallingError("not an rtpmap", line=line.number)
    return PayloadFormat(
        payload_type=int(match[1]),
        encoding=match[2],
        clock_rate_hz=int(match[3]),
        channels=max(1, int(match[4] or 1)),
    )


def _fmtp(line: Line) -> tuple[int, str]:
    match = _FMTP.fullmatch(line.attribute[1])
    if match is None or len(match[2]) > _MAX_FMTP:
        raise MalformedSignallingError("not an fmtp, or too long", line=line.number)
    return int(match[1]), match[2]
