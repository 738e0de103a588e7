"""Sessions that outlive their process: what is kept beside a call, and read back.

A session is kept as JSON in the call's page, which is locked memory and never a file
(`MediaTap.keep_state`): everything that the next process needs to answer its device,
to end it and to sign its manifest.

Guarantees: `resumed(state_of(session), …)` gives the same session, but for its clock
of idle time, which begins again; a state that is not one of ours is refused and never
half read.

Left to others: when to keep (`vault.recorder.desk`, `vault.recorder.handshakes`).
"""

import asyncio
import contextlib
import dataclasses
import json
import time
import zlib
from typing import Any, Final

import structlog

from vault.core.errors import InvalidInputError, NotFoundError, VaultError
from vault.core.flow import CallFacts, Device, HowEnded
from vault.core.secrets import SecretBytes
from vault.recorder.keying import Keying
from vault.recorder.leaves import started_draft
from vault.recorder.parts import Desk
from vault.recorder.placing import Place
from vault.recorder.plain import is_frozen, made, plain
from vault.recorder.session import Session, Stream
from vault.sip.offer import Offer
from vault.spool.files import MANIFEST, SessionFolder
from vault.spool.order import SpoolOrder
from vault.tap.interfaces import MediaTap

NOT_KEPT: Final = "recorder.session.not-kept"
RESUMED: Final = "recorder.session.resumed"
LOST: Final = "recorder.session.lost"
_VERSION: Final = 2
_MOST_OCTETS: Final = 4 * 1024 * 1024
_log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The members of a `Session` that another process needs."""

    order: SpoolOrder
    device: Device
    dek: SecretBytes
    facts: CallFacts
    place: Place
    origin: str
    address: str
    started_ns: int
    began_s: float
    offer: Offer
    streams: tuple[Stream, ...]
    paused: bool
    resume_at_s: float
    announced: bool
    ending: HowEnded | None
    ended_ns: int
    number: int
    version: int
    signalling: bytes
    document_octets: int
    documents_dropped: bool


_NAMES: Final = tuple(
    each.name for each in dataclasses.fields(_Kept) if each.name != "streams"
)
_STREAM_NAMES: Final = tuple(each.name for each in dataclasses.fields(Stream))


def keep(media: MediaTap, session: Session) -> None:
    """Write *session* beside its call, for another process to go on with."""
    try:
        media.keep_state(session.recording_id, state_of(session))
    except ValueError:
        # An old state would be a lie: this call ends as cut with its process.
        _log.warning(NOT_KEPT, recording=session.recording_id)
        media.keep_state(session.recording_id, b"")


def state_of(session: Session) -> bytes:
    """Return what `resumed` reads."""
    known = session.written
    streams = [
        ", ".join(_members(stream, _STREAM_NAMES, known, f"{index}."))
        for index, stream in session.streams.items()
    ]
    members = [
        f'"v": {_VERSION}',
        *_members(session, _NAMES, known, ""),
        f'"streams": [{", ".join(f"{{{one}}}" for one in streams)}]',
    ]
    return zlib.compress(f"{{{', '.join(members)}}}".encode(), 1)


def _members(
    one: Session | Stream,
    names: tuple[str, ...],
    written: dict[str, tuple[object, str]],
    prefix: str,
) -> list[str]:
    """Return fields as members of a JSON object.

    A call is kept at each of its steps, and most of it never changes: what *written*
    has of a value that cannot change is not written anew.
    """
    found: list[str] = []
    fresh: dict[str, object] = {}
    for name in names:
        value, key = getattr(one, name), prefix + name
        known = written.get(key)
        if known is not None and known[0] is value:
            found.append(known[1])
        elif is_frozen(value):
            text = json.dumps({name: plain(value)})[1:-1]
            written[key] = value, text
            found.append(text)
        else:
            fresh[name] = plain(value)
    return [*found, json.dumps(fresh)[1:-1]]


def resumed(state: bytes, folder: SessionFolder) -> Session | None:
    """Make the session of *state* again; None if its manifest is written.

    Raises:
        InvalidInputError: It is no state of this version, or another call's.
        NotFoundError: Its folder is gone.
    """
    said = _read(state)
    if said.pop("v", None) != _VERSION:
        raise InvalidInputError("the state of a session of another version")
    kept = made(_Kept, said)
    if kept.order.recording_id != folder.order().recording_id:
        raise InvalidInputError("the state of another call")
    if folder.has(MANIFEST):
        return None
    members = {each.name: getattr(kept, each.name) for each in dataclasses.fields(kept)}
    names = folder.objects()
    streams = {stream.offered.index: stream for stream in members.pop("streams")}
    return Session(
        **members,
        folder=folder,
        streams=streams,
        # The disk knows better: the process may have died after it wrote one.
        revision=sum(name.startswith("session/") for name in names),
        messages=sum(name.startswith("signalling/") for name in names),
        seen_at_s=time.monotonic(),
    )


async def resume(parts: Desk) -> list[Session]:
    """Take over the calls of an earlier process.

    What has no session any more, or never had one that can be read, is closed:
    recovery accounts for it.
    """
    media, spool, found = parts.media, parts.spool, list[Session]()
    for call in await media.adopt(lambda one: spool.folder(one).open_part):
        folder = spool.folder(call.recording_id)
        try:
            session = await asyncio.to_thread(resumed, call.state, folder)
            if session is not None:
                await _go_on(parts, session)
                found.append(session)
                continue
        except (VaultError, OSError) as exc:
            problem = type(exc).__name__
            _log.error(LOST, recording=call.recording_id, problem=problem)
        with contextlib.suppress(NotFoundError):
            await media.close_call(call.recording_id, HowEnded.CUT)
        media.forget(call.recording_id)
    return found


async def _go_on(parts: Desk, session: Session) -> None:
    for stream in session.streams.values():
        if stream.dtls is not None and stream.crypto is None:
            # Its handshake died with its process, and so did its ports: it stays
            # without media until its device makes a new offer.
            stream.dtls.state = Keying.INTERRUPTED
            (stream.ports,) = parts.media.reserve(1)
    if not session.announced:
        # Its device was never answered: there will be no media.
        await asyncio.to_thread(parts.outbox.post, started_draft(session))
        session.announced, session.ending = True, HowEnded.CUT
    if session.order != session.folder.order():
        # It died while the call moved to another workgroup.
        await asyncio.to_thread(session.folder.replace_order, session.order)
    keep(parts.media, session)
    _log.info(RESUMED, recording=session.recording_id)


def _read(state: bytes) -> dict[str, Any]:
    try:
        octets = zlib.decompressobj().decompress(state, _MOST_OCTETS)
        return dict(json.loads(octets))
    except (zlib.error, ValueError, TypeError):
        raise InvalidInputError("no state of a session") from None
