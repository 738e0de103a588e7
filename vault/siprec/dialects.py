"""What vendors say beside the standard, under one set of names.

Each vendor has identifiers, sides and directions in places of its own: headers of
the INVITE, extensions of the metadata, a body of its own.  They become `Claims`.

Guarantees:
    * Nothing raises, whatever is in a header or an extension.
    * Attributes are at most `MAX_ATTRIBUTES`, their names at most 64 and their
      values at most 1,024 characters: the limits of the fork API.
    * A header whose name says that it carries a secret is never an attribute.
    * What is not known is kept under its own name and not interpreted.

Left to others: parties (`vault.siprec.parties`), identifiers of Avaya
(`vault.siprec.ucid`).

Spec: docs/reference/siprec.md lists every name
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from vault.core.flow import Direction
from vault.sip.messages import Headers
from vault.siprec.addresses import shown
from vault.siprec.model import Extension, RecordingMetadata
from vault.siprec.ucid import as_decimal, in_user_to_user

MAX_ATTRIBUTES: Final = 48
"Fewer than the fork API's 64: integrations add theirs while a call runs."
_MAX_NAME: Final = 64
_MAX_VALUE: Final = 1024
_NONE: Final[Mapping[str, str]] = MappingProxyType({})

_VENDORS: Final = (
    # Oracle writes "http:/acmepacket.com" with one slash as often as with two.
    ("acmepacket.com", "oracle"),
    ("audiocodes", "audiocodes"),
    ("urn:ietf:params:xml:ns:avaya", "avaya"),
    ("urn:ietf:params:xml:ns:genesys", "genesys"),
    ("broadsoft.com", "broadworks"),
    ("jambonz.org", "jambonz"),
    ("ns:calldata", "ribbon"),
)
_EXTENSION_NAMES: Final = {
    ("genesys", "genesysuuid"): "genesys_call_uuid",
    ("audiocodes", "genesysuuid"): "genesys_call_uuid",
    ("broadworks", "exttrackingid"): "broadworks_tracking_id",
    ("broadworks", "serviceproviderid"): "broadworks_service_provider",
    ("broadworks", "groupid"): "broadworks_group",
    ("broadworks", "userid"): "broadworks_user",
    ("broadworks", "callid"): "broadworks_call_id",
    ("broadworks", "recordingtype"): "broadworks_recording_type",
    ("broadworks", "callingpartynumber"): "broadworks_calling_number",
    ("broadworks", "calledpartynumber"): "broadworks_called_number",
    ("broadworks", "dialeddigits"): "broadworks_dialed_digits",
    ("jambonz", "callsid"): "jambonz_call_sid",
    ("jambonz", "accountsid"): "jambonz_account_sid",
    ("jambonz", "applicationsid"): "jambonz_application_sid",
    ("jambonz", "recordingid"): "jambonz_recording_id",
    ("jambonz", "originationsource"): "jambonz_origination_source",
    ("jambonz", "callednumber"): "jambonz_called_number",
    ("jambonz", "callingnumber"): "jambonz_calling_number",
    ("oracle", "callerorig"): "oracle_caller_orig",
    ("ribbon", "callid"): "ribbon_call_id",
    ("ribbon", "fromhdr"): "ribbon_from",
    ("ribbon", "tohdr"): "ribbon_to",
}
_UCIDS: Final = frozenset({"ucid", "avayaucid"})
_UCID_HEADERS: Final = (
    "X-Avaya-UCID",
    "X-UCID",
    "X-Oracle-UCID",
    "X-OCSBC-UCID",
    "P-OCSBC-UCID",
)
_SECRET: Final = re.compile(r"auth|token|passw|secret|cookie|credential|api-?key|jwt")
_NOT_IN_NAME: Final = re.compile(r"[^a-z0-9]+")
_RFC_7989: Final = re.compile(r"[0-9a-f]{32}(;.*)?", re.DOTALL)
_CISCO_GUID: Final = re.compile(
    r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,10})"
)
_GCI: Final = re.compile(rb"^GCI,([0-9A-Fa-f]{32})\r?$", re.MULTILINE)
_ICID: Final = re.compile(r'icid-value="?([^";,]{1,256})')
_PBX_IDS: Final = (
    "ucid",
    "genesys_call_uuid",
    "broadworks_call_id",
    "ribbon_gcid",
    "jambonz_call_sid",
    "x_twilio_callsid",
    "cisco_refci",
    "cisco_guid",
    "call_id",
    "session_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a vendor says about a call."""

    attributes: Mapping[str, str] = field(default_factory=lambda: _NONE, repr=False)
    calling: str = field(default="", repr=False)
    "Address of the calling party, where it is stated."
    called: str = field(default="", repr=False)
    calling_party: str = ""
    "Identifier of the participant who called, where it is stated."
    direction: Direction = Direction.UNKNOWN

    @property
    def pbx_id(self) -> str:
        """The identifier that most others of that vendor's know the call by."""
        found = (self.attributes.get(name, "") for name in _PBX_IDS)
        # Of a Session-ID, the half that the PBX made (RFC 7989, section 5).
        return next((each.partition(";")[0] for each in found if each), "")


def claims_of(
    headers: Headers, metadata: RecordingMetadata | None, *, gtd: bytes = b""
) -> Claims:
    """Gather what headers, metadata and a Cisco gateway's own body say.

    The metadata comes first: it tells of the call, headers of the recording of it.
    """
    attributes: dict[str, str] = {}
    sources = [_by_metadata(metadata)] if metadata else []
    for source in (*sources, _by_gtd(gtd), _by_headers(headers)):
        for name, value in source:
            if len(attributes) < MAX_ATTRIBUTES and value:
                attributes.setdefault(name[:_MAX_NAME], value[:_MAX_VALUE])
    extensions = metadata.extensions if metadata else ()
    return Claims(
        attributes=attributes,
        calling=attributes.get("broadworks_calling_number", "")
        or attributes.get("ribbon_from", ""),
        called=attributes.get("broadworks_called_number", "")
        or attributes.get("ribbon_to", ""),
        calling_party=_calling_party(extensions),
        direction=_direction(extensions),
    )


def _by_metadata(metadata: RecordingMetadata) -> Iterator[tuple[str, str]]:
    for session in metadata.sessions[:1]:
        yield from _ucid(session.id if session.id[:6].upper() == "00FA08" else "")
        said = shown(session.sip_session_id)
        # OpenSIPS and jambonz write the Call-ID of the call where a Session-ID is due.
        yield ("session_id" if _RFC_7989.fullmatch(said.lower()) else "call_id", said)
        yield "siprec_session_id", shown(session.id)
        yield "siprec_group_id", shown(session.group)
    for extension in metadata.extensions:
        yield from _by_extension(extension)


def _by_extension(extension: Extension) -> Iterator[tuple[str, str]]:
    vendor, last = _vendor(extension), extension.path[-1]
    if last in _UCIDS:
        yield from _ucid(extension.value)
    elif (vendor, last) == ("oracle", "callingparty"):
        return
    else:
        known = _EXTENSION_NAMES.get((vendor, last))
        own = f"{vendor or 'extension'}_{_NOT_IN_NAME.sub('_', last).strip('_')}"
        if not _SECRET.search(last):
            yield known or own, shown(extension.value, most=_MAX_VALUE)


def _by_gtd(gtd: bytes) -> Iterator[tuple[str, str]]:
    found = _GCI.search(gtd[:65536])
    if found:
        yield "cisco_guid", found[1].decode("ascii").upper()


def _by_headers(headers: Headers) -> Iterator[tuple[str, str]]:
    yield "sip_call_id", shown(headers.get("Call-ID") or "")
    for name in _UCID_HEADERS:
        yield from _ucid(headers.get(name) or "")
    for value in headers.values("User-to-User"):
        yield from _ucid(in_user_to_user(value))
        yield "user_to_user", shown(value, most=_MAX_VALUE)
    yield "cisco_guid", _cisco_guid(headers.get("Cisco-Guid") or "")
    yield "session_id", shown(headers.get("Session-ID") or "")
    yield "genesys_call_uuid", shown(headers.get("X-Genesys-CallUUID") or "")
    charging = _ICID.search(headers.get("P-Charging-Vector") or "")
    yield "icid", shown(charging[1]) if charging else ""
    yield from _by_own_headers(headers)


def _by_own_headers(headers: Headers) -> Iterator[tuple[str, str]]:
    """Yield every other ``X-`` header: what the PBX was told to hand on."""
    for name, value in headers:
        lower = name.lower()
        if not lower.startswith("x-") or lower == "x-cisco-recording-participant":
            continue
        if not _SECRET.search(lower):
            own = _NOT_IN_NAME.sub("_", lower).strip("_")
            yield own, shown(value, most=_MAX_VALUE)


def _ucid(text: str) -> Iterator[tuple[str, str]]:
    decimal = as_decimal(text)
    if decimal:
        yield "ucid", decimal


def _cisco_guid(text: str) -> str:
    """Return the identifier as CUCM's call records have it: 32 hexadecimal digits."""
    found = _CISCO_GUID.fullmatch(text.strip())
    words = [int(each) for each in found.groups()] if found else []
    if not words or max(words) >= 2**32:
        return ""
    return "".join(f"{word:08X}" for word in words)


def _vendor(extension: Extension) -> str:
    namespace = extension.namespace.lower()
    return next((name for part, name in _VENDORS if part in namespace), "")


def _calling_party(extensions: tuple[Extension, ...]) -> str:
    calling = [
        extension.owner_id
        for extension in extensions
        if extension.owner == "participant"
        and extension.path[-1] == "callingparty"
        and extension.value.strip().lower() == "true"
    ]
    return calling[0] if len(set(calling)) == 1 else ""


def _direction(extensions: tuple[Extension, ...]) -> Direction:
    """Return the direction, seen from whom the PBX records.

    BroadWorks says it by the name of an element: the recorded user originates the
    call, or it terminates there.
    """
    for extension in extensions:
        if "origcall" in extension.path:
            return Direction.OUTBOUND
        if "termcall" in extension.path:
            return Direction.INBOUND
        said = extension.value.strip().lower()
        if extension.path[-1] == "direction" and said in set(Direction):
            return Direction(said)
    return Direction.UNKNOWN
