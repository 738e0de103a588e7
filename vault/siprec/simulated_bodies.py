"""What a simulated recording client says of a call: metadata, and bodies of it.

Left to others: carrying it (`vault.siprec.simulate`).

Spec: RFC 7865, section 8; RFC 7866, section 9.1.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

METADATA_TYPE: Final = "application/rs-metadata+xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One party, as the metadata names it."""

    label: str
    "Of the stream that carries it."
    aor: str
    name: str = ""
    id: str = ""
    "Of the participant; made of the label where it is empty."


def metadata_of(
    speakers: Iterable[Speaker],
    *,
    session: str = "c2Vzc2lvbjE=",
    mode: str = "complete",
    extension: str = "",
) -> bytes:
    """Return recording metadata that names *speakers*.

    Args:
        speakers: Who takes part.
        session: Identifier of the communication session.
        mode: ``complete`` or ``partial``.
        extension: Elements to add to the session, as XML.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<recording xmlns="urn:ietf:params:xml:ns:recording:1">',
        f"<datamode>{mode}</datamode>",
        f"<session session_id={quoteattr(session)}>{extension}</session>",
    ]
    for one in speakers:
        party = quoteattr(one.id or f"p-{one.label}")
        stream = quoteattr(f"s-{one.label}")
        lines += [
            f"<participant participant_id={party}>",
            f"<nameID aor={quoteattr(one.aor)}>",
            f"<name>{escape(one.name)}</name></nameID>",
            "</participant>",
            f"<stream stream_id={stream} session_id={quoteattr(session)}>",
            f"<label>{escape(one.label)}</label>",
            "</stream>",
            f"<participantstreamassoc participant_id={party}>",
            f"<send>{escape(f's-{one.label}')}</send>",
            "</participantstreamassoc>",
        ]
    return "\n".join([*lines, "</recording>", ""]).encode()


def multipart(sdp: str, metadata: bytes) -> tuple[bytes, str]:
    """Return a body and its type: SDP, metadata, both, or nothing."""
    if not metadata:
        return sdp.encode(), "application/sdp" if sdp else ""
    boundary = f"=_{secrets.token_hex(8)}"
    parts = [(METADATA_TYPE, "recording-session", metadata)]
    if sdp:
        parts.insert(0, ("application/sdp", "session;handling=required", sdp.encode()))
    body = b""
    for kind, use, octets in parts:
        head = f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: {use}"
        body += f"{head}\r\n\r\n".encode() + octets + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, f'multipart/mixed;boundary="{boundary}"'
