"""Recording metadata: who takes part in a call, and which stream carries whom.

A session recording client sends an XML document with its offer and, whenever
somebody joins or leaves, another one.  Three namespaces and as many spellings are
in the field; names are matched without namespace and without case.

Guarantees:
    * Nothing but `MalformedSignallingError` leaves `read_metadata`, and nothing at
      all leaves `read_or_flag`: metadata never stops a recording.
    * Parties, streams, sessions and extensions are capped, texts are cut.

Left to others: XML (`vault.siprec.elements`), later documents of the same session
(`vault.siprec.updates`), what vendors put into extensions
(`vault.siprec.dialects`), facts about a call (`vault.siprec.parties`), keeping the
document as it came (`vault.recorder`).

Spec: RFC 7865; RFC 7866, section 9, as updated by RFC 9806; docs/reference/siprec.md
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from vault.core.errors import MalformedSignallingError
from vault.sip.offer import unused_label
from vault.siprec.elements import Node, read_elements
from vault.siprec.model import (
    LEFT_SOMETIME,
    CommunicationSession,
    Extension,
    MetadataStream,
    Mode,
    Party,
    RecordingMetadata,
    attributed,
)

_Item = TypeVar("_Item")

_ROOTS: Final = frozenset({"recording", "recording_metadata", "recording-metadata"})
_MAX_PARTIES: Final = 256
_MAX_STREAMS: Final = 256
_MAX_SESSIONS: Final = 64
_MAX_EXTENSIONS: Final = 256
_MAX_TEXT: Final = 256
_MAX_VALUE: Final = 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAUSIBLE_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
"A Sonus gateway without a clock dates its calls in 1970."
_PLAUSIBLE_UNTIL: Final = datetime(2200, 1, 1, tzinfo=UTC)
"Later ones, with their offset, could have no year of four digits in UTC."
_TIMES: Final = frozenset(
    {"associate-time", "disassociate-time", "start-time", "stop-time"}
)
_KNOWN: Final = {
    "group": _TIMES | {"initiator"},
    "session": _TIMES | {"group-ref", "sipsessionid", "reason", "group"},
    "participant": _TIMES | {"nameid", "aor", "name", "send", "recv"},
    "stream": _TIMES | {"label", "mode", "content-type"},
    "sessionrecordingassoc": _TIMES,
    "participantsessionassoc": _TIMES | {"param"},
    "participantstreamassoc": _TIMES | {"send", "recv"},
}
"What the standard and its drafts know; all else is somebody's extension."


def read_metadata(octets: bytes) -> RecordingMetadata:
    """Read one document.

    Raises:
        MalformedSignallingError: Not XML that we take, not recording metadata, or
            more of something than we take.
    """
    root, remarks = read_elements(octets)
    if root.name not in _ROOTS:
        raise MalformedSignallingError("XML that is no recording metadata")
    found = RecordingMetadata(
        mode=_mode(root),
        parties=_parties(root),
        streams=_streams(root),
        sessions=_sessions(root),
        groups=_groups(root),
        extensions=tuple(_extensions(root)),
        remarks=(*remarks, *_used_twice(root)),
    )
    if not (found.parties or found.streams or found.sessions or found.extensions):
        raise MalformedSignallingError("recording metadata without any element of it")
    return attributed(found)


def read_or_flag(octets: bytes) -> tuple[RecordingMetadata | None, str]:
    """Read one document; what can't be read gives None and what is wrong with it."""
    try:
        return read_metadata(octets), ""
    except MalformedSignallingError as exc:
        return None, str(exc)


def _mode(root: Node) -> Mode:
    said = root.first("datamode")
    # What says nothing of itself is taken as a whole: the drafts before the RFC.
    return Mode.PARTIAL if said and said.text.lower() == "partial" else Mode.COMPLETE


def _sessions(root: Node) -> tuple[CommunicationSession, ...]:
    found: dict[str, CommunicationSession] = {}
    for node in _capped(root.all("session"), _MAX_SESSIONS, "sessions"):
        identifier = _cut(node.attribute("session_id", "id"))
        group = node.first("group-ref")
        said = node.first("sipsessionid")
        found.setdefault(
            identifier,
            CommunicationSession(
                id=identifier,
                group=_cut(group.text if group else node.attribute("group")),
                sip_session_id=_cut(said.text) if said else "",
            ),
        )
    return tuple(found.values())


def _groups(root: Node) -> tuple[str, ...]:
    nodes = _capped(root.all("group"), _MAX_SESSIONS, "groups")
    found = (_cut(node.attribute("group_id", "id")) for node in nodes)
    return tuple(dict.fromkeys(each for each in found if each))


def _streams(root: Node) -> tuple[MetadataStream, ...]:
    found: dict[str, MetadataStream] = {}
    for node in _capped(root.all("stream"), _MAX_STREAMS, "streams"):
        identifier = _cut(node.attribute("stream_id", "id"))
        label = node.first("label")
        used = {each.label for each in found.values() if each.label}
        name = unused_label(_cut(label.text if label else ""), used)
        stream = MetadataStream(id=identifier, label=name)
        found.setdefault(identifier or f"#{len(found) + 1}", stream)
    return tuple(found.values())


def _parties(root: Node) -> tuple[Party, ...]:
    """Read participants and what the associations add to them."""
    found: dict[str, Party] = {}
    for node in _capped(root.all("participant"), _MAX_PARTIES, "participants"):
        party = _party(node, number=len(found) + 1)
        first = found.get(party.id)
        if first is not None and (first.aor, first.name) != (party.aor, party.name):
            # Neither may hide the other; associations go to the first.
            party = replace(party, id=f"{party.id}#{len(found) + 1}")
        found.setdefault(party.id, party)
    if _mode(root) is Mode.PARTIAL:
        # An association alone is a change to a party that came before.
        for node in root.children:
            if node.name.startswith("participant") and node.name.endswith("assoc"):
                identifier = _cut(node.attribute("participant_id", "id"))
                if identifier:
                    found.setdefault(identifier, Party(id=identifier))
    if len(found) > _MAX_PARTIES:
        raise MalformedSignallingError("recording metadata with too many participants")
    _take_part(root, found)
    _send(root, found)
    return tuple(found.values())


def _party(node: Node, *, number: int) -> Party:
    named = node.first("nameid") or node
    aor, name = named.first("aor"), named.first("name")
    if aor is None:
        aor = node.first("aor")
    address = named.attribute("aor") or (aor.text if aor else "")
    return Party(
        id=_cut(node.attribute("participant_id", "id")) or f"#{number}",
        aor=_cut(address),
        name=_cut(name.text if name else ""),
        sends=_sent(node),
        joined_ns=_time(node, "associate-time"),
        left_ns=_left(node),
    )


def _take_part(root: Node, found: dict[str, Party]) -> None:
    """Add when parties joined first and, if they take part in nothing, left."""
    running: set[str] = set()
    for node in root.all("participantsessionassoc"):
        party = found.get(_cut(node.attribute("participant_id", "id")))
        if party is None:
            continue
        joined, left = _time(node, "associate-time"), _left(node)
        if not left:
            running.add(party.id)
        times = [each for each in (party.joined_ns, joined) if each]
        found[party.id] = replace(
            party,
            joined_ns=min(times, default=0),
            left_ns=max(party.left_ns, left),
        )
    for identifier in running:
        found[identifier] = replace(found[identifier], left_ns=0)


def _left(node: Node) -> int:
    gone = node.has("disassociate-time")
    return (_time(node, "disassociate-time") or LEFT_SOMETIME) if gone else 0


def _send(root: Node, found: dict[str, Party]) -> None:
    """Add what parties send, from the associations that have not ended."""
    told: dict[str, list[str]] = {}
    for node in root.all("participantstreamassoc"):
        identifier = _cut(node.attribute("participant_id", "id"))
        if identifier in found:
            sent = () if node.has("disassociate-time") else _sent(node) or ()
            told.setdefault(identifier, []).extend(sent)
    for identifier, streams in told.items():
        party = found[identifier]
        sends = tuple(dict.fromkeys((*(party.sends or ()), *streams)))
        found[identifier] = replace(party, sends=sends[:_MAX_STREAMS])


def _sent(node: Node) -> tuple[str, ...] | None:
    """Return the streams in ``<send>``, which a draft wraps once more in ``<id>``."""
    texts = [
        _cut(part.text)
        for send in node.all("send")
        for part in (send, *send.children)
        if part.text
    ]
    return tuple(texts) or None


def _extensions(root: Node) -> Iterator[Extension]:
    """Yield every value that is nobody's but a vendor's."""
    count = 0
    for owner in (root, *root.children):
        known = _KNOWN.get(owner.name)
        if owner is not root and known is None:
            continue
        names = _KNOWN.keys() | {"datamode", "recording"} if known is None else known
        for node in owner.children:
            if node.name in names:
                continue
            for path, leaf in _leaves(node, ()):
                count += 1
                if count > _MAX_EXTENSIONS:
                    raise MalformedSignallingError(
                        "recording metadata with too many extensions"
                    )
                yield Extension(
                    owner=owner.name,
                    owner_id=_owner(owner),
                    namespace=leaf.namespace,
                    path=path,
                    value=leaf.text[:_MAX_VALUE],
                )


def _leaves(
    node: Node, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Node]]:
    # Depth was capped when the tree was made.
    path = above if node.name == "extensiondata" else (*above, node.name)
    if node.text and path:
        yield path, node
    for child in node.children:
        yield from _leaves(child, path)


def _owner(node: Node) -> str:
    return _cut(node.attribute(f"{node.name}_id", "id"))


def _used_twice(root: Node) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for node in root.children:
        key = (node.name, _owner(node))
        if node.name in {"participant", "stream", "session"} and key[1]:
            if key in seen:
                yield "duplicate-id"
                return
            seen.add(key)


def _time(node: Node, name: str) -> int:
    """Return a time in nanoseconds since the epoch; 0 where it can't be relied on.

    Without an offset from UTC nobody knows what is meant: Oracle and AudioCodes
    write local time so.
    """
    child = node.first(name)
    if child is None or not child.text or len(child.text) > _MAX_TEXT:
        return 0
    try:
        moment = datetime.fromisoformat(child.text)
    except ValueError:
        return 0
    if moment.tzinfo is None or not _PLAUSIBLE_FROM <= moment < _PLAUSIBLE_UNTIL:
        return 0
    return round((moment - _EPOCH) / timedelta(microseconds=1)) * 1000


def _cut(text: str) -> str:
    return text.strip()[:_MAX_TEXT]


def _capped(found: Iterable[_Item], most: int, what: str) -> list[_Item]:
    items = list(found)
    if len(items) > most:
        raise MalformedSignallingError(f"recording metadata with too many {what}")
    return items
