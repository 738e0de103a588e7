"""What a request brings: an offer, metadata, a digit, or what we do not read.

Guarantees: nothing but the two error classes leaves `read_bodies`; the octets of
metadata are those that came.

Left to others: spelling of multipart (`vault.siprec.multipart`), SDP (`vault.sip`),
metadata (`vault.siprec.metadata`).

Spec: RFC 3261, sections 7.4 and 21.4.13; RFC 7866, section 9; RFC 6086.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.sip.messages import Request
from vault.sip.sdp import SessionDescription, attributes
from vault.siprec.answers import UnreadableBodyError
from vault.siprec.multipart import Part, split

_DIGITS: Final = frozenset(
    {
        "application/dtmf",
        "application/dtmf-relay",
        "application/vnd.nortelnetworks.digits",
        "audio/telephone-event",
    }
)
_GTD: Final = "application/gtd"
_REQUEST: Final = "application/rs-metadata-request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The parts of a request's body that mean something to us."""

    offer: str = field(default="", repr=False)
    "SDP; empty where there is none."
    labels: tuple[str, ...] = ()
    "Names of its media sections in order: their labels, else their places from 1."
    metadata: bytes | None = field(default=None, repr=False)
    gtd: bytes = field(default=b"", repr=False)
    "Generic Transparency Descriptor: what a Cisco gateway knows of its ISDN side."
    strange: tuple[str, ...] = ()
    "Types of parts that are not read."

    @property
    def says_nothing(self) -> bool:
        """Whether there is neither an offer nor metadata."""
        return not self.offer and self.metadata is None


def read_bodies(request: Request) -> Bodies:
    """Read the body of *request*, which may be empty.

    Parts of an unknown type beside an offer or metadata are passed over: gateways
    add descriptors of their own.

    Raises:
        MalformedSignallingError: A multipart without parts that can be found, two
            offers, or an offer that is not SDP.
        UnreadableBodyError: Nothing in it is of a type that is read.
    """
    if not request.body.strip():
        return Bodies()
    content_type = request.headers.get("Content-Type") or ""
    parts = split(content_type, request.body)
    offers = [part for part in parts if part.is_sdp]
    if len(offers) > 1:
        # Which one another hop believed cannot be known.
        raise MalformedSignallingError(f"{len(offers)} offers in one body")
    offer = _text(offers[0]) if offers else ""
    found = Bodies(
        offer=offer,
        labels=_labels(offer) if offer else (),
        metadata=next((part.octets for part in parts if part.is_metadata), None),
        gtd=next((part.octets for part in parts if part.content_type == _GTD), b""),
        strange=_strange(parts),
    )
    if found.says_nothing and found.strange:
        raise UnreadableBodyError("no application/sdp in the body, and no metadata")
    return found


def _text(part: Part) -> str:
    try:
        return part.octets.decode()
    except UnicodeDecodeError:
        # A name in ISO 8859-1 (s=, i=) is no reason to lose a call.
        return part.octets.decode("latin-1")


def _labels(offer: str) -> tuple[str, ...]:
    media = SessionDescription.parse(offer).media
    if not media:
        raise UnsupportedOfferError("an offer without any m= line")
    # A place says nothing about who speaks there; "agent" would.
    return tuple(
        labels[0].attribute[1]
        if (labels := attributes(section.lines, "label"))
        else str(place)
        for place, section in enumerate(media, start=1)
    )


def _strange(parts: Sequence[Part]) -> tuple[str, ...]:
    return tuple(
        part.content_type
        for part in parts
        if not (
            part.is_sdp
            or part.is_metadata
            or part.content_type in _DIGITS
            or part.content_type in {_GTD, _REQUEST}
        )
    )
